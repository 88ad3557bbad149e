"""`runxin audit`: verifying, proving and exporting the log. Rules kept here: whoever opens details leaves an entry."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.commands import audit_packs, retention_group
from gateway.commands.named_child import child_in
from gateway.commands.terminal import EXIT, VERIFICATION_FAILED, Data, echo_json, run, settings_of
from gateway.errors import BadRequest, GatewayError, ProviderFault

app = typer.Typer(no_args_is_help=True, help="Verify, prove and export the audit log. 核验、证明、导出审计日志。")
audit_packs.add_to(app)
app.add_typer(retention_group.app, name="retention")

_PRUNED = 410


@app.command("verify")
def verify_log_or_copy(
    copy: Annotated[
        Path | None, typer.Argument(help="An exported folder or .auditpack; without it, this gateway's own log.")
    ] = None,
    vkey: Annotated[str | None, typer.Option(help="The log's key, from the sharing agreement.")] = None,
    data: Data = None,
) -> None:
    """Check every entry, tile, signature and history; names the first entry that is wrong. 核验日志或其副本。

    Exit code 0 only if nothing failed. For a copy the gateway is not needed: `python verify.py FOLDER` does the same.
    """
    if copy is not None:
        from gateway.proofs.verify import verify

        if not verify(copy, vkey, report=typer.echo):
            raise SystemExit(VERIFICATION_FAILED)
        return
    from gateway.app import log_signer, open_root
    from gateway.audit.verification import verify_log
    from gateway.store.database import Database

    settings = settings_of(data)
    verifier = log_signer(settings, open_root(settings)).verifier

    async def work() -> int:
        database = Database(settings.database_url)
        try:
            return (await verify_log(database, verifier, processes=os.cpu_count() or 1)).entries
        finally:
            await database.close()

    try:
        entries = run(work())
    except GatewayError as error:
        facts = " ".join(f"{name}={value}" for name, value in error.facts.items())
        place = f"entry {error.facts['index']}: " if "index" in error.facts else ""
        typer.echo(f"不通过 FAILED   {place}{error.code} {facts}".rstrip(), err=True)
        raise SystemExit(VERIFICATION_FAILED) from None
    typer.echo(f"通过 passed     {entries} entries under the signed head")


@app.command("export")
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
    from gateway.domain.vocabulary import EntryKind, Outcome
    from gateway.flows.registration import BY

    async def work() -> int:
        async with opened(settings_of(data)) as house:
            children = []
            if subject is not None:
                children.append(await child_in(house, subject, department))
            draft = EntryDraft(
                kind=EntryKind.AUDIT_EXPORT,
                outcome=Outcome.DONE,
                children=tuple(children),
                detail={"by": BY, "reason": reason, "details": details},
            )
            receipt = await export(house.log, folder, Export(children=children, details=details), draft)
            return receipt.index

    echo_json({"entry": run(work()), "folder": str(folder)})


@app.command("open")
def open_details(
    out: Annotated[Path, typer.Argument(help="New file: one JSON line per entry, skeleton and opened detail.")],
    reason: Annotated[str, typer.Option(help="Why; stands in the entry.")] = "audit",
    data: Data = None,
) -> None:
    """Open the details of every entry that the gateway's own keys open; protective ones stay sealed. The look is an entry.
    打开全部可开的条目明细（保护类除外），本次查阅同样留痕。
    """
    from gateway.app import opened
    from gateway.audit.reading import open_detail
    from gateway.domain.entries import EntryDraft
    from gateway.domain.vocabulary import EntryKind, Outcome
    from gateway.flows.registration import BY
    from gateway.store.audit import get_entries, get_head

    async def work() -> int:
        async with opened(settings_of(data)) as house:
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

    echo_json({"entries": run(work()), "file": str(out)})


@app.command("receipt")
def show_receipt(index: Annotated[int, typer.Argument(help="Entry index.")], data: Data = None) -> None:
    """Print the tlog-proof of one entry, for any C2SP verifier. 输出某条目的证明。"""
    from gateway.audit.receipts import make_receipt
    from gateway.store.database import Database

    async def work() -> str:
        database = Database(settings_of(data).database_url)
        try:
            async with database.read() as reading:
                return (await make_receipt(reading, index)).proof
        finally:
            await database.close()

    typer.echo(run(work()), nl=False)


@app.command("index")
def write_index_entry(data: Data = None) -> None:
    """Write an index entry: from now on every history up to here can be proved whole. 写入历史索引条目。"""
    from gateway.app import opened
    from gateway.audit.reading import write_index

    async def work() -> int:
        async with opened(settings_of(data)) as house:
            return (await write_index(house.log)).index

    echo_json({"entry": run(work())})


@app.command("mirror")
def follow_log(
    folder: Annotated[Path, typer.Argument(help="The mirror's folder; made on first use.")],
    gateway: Annotated[str, typer.Argument(help="The gateway's URL.")],
    vkey: Annotated[str, typer.Option(help="The log's key, from the sharing agreement.")],
    certificate: Annotated[
        Path | None, typer.Option(help="Client certificate (PEM), where the door asks for one.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
    ca: Annotated[
        Path | None, typer.Option(help="CA of the gateway's own certificate, where it is not a public one.")
    ] = None,
) -> None:
    """Bring a copy of the log up to date, over HTTP, checking every step; run it every night. 更新日志镜像并核验每一步。

    The log is public to whoever reaches the door: no token. What is there already is not fetched again; a log that became shorter
    or another one is refused, and what it said is kept as checkpoint.refused beside the older checkpoint.
    """
    import ssl

    from gateway.audit.mirror import follow
    from gateway.proofs.notes import parse_vkey

    async def work() -> int:
        import httpx2

        trust = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            trust.load_cert_chain(certificate, key)
        async with httpx2.AsyncClient(timeout=30, verify=trust) as http:

            async def get(path: str) -> bytes:
                answer = await http.get(f"{gateway.rstrip('/')}/v1/audit/{path}")
                if answer.status_code == _PRUNED:
                    raise BadRequest("entry_pruned")
                answer.raise_for_status()
                return bytes(answer.content)

            folder.mkdir(parents=True, exist_ok=True)
            try:
                return await follow(get, folder, parse_vkey(vkey))
            except httpx2.HTTPError as error:
                typer.echo(f"{gateway}: {type(error).__name__}", err=True)
                raise SystemExit(EXIT[ProviderFault]) from None

    echo_json({"entries": run(work()), "folder": str(folder)})
