"""保存期限: planning what may be destroyed, holding and freezing, and carrying a plan out when two departments have signed it.

The dry run begins by itself every so many days; its plan waits in the store until it is signed, or until it is true no more.

Rules kept here: every step is an entry; time alone plans and never destroys; nobody destroys alone: the approvals are of two approvers of two departments, over
exactly this plan; a child with a case that is open, or was closed within three years, is kept; before its term has ended a
history can be frozen, never destroyed.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from typing import Any

from gateway.audit import retention
from gateway.audit.erasure import freeze as freeze_history
from gateway.audit.retention import Plan, read_plan
from gateway.consent.states import CASE_CLOSED
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.house import House
from gateway.flows.registration import BY
from gateway.identity.approvals import VerifiedApproval, verify_approval
from gateway.store import audit_keys, audit_retention
from gateway.store.basis_lists import children_with_cases
from gateway.store.children import every_name, joined_names
from gateway.store.database import Reading, Writing

HOLD_REASONS = ("finding", "complaint", "court_case", "legal_term")
_CASE_KEPT_US = retention.KEPT_YEARS * 366 * 86_400 * 1_000_000


async def plan(house: House, child: bytes | None = None) -> tuple[Plan, Receipt]:
    """The dry run: what would go, and the entry that says so. child: of this child's history only, and all of it.

    Raises as `gateway.audit.retention.make_plan`.
    """
    async with house.database.read() as reading:
        made = await retention.make_plan(reading, house.log, _kept, _now(house), await _names(reading, child))
    return made, await house.log.append(_draft("planned", _facts(made)))


async def dry_run(house: House) -> Plan | None:
    """Plan what has ended, if a dry run is due; the new plan, None where there is none. Of several workers one does it.

    A plan that waits and is still true goes on waiting under its own entry: approvers may be about to sign it.
    """
    every, now = house.retention_every_days * 86_400, _now(house)
    if not every:
        return None
    async with house.database.read() as reading:
        waiting = await audit_retention.retention_row(reading)
    if waiting.planned_at > now - every:
        return None
    async with house.database.write() as writing:
        if not await audit_retention.claim_dry_run(writing, now, now - every):
            return None
    async with house.database.read() as reading:
        if waiting.plan and await retention.stands(reading, house.log, read_plan(waiting.plan), _kept, now):
            return None
        made = await retention.make_plan(reading, house.log, _kept, now)
    if made.empty and not waiting.plan:
        return None
    text = "" if made.empty else made.encode()

    async def keep(writing: Writing) -> None:
        await audit_retention.put_plan(writing, text)

    await house.log.append(_draft("planned", _facts(made)), effect=keep)
    return None if made.empty else made


async def waiting_plan(house: House) -> Plan | None:
    """The plan of the last dry run, while it waits for its signatures."""
    async with house.database.read() as reading:
        text = (await audit_retention.retention_row(reading)).plan
    return read_plan(text) if text else None


async def carry_out(
    house: House, planned: Plan, statements: Sequence[str], child: bytes | None = None
) -> tuple[Receipt, list[str]]:
    """Destroy what was planned and signed; the receipt of the certificate's entry, and who approved.

    Raises `Denied`: `approval_departments`, `approval_subject` and what `verify_approval` raises; `retention_changed`.
    """
    async with house.database.read() as reading:
        snapshot = await house.registry.refresh(reading)
        whole = await _names(reading, child)
    now = _now(house)
    approvals = [verify_approval(one, snapshot=snapshot, now=now, expected=planned.subject) for one in statements]
    require_two_departments(approvals)
    names = [f"person:{one.approver.party.organisation}/{one.approver.person_id}" for one in approvals]
    entry = EntryDraft(
        kind=EntryKind.ERASURE,
        outcome=Outcome.DONE,
        code="retention",
        actors=tuple(names),
        detail={"by": BY, "approvals": list(statements), "plan": planned.digest},
    )
    return await retention.carry_out(house.log, planned, entry, _kept, now, whole), names


def require_two_departments(approvals: Sequence[VerifiedApproval]) -> None:
    """Two at least, no two of one department. Raises `Denied("approval_departments")`."""
    departments = {one.approver.party.department for one in approvals}
    if len(approvals) < 2 or len(departments) != len(approvals):
        raise Denied("approval_departments")


async def hold(house: House, child: bytes, reason: str, until: int) -> tuple[str, Receipt]:
    """Keep a child's history from destruction until a time (unix seconds); the hold's id.

    Raises `BadRequest`: `hold_reason`, `hold_until` (not in the future).
    """
    if reason not in HOLD_REASONS:
        raise BadRequest("hold_reason")
    if until <= _now(house):
        raise BadRequest("hold_until")
    hold_id = f"hold-{secrets.token_hex(8)}"

    async def keep(writing: Writing) -> None:
        await audit_keys.put_hold(writing, hold_id, child, reason, until)

    facts = {"hold": hold_id, "reason": reason, "until": until}
    return hold_id, await house.log.append(_draft("held", facts, child), effect=keep)


async def release(house: House, hold_id: str, why: str) -> Receipt:
    """End a hold. Raises `BadRequest("hold_unknown")`."""

    async def end(writing: Writing) -> EntryDraft:
        holder = await audit_keys.end_hold(writing, hold_id, _now(house))
        if holder is None:
            raise BadRequest("hold_unknown")
        return _draft("released", {"hold": hold_id, "why": why}, holder)

    return await house.log.append(_draft("released", {"hold": hold_id, "why": why}), effect=end)


async def freeze(house: House, child: bytes, *, frozen: bool = True) -> Receipt:
    """Stop (or allow again) every reading of a child's history (PIPL 47). Raises `BadRequest("history_unknown")`."""
    entry = _draft("frozen" if frozen else "thawed", {}, child)
    return await freeze_history(house.log, child, entry, frozen=frozen)


async def _names(reading: Reading, child: bytes | None) -> Sequence[bytes]:
    """A child's names, whichever of them is given: the present one and those joined to it. Each has a history of its own."""
    return () if child is None else await every_name(reading, child)


async def _kept(reading: Reading, now: int, held: Collection[bytes]) -> Collection[bytes]:
    kept = {*held, *await children_with_cases(reading, CASE_CLOSED, now * 1_000_000 - _CASE_KEPT_US)}
    return kept | {one for pair in await joined_names(reading) if not kept.isdisjoint(pair) for one in pair}


def _facts(made: Plan) -> dict[str, Any]:
    counts = {"generations": made.generations, "held": made.held, "minimum_index": made.minimum_index}
    return {"digest": made.digest, **counts}


def _draft(code: str, facts: dict[str, Any], child: bytes | None = None) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.RETENTION,
        outcome=Outcome.DONE,
        code=code,
        children=() if child is None else (child,),
        detail={"by": BY, **facts},
    )


def _now(house: House) -> int:
    return int(house.clock.now().timestamp())
