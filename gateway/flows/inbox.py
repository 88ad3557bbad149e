"""Step (7) of a delivery: the recipient takes its envelopes, and says that it holds them.

Rules kept here: each hand-out checks basis, policy and kill switch again in the transaction that writes its `delivered`
entry; where they fail the envelope is destroyed and a `recalled` entry written instead; an envelope not acknowledged in
time is handed out again (at least once), an acknowledged one is destroyed at once; a release by delivery counts here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.consent.uses import access_row
from gateway.domain.basis import Ask
from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.parties import Caller, Officer
from gateway.domain.permits import Permit
from gateway.domain.subjects import Child, NoChild, Recognised
from gateway.domain.vocabulary import Action, Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault
from gateway.flows.account import Account, recorded
from gateway.flows.decide import party_named, permit_both_ends
from gateway.flows.deliver import own_pseudonym
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import AcknowledgeRequest, InboxRequest, SignedRequest
from gateway.release.labels import labels
from gateway.store.basis import AccessRow, remember_accesses
from gateway.store.database import Reading, Writing
from gateway.store.exchanges import Delivery, claim, finish, get_delivery, overdue, sent_by, waiting
from gateway.store.proof_claims import PROOF_MEMORY, consume_proof

HELD_FOR = 60  # seconds that a taker has to acknowledge before the envelope is handed out again
WAIT_AT_MOST = 25
POLL = 1.0  # seconds; another worker's hand-in is seen within this


@dataclass(frozen=True, slots=True)
class HandedOut:
    """One envelope that left, with its receipt."""

    delivery: Delivery
    labels: dict[str, str]
    receipt: Receipt


async def take(house: House, signed: SignedRequest, read: Callable[[bytes], InboxRequest]) -> bytes:
    """Up to `limit` envelopes for the caller's party, waiting up to `wait` seconds for the first."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    caller = authenticated.caller
    account = Account(EntryKind.DELIVERED, caller, authenticated.proof_id)
    async with recorded(house.log, account):
        request = read(signed.body)
        if not 0 <= request.wait <= WAIT_AT_MOST or not 1 <= request.limit <= 100:
            raise BadRequest("inbox_limits")
    # The proof is spent before anything is handed out, so that a replay takes nothing.
    await spend_proof(house, authenticated.proof_id)
    deadline = asyncio.get_running_loop().time() + request.wait
    while True:
        handed = await hand_out_waiting(house, caller, request.limit)
        left = deadline - asyncio.get_running_loop().time()
        if handed or left <= 0:
            return write_inbox(house, handed)
        await house.sleep_until_woken(caller.party.text, min(left, POLL))


async def spend_proof(house: House, proof_id: str) -> None:
    """Claim a proof for a request that writes no entry of its own."""
    async with house.database.write() as writing:
        await consume_proof(writing, proof_id, int(house.clock.now().timestamp()) + PROOF_MEMORY)


async def hand_out_waiting(house: House, caller: Caller, limit: int) -> list[HandedOut]:
    """Hand out what waits for the caller's party; recalls on the way what may no longer go."""
    async with house.database.read() as reading:
        rows = await waiting(reading, caller.party.text, int(house.clock.now().timestamp()), limit)
    handed = []
    for row in rows:
        out = await hand_out(house, caller, row)
        if out is not None:
            handed.append(out)
    return handed


async def hand_out(house: House, caller: Caller, row: Delivery) -> HandedOut | None:
    """One envelope: `delivered` and it leaves, or `recalled` and it is destroyed, in one transaction with the entry."""
    exchange = house.catalogue.exchanges[row.exchange]
    facts = json.loads(row.facts)
    account = Account(EntryKind.DELIVERED, caller, "", exchange=row.exchange, door=Door(row.door), purpose=row.purpose)
    account.provider = Department(row.sender.partition("/")[2])
    account.children = tuple(dict.fromkeys(bytes.fromhex(child) for child in facts["children"].values()))
    account.references.update({"delivery": row.delivery_id, "fields": facts["fields"]})
    account.policy_version = house.book.version
    recall = ""
    permits: list[Permit] = []

    async def within(writing: Writing) -> EntryDraft | None:
        nonlocal recall
        now = int(house.clock.now().timestamp())
        if not await claim(writing, row.delivery_id, now, now + HELD_FOR):
            raise Denied("taken_already")
        try:
            permits[:] = await still_allowed(house, row, facts, writing)
        except GatewayError as error:
            recall = error.code
            await finish(writing, row.delivery_id, "recalled", expected=("delivered",))
            return account.draft(Outcome.DENIED, code=recall, kind=EntryKind.RECALLED)
        await remember_accesses(writing, lines_for_guardians(house, permits, account))
        return None

    body = canonical({"delivery": row.delivery_id, "envelope": json.loads(row.envelope or b"{}")})
    try:
        receipt = await house.log.append(account.draft(Outcome.RELEASED, answer=body), effect=within)
    except Denied as error:
        if error.code == "taken_already":
            return None  # another taker of the same party was faster; nothing was written
        raise
    if recall:
        return None
    permit = min(permits, key=lambda permit: permit.until)
    return HandedOut(row, dict(labels(exchange, row.purpose, permit.until, permit.grants)), receipt)


def lines_for_guardians(house: House, permits: list[Permit], account: Account) -> list[AccessRow]:
    """A release by delivery counts at hand-out: one line per child, none through the protective door."""
    assert account.provider is not None
    rows = [
        access_row(
            permit.basis.recognised,
            permit.basis.ask,
            provider=account.provider,
            outcome=Outcome.RELEASED,
            fields=sorted(permit.grants),
            now=house.clock.now(),
        )
        for permit in permits
    ]
    return [row for row in rows if row is not None]


async def still_allowed(house: House, row: Delivery, facts: dict[str, Any], reading: Reading) -> list[Permit]:
    """Basis and policy once more for every child, as if the sender handed in now."""
    if house.clock.now().timestamp() >= row.expires_at:
        raise Denied("expired")
    house.registry.require_running(row.exchange, row.sender_client)
    client = house.registry.client(row.sender_client)
    officer = Officer(facts["officer"], client.party, facts["function"], thumbprint="") if facts["officer"] else None
    sender = Caller(
        client=client,
        officer=officer,
        region=client.region,
        body_digest=b"",
        evidence=(),
        request_id=row.delivery_id,
    )
    exchange = house.catalogue.exchanges[row.exchange]
    subjects: list[Child | NoChild] = [
        Child(own_pseudonym(house, bytes.fromhex(child))) for child in facts["children"].values()
    ]
    permits: list[Permit] = []
    for subject in subjects or [NoChild()]:
        ask = Ask(
            exchange=exchange,
            purpose=row.purpose,
            door=Door(row.door),
            action=Action.SUBMIT,
            recipient=party_named(house, row.recipient),
            fields=tuple(exchange.fields),
            case_id=facts["case"] or None,
            reason=facts["reason"] or None,
            region=sender.region,
        )
        basis = await house.basis.find(Recognised(sender, subject), ask, reading, again=True)
        permit = permit_both_ends(house, basis)
        if set(facts["fields"]) - set(permit.grants):
            raise Denied("permit_narrowed")
        permits.append(permit)
    return permits


def write_inbox(house: House, handed: list[HandedOut]) -> bytes:
    """The answer to `take`."""
    out = [
        {
            "delivery": item.delivery.delivery_id,
            "purpose": item.delivery.purpose,
            "door": item.delivery.door,
            "labels": item.labels,
            "envelope": json.loads(item.delivery.envelope or b"{}"),
            "receipt": {"origin": item.receipt.origin, "index": item.receipt.index, "size": item.receipt.size},
            "sender_key": sender_jwk(house, item.delivery),
        }
        for item in handed
    ]
    return canonical({"envelopes": out})


def sender_jwk(house: House, row: Delivery) -> dict[str, str]:
    """The key that signed the envelope, retired since or not: what was signed stays signed."""
    envelope = json.loads(row.envelope or b"{}")
    key = house.registry.find_sender_key(envelope["lines"][0]["seal"]["sender_kid"])
    if key is None:
        raise GatewayFault("internal")
    return key.jwk


# --- acknowledging -----------------------------------------------------------------------------------------------------


async def acknowledge(house: House, signed: SignedRequest, read: Callable[[bytes], AcknowledgeRequest]) -> Answer:
    """The recipient holds the envelope (`stored`) or cannot take it (`rejected`); either way ours is destroyed."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
        caller = authenticated.caller
        account = Account(EntryKind.ACKNOWLEDGED, caller, authenticated.proof_id)
        async with recorded(house.log, account):
            request = read(signed.body)
            row = await get_delivery(reading, request.delivery)
            if row is None or row.recipient != caller.party.text:
                raise Denied("delivery_unknown")
            facts = json.loads(row.facts)
            account.exchange, account.door, account.purpose = row.exchange, Door(row.door), row.purpose
            account.provider = Department(row.sender.partition("/")[2])
            account.children = tuple(dict.fromkeys(bytes.fromhex(child) for child in facts["children"].values()))
            account.references.update({"delivery": row.delivery_id, "status": request.status})
    final = {"stored": "acknowledged", "rejected": "rejected"}[request.status]
    body = canonical({"delivery": row.delivery_id, "status": final})

    async def close(writing: Writing) -> None:
        if not await finish(writing, row.delivery_id, final, expected=("delivered",)):
            current = await get_delivery(writing, row.delivery_id)
            if current is None or current.state != final:
                raise Denied("delivery_state")

    async with recorded(house.log, account):
        receipt = await house.log.append(
            account.draft(Outcome.DONE, code=request.code, answer=body), effect=close, proof_id=account.proof_id
        )
    return Answer(body, receipt)


async def deliveries_of(house: House, signed: SignedRequest) -> bytes:
    """What became of the caller's latest deliveries: waiting, delivered, acknowledged, rejected, recalled, expired."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
        rows = await sent_by(reading, authenticated.caller.client.client_id, 200)
    await spend_proof(house, authenticated.proof_id)
    return canonical(
        {
            "deliveries": [
                {"delivery": row.delivery_id, "exchange": row.exchange, "state": row.state, "recipient": row.recipient}
                for row in rows
            ]
        }
    )


async def expire(house: House, system: Caller) -> int:
    """Destroy envelopes past their 72 hours, an entry each. Returns how many."""
    async with house.database.read() as reading:
        rows = await overdue(reading, int(house.clock.now().timestamp()), 500)
    for row in rows:
        facts = json.loads(row.facts)
        account = Account(
            EntryKind.EXPIRED, system, "", exchange=row.exchange, door=Door(row.door), purpose=row.purpose
        )
        account.children = tuple(dict.fromkeys(bytes.fromhex(child) for child in facts["children"].values()))
        account.references["delivery"] = row.delivery_id

        async def destroy(writing: Writing, delivery_id: str = row.delivery_id) -> None:
            await finish(writing, delivery_id, "expired", expected=("waiting", "delivered"))

        await house.log.append(account.draft(Outcome.DONE), effect=destroy)
    return len(rows)
