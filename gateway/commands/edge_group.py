"""`runxin edge`: running a department's edge and enrolling its register."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.terminal import echo_json, run

app = typer.Typer(no_args_is_help=True, help="Run a department's edge. 运行部门前置机。")


@app.command("enrol")
def enrol_edge(
    config: Annotated[Path, typer.Option("--config", help="edge.toml")],
    grant: Annotated[str | None, typer.Option(help="Enrolment grant (POST /v1/pseudonyms/grants).")] = None,
) -> None:
    """Enrol the department's register through the blind door, with progress; resumable. 登记本部门名册。"""
    from adapters.edge.runner import enrol

    state = run(enrol(config, grant))
    echo_json({"enrolled": state.enrolled, "of": state.total})


@app.command("run")
def run_edge(config: Annotated[Path, typer.Option("--config", help="edge.toml")]) -> None:
    """Run an edge: answers signed orders, takes the inbox, sends for the local system. 运行前置机。"""
    from adapters.edge.runner import serve as serve_edge

    run(serve_edge(config))
