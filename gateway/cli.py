"""`runxin`: the local command line. Every command teaches by `--help`; every error says what to do.

Rules kept here: whoever runs it on the machine is the operator, and what it changes is an entry; exit codes tell failures
apart without a log (2 input, 3 refused, 4 provider, 5 gateway, 6 verification failed); no key and no identifier is printed.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands import (
    adapter_group,
    audit_group,
    console_group,
    edge_group,
    keys_custody,
    keys_group,
    policy_group,
    report_group,
    sandbox_group,
    witness_group,
)
from gateway.commands.terminal import Data, fail, run, settings_of
from gateway.errors import GatewayError
from gateway.settings import Settings

CLOSING_SECONDS = 20

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="润心网关 Runxin Gateway: a controlled channel between the departments that look after children in difficulty.",
)
app.add_typer(audit_group.app, name="audit")
keys_custody.add_to(keys_group.app)
app.add_typer(keys_group.app, name="keys")
app.add_typer(policy_group.app, name="policy")
app.add_typer(edge_group.app, name="edge")
app.add_typer(witness_group.app, name="witness")
app.add_typer(adapter_group.app, name="adapter")
app.add_typer(sandbox_group.app, name="sandbox")
app.add_typer(console_group.app, name="console")
app.add_typer(report_group.app, name="report")


def main() -> None:
    """Entry point: errors of the house become a sentence and an exit code."""
    try:
        app()
    except GatewayError as error:
        fail(error)


# --- the gateway ---------------------------------------------------------------------------------------------------------


@app.command()
def init(data: Data = None) -> None:
    """Make a new data folder: root key, signing keys, database, empty log. 建立新的数据目录。

    The passphrase of the root key comes from RUNXIN_ROOT_PASSPHRASE; without it, it is asked for.
    """
    from gateway.app import found_premises, opened

    settings = settings_of(data)
    if settings.root_key_source == "file" and not settings.root_passphrase.get_secret_value():
        passphrase = typer.prompt("Passphrase of the root key", hide_input=True, confirmation_prompt=True)
        settings = settings.model_copy(update={"root_passphrase": type(settings.root_passphrase)(passphrase)})
    try:
        root = found_premises(settings)
    except FileExistsError:
        typer.echo(f"{settings.data} exists already; choose another folder by --data or RUNXIN_DATA.", err=True)
        raise SystemExit(2) from None

    async def start() -> None:
        async with opened(settings, root):
            pass

    run(start())
    typer.echo(f"ready: {settings.data}")


@app.command()
def serve(data: Data = None) -> None:
    """Run the gateway. Outside demo mode it wants a certificate and a client CA (mutual TLS). 运行网关。"""
    import uvicorn

    settings = settings_of(data)
    tls: dict[str, Any] = {}
    if settings.demo:
        if settings.host not in ("127.0.0.1", "::1", "localhost"):
            typer.echo("Demo mode listens on loopback only; set RUNXIN_HOST=127.0.0.1.", err=True)
            raise SystemExit(2)
    elif settings.tls_certificate and settings.tls_key and settings.tls_client_ca:
        import ssl

        from adapters.certificates import CertificateFiles, listening

        files = CertificateFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
        tls = {
            "ssl_context_factory": partial(listening, files),  # renewed while it runs
            "ssl_certfile": str(settings.tls_certificate),
            "ssl_keyfile": str(settings.tls_key),
            "ssl_ca_certs": str(settings.tls_client_ca),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    else:
        typer.echo("Set RUNXIN_TLS_CERTIFICATE, RUNXIN_TLS_KEY and RUNXIN_TLS_CLIENT_CA (or RUNXIN_DEMO=1).", err=True)
        raise SystemExit(2)
    if settings.embedded and settings.workers > 1:
        typer.echo("Embedded adapters are for trying out, in one worker; set RUNXIN_WORKERS=1.", err=True)
        raise SystemExit(2)
    if data:
        os.environ["RUNXIN_DATA"] = str(data)
    uvicorn.run(
        "gateway.app:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        access_log=False,  # our own log has no paths of requests
        log_level="warning",
        server_header=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=CLOSING_SECONDS,  # what hangs must not keep the house from writing what it still owes
        **tls,
    )


@app.command()
def settings(data: Data = None) -> None:
    """Show every setting, its value and what it is for; secrets stay hidden. 显示各项设置。"""
    values = settings_of(data).model_dump(mode="json")
    for name, field in Settings.model_fields.items():
        shown = "(set)" if name == "root_passphrase" and values[name] else values[name]
        typer.echo(f"RUNXIN_{name.upper()} = {shown}\n    {field.description}")


@app.command()
def register(
    site: Annotated[Path, typer.Argument(help="TOML site file; see docs/operations.md.")], data: Data = None
) -> None:
    """Enter organisations, clients, people administrators, edges and public keys from a file. 登记单位、系统与公钥。

    What is entered already is left alone, so the file may be applied again after it grew.
    """
    from gateway.app import opened
    from gateway.flows.registration import register as enter

    async def work() -> None:
        async with opened(settings_of(data)) as house:
            made = await enter(house, site, typer.echo)
            typer.echo(f"{made} changes")

    run(work())


@app.command()
def stop(
    kind: Annotated[str, typer.Argument(help="exchange or client")],
    target: Annotated[str, typer.Argument(help="X05, or a client id")],
    data: Data = None,
) -> None:
    """Throw a kill switch: the next call of any worker is refused within a second. 立即停用事项或接入系统。"""
    _switch(kind, target, data, on=False)


@app.command()
def resume(
    kind: Annotated[str, typer.Argument(help="exchange or client")],
    target: Annotated[str, typer.Argument(help="X05, or a client id")],
    data: Data = None,
) -> None:
    """Reset a kill switch. 恢复停用的事项或接入系统。"""
    _switch(kind, target, data, on=True)


def _switch(kind: str, target: str, data: Path | None, *, on: bool) -> None:
    from gateway.app import opened
    from gateway.flows.registration import BY
    from gateway.identity import enrolment

    if kind not in ("exchange", "client"):
        typer.echo("The first word is `exchange` or `client`.", err=True)
        raise SystemExit(2)

    async def work() -> None:
        async with opened(settings_of(data)) as house:
            now = int(house.clock.now().timestamp())
            draft, effect = (
                enrolment.resume(kind, target, by=BY) if on else enrolment.stop(kind, target, by=BY, now=now)
            )
            receipt = await house.log.append(draft, effect=effect)
            typer.echo(f"{'resumed' if on else 'stopped'}: {kind} {target} (entry {receipt.index})")

    run(work())


@app.command()
def token(
    config: Annotated[Path, typer.Option("--config", help="The client's configuration (see docs/adapter-guide.md).")],
    url: Annotated[str, typer.Option("--url", help="The request's full URL.")],
    body: Annotated[Path | None, typer.Option("--body", help="File with the exact body that will be sent.")] = None,
    method: Annotated[str, typer.Option("--method")] = "POST",
) -> None:
    """Print the headers of one request, for `curl -H @file`: token, proof, officer assertion. 生成一次请求的请求头。

    The proof is good for this method, URL and body, once, within a minute.
    """
    from gateway.client.headers import headers_for

    made = headers_for(config, method=method, url=url, body=body.read_bytes() if body else b"")
    for name, value in made.items():
        typer.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
