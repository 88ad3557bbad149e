"""同意簿: giving, refusing and withdrawing, and what makes a consent ask to be given anew.

Rules kept here: a withdrawal holds from the commit of its entry, for every worker, and everybody who received data under it
is owed word of it (X30); a refusal is respected for 90 days and touches nothing that needs no consent; a child's objection
to an L5 exchange holds the consent until a human has reviewed it; a revoked guardian cannot consent; where civil affairs
is the guardian (民法典 32) two approvers sign; a statement makes one consent, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from gateway.consent.approvals import ApprovalClaims
from gateway.consent.artefact import ConsentClaims, require_lawful
from gateway.consent.calendar import WorkingDays, midnight_after
from gateway.consent.changes import (
    Change,
    Refer,
    actors_of,
    digest,
    person_name,
    references_for,
    statement_digest,
)
from gateway.consent.definition import definition
from gateway.consent.propagation import owe_word
from gateway.consent.reviews import Review, write_review
from gateway.consent.states import before_consent, next_consent
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.exchanges import Exchange
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import Department, EntryKind, Level, Outcome
from gateway.errors import BadRequest, Denied
from gateway.store.basis import micros
from gateway.store.basis_desk import consents_to_another
from gateway.store.basis_lists import holders_of, refusal_until, revoked_guardian
from gateway.store.basis_tables import consent_refusals, guardian_revocations
from gateway.store.basis_writes import (
    ConsentRow,
    add_consent,
    add_references,
    add_rows,
    change_consents,
    put,
)
from gateway.store.database import Writing

ANEW_AT_ONCE = 200
"""Consents that one transaction moves to `needs_renewal`, so that nobody waits for it long."""

QUIET = timedelta(days=90)
"""How long the same scope is not asked again after a refusal (网数条例 22(五))."""


def give(
    caller: Caller,
    child: Child,
    claims: ConsentClaims,
    exchange: Exchange,
    *,
    now: datetime,
    days: WorkingDays,
    refer: Refer,
    approvals: Sequence[ApprovalClaims] = (),
) -> Change:
    """Record a consent. The draft's detail says whether it is `active` or `held` for review.

    Raises what `artefact.require_lawful` raises, Denied(consent_recorder | guardian_two_approvers), and in the effect
    Denied(guardian_revoked | consent_asked_again | consent_replayed).
    """
    if claims.recorder.party != caller.party:
        raise Denied("consent_recorder")
    require_lawful(claims, exchange, now)
    approvers = _approvers(claims, approvals)
    held = claims.child_grant == "objects" and exchange.level is Level.L5
    row = _row(child, claims, exchange, now, state="held" if held else "active")
    review = Review.about(
        kind="objection",
        caller=caller,
        child=child.key,
        exchange=exchange.id,
        record_id=row.consent_id,
        now=now,
        days=days,
    )
    references = references_for("consent", row.consent_id, {caller.party.department, *claims.recipients}, refer)

    async def effect(writing: Writing) -> None:
        if await revoked_guardian(writing, child.key, claims.guardian):
            raise Denied("guardian_revoked")
        quiet = await refusal_until(writing, child.key, exchange.id, sorted(claims.recipients), micros(now))
        if quiet and claims.method != "own_initiative":
            raise Denied("consent_asked_again")
        if not await add_consent(writing, row):
            raise Denied("consent_replayed")
        await add_references(writing, references)
        if held:
            await write_review(writing, review)

    detail: dict[str, DetailValue] = {
        "consent": row.consent_id,
        "state": row.state,
        "recipients": row.recipients.split(),
        "fields": row.fields.split(),
        "age_band": row.age_band,
        "grantor": row.grantor,
        "ends": claims.ends.isoformat(),
        "notice_version": row.notice_version,
        "statement": claims.statement,
        "approvers": approvers,
    }
    if held:
        detail["review"] = review.review_id
    return Change(_draft(EntryKind.CONSENT_GIVEN, caller, child.key, exchange, detail), effect, row.consent_id)


def refuse(
    caller: Caller, child: Child, exchange: Exchange, recipients: Iterable[Department], *, now: datetime
) -> Change:
    """Record that guardian or child said no. Nobody asks for the same again for 90 days; nothing else changes.

    Raises BadRequest(consent_form).
    """
    named = sorted(set(recipients))
    if not named or any(department not in exchange.consent for department in named):
        raise BadRequest("consent_form")
    until = micros(now + QUIET)
    rows = [
        {
            "child": child.key,
            "exchange": exchange.id,
            "recipient": str(department),
            "refused": micros(now),
            "until": until,
        }
        for department in named
    ]

    async def effect(writing: Writing) -> None:
        await add_rows(writing, consent_refusals, rows)

    detail: dict[str, DetailValue] = {"recipients": [str(department) for department in named]}
    return Change(_draft(EntryKind.CONSENT_REFUSED, caller, child.key, exchange, detail), effect, "")


def withdraw(
    caller: Caller,
    child: Child,
    exchange: Exchange,
    *,
    now: datetime,
    days: WorkingDays,
    consent_id: str | None = None,
) -> Change:
    """Withdraw one consent or every one of this child for the exchange (PIPL 15). Whoever holds data is owed word of it by
    the end of the next working day. In the effect Denied(consent_none) where there is nothing to withdraw.
    """
    # `at` is the moment that the withdrawn rows bear, so that entry and rows can be held against each other.
    at = micros(now)
    detail: dict[str, DetailValue] = {"consent": consent_id or "all", "at": at}

    async def effect(writing: Writing) -> None:
        changed = await change_consents(
            writing,
            state="withdrawn",
            before=before_consent("withdraw"),
            changed=at,
            consent_id=consent_id,
            child=child.key,
            exchange=exchange.id,
        )
        if not changed:
            raise Denied("consent_none")
        holders = await holders_of(writing, child.key, exchange.id)
        await owe_word(
            writing,
            kind="withdrawal",
            record_id=changed[0][0],
            child=child.key,
            exchange=exchange.id,
            parties=holders,
            now=now,
            due=days.due(now, 1),
        )

    return Change(_draft(EntryKind.CONSENT_WITHDRAWN, caller, child.key, exchange, detail), effect, consent_id or "")


def revoke_guardian(caller: Caller, child: Child, guardian: str, *, now: datetime) -> Change:
    """A guardian's authority ended (民法典 36): no further consent of theirs, and those that stand are suspended."""
    row = {"child": child.key, "guardian": guardian, "revoked": micros(now)}

    async def effect(writing: Writing) -> None:
        await put(writing, guardian_revocations, row)
        await change_consents(
            writing,
            state=next_consent("active", "revoke_guardian"),
            before=before_consent("revoke_guardian"),
            changed=micros(now),
            child=child.key,
            guardian=guardian,
        )

    detail: dict[str, DetailValue] = {"guardian": guardian, "at": micros(now)}
    return Change(_draft(EntryKind.CONSENT_WITHDRAWN, caller, child.key, None, detail), effect, "")


async def ask_anew(writing: Writing, exchange: Exchange, now: datetime, *, days: WorkingDays) -> int:
    """After a policy's activation: consents to another definition of this exchange need renewal, and whoever recorded one has a task
    to ask anew (C05). They cover nothing from the activation on, whether this has run or not (`basis.question_of`). How many did;
    at most `ANEW_AT_ONCE`.
    """
    stale = await consents_to_another(
        writing, exchange.id, definition(exchange), sorted(before_consent("change_exchange")), limit=ANEW_AT_ONCE
    )
    for consent_id, child, issuer in stale:
        await change_consents(
            writing,
            state=next_consent("active", "change_exchange"),
            before=before_consent("change_exchange"),
            changed=micros(now),
            consent_id=consent_id,
        )
        await write_review(writing, Review.renewal(consent_id, child, exchange.id, issuer, now=now, days=days))
    return len(stale)


async def use_once(writing: Writing, consent_ids: Iterable[str], now: datetime) -> None:
    """A one-time consent (R) is used up. Raises Denied(consent_none) where another release was faster."""
    for consent_id in consent_ids:
        changed = await change_consents(
            writing, state="used", before=before_consent("use_once"), changed=micros(now), consent_id=consent_id
        )
        if not changed:
            raise Denied("consent_none")


def _approvers(claims: ConsentClaims, approvals: Sequence[ApprovalClaims]) -> list[str]:
    """Where civil affairs is the guardian, two people other than the recorder have signed this very artefact."""
    if claims.grantor != "civil_affairs_guardian":
        return []
    recorder = person_name(claims.recorder.party.organisation, claims.recorder.person_id)
    expected = {"kind": "guardian-consent", "statement": statement_digest(claims.statement)}
    names = {
        person_name(approval.approver.party.organisation, approval.approver.person_id): approval.approver.thumbprint
        for approval in approvals
        if dict(approval.subject) == expected and approval.digest == digest(expected)
        if approval.approver.party.department is Department.CIVIL_AFFAIRS
    }
    names.pop(recorder, None)
    # Two names on one key would be one person's signature twice.
    if len(names) < 2 or len(set(names.values()) - {claims.recorder.thumbprint}) < 2:
        raise Denied("guardian_two_approvers")
    return sorted(names)


def _row(child: Child, claims: ConsentClaims, exchange: Exchange, now: datetime, *, state: str) -> ConsentRow:
    return ConsentRow(
        child=child.key,
        exchange=exchange.id,
        consent_id=new_id("cn"),
        purpose=claims.purpose,
        recipients=" ".join(sorted(claims.recipients)),
        fields=" ".join(sorted(claims.fields)),
        age_band=str(claims.age_band),
        grantor=claims.grantor,
        relation=claims.relation,
        guardian=claims.guardian,
        child_grant=claims.child_grant,
        method=claims.method,
        given=min(micros(claims.given), micros(now)),
        ends=micros(midnight_after(claims.ends)),
        state=state,
        changed=micros(now),
        notice_version=claims.notice_version,
        definition=definition(exchange),
        issuer=claims.recorder.party.text,
        evidence_digest=claims.evidence_digest,
        statement_digest=statement_digest(claims.statement),
    )


def _draft(
    kind: EntryKind, caller: Caller, child: bytes, exchange: Exchange | None, detail: dict[str, DetailValue]
) -> EntryDraft:
    return EntryDraft(
        kind=kind,
        outcome=Outcome.DONE,
        exchange=exchange.id if exchange else "",
        purpose=exchange.purpose if exchange else "",
        requester=caller.party.department,
        children=(child,),
        actors=actors_of(caller),
        detail=detail,
    )
