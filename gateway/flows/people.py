"""Enrolling a person's key: by the statement that the department's people administrator signed, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest
from gateway.identity.enrolment import enrol_person
from gateway.store.database import Writing


async def enrol(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """Carry a statement in. Who carries it is recorded and decides nothing: a client key enrols nobody."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    account = Account(EntryKind.PERSON_ENROLLED, authenticated.caller, authenticated.proof_id)
    async with recorded(house.log, account):
        statement = read(signed.body)
        now = int(house.clock.now().timestamp())
        told, effect = enrol_person(statement, snapshot=house.registry.current, now=now)
        account.references.update(told.detail)
        body = canonical({"person": str(told.detail["person"]), "key": str(told.detail["key"])})

        async def keep(writing: Writing) -> EntryDraft | None:
            return await effect(writing)

        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=keep, proof_id=authenticated.proof_id
        )
    house.registry.forget()
    return Answer(body, receipt)
