"""`python -m tests.docs.generate`: write the pages of `docs/generated/` that follow from the code.

A test builds the same texts and compares them with the files, so a page cannot grow old unnoticed.
"""

import json
import re
from pathlib import Path

import typer.main
from typer.testing import CliRunner

from gateway.api.description import describe
from gateway.api.problems import sentences
from gateway.api.routes import router
from gateway.cli import app as cli
from gateway.settings import Settings
from policies.catalogue import load

ROOT = Path(__file__).parents[2]
HERE = ROOT / "docs" / "generated"
NOTE = "Written by `python -m tests.docs.generate`; edit the source, not this page.\n"


def settings() -> str:
    """Every setting of the gateway: name, default, meaning."""
    lines = [
        "# Settings · 设置",
        "",
        NOTE,
        "From the environment under these names, or from `runxin.toml` in the working directory under the name without",
        "`RUNXIN_` in lower case; the environment wins. `runxin settings` shows what is in force. Source: `gateway/settings.py`.",
        "",
        "| setting | default | what it is for |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        shown = "" if name == "root_passphrase" else field.default
        default = f"`{shown}`" if shown not in ("", None) else "-"
        lines.append(f"| `RUNXIN_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def problems() -> str:
    """Every stable code of the gateway with status and sentences."""
    lines = ["# Problem codes · 错误代码", "", NOTE, "Source: `gateway/api/problems.toml`; form: RFC 9457.", ""]
    lines += ["| code | status | English | 中文 |", "|---|---|---|---|"]
    for code, row in sorted(sentences().items()):
        lines.append(f"| `{code}` | {row.status} | {cell(row.en)} | {cell(row.zh)} |")
    return "\n".join(lines) + "\n"


def exchanges() -> str:
    """The catalogue, one line an exchange, then the fields of those that are served."""
    catalogue = load(ROOT / "policies" / "catalogue")
    known = sorted(catalogue.exchanges.values(), key=lambda exchange: exchange.id)
    lines = ["# Exchanges · 共享事项", "", NOTE, "Source: `policies/catalogue/exchanges/`.", ""]
    lines += [
        "| id | 名称 | name | state | pattern | purpose | providers | consumers (consent code, scope) | level | profile |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for exchange in known:
        consumers = ", ".join(f"{to} ({exchange.consent[to]}, {exchange.scopes[to]})" for to in exchange.consumers)
        lines.append(
            f"| {exchange.id} | {exchange.zh} | {exchange.en} | {exchange.state} | {exchange.pattern} | {exchange.purpose} "
            f"| {', '.join(map(str, exchange.providers))} | {consumers} | {exchange.level} | {exchange.profile} |"
        )
    for exchange in known:
        if str(exchange.state) != "served":
            continue
        lines += ["", f"## {exchange.id} {exchange.zh}", "", "| field | 名称 | type | class | required | gate |"]
        lines += ["|---|---|---|---|---|---|"]
        for name, field in exchange.fields.items():
            lines.append(
                f"| `{name}` | {field.zh} | {field.type} | {field.field_class} | {yes(field.required)} | {yes(field.gate)} |"
            )
    return "\n".join(lines) + "\n"


def routes() -> str:
    """Every route of the machine door with its body's members."""
    lines = [
        "# Routes · 接口",
        "",
        NOTE,
        "What they have in common is in [api.md](../api.md). `?` marks an optional member.",
        "",
    ]
    lines += ["| route | what it does | members of the body |", "|---|---|---|"]
    described = json.loads(openapi())["paths"]
    for path, methods in sorted(described.items()):
        for method, route in sorted(methods.items()):
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            needed = body.get("required", [])
            members = ", ".join(f"`{name}`{'' if name in needed else '?'}" for name in body.get("properties", {}))
            lines.append(f"| `{method.upper()} {path}` | {cell(route.get('summary', ''))} | {members} |")
    return "\n".join(lines) + "\n"


def openapi() -> str:
    """The machine door's description, as `GET /v1/openapi.json` gives it."""
    from fastapi import FastAPI

    door = FastAPI(title="Runxin Gateway 润心网关", version="1")
    door.include_router(router)
    return json.dumps(describe(door)(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def commands() -> str:
    """`--help` of `runxin` and of every command under it, at 100 columns."""
    lines = ["# Commands · 命令", "", NOTE]
    for path in command_paths():
        title = " ".join(["runxin", *path])
        lines += [f"## {title}", "", "```text", help_of(path), "```", ""]
    return "\n".join(lines)


def command_paths() -> list[tuple[str, ...]]:
    """Every command, groups before their members."""

    def walk(command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        below = getattr(command, "commands", {})
        return [path, *(one for name in sorted(below) for one in walk(below[name], (*path, name)))]

    return walk(typer.main.get_command(cli), ())


def help_of(path: tuple[str, ...]) -> str:
    """The help text of one command, without colours and trailing blanks."""
    result = CliRunner().invoke(
        cli,
        [*path, "--help"],
        env={"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"},
        prog_name="runxin",
    )
    assert result.exit_code == 0, path
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
    return "\n".join(line.rstrip() for line in plain.strip().splitlines())


def cell(text: str) -> str:
    """A text as a table cell."""
    return text.replace("|", "\\|")


def yes(flag: object) -> str:
    """A mark for a true value."""
    return "yes" if flag else ""


PAGES = {
    "settings.md": settings,
    "problems.md": problems,
    "exchanges.md": exchanges,
    "routes.md": routes,
    "openapi.json": openapi,
    "commands.md": commands,
}


def main() -> None:
    """Write every page."""
    for name, made in PAGES.items():
        (HERE / name).write_text(made(), "utf-8")


if __name__ == "__main__":
    main()
