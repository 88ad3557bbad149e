"""Step (3): find the basis that covers one call, or refuse with the code that says which part of the law is missing.

Rules kept here: one read whatever is asked; what concerns only the caller (door, purpose, reason, limits) is refused before
anything of a child is looked at; then the case, then the approval, and consents, wishes and holds last, so nobody
without an approved case on this child learns from a code which records exist; the two exceptional doors rest on no
consent and no withdrawal closes them, but the review is told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.consent.changes import person_name
from gateway.consent.definition import definition
from gateway.consent.doors import EMERGENCY_TERM, Limits, day_of, require_door, require_emergency, second_approval
from gateway.consent.standings import require_standings
from gateway.consent.states import CASE_CLOSED
from gateway.consent.weighing import oldest, weigh, withdrawn
from gateway.domain.basis import Ask, Basis
from gateway.domain.clock import Clock
from gateway.domain.subjects import Child, Recognised
from gateway.domain.vocabulary import Action, AgeBand, ConsentCode, ConsentState, Department, Door, Duty, Level
from gateway.errors import BadRequest, Denied
from gateway.store.basis import CaseFound, Evidence, Question, evidence, micros, moment
from gateway.store.database import Reading

STATUTORY_TERM = timedelta(days=365)
"""A statutory duty has no end; no label is open-ended all the same."""


@dataclass(slots=True)
class _Found:
    """The basis as it grows: ids for the encrypted detail, ends of everything that it rests on."""

    references: list[tuple[str, str]]
    ends: list[int]
    band: AgeBand | None = None
    fields: frozenset[str] | None = None


class BasisFinder:
    """Finds the basis of calls. One per process; holds no state of its own but the clock and the limits."""

    def __init__(self, clock: Clock, limits: Limits | None = None) -> None:
        self._clock = clock
        self.limits = limits or Limits()

    async def find(self, recognised: Recognised, ask: Ask, reading: Reading, *, again: bool = False) -> Basis:
        """The basis of `ask`, with the earliest end of everything that it rests on.

        again: the same ask was let in before and is only looked at anew (hand-out): limits count it once.

        Raises Denied with the codes of `doors`, `weighing` and of this module: officer_missing, case_missing,
        case_party, case_other_child, case_closed, case_exchange, approval_missing, approval_expired, approval_self,
        fuse_blown, restricted, those of `standings.require_standings`; BadRequest(subject_missing | reason_unknown).
        """
        code = require_door(recognised.caller, ask)
        now = self._clock.now()
        if not isinstance(recognised.subject, Child):
            return _about_nobody(recognised, ask, code, now)
        if needs_approval(ask) and recognised.caller.officer is None:
            raise Denied("officer_missing")
        question = question_of(recognised, recognised.subject, ask, now, again=again)
        found = await evidence(reading, question)
        # Every refusal below comes after the same single read, so its time tells nothing of what was found.
        return self._judge(recognised, recognised.subject, ask, code=code, found=found, question=question)

    def _judge(
        self,
        recognised: Recognised,
        child: Child,
        ask: Ask,
        *,
        code: ConsentCode,
        found: Evidence,
        question: Question,
    ) -> Basis:
        clock, day = question.now, question.day
        growing = _Found(references=[], ends=[])
        # First what concerns the caller alone.
        if question.emergency:
            words = require_emergency(found, ask, day=day, now=clock, limits=self.limits)
            growing.references += [("second_approval", word) for word in words]
        self._require_fuse(found, ask, growing, day, clock)
        standing = require_standings(found.standings, recognised.caller, ask, self.limits.required, clock)
        growing.references += [("standing", each.standing_id) for each in standing.relied]
        growing.ends += [each.ends for each in standing.relied]
        # Then whether this caller may ask about this child at all; only then what is recorded about the child.
        case = _require_case(recognised, child, ask, found, growing)
        if needs_approval(ask):
            _require_approval(recognised, ask, found, growing, clock)
        growing.band = oldest(case.age_band if case else None)
        con = self._wishes(ask, code, found, growing=growing, case=case, now=clock)
        if standing.fields is not None:
            growing.fields = standing.fields if growing.fields is None else growing.fields & standing.fields
        return Basis(
            recognised=recognised,
            ask=ask,
            con=con,
            case_id=case.case_id if case else None,
            case_region=case.region if case else None,
            age_band=growing.band,
            consent_fields=growing.fields,
            until=moment(min([*growing.ends, clock + _TERMS[ask.door]])),
            references=tuple(growing.references),
            duties=_DUTIES[ask.door],
        )

    def _require_fuse(self, found: Evidence, ask: Ask, growing: _Found, day: str, now: int) -> None:
        if not found.fuses or not fuse_full(found.fuses, self.limits):
            return
        word = second_approval(found.approvals, f"fuse:{day}", ask.exchange.id, now)
        if word is None:
            raise Denied("fuse_blown")
        growing.references.append(("second_approval", word.approval_id))

    def _wishes(
        self, ask: Ask, code: ConsentCode, found: Evidence, *, growing: _Found, case: CaseFound | None, now: int
    ) -> ConsentState:
        if ask.door is not Door.NORMAL:
            taken_back = withdrawn(found.consents, ask)
            if taken_back:
                growing.references.append(("withdrawn", taken_back.consent_id))
            growing.band = oldest(growing.band, *(c.age_band for c in found.consents))
            return ConsentState.EMERGENCY if ask.door is Door.EMERGENCY else ConsentState.PROTECTIVE
        if found.holds:
            raise Denied("restricted")
        if code is ConsentCode.STATUTORY:
            return ConsentState.STATUTORY
        if not code.needs_consent:
            return ConsentState.NONE
        weighed = weigh(found.consents, ask, case_band=case.age_band if case else None, now=now)
        growing.references += [("consent", consent_id) for consent_id in weighed.consent_ids]
        growing.ends.append(weighed.ends)
        growing.band, growing.fields = weighed.age_band, weighed.fields
        return ConsentState.GRANTED


def question_of(recognised: Recognised, child: Child, ask: Ask, now: datetime, *, again: bool = False) -> Question:
    """What has to be looked up for this ask; also the key under which its uses are counted."""
    caller, officer = recognised.caller, recognised.caller.officer
    return Question(
        case_id=ask.case_id or "",
        child=child.key,
        exchange=ask.exchange.id,
        officer=person_name(officer.party.organisation, officer.person_id) if officer else "",
        client=caller.client.client_id,
        department=caller.party.text,
        recipient=ask.recipient.text,
        definition=definition(ask.exchange),
        now=micros(now),
        day=day_of(now),
        emergency=counts_as_emergency(ask) and not again,
        fuse=counts_for_fuse(ask) and not again,
    )


def needs_approval(ask: Ask) -> bool:
    """Whether somebody is to look at a child's record: an approved case is needed (网保条例 36, 社会救助法 70(六))."""
    return ask.action is Action.QUERY and ask.exchange.case_bound


def counts_as_emergency(ask: Ask) -> bool:
    """Whether the day's limits of the emergency door count this ask; a delivery counts where it is handed in."""
    return ask.door is Door.EMERGENCY and ask.action is not Action.RECEIVE


def counts_for_fuse(ask: Ask) -> bool:
    """Queries of health records count: whatever the health department provides and whatever is L5."""
    health = Department.HEALTH in ask.exchange.providers or ask.exchange.level is Level.L5
    return ask.action is Action.QUERY and ask.exchange.personal and health


def fuse_full(records: dict[str, int], limits: Limits) -> bool:
    """Whether any actor has used up its records of the last 24 hours. Keys: `person:…`, `client:…`, `department:…`."""
    allowed = {
        "person": limits.records_per_officer,
        "client": limits.records_per_client,
        "department": limits.records_per_department,
    }
    return any(count >= allowed[actor.partition(":")[0]] for actor, count in records.items())


_DUTIES = {
    Door.NORMAL: frozenset[str](),
    Door.EMERGENCY: frozenset({str(Duty.NOTIFY_GUARDIAN), str(Duty.REVIEW)}),
    Door.PROTECTIVE: frozenset({str(Duty.REVIEW)}),
}


_TERMS = {
    door: (STATUTORY_TERM if door is Door.NORMAL else EMERGENCY_TERM) // timedelta(microseconds=1) for door in Door
}
"""Microseconds after which a basis ends that rests on nothing that ends sooner."""


def _about_nobody(recognised: Recognised, ask: Ask, code: ConsentCode, now: datetime) -> Basis:
    """Directories and aggregates: nobody's consent is asked, and nothing personal may hide behind that."""
    if ask.exchange.personal or code.needs_consent:
        raise BadRequest("subject_missing")
    con = ConsentState.STATUTORY if code is ConsentCode.STATUTORY else ConsentState.NONE
    return Basis(recognised, ask, con, None, None, None, None, now + STATUTORY_TERM)


def _require_case(recognised: Recognised, child: Child, ask: Ask, found: Evidence, growing: _Found) -> CaseFound | None:
    if ask.case_id is None and not needs_approval(ask):
        return None
    case = found.case
    if case is None:
        raise Denied("case_missing")
    # A stranger to the case hears that he is one before anything else of it (state, child, exchanges) is compared.
    if recognised.caller.party.text not in case.parties:
        raise Denied("case_party")
    if case.child != child.key:
        raise Denied("case_other_child")
    if case.state in CASE_CLOSED:
        raise Denied("case_closed")
    if ask.exchange.id not in case.exchanges:
        raise Denied("case_exchange")
    growing.references.append(("case", case.case_id))
    return case


def _require_approval(recognised: Recognised, ask: Ask, found: Evidence, growing: _Found, now: int) -> None:
    officer = recognised.caller.officer
    assert officer is not None
    name = person_name(officer.party.organisation, officer.person_id)
    mine = [a for a in found.approvals if a.subject == ask.case_id and ask.exchange.id in a.exchanges]
    # Recording refuses these as well; a row that got in another way must not open a record either.
    others = [a for a in mine if a.approver != name and a.approver_key != officer.thumbprint]
    if mine and not others:
        raise Denied("approval_self")
    standing = [a for a in others if a.begins <= now < a.ends]
    if not standing:
        raise Denied("approval_expired" if any(a.ends <= now for a in others) else "approval_missing")
    longest = max(standing, key=lambda approval: approval.ends)
    growing.references.append(("approval", longest.approval_id))
    growing.ends.append(longest.ends)
