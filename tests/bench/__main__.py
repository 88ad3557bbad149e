"""`make bench ONLY=name`: run one suite, or all; each prints a table and writes `.bench/<suite>.json`.

A suite is a module with `measure() -> list[dict]`, rows of {"measure", "value", "unit", "beside", "ratio", "bar", "ok"}.
"""

import importlib
import json
import sys
from pathlib import Path

SUITES = ("exchange", "pseudonyms", "audit", "policy", "basis", "release", "adapters", "console")


def run(suite: str) -> bool:
    module = importlib.import_module(f"tests.bench.{suite}")
    rows = module.measure()
    folder = Path(".bench")
    folder.mkdir(exist_ok=True)
    (folder / f"{suite}.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")
    show(suite, rows)
    return all(row["ok"] in (True, None) for row in rows)


def show(suite: str, rows: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "value", "unit", "beside", "ratio", "bar", "", title=suite)
    for row in rows:
        mark = {True: "ok", False: "MISSED", None: ""}[row["ok"]]
        table.add_row(*(_text(row[name]) for name in ("measure", "value", "unit", "beside", "ratio", "bar")), mark)
    Console().print(table)


def _text(value: object) -> str:
    return "" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)


def main() -> int:
    wanted = sys.argv[1:] or [name for name in SUITES if (Path(__file__).parent / f"{name}.py").exists()]
    unknown = [name for name in wanted if name not in SUITES]
    if unknown:
        print(f"no suite {unknown[0]}; there are {', '.join(SUITES)}")
        return 2
    met = [run(suite) for suite in wanted]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
