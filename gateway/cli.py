"""`runxin`: the local command line. Every command teaches by `--help`; every error says what to do.

Rules kept here: whoever runs it on the machine is the operator, and what it changes is an entry; exit codes tell failures
apart without a log (2 input, 3 refused, 4 provider, 5 gateway, 6 verification failed); no key and no identifier is printed.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gateway.api.problems import problem
from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault, NotAuthenticated, ProviderFault
from gateway.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="润心网关 Runxin Gateway: a controlled channel between the departments that look after children in difficulty.",
)
audit = typer.Typer(no_args_is_help=True, help="Verify, prove and export the audit log. 核验、证明、导出审计日志。")
keys = typer.Typer(no_args_is_help=True, help="Make keys and show public ones. 生成密钥，显示公钥。")
policy = typer.Typer(no_args_is_help=True, help="Check and explain sharing rules. 检查和解释共享规则。")
edge = typer.Typer(no_args_is_help=True, help="Run a department's edge. 运行部门前置机。")
app.add_typer(audit, name="audit")
app.add_typer(keys, name="keys")
app.add_typer(policy, name="policy")
app.add_typer(edge, name="edge")

EXIT = {BadRequest: 2, Denied: 3, NotAuthenticated: 3, ProviderFault: 4, GatewayFault: 5}
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; otherwise RUNXIN_DATA or runxin.toml.")]


def main() -> None:
    """Entry point: errors of the house become a sentence and an exit code."""
    try:
        app()
    except GatewayError as error:
        _fail(error)


def _fail(error: GatewayError) -> NoReturn:
    _, document = problem(error)
    facts = " ".join(f"{name}={value}" for name, value in error.facts.items())
    typer.echo(f"{error.code}: {document['detail']} {facts}".rstrip(), err=True)
    typer.echo(document["detail_zh"], err=True)
    raise SystemExit(next((code for kind, code in EXIT.items() if isinstance(error, kind)), 1))


def _settings(data: Path | None = None) -> Settings:
    return Settings(data=data) if data else Settings()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


# --- the gateway ---------------------------------------------------------------------------------------------------------


@app.command()
def init(data: Data = None) -> None:
    """Make a new data folder: root key, signing keys, database, empty log. 建立新的数据目录。

    The passphrase of the root key comes from RUNXIN_ROOT_PASSPHRASE; without it, it is asked for.
    """
    from gateway.app import found_premises, opened

    settings = _settings(data)
    if settings.root_key == "file" and not settings.root_passphrase.get_secret_value():
        passphrase = typer.prompt("Passphrase of the root key", hide_input=True, confirmation_prompt=True)
        settings = settings.model_copy(update={"root_passphrase": type(settings.root_passphrase)(passphrase)})
    try:
        found_premises(settings)
    except FileExistsError:
        typer.echo(f"{settings.data} exists already; choose another folder by --data or RUNXIN_DATA.", err=True)
        raise SystemExit(2) from None

    async def start() -> None:
        async with opened(settings):
            pass

    _run(start())
    typer.echo(f"ready: {settings.data}")


@app.command()
def serve(data: Data = None) -> None:
    """Run the gateway. Outside demo mode it wants a certificate and a client CA (mutual TLS). 运行网关。"""
    import uvicorn

    settings = _settings(data)
    tls: dict[str, Any] = {}
    if settings.demo:
        if settings.host not in ("127.0.0.1", "::1", "localhost"):
            typer.echo("Demo mode listens on loopback only; set RUNXIN_HOST=127.0.0.1.", err=True)
            raise SystemExit(2)
    elif settings.tls_certificate and settings.tls_key and settings.tls_client_ca:
        import ssl

        tls = {
            "ssl_certfile": str(settings.tls_certificate),
            "ssl_keyfile": str(settings.tls_key),
            "ssl_ca_certs": str(settings.tls_client_ca),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    else:
        typer.echo("Set RUNXIN_TLS_CERTIFICATE, RUNXIN_TLS_KEY and RUNXIN_TLS_CLIENT_CA (or RUNXIN_DEMO=1).", err=True)
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
        **tls,
    )


@app.command()
def settings(data: Data = None) -> None:
    """Show every setting, its value and what it is for; secrets stay hidden. 显示各项设置。"""
    values = _settings(data).model_dump(mode="json")
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
        async with opened(_settings(data)) as house:
            made = await enter(house, site, typer.echo)
            typer.echo(f"{made} changes")

    _run(work())


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
        async with opened(_settings(data)) as house:
            now = int(house.clock.now().timestamp())
            draft, effect = (
                enrolment.resume(kind, target, by=BY) if on else enrolment.stop(kind, target, by=BY, now=now)
            )
            receipt = await house.log.append(draft, effect=effect)
            typer.echo(f"{'resumed' if on else 'stopped'}: {kind} {target} (entry {receipt.index})")

    _run(work())


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


# --- keys ----------------------------------------------------------------------------------------------------------------


@keys.command("new")
def new_key(
    kind: Annotated[str, typer.Argument(help="signing (clients, officers, edges) or sealing (recipients)")],
    out: Annotated[Path, typer.Argument(help="New file, mode 0600.")],
    suite: Annotated[str, typer.Option(help="For sealing: x25519, or xwing (post-quantum hybrid).")] = "x25519",
) -> None:
    """Make a key pair; prints the public half as a site file wants it. 生成密钥对，输出公钥。"""
    import base64

    from keys.sealing_keys import SealingPair
    from keys.signing import SigningKey

    if out.exists():
        typer.echo(f"{out} exists; a key is never overwritten.", err=True)
        raise SystemExit(2)
    if kind == "signing":
        key = SigningKey.generate()
        key.save(out)
        typer.echo(key.verify_key.jwk()["x"])
    elif kind == "sealing":
        pair = SealingPair.generate(suite)
        pair.save(out)
        typer.echo(base64.urlsafe_b64encode(pair.public_key).decode().rstrip("="))
    else:
        typer.echo("The kind is `signing` or `sealing`.", err=True)
        raise SystemExit(2)


@keys.command("public")
def public_keys(data: Data = None) -> None:
    """Show the gateway's public keys as JSON: the log's vkey, the key that signs orders. 显示网关公钥。"""
    from gateway.app import log_signer, open_root, signing_key

    settings = _settings(data)
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


@keys.command("selftest")
def selftest() -> None:
    """Run the known-answer test of every primitive. 密码算法自检。"""
    from keys.selftest import report

    typer.echo(json.dumps(report(), indent=1, ensure_ascii=False))


# --- policy --------------------------------------------------------------------------------------------------------------


@policy.command("check")
def check_policy(data: Data = None) -> None:
    """Load catalogue and rules as the gateway would; prints the version, or the first thing that is wrong. 检查规则。"""
    from policies.book import PolicyBook

    settings = _settings(data)
    try:
        book = PolicyBook.open(settings.policies) if settings.policies else PolicyBook.open()
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
    served = sum(exchange.state == "served" for exchange in book.catalogue.exchanges.values())
    typer.echo(f"{book.version}\n{len(book.catalogue.exchanges)} exchanges, {served} served")


@policy.command("copy")
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


@policy.command("exchanges")
def exchange_file(
    out: Annotated[Path, typer.Argument(help="File for edges (`exchanges` in edge.toml).")], data: Data = None
) -> None:
    """Write the catalogue's exchanges for edges, which have no policy of their own. 为前置机导出事项定义。"""
    from adapters.base.exchange_file import write
    from policies.book import PolicyBook

    settings = _settings(data)
    book = PolicyBook.open(settings.policies) if settings.policies else PolicyBook.open()
    write(book.catalogue.exchanges.values(), out)
    typer.echo(f"{len(book.catalogue.exchanges)} exchanges -> {out}")


# --- audit ---------------------------------------------------------------------------------------------------------------


@audit.command("verify")
def verify_log_or_copy(
    copy: Annotated[Path | None, typer.Argument(help="An exported folder; without it, this gateway's own log.")] = None,
    vkey: Annotated[str | None, typer.Option(help="The log's key, from the sharing agreement.")] = None,
    data: Data = None,
) -> None:
    """Check every entry, tile, signature and history; names the first entry that is wrong. 核验日志或其副本。

    Exit code 0 only if nothing failed. For a copy the gateway is not needed: `python verify.py FOLDER` does the same.
    """
    if copy is not None:
        from gateway.proofs.verify import verify

        if not verify(copy, vkey, report=typer.echo):
            raise SystemExit(6)
        return
    from gateway.app import log_signer, open_root
    from gateway.audit.verification import verify_log
    from gateway.store.database import Database

    settings = _settings(data)
    verifier = log_signer(settings, open_root(settings)).verifier

    async def work() -> int:
        database = Database(settings.database_url)
        try:
            return (await verify_log(database, verifier)).entries
        finally:
            await database.close()

    try:
        entries = _run(work())
    except GatewayError as error:
        facts = " ".join(f"{name}={value}" for name, value in error.facts.items())
        place = f"entry {error.facts['index']}: " if "index" in error.facts else ""
        typer.echo(f"不通过 FAILED   {place}{error.code} {facts}".rstrip(), err=True)
        raise SystemExit(6) from None
    typer.echo(f"通过 passed     {entries} entries under the signed head")


@audit.command("export")
def export_log(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    subject: Annotated[
        Path | None, typer.Option(help="File with a pseudonym: that child's history is laid open and proved whole.")
    ] = None,
    department: Annotated[str, typer.Option(help="Whose pseudonym it is.")] = "civil_affairs",
    details: Annotated[bool, typer.Option(help="Open the details of that history.")] = False,
    reason: Annotated[str, typer.Option(help="Why; stands in the entry.")] = "audit",
    data: Data = None,
) -> None:
    """Write a copy of the log that anybody can verify offline. The export is an entry. 导出可离线核验的日志副本。"""
    from gateway.app import opened
    from gateway.audit.export import Export, export
    from gateway.domain.entries import EntryDraft
    from gateway.domain.subjects import GATEWAY_SCOPE, Scope
    from gateway.domain.vocabulary import Department, EntryKind, Outcome
    from gateway.flows.registration import BY
    from keys.text import read

    async def work() -> int:
        async with opened(_settings(data)) as house:
            children = []
            if subject is not None:
                name = read(subject.read_text("ascii").strip(), Scope.open(Department(department)))
                children.append(house.ring.translate([name], GATEWAY_SCOPE)[0].point)
            draft = EntryDraft(
                kind=EntryKind.AUDIT_EXPORT,
                outcome=Outcome.DONE,
                children=tuple(children),
                detail={"by": BY, "reason": reason, "details": details},
            )
            receipt = await export(house.log, folder, Export(children=children, details=details), draft)
            return receipt.index

    _echo_json({"entry": _run(work()), "folder": str(folder)})


@audit.command("open")
def open_details(
    out: Annotated[Path, typer.Argument(help="New file: one JSON line per entry, skeleton and opened detail.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the entry.")] = "audit",
    data: Data = None,
) -> None:
    """Open the details of every entry that the gateway's own keys open; protective ones stay sealed. The look is an entry.
    打开全部可开的条目明细（保护类除外），本次查阅同样留痕。"""
    from gateway.app import opened
    from gateway.audit.reading import open_detail
    from gateway.domain.entries import EntryDraft
    from gateway.domain.vocabulary import EntryKind, Outcome
    from gateway.flows.registration import BY
    from gateway.store.audit import get_entries, get_head

    async def work() -> int:
        async with opened(_settings(data)) as house:
            draft = EntryDraft(kind=EntryKind.AUDIT_QUERY, outcome=Outcome.DONE, detail={"by": BY, "reason": reason})
            await house.log.append(draft)
            async with house.database.read() as reading:
                head = await get_head(reading)
                rows = await get_entries(reading, 0, head.size if head else 0)
                with out.open("x", encoding="utf-8") as file:
                    for row in rows:
                        line: dict[str, Any] = {"index": row.index, "entry": json.loads(row.leaf)}
                        try:
                            line["detail"] = await open_detail(reading, house.log.keeper, row)
                        except GatewayError as error:
                            line["sealed"] = error.code
                        file.write(json.dumps(line, ensure_ascii=False) + "\n")
            return len(rows)

    _echo_json({"entries": _run(work()), "file": str(out)})


@audit.command("receipt")
def show_receipt(index: Annotated[int, typer.Argument(help="Entry index.")], data: Data = None) -> None:
    """Print the tlog-proof of one entry, for any C2SP verifier. 输出某条目的证明。"""
    from gateway.audit.receipts import make_receipt
    from gateway.store.database import Database

    async def work() -> str:
        database = Database(_settings(data).database_url)
        try:
            async with database.read() as reading:
                return (await make_receipt(reading, index)).proof
        finally:
            await database.close()

    typer.echo(_run(work()), nl=False)


@audit.command("index")
def write_index_entry(data: Data = None) -> None:
    """Write an index entry: from now on every history up to here can be proved whole. 写入历史索引条目。"""
    from gateway.app import opened
    from gateway.audit.reading import write_index

    async def work() -> int:
        async with opened(_settings(data)) as house:
            return (await write_index(house.log)).index

    _echo_json({"entry": _run(work())})


# --- edges ---------------------------------------------------------------------------------------------------------------


@edge.command("enrol")
def enrol_edge(
    config: Annotated[Path, typer.Option("--config", help="edge.toml")],
    grant: Annotated[str | None, typer.Option(help="Enrolment grant (POST /v1/pseudonyms/grants).")] = None,
) -> None:
    """Enrol the department's register through the blind door, with progress; resumable. 登记本部门名册。"""
    from adapters.edge.runner import enrol

    state = _run(enrol(config, grant))
    _echo_json({"enrolled": state.enrolled, "of": state.total})


@edge.command("run")
def run_edge(config: Annotated[Path, typer.Option("--config", help="edge.toml")]) -> None:
    """Run an edge: answers signed orders, takes the inbox, sends for the local system. 运行前置机。"""
    from adapters.edge.runner import serve as serve_edge

    _run(serve_edge(config))


def _echo_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
