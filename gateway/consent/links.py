"""一次性链接: an officer signs what is asked for, hands a one-time link over, and guardian or child answers on a page.

Rules kept here: the officer's signed offer fixes everything but the answer; moment, child's view and evidence come from the page; a link
is answered once, within three days, and a refusal counts like any other; a guardian's page never gives the own consent of a child of
14 or above, who has a link of its own; where civil affairs is the guardian two approvers sign, so there is no link.

The evidence of an answer is a record {"offer": digest of the signed offer, "notice": digest of the words shown, "language": in which they
were read, "answer": "agree", "child_grant": …, "answered": µs}; its SHA-256 is the consent's evidence digest and it stands in the entry's detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.consent import book
from gateway.consent.artefact import KEYS, ConsentClaims, read_artefact, require_lawful
from gateway.consent.calendar import WorkingDays
from gateway.consent.changes import Change, Refer, actors_of, digest, references_for, statement_digest
from gateway.consent.states import LINK_ARROWS, LINK_START
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.exchanges import Exchange
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller, Person
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Level, Outcome
from gateway.errors import BadRequest, Denied, NotAuthenticated
from gateway.store.basis import micros
from gateway.store.basis_lists import refusal_until, revoked_guardian
from gateway.store.basis_writes import add_references
from gateway.store.consent_links import LinkFound, add_link, settle_link
from gateway.store.database import Writing

TERM = timedelta(days=3)
"""How long a link can be answered at most."""

ANSWERED = frozenset({"given", "child_grant", "evidence_digest"})
OFFER_KEYS = KEYS - ANSWERED
"""An offer is an artefact without what only the answer brings, so neither can stand for the other."""

_NO_EVIDENCE = "0" * 64


def read_offer(
    artefact: Mapping[str, Any],
    *,
    recorder: Person,
    statement: str,
    now: datetime,
    child_grant: str = "granted",
    evidence_digest: str = _NO_EVIDENCE,
) -> ConsentClaims:
    """What an offer becomes when it is answered like this. Raises what `read_artefact` raises, Denied(guardian_two_approvers)."""
    if set(artefact) != OFFER_KEYS or artefact["method"] != "link_page":
        raise BadRequest("consent_form")
    said = {"given": int(now.timestamp()), "child_grant": child_grant, "evidence_digest": evidence_digest}
    claims = read_artefact({**artefact, **said}, recorder=recorder, statement=statement)
    if claims.grantor == "civil_affairs_guardian":
        raise Denied("guardian_two_approvers")
    return claims


def views(claims: ConsentClaims, exchange: Exchange) -> tuple[str, ...]:
    """What the page may say of the child's own view, beside agreeing; one word means that nothing is asked."""
    if claims.grantor == "child":
        return ("granted",)
    if not claims.age_band.view_recorded:
        return ("not_asked",)
    if claims.age_band.child_consents:
        return ("not_asked", "objects")
    return ("granted", "objects") if exchange.level is Level.L5 else ("granted", "objects", "not_asked")


def hand_over(
    caller: Caller,
    child: Child,
    claims: ConsentClaims,
    exchange: Exchange,
    *,
    code_digest: str,
    ends: datetime,
    now: datetime,
    refer: Refer,
) -> Change:
    """Make a link. ends: when the officer's signature on the offer ends, if before the link's own term. Raises what `artefact.require_lawful` raises, Denied(consent_recorder), and in the effect
    Denied(guardian_revoked | consent_asked_again | consent_replayed).
    """
    if claims.recorder.party != caller.party:
        raise Denied("consent_recorder")
    if caller.officer is None:
        raise Denied("officer_missing")
    require_lawful(claims, exchange, now)
    row = {
        "code_digest": code_digest,
        "link_id": new_id("ln"),
        "child": child.key,
        "exchange": exchange.id,
        "party": caller.party.text,
        "client": caller.client.client_id,
        "officer": caller.officer.person_id,
        "function": caller.officer.function,
        "statement": claims.statement,
        "statement_digest": statement_digest(claims.statement),
        "opened": micros(now),
        "ends": micros(min(ends, now + TERM)),
        "state": LINK_START,
        "answered": None,
        "consent": "",
    }
    link_id = str(row["link_id"])
    references = references_for("link", link_id, {caller.party.department}, refer)

    async def effect(writing: Writing) -> None:
        if await revoked_guardian(writing, child.key, claims.guardian):
            raise Denied("guardian_revoked")
        if await refusal_until(writing, child.key, exchange.id, sorted(claims.recipients), micros(now)):
            raise Denied("consent_asked_again")
        if not await add_link(writing, row):
            raise Denied("consent_replayed")
        await add_references(writing, references)

    detail: dict[str, DetailValue] = {
        "link": link_id,
        "recipients": sorted(map(str, claims.recipients)),
        "fields": sorted(claims.fields),
        "ends": claims.ends.isoformat(),
        "statement": claims.statement,
    }
    return Change(_draft(EntryKind.CONSENT_ASKED, caller, child, exchange, detail), effect, link_id)


def require_open(link: LinkFound | None, now: datetime) -> LinkFound:
    """A link that can still be answered. Raises NotAuthenticated(link_unknown | link_used | link_cancelled | link_ended): a code that
    opens nothing authenticates nobody.
    """
    if link is None:
        raise NotAuthenticated("link_unknown")
    if link.state == "cancelled":
        raise NotAuthenticated("link_cancelled")
    if link.state != LINK_START:
        raise NotAuthenticated("link_used")
    if link.ends <= micros(now):
        raise NotAuthenticated("link_ended")
    return link


def evidence(link: LinkFound, *, notice: str, language: str, child_grant: str, now: datetime) -> dict[str, str]:
    """The record of an agreement; its `digest` goes into the artefact."""
    return {
        "offer": statement_digest(link.statement),
        "notice": notice,
        "language": language,
        "answer": "agree",
        "child_grant": child_grant,
        "answered": str(micros(now)),
    }


def agree(
    link: LinkFound,
    caller: Caller,
    child: Child,
    claims: ConsentClaims,
    exchange: Exchange,
    *,
    evidenced: Mapping[str, str],
    now: datetime,
    days: WorkingDays,
    refer: Refer,
) -> Change:
    """Guardian or child agrees: the link is used up and the consent given, or neither.

    Raises what `book.give` raises, Denied(child_view_missing), and in the effect NotAuthenticated(link_used).
    """
    if claims.child_grant not in views(claims, exchange):
        raise Denied("child_view_missing")
    if claims.evidence_digest != digest(dict(evidenced)):
        raise BadRequest("consent_form")
    given = book.give(caller, child, claims, exchange, now=now, days=days, refer=refer)

    async def effect(writing: Writing) -> EntryDraft | None:
        await _use_up(writing, link, "agree", now, consent=given.record_id)
        return await given.effect(writing)

    detail = {**given.draft.detail, "link": link.link_id, "answer": dict(evidenced)}
    return Change(replace(given.draft, detail=detail), effect, given.record_id)


def refuse(
    link: LinkFound, caller: Caller, child: Child, claims: ConsentClaims, exchange: Exchange, *, now: datetime
) -> Change:
    """Guardian or child says no: the link is used up, and the same is not asked for 90 days."""
    refused = book.refuse(caller, child, exchange, claims.recipients, now=now)

    async def effect(writing: Writing) -> EntryDraft | None:
        await _use_up(writing, link, "refuse", now)
        return await refused.effect(writing)

    return Change(replace(refused.draft, detail={**refused.draft.detail, "link": link.link_id}), effect, "")


def cancel(caller: Caller, link: LinkFound, child: Child, exchange: Exchange, *, now: datetime) -> Change:
    """The party takes an unanswered link back. Raises Denied(link_party), in the effect NotAuthenticated(link_used)."""
    if link.party != caller.party.text:
        raise Denied("link_party")

    async def effect(writing: Writing) -> None:
        await _use_up(writing, link, "cancel", now)

    detail: dict[str, DetailValue] = {"link": link.link_id, "state": LINK_ARROWS[LINK_START]["cancel"]}
    return Change(_draft(EntryKind.CONSENT_ASKED, caller, child, exchange, detail), effect, link.link_id)


async def _use_up(writing: Writing, link: LinkFound, event: str, now: datetime, *, consent: str = "") -> None:
    state = LINK_ARROWS[LINK_START][event]
    if not await settle_link(writing, link.link_id, before=LINK_START, state=state, at=micros(now), consent=consent):
        raise NotAuthenticated("link_used")


def _draft(
    kind: EntryKind, caller: Caller, child: Child, exchange: Exchange, detail: dict[str, DetailValue]
) -> EntryDraft:
    return EntryDraft(
        kind=kind,
        outcome=Outcome.DONE,
        exchange=exchange.id,
        purpose=exchange.purpose,
        requester=caller.party.department,
        children=(child.key,),
        actors=actors_of(caller),
        detail=detail,
    )
