"""`runxin witness`: a department's own witness, on its own machine. Rules kept here: its key never leaves that machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.proofs.notes import COSIGNATURE, Signer

app = typer.Typer(no_args_is_help=True, help="Run a witness that cosigns the log's growth. 运行见证服务。")


@app.command("new")
def new_witness(
    folder: Annotated[Path, typer.Argument(help="New folder for key and memory.")],
    name: Annotated[str, typer.Argument(help="The witness's name, such as witness.example/civil-affairs.")],
) -> None:
    """Make a witness's key and print its public key, for the sharing agreement. 生成见证密钥并输出公钥。"""
    folder.mkdir(parents=True)
    seed = os.urandom(32)
    with os.fdopen(os.open(folder / "key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{name}\n{seed.hex()}\n")
    typer.echo(signer(folder).verifier.vkey)


@app.command("run")
def run_witness(
    folder: Annotated[Path, typer.Argument(help="The folder that `runxin witness new` made.")],
    log: Annotated[list[str], typer.Option("--log", help="A log's public key; may be repeated.")],
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 8290,
) -> None:
    """Answer `POST /add-checkpoint` (c2sp.org/tlog-witness). Put TLS in front of it. 启动见证服务。"""
    import uvicorn

    from gateway.audit.witness import Witness
    from gateway.audit.witness_service import service
    from gateway.domain.clock import SystemClock
    from gateway.proofs.notes import parse_vkey

    logs = {verifier.name: verifier for verifier in map(parse_vkey, log)}
    witness = Witness(folder / "memory", signer(folder), logs, SystemClock())
    uvicorn.run(service(witness), host=host, port=port, access_log=False, log_level="warning", server_header=False)


def signer(folder: Path) -> Signer:
    """The witness whose key lies in that folder."""
    name, seed, _ = (folder / "key").read_text("utf-8").split("\n")
    return Signer.from_seed(name, bytes.fromhex(seed), COSIGNATURE)
