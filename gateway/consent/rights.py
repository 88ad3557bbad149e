"""个人权利 (X31): view, copy, correct, delete, restrict - asked by guardian or child through a department.

Rules kept here: every request has a deadline in working days and one end; a refusal without a written reason is impossible
(网保条例 34); a correction, deletion or restriction reaches everybody who received the data, found from what left; a
restriction holds at once and touches no protective exchange; data under a legal term is restricted, not deleted
(PIPL 47(2)).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gateway.consent.calendar import WorkingDays
from gateway.consent.changes import Change, actors_of
from gateway.consent.propagation import owe_word
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller, Party
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.store.basis import micros
from gateway.store.basis_desk import exchanges_told
from gateway.store.basis_lists import RightsFound, holders_of
from gateway.store.basis_tables import holds, rights_requests
from gateway.store.basis_writes import add_rows, settle
from gateway.store.database import Writing

Right = Literal["view", "copy", "correct", "delete", "restrict"]
RIGHTS: tuple[Right, ...] = ("view", "copy", "correct", "delete", "restrict")
DAYS = 10
"""Working days for an answer; recipients have five to act once it is granted."""
PROPAGATION_DAYS = 5
_PROPAGATED = frozenset({"correct", "delete", "restrict"})


def ask_right(
    caller: Caller, child: Child, right: Right, *, exchange: str, source: Party, now: datetime, days: WorkingDays
) -> Change:
    """Record a request. source: the party whose register holds the data. A restriction holds from this entry on.

    Raises BadRequest(right_unknown).
    """
    if right not in RIGHTS:
        raise BadRequest("right_unknown")
    request_id = new_id("rr")
    row = {
        "request_id": request_id,
        "kind": right,
        "child": child.key,
        "exchange": exchange,
        "source": source.text,
        "opened": micros(now),
        "due": micros(days.due(now, DAYS)),
        "state": "open",
        "reason": "",
    }

    async def effect(writing: Writing) -> None:
        await add_rows(writing, rights_requests, [row])
        if right == "restrict":
            await _hold(writing, child.key, exchange, request_id, now)

    detail: dict[str, DetailValue] = {"request": request_id, "right": right, "source": source.text}
    return Change(_draft(caller, child.key, exchange, "asked", detail), effect, request_id)


def grant_right(
    caller: Caller, asked: RightsFound, *, now: datetime, days: WorkingDays, retained: bool = False
) -> Change:
    """The source granted it. retained: the data lies under a legal term, so a deletion becomes a restriction.

    Raises Denied(right_source), in the effect Denied(right_closed).
    """
    _require_source(caller, asked)
    kind = "restrict" if asked.kind == "delete" and retained else asked.kind

    async def effect(writing: Writing) -> None:
        await _close(writing, asked, "granted", "")
        # A word names one exchange, because a party may know the child by another name in each.
        told = await exchanges_told(writing, asked.child) if asked.exchange == "*" else [asked.exchange]
        for exchange in told if kind in _PROPAGATED else ():
            await owe_word(
                writing,
                kind=kind,
                record_id=asked.request_id,
                child=asked.child,
                exchange=exchange,
                parties=await holders_of(writing, asked.child, exchange),
                now=now,
                due=days.due(now, PROPAGATION_DAYS),
            )
        if kind == "restrict" and asked.kind != "restrict":
            await _hold(writing, asked.child, asked.exchange, asked.request_id, now)

    detail: dict[str, DetailValue] = {"request": asked.request_id, "right": asked.kind, "done": kind}
    return Change(_draft(caller, asked.child, asked.exchange, "granted", detail), effect, asked.request_id)


def refuse_right(caller: Caller, asked: RightsFound, reason: str) -> Change:
    """The source refused it, in writing. Raises BadRequest(right_reason_missing), Denied(right_source), in the effect
    Denied(right_closed).
    """
    _require_source(caller, asked)
    written = reason.strip()
    if not 4 <= len(written) <= 400:
        raise BadRequest("right_reason_missing")

    async def effect(writing: Writing) -> None:
        await _close(writing, asked, "refused", written)

    detail: dict[str, DetailValue] = {"request": asked.request_id, "right": asked.kind, "reason": written}
    return Change(_draft(caller, asked.child, asked.exchange, "refused", detail), effect, asked.request_id)


def _require_source(caller: Caller, asked: RightsFound) -> None:
    if asked.source != caller.party.text:
        raise Denied("right_source")


async def _close(writing: Writing, asked: RightsFound, state: str, reason: str) -> None:
    row = {"state": state, "reason": reason}
    if not await settle(writing, rights_requests, key={"request_id": asked.request_id}, before="open", row=row):
        raise Denied("right_closed")


async def _hold(writing: Writing, child: bytes, exchange: str, request_id: str, now: datetime) -> None:
    row = {"child": child, "exchange": exchange, "hold_id": request_id, "reason": "restriction", "opened": micros(now)}
    await add_rows(writing, holds, [row])


def _draft(caller: Caller, child: bytes, exchange: str, code: str, detail: dict[str, DetailValue]) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.RIGHTS_REQUEST,
        outcome=Outcome.DONE,
        code=code,
        exchange="" if exchange == "*" else exchange,
        requester=caller.party.department,
        children=(child,),
        actors=actors_of(caller),
        detail=detail,
    )
