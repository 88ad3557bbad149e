"""同意 and 撤回: recording what guardian and child said, as the officer who heard it signed it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.consent import book as consent_book
from gateway.consent.artefact import read_artefact
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest, Denied
from gateway.flows.calendar_days import DAYS
from gateway.flows.cases import own_reference
from gateway.flows.change import Made, change
from gateway.flows.deliver import own_pseudonym
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.recognise import recognise
from gateway.flows.requests import ConsentRequest, SignedRequest, WithdrawalRequest
from gateway.identity.approvals import verify_consent
from gateway.store.basis import record_of
from gateway.store.basis_lists import consent_of
from gateway.store.database import Reading


async def give(house: House, signed: SignedRequest, read: Callable[[bytes], ConsentRequest]) -> Answer:
    """Record a consent. The answer holds the caller's reference, by which it can be withdrawn."""

    async def make(caller: Caller, request: ConsentRequest, reading: Reading) -> Made:
        now = house.clock.now()
        recognised = await recognise(house.ring, caller, None, request.subject, reading)
        assert isinstance(recognised.subject, Child)
        verified = verify_consent(request.statement, snapshot=house.registry.current, now=int(now.timestamp()))
        claims = read_artefact(verified.artefact, recorder=verified.recorder, statement=request.statement)
        exchange = house.catalogue.exchanges.get(claims.exchange)
        if exchange is None:
            raise BadRequest("exchange_unknown")
        given = consent_book.give(
            caller, recognised.subject, claims, exchange, now=now, days=DAYS, refer=house.ring_refer
        )
        return Made(
            given,
            {
                "consent": own_reference(house, caller, "consent", given.record_id),
                "state": str(given.draft.detail["state"]),
            },
        )

    return await change(house, signed, read, make, kind=EntryKind.CONSENT_GIVEN)


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
