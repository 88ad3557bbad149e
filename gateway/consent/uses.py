"""用后留痕: what has to be written beside the entry of a release or refusal, in the same transaction.

Rules kept here: the guardian's list gets a line for every release and refusal that concerns the child, except what came
through the protective door, which leaves nothing there; the emergency door owes notice and review and is counted against
the day's limits once more inside the transaction, so parallel requests cannot pass together; a statutory release owes
its notice once per exchange and recipient (PIPL 17, 35); a one-time consent is used up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gateway.consent.basis import counts_as_emergency, counts_for_fuse, fuse_full, question_of
from gateway.consent.book import use_once
from gateway.consent.calendar import WorkingDays
from gateway.consent.changes import Effect
from gateway.consent.doors import Limits, require_emergency, second_approval
from gateway.consent.embargo import begin
from gateway.consent.reviews import Review, write_review
from gateway.domain.basis import Ask, Basis
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.subjects import Child, Recognised
from gateway.domain.vocabulary import ConsentCode, ConsentState, Department, Door, Outcome
from gateway.errors import Denied
from gateway.store.basis import AccessRow, Question, evidence, micros, remember_accesses
from gateway.store.basis_lists import notice_open
from gateway.store.basis_tables import notices
from gateway.store.basis_writes import add_rows, count_emergency, count_records
from gateway.store.database import Writing

NOTICE_DAYS = {Door.NORMAL: 20, Door.EMERGENCY: 1}


async def owe(
    writing: Writing, basis: Basis, *, now: datetime, days: WorkingDays, limits: Limits, request: str
) -> dict[str, str]:
    """Count the use against its limits and write what it leaves owing; the ids of `review` and `notice`, where there are
    such. For a delivery this belongs beside the entry of the hand-in, once per child.

    request: id of the request or delivery that the review is about. Raises Denied(emergency_limit |
    emergency_suspended | fuse_blown | consent_none).
    """
    recognised, ask, child = basis.recognised, basis.ask, basis.recognised.subject
    if not isinstance(child, Child):
        return {}
    if counts_as_emergency(ask) or counts_for_fuse(ask):
        await _count(writing, question_of(recognised, child, ask, now), ask, limits)
    left: dict[str, str] = {}
    if ask.door is not Door.NORMAL:
        review = Review.about(
            kind=str(ask.door),
            caller=recognised.caller,
            child=child.key,
            exchange=ask.exchange.id,
            record_id=request,
            now=now,
            days=days,
            note="after_withdrawal" if any(kind == "withdrawn" for kind, _ in basis.references) else "",
        )
        await write_review(writing, review)
        left["review"] = review.review_id
    if ask.door is Door.PROTECTIVE:
        await begin(writing, request=request, now=now)
    if ask.door is Door.EMERGENCY or basis.con is ConsentState.STATUTORY:
        notice = await _owe_notice(writing, ask, child, now, days)
        left |= {"notice": notice} if notice else {}
    if ask.exchange.consent.get(ask.recipient.department) is ConsentCode.ONE_TIME:
        await use_once(writing, [name for kind, name in basis.references if kind == "consent"], now)
    return left


def released(
    basis: Basis,
    draft: EntryDraft,
    *,
    provider: Department,
    fields: Iterable[str],
    now: datetime,
    days: WorkingDays,
    limits: Limits,
    request: str,
) -> Effect:
    """The effect beside `draft`, the entry of a query's release: `owe` and the guardian's line. It returns the draft with
    the ids of notice and review in its detail, and raises what `owe` raises.
    """
    row = access_row(
        basis.recognised,
        basis.ask,
        provider=provider,
        outcome=Outcome.RELEASED,
        fields=sorted(fields),
        now=now,
        approval_id=dict(basis.references).get("approval", ""),
    )

    async def effect(writing: Writing) -> EntryDraft | None:
        left = await owe(writing, basis, now=now, days=days, limits=limits, request=request)
        await remember_accesses(writing, [row] if row else [])
        return replace(draft, detail={**draft.detail, **left}) if left else None

    return effect


def refused(recognised: Recognised, ask: Ask, *, provider: Department, code: str, now: datetime) -> Effect:
    """The effect beside the entry of a refusal or an empty answer: a line for the guardian, who may see that somebody
    tried, unless it was the protective door.
    """
    outcome = Outcome.NO_RESULT if code == "no_result" else Outcome.DENIED
    row = access_row(recognised, ask, provider=provider, outcome=outcome, code=code, now=now)

    async def effect(writing: Writing) -> None:
        await remember_accesses(writing, [row] if row else [])

    return effect


def access_row(
    recognised: Recognised,
    ask: Ask,
    *,
    provider: Department,
    outcome: Outcome,
    now: datetime,
    fields: Iterable[str] = (),
    code: str = "",
    approval_id: str = "",
) -> AccessRow | None:
    """The guardian's line, None where there is no child or the door is the protective one. For a delivery the line names
    the recipient as who received; for a query both are the same party.
    """
    if ask.door is Door.PROTECTIVE or not isinstance(recognised.subject, Child):
        return None
    return AccessRow(
        child=recognised.subject.key,
        at=micros(now),
        access_id=new_id("ax"),
        exchange=ask.exchange.id,
        purpose=ask.purpose,
        door=str(ask.door),
        requester=ask.recipient.text,
        provider=str(provider),
        outcome=str(outcome),
        code=code,
        fields=" ".join(fields),
        approval_id=approval_id,
    )


async def _count(writing: Writing, question: Question, ask: Ask, limits: Limits) -> None:
    found = await evidence(writing, question)
    if question.emergency:
        require_emergency(found, ask, day=question.day, now=question.now, limits=limits)
        await count_emergency(writing, question)
    if question.fuse:
        word = second_approval(found.approvals, f"fuse:{question.day}", ask.exchange.id, question.now)
        if fuse_full(found.fuses, limits) and word is None:
            raise Denied("fuse_blown")
        await count_records(writing, question, 1)


async def _owe_notice(writing: Writing, ask: Ask, child: Child, now: datetime, days: WorkingDays) -> str:
    """The id of the notice now owed, "" where this child's guardian was told, or is being told, of this flow before."""
    recipient = ask.recipient.text
    if ask.door is Door.NORMAL and await notice_open(writing, child.key, ask.exchange.id, recipient):
        return ""
    notice_id = new_id("nt")
    row = {
        "child": child.key,
        "exchange": ask.exchange.id,
        "recipient": recipient,
        "notice_id": notice_id,
        "door": str(ask.door),
        "citations": "；".join(f"{cited.law} {cited.articles}" for cited in ask.exchange.citations),
        "owed": micros(now),
        "due": micros(days.due(now, NOTICE_DAYS[ask.door])),
        "state": "owed",
        "given": None,
    }
    await add_rows(writing, notices, [row])
    return notice_id
