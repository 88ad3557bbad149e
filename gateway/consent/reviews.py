"""复核: the tasks that an exception leaves behind, and who may close them.

Rules kept here: an emergency and a protective use are reviewed by the end of the next working day, an objection within five;
nobody reviews himself; an overdue emergency review suspends the officer's emergency door (`doors.require_emergency`) until it
is closed; a child of 14 or above who objects is never overruled by a review.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.consent.calendar import WorkingDays
from gateway.consent.changes import Change, actors_of, person_name
from gateway.consent.states import before_consent
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.store.basis import micros
from gateway.store.basis_desk import mark_alarmed
from gateway.store.basis_lists import ReviewFound, reviews_of
from gateway.store.basis_tables import reviews
from gateway.store.basis_writes import add_rows, change_consents, settle
from gateway.store.database import Reading, Writing

DAYS = {"emergency": 1, "protective": 1, "objection": 5, "fuse": 1, "renewal": 10, "embargo": 10}
Finding = Literal["justified", "unjustified"]
_PROTECTIVE = frozenset({"protective", "embargo"})


@dataclass(frozen=True, slots=True)
class Review:
    """A task. officer: `<organisation>/<person>`; record_id: request, consent or approval that it is about; due: µs."""

    review_id: str
    kind: str
    child: bytes | None = field(repr=False)
    exchange: str
    record_id: str
    officer: str
    party: str
    note: str
    opened: int
    due: int

    @classmethod
    def about(
        cls,
        *,
        kind: str,
        caller: Caller,
        child: bytes | None,
        exchange: str,
        record_id: str,
        now: datetime,
        days: WorkingDays,
        note: str = "",
    ) -> Review:
        """A new task about something that `caller` did just now."""
        officer = caller.officer
        return cls(
            review_id=new_id("rv"),
            kind=kind,
            child=child,
            exchange=exchange,
            record_id=record_id,
            officer=person_name(officer.party.organisation, officer.person_id) if officer else "",
            party=caller.party.text,
            note=note,
            opened=micros(now),
            due=micros(days.due(now, DAYS[kind])),
        )

    @classmethod
    def renewal(
        cls, consent_id: str, child: bytes, exchange: str, issuer: str, *, now: datetime, days: WorkingDays
    ) -> Review:
        """The issuing party's task to ask for a consent anew."""
        return cls._task("renewal", consent_id, child, exchange, issuer, now=now, days=days)

    @classmethod
    def share(cls, embargo_id: str, holder: str, *, now: datetime, days: WorkingDays) -> Review:
        """A holder's task to release its share of an embargo. It names no child."""
        return cls._task("embargo", embargo_id, None, "", holder, now=now, days=days)

    @classmethod
    def _task(
        cls,
        kind: str,
        record_id: str,
        child: bytes | None,
        exchange: str,
        party: str,
        *,
        now: datetime,
        days: WorkingDays,
    ) -> Review:
        due = micros(days.due(now, DAYS[kind]))
        return cls(new_id("rv"), kind, child, exchange, record_id, "", party, "", micros(now), due)


async def write_review(writing: Writing, review: Review) -> None:
    """Put the task on the list."""
    row = {name: getattr(review, name) for name in Review.__slots__}
    await add_rows(writing, reviews, [row | {"state": "open", "outcome": "", "closed": None, "closed_by": ""}])


async def open_reviews(reading: Reading, party: str) -> list[ReviewFound]:
    """The open tasks of a party, most urgent first."""
    return await reviews_of(reading, party)


def opened_entry(review: Review, caller: Caller) -> EntryDraft:
    """The entry `review.opened`, where the flow wants one beside the entry that caused the task."""
    return _draft(EntryKind.REVIEW_OPENED, review, caller, {})


def alarm(review: ReviewFound, *, now: datetime) -> Change:
    """Nobody did it in time (C17). In the effect Denied(review_closed) where it was closed, or told, just now."""

    async def effect(writing: Writing) -> None:
        if not await mark_alarmed(writing, review):
            raise Denied("review_closed")

    draft = EntryDraft(
        kind=EntryKind.ALARM,
        outcome=Outcome.DONE,
        code="review_overdue",
        exchange=review.exchange,
        children=(review.child,) if review.child else (),
        protective=review.kind in _PROTECTIVE,
        detail={"review": review.review_id, "about": review.kind, "party": review.party, "at": micros(now)},
    )
    return Change(draft, effect, review.review_id)


def close_review(caller: Caller, review: ReviewFound, finding: Finding, *, now: datetime) -> Change:
    """Close a task. An objection found `justified` refuses the consent; found `unjustified`, the consent becomes active,
    but only below 14: from 14 the child's own word decides.

    Raises Denied(review_party | review_self | officer_missing | child_decides | embargo_share), and in the effect
    Denied(review_closed).
    """
    officer = caller.officer
    if officer is None:
        raise Denied("officer_missing")
    if review.party != caller.party.text:
        raise Denied("review_party")
    name = person_name(officer.party.organisation, officer.person_id)
    if name == review.officer:
        raise Denied("review_self")
    if review.kind == "embargo":
        # A share is released, or the task stays open and becomes an alarm; there is no finding (`embargo.release`).
        raise Denied("embargo_share")
    if review.kind == "objection" and finding == "unjustified" and review.age_band in ("14-15", "16-17"):
        raise Denied("child_decides")
    row = {"state": "closed", "outcome": finding, "closed": micros(now), "closed_by": name}

    async def effect(writing: Writing) -> None:
        if not await settle(writing, reviews, key={"review_id": review.review_id}, before="open", row=row):
            raise Denied("review_closed")
        if review.kind == "objection":
            respected = finding == "justified"
            await change_consents(
                writing,
                state="refused" if respected else "active",
                before=before_consent("respect_objection" if respected else "review_objection"),
                changed=micros(now),
                consent_id=review.record_id,
            )

    detail: dict[str, DetailValue] = {"finding": finding}
    draft = _draft(EntryKind.REVIEW_CLOSED, review, caller, detail)
    return Change(draft, effect, review.review_id)


def _draft(kind: EntryKind, about: Review | ReviewFound, caller: Caller, detail: dict[str, DetailValue]) -> EntryDraft:
    return EntryDraft(
        kind=kind,
        outcome=Outcome.DONE,
        exchange=about.exchange,
        requester=caller.party.department,
        children=(about.child,) if about.child else (),
        actors=actors_of(caller),
        # A protective use must leave no trace in the ordinary history, so neither may its review.
        protective=about.kind in _PROTECTIVE,
        detail={"review": about.review_id, "about": about.kind, **detail},
    )
