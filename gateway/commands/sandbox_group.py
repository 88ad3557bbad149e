"""`runxin sandbox`: the simulated departmental systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Simulated departmental systems. 模拟部门业务系统。")


@app.command("up")
def up(
    folder: Annotated[Path, typer.Option("--folder", help="Where the systems keep their files.")] = Path(".sandbox"),
    children: Annotated[int, typer.Option(help="Size of the invented population.")] = 2000,
) -> None:
    """Start all simulated systems over one invented population and stay until Ctrl+C. 启动全部模拟系统。"""
    from adapters.sandbox.up import serve

    serve(folder.resolve(), children, lambda name, address: typer.echo(f"{name:20} {address}"))
