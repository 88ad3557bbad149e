"""`python -m tests.controls.mapping`: write `docs/generated/controls.md`, which maps article -> control -> test.

The controls and their articles are data (`controls.toml`); tests are found by their names, a test named for two controls counts for both.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "generated" / "controls.md"
NOT_YET = ROOT / "docs" / "controls-not-yet.md"
_TEST = re.compile(r"^(?:async )?def (test(?:_C\d{2})+_\w+)", re.MULTILINE)


def controls() -> dict[str, dict[str, str]]:
    """Control -> {"article", "zh"}, in order."""
    return tomllib.loads((HERE / "controls.toml").read_text("utf-8"))


def named() -> dict[str, list[str]]:
    """Control -> node ids of the tests that are named for it."""
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for name in _TEST.findall(path.read_text("utf-8")):
            for control in re.findall(r"C\d{2}", name):
                found.setdefault(control, []).append(f"{path.relative_to(ROOT).as_posix()}::{name}")
    return found


def not_yet() -> dict[str, set[str]]:
    """Heading of `docs/controls-not-yet.md` -> controls that stand under it."""
    sections = re.split(r"^## ", NOT_YET.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {text.splitlines()[0]: set(re.findall(r"C\d{2}", "\n".join(_first_cells(text)))) for text in sections}


def _first_cells(text: str) -> list[str]:
    return [line.split("|")[1] for line in text.splitlines() if line.startswith("| C")]


def page() -> str:
    """The page."""
    known, found = controls(), named()
    held = [control for control in known if control in found]
    lines = [
        "# Article, control, test · 条款、控制措施、测试",
        "",
        "Written by `python -m tests.controls.mapping`; edit the source, not this page.",
        "",
        f"{len(held)} of {len(known)} controls have a test named for them.",
        "",
        "For what is missing see [controls-not-yet.md](../controls-not-yet.md).",
        "",
        "| article | control | what it asks | tests |",
        "|---|---|---|---|",
    ]
    for control, row in known.items():
        shown = "<br>".join(f"`{name}`" for name in found.get(control, [])) or "none"
        lines.append(f"| {row['article']} | {control} | {row['zh']} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {sum(control in named() for control in controls())} of {len(controls())}")
