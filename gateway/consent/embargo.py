"""保护信息的延期告知: how long a protective use stays out of a guardian's view, and who may end that.

Rules kept here: every protective use begins an embargo with an end; at the end both holders of the history's first key are asked
to release their shares, and who does not answer in time is an alarm; nothing is released by one of them, and nothing by
time alone (PIPL 18(1), 35; 未保法 11(2)). No row names the child.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from gateway.consent.calendar import WorkingDays
from gateway.consent.changes import Change, actors_of, person_name
from gateway.consent.reviews import Review, write_review
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller, Party
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied, ProgrammingError
from gateway.store.basis import micros
from gateway.store.basis_desk import shares_released
from gateway.store.basis_lists import ReviewFound
from gateway.store.basis_tables import embargoes, reviews
from gateway.store.basis_writes import add_rows, settle
from gateway.store.database import Writing

TERM = timedelta(days=180)
HOLDERS = 2


async def begin(writing: Writing, *, request: str, now: datetime) -> str:
    """Begin the embargo of one protective use, beside its entry; its id. request: id in the entry's encrypted detail."""
    embargo_id = new_id("em")
    row = {
        "embargo_id": embargo_id,
        "request": request,
        "opened": micros(now),
        "ends": micros(now + TERM),
        "state": "kept",
    }
    await add_rows(writing, embargoes, [row])
    return embargo_id


def ask_holders(embargo_id: str, holders: Collection[Party], *, now: datetime, days: WorkingDays) -> Change:
    """The time is over: a task for each of the two holders. In the effect Denied(embargo_asked).

    Raises ProgrammingError where there are not two holders of two departments.
    """
    if len({holder.department for holder in holders}) != HOLDERS or len(holders) != HOLDERS:
        raise ProgrammingError("an embargo has two holders of two departments")

    async def effect(writing: Writing) -> None:
        key = {"embargo_id": embargo_id}
        if not await settle(writing, embargoes, key=key, before="kept", row={"state": "asked"}):
            raise Denied("embargo_asked")
        for holder in sorted(holders, key=lambda each: each.text):
            await write_review(writing, Review.share(embargo_id, holder.text, now=now, days=days))

    draft = EntryDraft(
        kind=EntryKind.REVIEW_OPENED,
        outcome=Outcome.DONE,
        code="embargo_ended",
        protective=True,
        detail={"embargo": embargo_id, "holders": sorted(holder.text for holder in holders)},
    )
    return Change(draft, effect, embargo_id)


def release(caller: Caller, task: ReviewFound, *, now: datetime) -> Change:
    """A holder releases its share; with the second one the embargo is released and the history may be told.

    Raises Denied(review_party | officer_missing | embargo_share), and in the effect Denied(review_closed).
    """
    officer = caller.officer
    if officer is None:
        raise Denied("officer_missing")
    if task.kind != "embargo":
        raise Denied("embargo_share")
    if task.party != caller.party.text:
        raise Denied("review_party")
    name = person_name(officer.party.organisation, officer.person_id)
    row = {"state": "closed", "outcome": "released", "closed": micros(now), "closed_by": name}

    async def effect(writing: Writing) -> None:
        if not await settle(writing, reviews, key={"review_id": task.review_id}, before="open", row=row):
            raise Denied("review_closed")
        if await shares_released(writing, task.record_id) == HOLDERS:
            key = {"embargo_id": task.record_id}
            await settle(writing, embargoes, key=key, before="asked", row={"state": "released"})

    draft = EntryDraft(
        kind=EntryKind.REVIEW_CLOSED,
        outcome=Outcome.DONE,
        code="share_released",
        requester=caller.party.department,
        actors=actors_of(caller),
        protective=True,
        detail={"review": task.review_id, "embargo": task.record_id},
    )
    return Change(draft, effect, task.review_id)
