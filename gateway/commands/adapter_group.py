"""`runxin adapter`: checking a department's adapter before it is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.terminal import VERIFICATION_FAILED, run

app = typer.Typer(no_args_is_help=True, help="Check a department's adapter. 检查部门适配器。")


@app.command("check")
def check_adapter(
    config: Annotated[Path, typer.Option("--config", help="edge.toml")],
    report: Annotated[Path, typer.Option("--report", help="Folder of the signed report.")] = Path("adapter-report"),
) -> None:
    """Run every named check against the system itself and write a signed report. 逐项检查并生成签名报告。"""
    from adapters.contract.run import run as check

    given = run(check(config, report))["report"]
    for result in given["results"]:
        if result["outcome"] == "failed":
            typer.echo(f"✗ {result['name']}: {result['reason']} {result['detail']}\n  {result['zh']} / {result['en']}")
    typer.echo(f"passed {given['passed']}, failed {given['failed']}, skipped {given['skipped']}; {report}/report.html")
    if given["failed"]:
        raise SystemExit(VERIFICATION_FAILED)
