"""Step (7) of a delivery: the recipient takes its envelopes.

Rules kept here: each hand-out checks basis, policy and kill switch again in the transaction that writes its `delivered`
entry; where they fail the envelope is destroyed and a `recalled` entry written instead; an envelope not acknowledged in
time is handed out again (at least once); a release by delivery counts here.
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
from gateway.flows.account import Account, is_outage, recorded
from gateway.flows.decide import party_named, permit_both_ends
from gateway.flows.deliver import own_pseudonym
from gateway.flows.house import House
from gateway.flows.registration import read_party
from gateway.flows.requests import InboxRequest, SignedRequest
from gateway.flows.sighted import is_sighted, refuse_sighted
from gateway.release.labels import labels
from gateway.release.obligation_text import parse as parse_obligation
from gateway.store.basis import AccessRow, remember_accesses
from gateway.store.database import Reading, Writing
from gateway.store.exchanges import Delivery, claim, finish, resolve_alias, waiting
from gateway.store.proof_claims import PROOF_MEMORY, consume_proof
from policies.obligations import combine

HELD_FOR = 60  # seconds that a taker has to acknowledge before the envelope is handed out again
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
        # The proof is spent before anything is handed out, so that a replay takes nothing.
        await spend_proof(house, account.proof_id)
        account.proof_id = ""
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
        await house.registry.refresh(reading)
        require_let_in(house, caller.client.client_id)
        rows = await waiting(reading, caller.party.text, int(house.clock.now().timestamp()), limit)
    handed: list[HandedOut] = []
    for row in rows:
        try:
            out = await hand_out(house, caller, row)
        except Exception:
            if not handed:
                raise
            break  # what has its entry leaves; the rest waits
        if out is not None:
            handed.append(out)
    return handed


def require_let_in(house: House, client_id: str) -> None:
    """A client that was stopped or disabled since (a long poll lasts, an envelope waits). `Denied("client_disabled")`."""
    house.registry.require_running("", client_id)
    if not house.registry.client(client_id).enabled:
        raise Denied("client_disabled")


async def hand_out(house: House, caller: Caller, row: Delivery) -> HandedOut | None:
    """One envelope: `delivered` and it leaves, or `recalled` and it is destroyed, in one transaction with the entry.

    Where we ourselves fail, the envelope stays, held back for the time of a claim, so that it stops nobody else's.
    """
    facts = json.loads(row.facts)
    account = Account(EntryKind.DELIVERED, caller, "", exchange=row.exchange, door=Door(row.door), purpose=row.purpose)
    account.provider = Department(row.sender.partition("/")[2])
    account.children = tuple(dict.fromkeys(bytes.fromhex(child) for child in facts["children"].values()))
    account.references.update({"delivery": row.delivery_id, "fields": facts["fields"]})
    account.policy_version = house.book.version
    account.sighted = is_sighted(house, read_party(row.sender), caller.party)
    permits: list[Permit] = []

    async def within(writing: Writing) -> EntryDraft | None:
        permits.clear()
        now = int(house.clock.now().timestamp())
        if not await claim(writing, row.delivery_id, now, now + HELD_FOR):
            raise Denied("taken_already")
        try:
            found = await still_allowed(house, row, facts, writing)
        except (Denied, BadRequest) as refusal:
            await finish(writing, row.delivery_id, "recalled", expected=("delivered",))
            return account.draft(Outcome.DENIED, code=refusal.code, kind=EntryKind.RECALLED)
        except Exception as error:
            if is_outage(error):
                raise
            account.references["internal"] = type(error).__name__
            code = error.code if isinstance(error, GatewayError) else "internal"
            return account.draft(Outcome.FAULT, code=code)
        await remember_accesses(writing, lines_for_guardians(house, found, facts, account))
        permits.extend(found.values())
        return None

    body = canonical({"delivery": row.delivery_id, "envelope": json.loads(row.envelope or b"{}")})
    try:
        receipt = await house.log.append(account.draft(Outcome.RELEASED, answer=body), effect=within)
    except Denied as error:
        if error.code == "taken_already":
            return None  # another taker of the same party was faster; nothing was written
        raise
    if not permits:
        return None
    permit = min(permits, key=lambda permit: permit.until)
    exchange = permit.basis.ask.exchange
    return HandedOut(row, dict(labels(exchange, row.purpose, permit.until, permit.grants)), receipt)


def lines_for_guardians(
    house: House, permits: dict[str, Permit], facts: dict[str, Any], account: Account
) -> list[AccessRow]:
    """A release by delivery counts at hand-out: one line per child with what its line carries, none through the
    protective door.
    """
    assert account.provider is not None
    rows = [
        access_row(
            permit.basis.recognised,
            permit.basis.ask,
            provider=account.provider,
            outcome=Outcome.RELEASED,
            fields=sorted(facts["agreed"][number]["grants"]),
            now=house.clock.now(),
        )
        for number, permit in permits.items()
    ]
    return [row for row in rows if row is not None]


async def still_allowed(house: House, row: Delivery, facts: dict[str, Any], reading: Reading) -> dict[str, Permit]:
    """Switches, basis and policy once more for every line, as if the sender handed in now.

    Raises what a hand-in raises, `Denied("expired")`, and `Denied("permit_narrowed")` where a line carries a field that may
    no longer go, not in this form or not from these regions.
    """
    if house.clock.now().timestamp() >= row.expires_at:
        raise Denied("expired")
    # A switch thrown by another worker a moment ago counts as well.
    house.registry.forget()
    await house.registry.refresh(reading)
    house.registry.require_running(row.exchange, row.sender_client)
    require_let_in(house, row.sender_client)
    exchange = house.catalogue.exchanges.get(row.exchange)
    if exchange is None:
        raise BadRequest("exchange_unknown")
    sender, recipient = sender_of(house, row, facts), party_named(house, row.recipient)
    refuse_sighted(house, exchange, sighted=is_sighted(house, sender.party, recipient))
    ask = Ask(
        exchange=exchange,
        purpose=row.purpose,
        door=Door(row.door),
        action=Action.SUBMIT,
        recipient=recipient,
        fields=tuple(exchange.fields),
        case_id=facts["case"] or None,
        reason=facts["reason"] or None,
        region=sender.region,
    )
    permits: dict[str, Permit] = {}
    for number, agreed in facts["agreed"].items():
        subject = await subject_now(house, facts["children"].get(number), reading)
        basis = await house.basis.find(Recognised(sender, subject), ask, reading, again=True)
        permits[number] = permit_both_ends(house, basis)
        if narrowed(agreed, permits[number]):
            raise Denied("permit_narrowed")
    return permits


def sender_of(house: House, row: Delivery, facts: dict[str, Any]) -> Caller:
    """The sender as it handed in: its client, and the officer in the function of that time."""
    client = house.registry.client(row.sender_client)
    officer = Officer(facts["officer"], client.party, facts["function"], thumbprint="") if facts["officer"] else None
    return Caller(
        client=client,
        officer=officer,
        region=client.region,
        body_digest=b"",
        evidence=(),
        request_id=row.delivery_id,
    )


async def subject_now(house: House, child: str | None, reading: Reading) -> Child | NoChild:
    """Whom a line is about today: a child may have got its own number since, and what is recorded stands under that."""
    if child is None:
        return NoChild()
    return Child(own_pseudonym(house, await resolve_alias(reading, bytes.fromhex(child))))


def narrowed(agreed: dict[str, Any], permit: Permit) -> bool:
    """Whether a line that went in under `agreed` could not go in like this any more."""
    if sorted(permit.regions) != agreed["regions"]:
        return True
    for name, word in agreed["grants"].items():
        was, now = parse_obligation(word), permit.grants.get(name)
        # Both together are the stricter of the two; what was sealed must be no laxer than that.
        if now is None or combine((was, now)) != was:
            return True
    return False


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
