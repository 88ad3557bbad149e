"""一次性链接: handing one over (officer), reading and answering it (guardian), taking it back.

Rules kept here: the code opens exactly one offer and nothing else of the child; until it opens one nothing is recorded per request and the
minute's roll-up counts it; what is answered is recorded as the handing party's, with the officer's signed offer and the evidence; an
answer to words that have changed since they were shown is not taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.consent import links
from gateway.consent.artefact import ConsentClaims
from gateway.consent.changes import Change, digest
from gateway.consent.notice_text import Notice, notice
from gateway.consent.states import LINK_START
from gateway.domain.entries import Receipt
from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account, recorded
from gateway.flows.calendar_days import DAYS
from gateway.flows.cases import own_reference
from gateway.flows.change import Made, change, change_of_child
from gateway.flows.deliver import own_pseudonym
from gateway.flows.desk import listed, task, when
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import ConsentRequest, SignedRequest
from gateway.identity.approvals import verify_consent
from gateway.identity.one_time_codes import caller_behind, code_digest, new_code
from gateway.store.basis import micros, record_of
from gateway.store.consent_links import LinkFound, link_by_code, link_by_id, links_of
from gateway.store.database import Reading
from gateway.store.exchanges import resolve_alias

PAGE = "/guardian/"


# --- the officer's side ---------------------------------------------------------------------------------------------------


async def hand_over(house: House, signed: SignedRequest, read: Callable[[bytes], ConsentRequest]) -> Answer:
    """Make a link. The answer holds its code, once; it stands behind `#`, which no browser sends to anybody."""

    async def make(caller: Caller, child: Child, request: ConsentRequest, _reading: Reading) -> Made:
        now = house.clock.now()
        claims, exchange, signed_until = _offered(house, request.statement)
        ends, code = min(signed_until, now + links.TERM), new_code()
        made = links.hand_over(
            caller,
            child,
            claims,
            exchange,
            code_digest=code_digest(code),
            ends=ends,
            now=now,
            refer=house.ring_refer,
        )
        answer = {
            "link": own_reference(house, caller, "link", made.record_id),
            "code": code,
            "address": f"{house.guardian_address or house.issuer + PAGE}#{code}",
            "ends": ends.astimezone(UTC).isoformat(timespec="seconds"),
        }
        return Made(made, answer)

    return await change_of_child(house, signed, read, make, kind=EntryKind.CONSENT_ASKED)


async def handed_over(house: House, signed: SignedRequest) -> bytes:
    """Links of the caller's party and what became of them, newest first."""
    now = micros(house.clock.now())

    def show(caller: Caller, link: LinkFound) -> dict[str, Any]:
        ended = link.state == LINK_START and link.ends <= now
        shown = task(house, caller, "link", link.link_id, link.child, link.exchange)
        shown |= {"state": "ended" if ended else link.state, "ends": when(link.ends)}
        if link.consent:
            shown["consent"] = own_reference(house, caller, "consent", link.consent)
        return shown

    return await listed(house, signed, "links", links_of, show)


async def cancel(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """Take a link back that nobody has answered."""

    async def make(caller: Caller, reference: str, reading: Reading) -> Made:
        link_id = await record_of(reading, "link", reference, str(caller.party.department))
        found = await link_by_id(reading, link_id) if link_id else None
        # Another party of the same department hears the same as of a link that does not exist.
        if found is None or found.party != caller.party.text or found.state != LINK_START:
            raise Denied("link_state")
        child = Child(own_pseudonym(house, found.child))
        made = links.cancel(caller, found, child, house.catalogue.exchanges[found.exchange], now=house.clock.now())
        return Made(made, {"link": reference, "state": "cancelled"})

    return await change(house, signed, read, make, kind=EntryKind.CONSENT_ASKED)


# --- the guardian's side --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """What a code opens: the words to read, and what may be said of the child's own view."""

    notice: Notice
    views: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the form says. notice: digest of the words that were shown, in this language. view: the child's, "" where it was not
    asked.
    """

    code: str = field(repr=False)
    notice: str
    agrees: bool
    view: str = ""
    language: str = "zh"


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended: `given`, `held` (a human looks at the child's objection first) or `refused`; and the entry that says so."""

    state: str
    receipt: Receipt


async def open_link(house: House, code: str, language: str = "zh") -> Opened:
    """The offer behind a code, in `zh` or `en`. Raises NotAuthenticated with the codes of `links.require_open`, and what its statement no longer
    holds.
    """
    async with house.database.read() as reading:
        link, caller = await _opened(house, code, reading)
        claims, exchange, _ = _offered(house, link.statement)
    return Opened(_notice(house, caller, claims, exchange, language), links.views(claims, exchange))


async def answer(house: House, reply: Reply) -> Done:
    """Record an answer. Raises what `open_link` raises, Denied(notice_changed), what `links.agree` and `links.refuse` raise."""
    async with house.database.read() as reading:
        link, caller = await _opened(house, reply.code, reading)
        kind = EntryKind.CONSENT_GIVEN if reply.agrees else EntryKind.CONSENT_REFUSED
        account = Account(kind, caller, "", references={"link": link.link_id})
        async with recorded(house.log, account):
            child = Child(own_pseudonym(house, await resolve_alias(reading, link.child)))
            account.children = (child.key,)
            made = _answered(house, link, caller, child, reply)
            account.adopt(made.draft)
    async with recorded(house.log, account):
        receipt = await house.log.append(account.draft(Outcome.DONE), effect=made.effect)
    return Done(str(made.draft.detail.get("state", "refused")), receipt)


def _answered(house: House, link: LinkFound, caller: Caller, child: Child, reply: Reply) -> Change:
    now = house.clock.now()
    claims, exchange, _ = _offered(house, link.statement)
    shown = _notice(house, caller, claims, exchange, reply.language)
    if reply.notice != shown.digest:
        raise Denied("notice_changed")
    if not reply.agrees:
        return links.refuse(link, caller, child, claims, exchange, now=now)
    allowed = links.views(claims, exchange)
    view = allowed[0] if len(allowed) == 1 else reply.view
    if view not in allowed:
        raise Denied("child_view_missing")
    evidenced = links.evidence(link, notice=shown.digest, language=shown.language, child_grant=view, now=now)
    claims, exchange, _ = _offered(house, link.statement, child_grant=view, evidence_digest=digest(evidenced))
    return links.agree(
        link,
        caller,
        child,
        claims,
        exchange,
        evidenced=evidenced,
        now=now,
        days=DAYS,
        refer=house.ring_refer,
    )


async def _opened(house: House, code: str, reading: Reading) -> tuple[LinkFound, Caller]:
    link = links.require_open(await link_by_code(reading, code_digest(code)), house.clock.now())
    snapshot = await house.registry.refresh(reading)
    behind = caller_behind(link.client, link.officer, link.function, snapshot=snapshot, request_id=link.link_id)
    return link, behind


def _offered(house: House, statement: str, **answered: str) -> tuple[ConsentClaims, Exchange, datetime]:
    """The officer's offer, its signature and term checked now, with the answer where there is one; and when the signature ends."""
    now = house.clock.now()
    verified = verify_consent(statement, snapshot=house.registry.current, now=int(now.timestamp()))
    claims = links.read_offer(verified.artefact, recorder=verified.recorder, statement=statement, now=now, **answered)
    exchange = house.catalogue.exchanges.get(claims.exchange)
    if exchange is None:
        raise BadRequest("exchange_unknown")
    return claims, exchange, datetime.fromtimestamp(verified.expires, UTC)


def _notice(house: House, caller: Caller, claims: ConsentClaims, exchange: Exchange, language: str) -> Notice:
    organisation = house.registry.current.organisations[caller.party.organisation]
    catalogue = house.catalogue
    purposes = catalogue.purposes if language == "zh" else catalogue.purposes_in_english
    return notice(claims, exchange, purposes=purposes, asked_by=organisation.name, language=language)
