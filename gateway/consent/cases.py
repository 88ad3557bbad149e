"""个案: opening, moving and closing the case that ties requests, referrals and follow-ups together.

Rules kept here: a case names one child, its parties and its exchanges, and no more than they need; only a party moves it;
each arrow sets who acts next and until when, and counts once for X28; two writers cannot take two arrows from one state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from gateway.consent.calendar import WorkingDays, shanghai_day
from gateway.consent.changes import Change, Refer, actors_of, departments_of, references_for
from gateway.consent.states import CASE_START, next_case
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller, Party
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import AgeBand, Department, EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.store.basis import CaseFound, micros
from gateway.store.basis_writes import add_case, add_references, count_case, move_case
from gateway.store.database import Writing

_REGION = re.compile(r"(\d{6}|\d{9}|\d{12})\Z")
_BIRTHDAYS = {"turn_14": AgeBand.A14_15, "turn_16": AgeBand.A16_17}
_FIRST_STEP = 10  # working days for the first contact with the guardian after a signal


def open_case(
    caller: Caller,
    child: Child,
    *,
    exchanges: Iterable[str],
    parties: Iterable[Party],
    region: str,
    age_band: AgeBand | None,
    now: datetime,
    days: WorkingDays,
    refer: Refer,
) -> Change:
    """Open a case. The caller's party is always one of its parties; each party's department gets a reference.

    region: 6, 9 or 12 digits (GB/T 2260). Raises BadRequest(case_form).
    """
    listed = frozenset(exchanges)
    members = frozenset(parties) | {caller.party}
    if not listed or not all(re.fullmatch(r"X\d{2}", name) for name in listed) or not _REGION.match(region):
        raise BadRequest("case_form")
    case_id = new_id("cs")
    names = sorted(party.text for party in members)
    row: dict[str, object] = {
        "case_id": case_id,
        "child": child.key,
        "opener": caller.party.text,
        "parties": " ".join(names),
        "exchanges": " ".join(sorted(listed)),
        "region": region,
        "age_band": age_band,
        "state": CASE_START,
        "opened": micros(now),
        "changed": micros(now),
        "owner": caller.party.department,
        "due": micros(days.due(now, _FIRST_STEP)),
    }
    references = references_for("case", case_id, departments_of(members), refer)

    async def effect(writing: Writing) -> None:
        await add_case(writing, row, names)
        await add_references(writing, references)
        await count_case(writing, region=region[:6], month=_month(now), counter="opened")

    detail: dict[str, DetailValue] = {
        "case": case_id,
        "parties": names,
        "exchanges": sorted(listed),
        "region": region,
        "age_band": age_band or "",
    }
    return Change(_draft(EntryKind.CASE_OPENED, caller, child.key, detail), effect, case_id)


def advance(caller: Caller, case: CaseFound, event: str, *, now: datetime, days: WorkingDays) -> Change:
    """Take one arrow of the case (`states.CASE_ARROWS`, `CASE_SIDE_EXITS`).

    Raises Denied(case_party | case_closed | case_event), and in the effect Denied(case_changed) where somebody was faster.
    """
    if caller.party.text not in case.parties:
        raise Denied("case_party")
    arrow = next_case(case.state, event)
    row: dict[str, object] = {
        "state": arrow.to,
        "changed": micros(now),
        "owner": arrow.owner,
        "due": micros(days.due(now, arrow.days)) if arrow.days else None,
    }
    if event in _BIRTHDAYS:
        row["age_band"] = _BIRTHDAYS[event]

    async def effect(writing: Writing) -> None:
        if not await move_case(writing, case.case_id, state=case.state, row=row):
            raise Denied("case_changed")
        if arrow.counter:
            await count_case(writing, region=case.region[:6], month=_month(now), counter=arrow.counter)

    detail: dict[str, DetailValue] = {"case": case.case_id, "event": event, "from": case.state, "to": arrow.to}
    return Change(_draft(EntryKind.CASE_CHANGED, caller, case.child, detail), effect, case.case_id)


def close_case(caller: Caller, case: CaseFound, *, now: datetime, days: WorkingDays) -> Change:
    """Close a case where its state allows it. Raises as `advance`."""
    return advance(caller, case, "close", now=now, days=days)


def _month(now: datetime) -> str:
    return shanghai_day(now).isoformat()[:7]


def _draft(kind: EntryKind, caller: Caller, child: bytes, detail: dict[str, DetailValue]) -> EntryDraft:
    department: Department = caller.party.department
    return EntryDraft(
        kind=kind,
        outcome=Outcome.DONE,
        requester=department,
        children=(child,),
        actors=actors_of(caller),
        detail=detail,
    )
