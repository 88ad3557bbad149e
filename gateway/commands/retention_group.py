"""`runxin audit retention`: what may be destroyed, what keeps it, and destroying it. Rules kept here: a dry run first, then two
signatures of two departments over exactly that plan; every step is an entry; a plan names nobody.
"""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.commands.named_child import child_in
from gateway.commands.terminal import Data, echo_json, run, settings_of

if TYPE_CHECKING:
    from gateway.audit.retention import Plan

app = typer.Typer(
    no_args_is_help=True,
    help="Terms, holds, freezing and destruction of the log's details; every proof stays valid. 保存期限、保留、冻结与销毁。\n\n"
    "Details are kept three whole years after the year of their entries (the log's own ten), skeletons ten. The way of a "
    "destruction: a dry run that begins by itself (`waiting` shows its plan) or "
    "`plan` writes what would go; approvers of two departments `sign` it; `destroy` carries out exactly that and leaves a "
    "certificate in the log. A `hold`, an open case, or one closed within three years keeps a child's history. Before the "
    "term has ended a history can be frozen, not destroyed.",
)
Subject = Annotated[Path | None, typer.Option("--subject", help="File with a pseudonym: this child's history only.")]
Named = Annotated[Path, typer.Argument(help="File with the child's pseudonym.")]
Whose = Annotated[str, typer.Option("--department", help="Whose pseudonym it is.")]


@app.command("plan")
def plan_destruction(
    out: Annotated[Path, typer.Argument(help="New file for the plan; it names nobody.")],
    subject: Subject = None,
    department: Whose = "civil_affairs",
    data: Data = None,
) -> None:
    """The dry run: write down what would be destroyed, for two approvers to sign. 试运行：列出将被销毁的内容。

    Without --subject: everything whose term has ended and that nothing keeps. With it: this child's whole history, if all of its
    terms have ended.
    """
    from gateway.app import opened
    from gateway.flows import retention

    async def work() -> dict[str, object]:
        async with opened(settings_of(data)) as house:
            made, receipt = await retention.plan(
                house, None if subject is None else await child_in(house, subject, department)
            )
            _write_new(out, made.encode())
            return {"entry": receipt.index, "plan": str(out), **_counts(made)}

    echo_json(run(work()))


@app.command("waiting")
def waiting_plan(
    out: Annotated[Path | None, typer.Argument(help="New file for the plan, to be signed.")] = None,
    data: Data = None,
) -> None:
    """The plan of the last dry run that began by itself, while it waits for two signatures. 显示等待签批的销毁计划。"""
    from gateway.app import opened
    from gateway.flows import retention

    async def work() -> dict[str, object]:
        async with opened(settings_of(data)) as house:
            made = await retention.waiting_plan(house)
        if made is None:
            return {"waiting": False}
        if out is not None:
            _write_new(out, made.encode())
        return {"waiting": True, "as_of": made.as_of, **_counts(made)}

    echo_json(run(work()))


@app.command("sign")
def sign_plan(
    plan: Annotated[Path, typer.Argument(help="A plan's file.")],
    out: Annotated[Path, typer.Argument(help="New file for the approval.")],
    key: Annotated[Path, typer.Option(help="The approver's own key.")],
    person: Annotated[str, typer.Option(help="The approver's enrolled id.")],
    party: Annotated[str, typer.Option(help="Where the approver is enrolled: ORGANISATION/DEPARTMENT.")],
) -> None:
    """Approve a plan with an approver's own key, on the approver's own machine; good for a week. 审批人签署销毁计划。"""
    from gateway.audit.retention import read_plan
    from gateway.client import statements
    from gateway.domain.clock import SystemClock
    from gateway.flows.registration import read_party
    from keys.signing import SigningKey

    planned = read_plan(plan.read_text("utf-8"))
    now = int(SystemClock().now().timestamp())
    signed = statements.approval(
        person, read_party(party), SigningKey.load(key), subject=planned.subject, now=now, lifetime=7 * 86_400
    )
    _write_new(out, signed + "\n")
    echo_json({"signed": str(plan), "generations": planned.generations, "approval": str(out)})


@app.command("destroy")
def destroy_planned(
    plan: Annotated[Path, typer.Argument(help="The signed plan.")],
    approval: Annotated[list[Path], typer.Option(help="File with an approval; two, of two departments.")],
    subject: Subject = None,
    department: Whose = "civil_affairs",
    data: Data = None,
) -> None:
    """Destroy exactly what was planned and signed, for good; no backup of the database brings it back. 按签批的计划销毁。

    Refused (`retention_changed`) if anything has changed since: a hold, a case, another destruction. The certificate is an entry
    and stands in every later pack (destroyed.json). Copies of `keys/buckets.json` older than this have to go as well.
    """
    from gateway.app import opened
    from gateway.audit.retention import read_plan
    from gateway.flows import retention

    planned = read_plan(plan.read_text("utf-8"))
    statements = [path.read_text("ascii").strip() for path in approval]

    async def work() -> dict[str, object]:
        async with opened(settings_of(data)) as house:
            child = None if subject is None else await child_in(house, subject, department)
            receipt, names = await retention.carry_out(house, planned, statements, child)
            return {"entry": receipt.index, "generations": planned.generations, "approved_by": names}

    echo_json(run(work()))


@app.command("hold")
def hold_history(
    subject: Named,
    reason: Annotated[str, typer.Option(help="finding, complaint, court_case or legal_term.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Day on which the hold ends, Asia/Shanghai.")],
    department: Whose = "civil_affairs",
    data: Data = None,
) -> None:
    """Keep a child's history from destruction; prints the hold's id. 保留某儿童的历史，不得销毁。"""
    from gateway.app import opened
    from gateway.domain.clock import SHANGHAI
    from gateway.flows import retention

    async def work() -> dict[str, object]:
        async with opened(settings_of(data)) as house:
            ends = int(until.replace(tzinfo=SHANGHAI).timestamp())
            hold_id, receipt = await retention.hold(house, await child_in(house, subject, department), reason, ends)
            return {"entry": receipt.index, "hold": hold_id, "until": date.isoformat(until)}

    echo_json(run(work()))


@app.command("holds")
def list_holds(data: Data = None) -> None:
    """List the holds that hold: id, reason, last day. Whose they are is not shown. 列出生效中的保留。"""
    from gateway.app import opened
    from gateway.domain.clock import SHANGHAI
    from gateway.store import audit_keys

    async def work() -> list[dict[str, str]]:
        async with opened(settings_of(data)) as house, house.database.read() as reading:
            found = await audit_keys.holds(reading, int(house.clock.now().timestamp()))
        ends = [datetime.fromtimestamp(until, SHANGHAI).date().isoformat() for *_, until in found]
        return [{"hold": row[0], "reason": row[2], "until": end} for row, end in zip(found, ends, strict=True)]

    echo_json(run(work()))


@app.command("release")
def release_hold(
    hold: Annotated[str, typer.Argument(help="The hold's id.")],
    why: Annotated[str, typer.Option(help="Why; stands in the entry.")],
    data: Data = None,
) -> None:
    """End a hold. 解除保留。"""
    from gateway.app import opened
    from gateway.flows import retention

    async def work() -> int:
        async with opened(settings_of(data)) as house:
            return (await retention.release(house, hold, why)).index

    echo_json({"entry": run(work()), "hold": hold})


@app.command("freeze")
def freeze_history(
    subject: Named,
    department: Whose = "civil_affairs",
    thaw: Annotated[bool, typer.Option("--thaw", help="Undo it.")] = False,
    data: Data = None,
) -> None:
    """Keep a child's history and refuse every reading of it (PIPL 47), while its term runs. 冻结某儿童的历史。"""
    from gateway.app import opened
    from gateway.flows import retention

    async def work() -> int:
        async with opened(settings_of(data)) as house:
            child = await child_in(house, subject, department)
            return (await retention.freeze(house, child, frozen=not thaw)).index

    echo_json({"entry": run(work()), "frozen": not thaw})


def _counts(made: Plan) -> dict[str, object]:
    return {name: getattr(made, name) for name in ("histories", "generations", "held", "minimum_index")}


def _write_new(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
