"""`runxin keys`: making keys, showing public ones. Rules kept here: no private half is ever printed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.commands.terminal import Data, settings_of

app = typer.Typer(no_args_is_help=True, help="Make keys and show public ones. 生成密钥，显示公钥。")


@app.command("new")
def new_key(
    kind: Annotated[str, typer.Argument(help="signing (clients, officers, edges) or sealing (recipients)")],
    out: Annotated[Path, typer.Argument(help="New file, mode 0600.")],
    suite: Annotated[str, typer.Option(help="For sealing: x25519, or xwing (post-quantum hybrid).")] = "x25519",
) -> None:
    """Make a key pair; prints the public half as a site file wants it. 生成密钥对，输出公钥。"""
    import base64

    from keys.sealing_keys import SUITES, SealingPair
    from keys.signing import SigningKey

    if out.exists():
        typer.echo(f"{out} exists; a key is never overwritten.", err=True)
        raise SystemExit(2)
    if kind == "signing":
        key = SigningKey.generate()
        key.save(out)
        typer.echo(key.verify_key.jwk()["x"])
    elif kind == "sealing" and suite in SUITES:
        pair = SealingPair.generate(suite)
        pair.save(out)
        typer.echo(base64.urlsafe_b64encode(pair.public_key).decode().rstrip("="))
    else:
        typer.echo("The kind is `signing` or `sealing`; the suite of a sealing key is `x25519` or `xwing`.", err=True)
        raise SystemExit(2)


@app.command("public")
def public_keys(data: Data = None) -> None:
    """Show the gateway's public keys as JSON: the log's vkey, the key that signs orders. 显示网关公钥。"""
    from gateway.app import log_signer, open_root, signing_key

    settings = settings_of(data)
    root = open_root(settings)
    typer.echo(
        json.dumps(
            {
                "issuer": settings.issuer,
                "log": log_signer(settings, root).verifier.vkey,
                "orders": signing_key(settings, root, "order").verify_key.jwk(),
                "tokens": signing_key(settings, root, "token").verify_key.jwk(),
            },
            indent=1,
        )
    )


@app.command("selftest")
def selftest() -> None:
    """Run the known-answer test of every primitive. 密码算法自检。"""
    from keys.selftest import report

    typer.echo(json.dumps([asdict(check) for check in report()], indent=1, ensure_ascii=False))
