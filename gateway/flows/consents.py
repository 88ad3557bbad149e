"""同意 and 撤回: recording what guardian and child said, as the officer who heard it signed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.consent import book as consent_book
from gateway.consent.approvals import ApprovalClaims
from gateway.consent.artefact import read_artefact
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import Department, EntryKind
from gateway.errors import BadRequest, Denied
from gateway.flows.calendar_days import DAYS
from gateway.flows.cases import own_reference
from gateway.flows.change import Made, change, change_of_child
from gateway.flows.deliver import own_pseudonym
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import ConsentRequest, SignedRequest, SubjectRequest, WithdrawalRequest
from gateway.identity.approvals import verify_approval, verify_consent
from gateway.store.basis import record_of
from gateway.store.basis_lists import consent_of
from gateway.store.database import Reading


@dataclass(frozen=True, slots=True)
class RefusalRequest:
    """`POST /v1/consents/refuse`: guardian or child said no."""

    subject: SubjectRequest
    exchange: str
    recipients: frozenset[Department]


@dataclass(frozen=True, slots=True)
class GuardianRequest:
    """`POST /v1/guardians/revoke`. guardian: the opaque word under which the consents name him."""

    subject: SubjectRequest
    guardian: str


async def give(house: House, signed: SignedRequest, read: Callable[[bytes], ConsentRequest]) -> Answer:
    """Record a consent. The answer holds the caller's reference, by which it can be withdrawn."""

    async def make(caller: Caller, child: Child, request: ConsentRequest, _reading: Reading) -> Made:
        now = house.clock.now()
        verified = verify_consent(request.statement, snapshot=house.registry.current, now=int(now.timestamp()))
        claims = read_artefact(verified.artefact, recorder=verified.recorder, statement=request.statement)
        exchange = house.catalogue.exchanges.get(claims.exchange)
        if exchange is None:
            raise BadRequest("exchange_unknown")
        given = consent_book.give(
            caller,
            child,
            claims,
            exchange,
            now=now,
            days=DAYS,
            refer=house.ring_refer,
            approvals=[_signed(house, text) for text in request.approvals],
        )
        return Made(
            given,
            {
                "consent": own_reference(house, caller, "consent", given.record_id),
                "state": str(given.draft.detail["state"]),
            },
        )

    return await change_of_child(house, signed, read, make, kind=EntryKind.CONSENT_GIVEN)


async def withdraw(house: House, signed: SignedRequest, read: Callable[[bytes], WithdrawalRequest]) -> Answer:
    """Withdraw a consent: it holds from the commit of this entry, for every worker."""

    async def make(caller: Caller, request: WithdrawalRequest, reading: Reading) -> Made:
        consent_id = await record_of(reading, "consent", request.consent, str(caller.party.department))
        found = await consent_of(reading, consent_id) if consent_id else None
        if found is None:
            raise Denied("consent_none")
        child, exchange = found
        withdrawn = consent_book.withdraw(
            caller,
            Child(own_pseudonym(house, child)),
            house.catalogue.exchanges[exchange],
            now=house.clock.now(),
            days=DAYS,
            consent_id=consent_id,
        )
        return Made(withdrawn, {"consent": request.consent, "state": "withdrawn"})

    return await change(house, signed, read, make, kind=EntryKind.CONSENT_WITHDRAWN)


async def refuse(house: House, signed: SignedRequest, read: Callable[[bytes], RefusalRequest]) -> Answer:
    """Record a refusal: nobody asks for the same for 90 days, and nothing that needs no consent changes."""

    async def make(caller: Caller, child: Child, request: RefusalRequest, _reading: Reading) -> Made:
        exchange = house.catalogue.exchanges.get(request.exchange)
        if exchange is None:
            raise BadRequest("exchange_unknown")
        refused = consent_book.refuse(caller, child, exchange, request.recipients, now=house.clock.now())
        return Made(refused, {"exchange": exchange.id, "state": "refused"})

    return await change_of_child(house, signed, read, make, kind=EntryKind.CONSENT_REFUSED)


async def revoke_guardian(house: House, signed: SignedRequest, read: Callable[[bytes], GuardianRequest]) -> Answer:
    """A guardian's authority ended. Civil affairs alone records it, on a court's order (民法典 36, 未保法 94, 108)."""

    async def make(caller: Caller, child: Child, request: GuardianRequest, _reading: Reading) -> Made:
        if caller.party.department is not Department.CIVIL_AFFAIRS:
            raise Denied("guardian_authority")
        revoked = consent_book.revoke_guardian(caller, child, request.guardian, now=house.clock.now())
        return Made(revoked, {"state": "revoked"})

    return await change_of_child(house, signed, read, make, kind=EntryKind.CONSENT_WITHDRAWN)


def _signed(house: House, text: str) -> ApprovalClaims:
    """An approver's word, its signature verified now; what it is about, and whether it counts, the consent book decides."""
    verified = verify_approval(text, snapshot=house.registry.current, now=int(house.clock.now().timestamp()))
    return ApprovalClaims(verified.approver, verified.subject, verified.digest, text)
