"""`runxin policy`: checking, copying and exporting sharing rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.terminal import Data, settings_of

app = typer.Typer(no_args_is_help=True, help="Check and explain sharing rules. 检查和解释共享规则。")


@app.command("check")
def check_policy(data: Data = None) -> None:
    """Load catalogue and rules as the gateway would; prints the version, or the first thing that is wrong. 检查规则。"""
    from policies.book import PolicyBook

    settings = settings_of(data)
    try:
        book = PolicyBook.open(settings.policies) if settings.policies else PolicyBook.open()
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
    served = sum(exchange.state == "served" for exchange in book.catalogue.exchanges.values())
    typer.echo(f"{book.version}\n{len(book.catalogue.exchanges)} exchanges, {served} served")


@app.command("copy")
def copy_policies(folder: Annotated[Path, typer.Argument(help="New folder; point RUNXIN_POLICIES at it.")]) -> None:
    """Copy the shipped model, catalogue and rules, as the beginning of a site's own. 复制随附的规则作为本地起点。"""
    import shutil

    from policies.book import HOME

    if folder.exists():
        typer.echo(f"{folder} exists already.", err=True)
        raise SystemExit(2)
    for part in ("catalogue", "rules"):
        shutil.copytree(HOME / part, folder / part, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copy(HOME / "model.conf", folder / "model.conf")
    typer.echo(f"policies -> {folder}")


@app.command("exchanges")
def exchange_file(
    out: Annotated[Path, typer.Argument(help="File for edges (`exchanges` in edge.toml).")], data: Data = None
) -> None:
    """Write the catalogue's exchanges for edges, which have no policy of their own. 为前置机导出事项定义。"""
    from adapters.base.exchange_file import write
    from policies.book import PolicyBook

    settings = settings_of(data)
    book = PolicyBook.open(settings.policies) if settings.policies else PolicyBook.open()
    write(book.catalogue.exchanges.values(), out)
    typer.echo(f"{len(book.catalogue.exchanges)} exchanges -> {out}")
