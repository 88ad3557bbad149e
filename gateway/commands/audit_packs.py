"""`runxin audit pack|year|unseal`: the log as one file for a person with a browser. Rules kept here: each export is an entry, written
before anything leaves; opened details leave sealed to one auditor's key and in no other way.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.named_child import child_in
from gateway.commands.terminal import VERIFICATION_FAILED, Data, echo_json, run, settings_of
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.domain.entries import EntryDraft
    from gateway.domain.orders import SealingKey

Policy = Annotated[
    Path | None, typer.Option("--policy", help="The witnesses' policy; without it, that of RUNXIN_WITNESS_POLICY.")
]


def add_to(group: typer.Typer) -> None:
    """Add these commands to `runxin audit`."""
    group.command("pack")(write_audit_pack)
    group.command("year")(write_audit_year)
    group.command("unseal")(unseal_details)


def write_audit_pack(
    pack: Annotated[Path, typer.Argument(help="New file, such as 2026-q3.auditpack.")],
    first: Annotated[int, typer.Option(help="First entry.")] = 0,
    last: Annotated[int | None, typer.Option(help="Entry after the last; without it, up to now.")] = None,
    subject: Annotated[
        Path | None, typer.Option(help="File with a pseudonym: that child's history is laid open and proved whole.")
    ] = None,
    department: Annotated[str, typer.Option(help="Whose pseudonym it is.")] = "civil_affairs",
    reader: Annotated[
        str | None,
        typer.Option(
            "--details-for",
            help="Put in that history's details, sealed to this auditor: ORGANISATION/DEPARTMENT:SUITE:KEY (see `runxin keys new`).",
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; stands in the entry.")] = "audit",
    policy: Policy = None,
    data: Data = None,
) -> None:
    """Write a range of the log, or a child's whole history, as one file that verifies in a browser, offline. 导出审计包。

    Details leave only with --details-for, and only its key opens them: `runxin audit unseal`.
    """
    from gateway.app import opened
    from gateway.audit.export import Export
    from gateway.audit.pack import write_pack

    if reader is not None and subject is None:
        typer.echo("--details-for is for the details of a --subject.", err=True)
        raise SystemExit(2)
    settings = settings_of(data)
    sealed_for = None if reader is None else _reader(reader)

    async def work() -> int:
        async with opened(settings) as house:
            children = () if subject is None else (await child_in(house, subject, department),)
            wanted = Export(
                children=children,
                details=sealed_for is not None,
                first=first,
                last=last,
                policy=_policy_text(policy, settings),
                reader=sealed_for,
            )
            return (await write_pack(house.log, pack, wanted, _draft(reason, children))).index

    echo_json({"entry": run(work()), "file": str(pack)})


def write_audit_year(
    year: Annotated[int, typer.Argument(help="Calendar year, Asia/Shanghai.")],
    pack: Annotated[Path, typer.Argument(help="New file, such as 2026.auditpack.")],
    policy: Policy = None,
    data: Data = None,
) -> None:
    """The yearly audit evidence package (X33): a year's entries, its figures, what was destroyed. 生成年度审计证据包。"""
    from gateway.app import opened
    from gateway.audit.pack import write_year

    settings = settings_of(data)

    async def work() -> int:
        async with opened(settings) as house:
            text = _policy_text(policy, settings)
            return (await write_year(house.log, pack, year, _draft(f"X33 {year}"), policy=text)).index

    echo_json({"entry": run(work()), "file": str(pack)})


def unseal_details(
    pack: Annotated[Path, typer.Argument(help="A pack with sealed details.")],
    folder: Annotated[Path, typer.Argument(help="New folder for one JSON file per entry.")],
    key: Annotated[Path, typer.Option(help="The auditor's own sealing key, from `runxin keys new sealing`.")],
    vkey: Annotated[str | None, typer.Option(help="The log's key, from the sharing agreement.")] = None,
) -> None:
    """Verify a pack, then open the details that were sealed to your key; each must be what its entry commits to. 解封明细。

    Runs on the auditor's own machine; the gateway is not needed.
    """
    from gateway.audit.entry import SALT_BYTES
    from gateway.audit.export import unseal
    from gateway.proofs.verify import unpack, verify
    from keys.sealing_keys import SealingPair

    if not verify(pack, vkey, report=lambda line: typer.echo(line, err=True)):
        raise SystemExit(VERIFICATION_FAILED)
    details = unseal(unpack(pack.read_bytes()), SealingPair.load(key))
    folder.mkdir(mode=0o700)
    for index, salted in details.items():
        (folder / f"{index}.json").write_bytes(salted[SALT_BYTES:])
    echo_json({"details": len(details), "folder": str(folder)})


def _reader(text: str) -> SealingKey:
    from gateway.errors import BadRequest
    from gateway.flows.registration import read_party, unbase64
    from keys.sealing_keys import sealing_key

    try:
        party, suite, key = text.split(":")
        return sealing_key(read_party(party), suite, unbase64(key))
    except ValueError:
        raise BadRequest("sealing_key_invalid") from None


def _policy_text(policy: Path | None, settings: Settings) -> str:
    from gateway.proofs.policy import parse_policy

    place = policy or settings.witness_policy
    return parse_policy(place.read_text("utf-8")).text if place else ""


def _draft(reason: str, children: tuple[bytes, ...] = ()) -> EntryDraft:
    from gateway.domain.entries import EntryDraft
    from gateway.domain.vocabulary import EntryKind, Outcome
    from gateway.flows.registration import BY

    detail = {"by": BY, "reason": reason}
    return EntryDraft(kind=EntryKind.AUDIT_EXPORT, outcome=Outcome.DONE, children=children, detail=detail)
