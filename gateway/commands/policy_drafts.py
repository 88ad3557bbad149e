"""`runxin policy draft … rollback`: change sets from the command line, and what approvers sign.

Rules kept here: whoever runs this on the machine is the operator and says in whose name; nothing here signs for anybody but with a
key file that is handed in; an approval decides by its signature, not by who carries it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.commands.terminal import Data, run, settings_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.flows.house import House
    from gateway.flows.policy_changes import By, Standing, Step
    from policies.changes import Review

Author = Annotated[str, typer.Option("--author", help="Who drafts: `<organisation>/<person>`.")]
Person = Annotated[str, typer.Option("--by", help="In whose name: `<organisation>/<person>`.")]
Reason = Annotated[str, typer.Option("--reason", help="One line, at most 300 characters.")]
Draft = Annotated[str, typer.Argument(help="The draft's name, `pc-…`.")]
SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add the commands to `runxin policy`."""
    for name, command in (
        ("export", export),
        ("import", import_folder),
        ("draft", draft),
        ("show", show),
        ("subject", subject),
        ("sign", sign),
        ("approve", approve),
        ("activate", activate),
        ("rollback", rollback),
        ("give-up", give_up),
    ):
        app.command(name)(command)


# --- folders and edits ----------------------------------------------------------------------------------------------------


def export(
    folder: Annotated[Path, typer.Argument(help="New folder.")],
    change: Annotated[str, typer.Option("--draft", help="A draft instead of what decides now.")] = "",
    data: Data = None,
) -> None:
    """Write model, catalogue, rules and cases of a version as files. 导出现行规则或草案。"""
    from gateway.flows import policy_changes
    from policies.sources import write_folder

    if folder.exists():
        typer.echo(f"{folder} exists already.", err=True)
        raise SystemExit(2)

    async def work() -> None:
        async with _house(data) as house:
            write_folder(await policy_changes.source_now(house, change), folder)
        typer.echo(f"policy -> {folder}")

    run(work())


def import_folder(
    folder: Annotated[Path, typer.Argument(help="Folder as `export` writes it.")],
    author: Author,
    reason: Reason,
    revise: Annotated[str, typer.Option("--revise", help="Revise this draft instead of beginning one.")] = "",
    data: Data = None,
) -> None:
    """Make a draft of a folder that was exported and edited. 由目录导入为草案。"""
    from policies.sources import read_folder

    try:
        source = read_folder(folder)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
    _draft(data, source, author, reason, revise)


def draft(
    author: Author,
    reason: Reason,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="CSV with a header: rules that come or replace.")
    ] = None,
    cases: Annotated[Path | None, typer.Option("--cases", help="TOML of [[case]] tables that come or replace.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A rule's id.")] = None,
    remove_case: Annotated[list[str] | None, typer.Option("--remove-case", help="A case's name.")] = None,
    revise: Annotated[str, typer.Option("--revise", help="Revise this draft instead of beginning one.")] = "",
    data: Data = None,
) -> None:
    """Make a draft and show what it would do. 制作草案并显示其影响。"""
    from policies.rows import parse_csv
    from policies.sources import Edit

    try:
        edit = Edit(
            put=tuple(parse_csv(rules.read_bytes().decode("utf-8"))) if rules else (),
            remove=frozenset(remove or ()),
            put_cases=cases.read_bytes().decode("utf-8") if cases else "",
            remove_cases=frozenset(remove_case or ()),
        )
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
    _draft(data, edit, author, reason, revise)


def _draft(data: Path | None, edit: Any, author: str, reason: str, revise: str) -> None:
    from gateway.flows import policy_changes

    async def work() -> None:
        async with _house(data) as house:
            step = await policy_changes.draft(house, edit, reason=reason, by=_by(author), change_id=revise)
            await policy_changes.carry_out(house, step)
            _tell(await policy_changes.standing(house, step.answer["change"]))

    run(work())


def show(
    change: Annotated[str, typer.Argument(help="A draft; without it all drafts and versions.")] = "", data: Data = None
) -> None:
    """Show drafts and versions, or what one draft would do. 显示草案与版本。"""
    from gateway.flows import policy_changes

    async def work() -> None:
        async with _house(data) as house:
            if change:
                _tell(await policy_changes.standing(house, change))
                return
            for line in await policy_changes.history(house):
                row, mark = line.activation, "deciding" if line.deciding else "coming" if line.coming else ""
                typer.echo(f"{row.number:>4} {row.version} {row.kind} {_moment(row.at)} {mark}".rstrip())
            for draft_, state in await policy_changes.list_drafts(house):
                typer.echo(f"{draft_.change_id} {state} revision {draft_.revision} by {draft_.author}: {draft_.reason}")

    run(work())


# --- signatures -------------------------------------------------------------------------------------------------------------


def subject(
    change: Annotated[str, typer.Argument(help="A draft; with --rollback none.")] = "",
    rollback: Annotated[bool, typer.Option("--rollback", help="What to sign for a rollback.")] = False,
    to: Annotated[int | None, typer.Option("--to", help="An earlier number; otherwise the version before.")] = None,
    data: Data = None,
) -> None:
    """Print what an approver signs, as JSON. 输出审批人须签署的内容。"""
    from gateway.flows import policy_changes

    async def work() -> None:
        async with _house(data) as house:
            if rollback:
                _, signed = await policy_changes.rollback_target(house, to)
            else:
                signed = dict((await policy_changes.standing(house, change)).subject)
            typer.echo(json.dumps(signed, ensure_ascii=False))

    run(work())


def sign(
    subject_file: Annotated[Path, typer.Argument(help="What `subject` printed.")],
    key: Annotated[Path, typer.Option("--key", help="The approver's own key (PEM).")],
    person: Annotated[str, typer.Option("--person", help="`<organisation>/<department>/<person>`.")],
) -> None:
    """Sign a draft or a rollback with an approver's own key; prints the approval. 审批人用自己的密钥签署。"""
    import time

    from gateway.client.statements import approval
    from gateway.flows.registration import read_party
    from keys.signing import SigningKey

    party, _, name = person.rpartition("/")
    signed = json.loads(subject_file.read_text("utf-8"))
    typer.echo(approval(name, read_party(party), SigningKey.load(key), subject=signed, now=int(time.time())))


def approve(
    change: Draft,
    statement: Annotated[Path, typer.Argument(help="What `sign` printed.")],
    by: Person,
    data: Data = None,
) -> None:
    """Hand in an approval. 提交审批签名。"""
    from gateway.flows import policy_changes

    text = statement.read_text("ascii").strip()
    _carry(data, lambda house: policy_changes.approve(house, change, text, by=_by(by)), change)


# --- versions -----------------------------------------------------------------------------------------------------------------


def activate(
    change: Draft,
    by: Person,
    at: Annotated[str, typer.Option("--at", help="UTC, like 2026-12-01T00:00:00+00:00; now without it.")] = "",
    data: Data = None,
) -> None:
    """Let a signed draft decide, now or from a moment on; all workers follow within two seconds. 启用已签批的草案。"""
    from gateway.flows import policy_changes

    moment: int | None = None
    if at:
        try:
            parsed = datetime.fromisoformat(at)
        except ValueError:
            parsed = datetime.min
        if parsed.tzinfo is None:
            typer.echo("--at is a time with its zone, like 2026-12-01T00:00:00+00:00.", err=True)
            raise SystemExit(2)
        moment = int(parsed.timestamp())
    _carry(data, lambda house: policy_changes.activate(house, change, by=_by(by), at=moment))


def rollback(
    statement: Annotated[Path, typer.Argument(help="What `sign` printed over `subject --rollback`.")],
    by: Person,
    to: Annotated[int | None, typer.Option("--to", help="The number that was signed for.")] = None,
    data: Data = None,
) -> None:
    """Return to a version that has decided before, at once. 回退到以前的版本。"""
    from gateway.flows import policy_changes

    text = statement.read_text("ascii").strip()
    _carry(data, lambda house: policy_changes.roll_back(house, text, by=_by(by), number=to))


def give_up(change: Draft, by: Person, data: Data = None) -> None:
    """Close a draft for good. 撤回草案。"""
    from gateway.flows import policy_changes

    _carry(data, lambda house: policy_changes.give_up(house, change, by=_by(by)))


# --- small parts --------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _house(data: Path | None) -> AsyncIterator[House]:
    from gateway.app import opened

    async with opened(settings_of(data)) as house:
        async with house.database.read() as reading:
            await house.registry.refresh(reading)
        yield house


def _by(person: str) -> By:
    from gateway.flows.policy_changes import By

    return By(person, "command line")


def _carry(data: Path | None, make: Callable[[House], Awaitable[Step]], change: str = "") -> None:
    from gateway.flows import policy_changes

    async def work() -> None:
        async with _house(data) as house:
            step = await make(house)
            receipt = await policy_changes.carry_out(house, step)
            told = " ".join(f"{name}={value}" for name, value in step.answer.items())
            typer.echo(f"{step.draft.code} {told} (entry {receipt.index})")
            if change:
                typer.echo(_signatures(await policy_changes.standing(house, change)))

    run(work())


def _tell(found: Standing) -> None:
    row = found.change
    typer.echo(f"{row.change_id} revision {row.revision} by {row.author}: {row.reason}")
    typer.echo(f"state: {found.state}\nversion: {row.version}")
    if found.review is not None:
        _tell_review(found.review)
    typer.echo(_signatures(found))


def _tell_review(review: Review) -> None:
    for finding in review.findings:
        typer.echo(f"lint {finding.severity}: {finding.subject}: {finding.sentence}")
    for case in review.failing_cases:
        typer.echo(f"case fails: {case}")
    for breach in review.breaches:
        typer.echo(
            f"invariant broken: {breach.invariant}: {breach.requests.subject} {breach.requests.exchange} -> {breach.answer}"
        )
    found = review.difference
    ending = "and nothing else changes" if found.complete else "the catalogue or whole boxes change as well"
    typer.echo(f"changes: {found.size} classes of requests ({found.gained} gained, {found.lost} lost), {ending}")
    for change in found.changes[:SHOWN]:
        asked = change.requests
        where = asked.region or "everywhere"
        typer.echo(
            f"  {asked.subject} {asked.exchange} {','.join(asked.fields)} {','.join(asked.actions)} "
            f"{','.join(asked.purposes)} {where} {','.join(asked.states)}: {change.before} -> {change.after}"
        )
    if found.size > SHOWN:
        typer.echo(f"  ... and {found.size - SHOWN} more")
    for rule in found.boxes:
        typer.echo(f"  the whole box of rule {rule.id}")
    replayed = review.replayed
    gained, lost = (sum(times for _, times in each) for each in (replayed.gained, replayed.lost))
    typer.echo(f"replay: {replayed.decisions} past decisions, {gained} gained, {lost} lost")


def _signatures(found: Standing) -> str:
    signed = ", ".join(f"{each.signer} ({each.department})" for each in found.approvals) or "nobody"
    return f"signed: {signed}; still to sign: {', '.join(found.missing) or 'nobody'}"


def _moment(seconds: int) -> str:
    from datetime import UTC

    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else "from the beginning"
