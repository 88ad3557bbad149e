"""A department sends: the second story of the house (DESIGN section 3).

 (1) authenticate the sender
 (2) recognise           every child of the envelope
 (3) find the basis      per line
 (4) authorise           the sender `submit` AND the recipient `receive`; `permit_stale` on any difference from the send
                         permit that the envelope cites
 (5) check the envelope  already reduced and sealed by the sender's SDK or edge; gate rules read their fields
 (6) record              entry and outbox row (ciphertext, at most 72 hours) in one transaction -> receipt to the sender
 (7) deliver             at least once, `inbox.py`; the recipient's acknowledgement is an entry too

Rules kept here: as in `query.py`; moreover the gateway cannot open what it carries, gate fields are dropped before the row is
written, and a send permit is used once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.domain.canonical import canonical
from gateway.domain.ids import new_id
from gateway.domain.orders import Envelope, Line, SealInfo
from gateway.domain.parties import Caller
from gateway.domain.subjects import GATEWAY_SCOPE, Child, Pseudonym
from gateway.domain.vocabulary import Action, Door, EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account, recorded
from gateway.flows.aftermath import Aftermath, settle
from gateway.flows.asked import exchange_asked, naming_known_fields
from gateway.flows.decide import SendDecision, Wish, decide, party_named
from gateway.flows.house import House
from gateway.flows.query import Answer, is_medical
from gateway.flows.recognise import name_for, scope_of
from gateway.flows.requests import DeliveryRequest, SignedRequest, SubjectRequest
from gateway.flows.send_permits import note_decision
from gateway.flows.translate import cross_references
from gateway.release.check import Admitted, check_envelope
from gateway.release.wire import to_wire
from gateway.store.database import Reading, Writing
from gateway.store.exchanges import (
    Delivery,
    Remembered,
    get_send_permit,
    put_delivery,
    remember,
    remembered,
    use_send_permit,
)
from keys.envelope import verify_plain


async def hand_in(house: House, signed: SignedRequest, read: Callable[[bytes], DeliveryRequest]) -> Answer:
    """Take an envelope in. The answer names the delivery; a repeat under the same `Idempotency-Key` answers the same."""
    async with house.database.read() as reading:
        # (1) authenticate the sender
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        caller = authenticated.caller
        account = Account(EntryKind.ACCEPTED, caller, authenticated.proof_id, provider=caller.party.department)
        async with recorded(house.log, account):
            idempotency_key = key_digest(signed, caller.client.client_id)
            earlier = await remembered(reading, idempotency_key)
            if earlier is not None:
                return await answer_again(house, account, earlier)
            envelope = read(signed.body).envelope
            agreed, wish = await permit_cited(house, account, envelope, reading)

            # (2) recognise, (3) find the basis, (4) authorise both ends
            decision = await decide(
                house, account, wish, [(line.number, subject_of(line)) for line in envelope.lines], reading
            )
            note_decision(account, decision)
            refuse_stale(agreed, decision, {line.number for line in envelope.lines})
            account.policy_version = decision.policy_version

    async with recorded(house.log, account):
        # (5) check the envelope
        verify_lines(house, envelope, decision)
        with naming_known_fields(wish.exchange):
            checked = check_envelope(
                envelope,
                exchange=wish.exchange,
                door=wish.door,
                permits=decision.permitted,
                recipient_kid=decision.recipient_key.kid,
                medical=is_medical(house, caller.party.organisation),
            )

        # (6) record: entry and outbox row in one transaction
        row = outbox_row(house, caller, envelope, checked, decision)
        account.references["delivery"] = row.delivery_id
        account.references["fields"] = list(checked.fields)
        body = canonical({"delivery": row.delivery_id})
        duties = Aftermath(house, decision, row.delivery_id)
        accepted = account.draft(Outcome.DONE, answer=body)

        async def keep(writing: Writing) -> None:
            faster = await remembered(writing, idempotency_key)
            if faster is not None:
                raise HandedInMeanwhile(faster)
            if not await use_send_permit(writing, envelope.permit):
                raise Denied("permit_used")
            await put_delivery(writing, row)
            await duties.within(writing)
            await remember(
                writing,
                idempotency_key,
                Remembered(caller.body_digest, 202, row.delivery_id, caller.request_id),
                row.created_at,
            )

        try:
            receipt = await house.log.append(accepted, effect=keep, proof_id=account.proof_id)
        except HandedInMeanwhile as repeat:
            return await answer_again(house, account, repeat.earlier)
    # (7) is the inbox's; whoever waits there may look again. What an emergency leaves owing follows as entries.
    await settle(house, account, duties)
    house.wake(wish.recipient.text)
    return Answer(body, receipt)


# --- (4) ------------------------------------------------------------------------------------------------------------


async def permit_cited(
    house: House, account: Account, envelope: Envelope, reading: Reading
) -> tuple[dict[str, Any], Wish]:
    """The send permit that the envelope cites: this client's, in time, unused, for this sender, exchange, recipient."""
    kept = await get_send_permit(reading, envelope.permit)
    account.exchange = envelope.exchange if envelope.exchange in house.catalogue.exchanges else ""
    if kept is None or kept[0] != account.caller.client.client_id:
        raise Denied("permit_unknown")
    # Noted only now: what is not ours may be anything.
    account.references["permit"] = envelope.permit
    _, decision, expires_at, used = kept
    if used:
        raise Denied("permit_used")
    if house.clock.now().timestamp() >= expires_at:
        raise Denied("permit_stale")
    agreed = json.loads(decision)
    if (
        agreed["exchange"] != envelope.exchange
        or agreed["recipient"] != envelope.recipient.text
        or envelope.sender != account.caller.party
    ):
        raise Denied("permit_other")
    exchange = exchange_asked(house, account, agreed["exchange"], agreed["purpose"], action=Action.SUBMIT)
    account.door = Door(agreed["door"])
    return agreed, Wish(
        exchange=exchange,
        purpose=agreed["purpose"],
        door=account.door,
        recipient=party_named(house, agreed["recipient"]),
        case_id=agreed["case"] or None,
        reason=agreed["reason"] or None,
    )


def refuse_stale(agreed: dict[str, Any], decision: SendDecision, handed_in: set[int]) -> None:
    """Handing in repeats the decision; any difference from the permit sends the sender back for a fresh one.

    A line whose basis is gone says so with its own code, because the officer has to know why.
    """
    again = json.loads(decision.fingerprint)
    for number in sorted(handed_in):
        was, now = agreed["lines"].get(str(number)), again["lines"][str(number)]
        if was is None or was["child"] != now["child"]:
            raise Denied("permit_other")
        if now["denied"]:
            raise Denied(now["denied"], exchange=decision.wish.exchange.id)
        if was != now:
            raise Denied("permit_stale")
    if {key: agreed[key] for key in agreed if key != "lines"} != {key: again[key] for key in again if key != "lines"}:
        raise Denied("permit_stale")


def subject_of(line: Line) -> SubjectRequest | None:
    """An envelope names children by the sender's pseudonyms only."""
    return SubjectRequest(pseudonym=line.subject) if line.subject is not None else None


# --- (5) ------------------------------------------------------------------------------------------------------------


def verify_lines(house: House, envelope: Envelope, decision: SendDecision) -> None:
    """Every line is signed by a registered key of the sender's party and bound to this permit, recipient and key."""
    for line in envelope.lines:
        kid = line.sealing.sender_kid if line.sealing else ""
        sender = house.registry.find_sender_key(kid)
        if sender is None or not sender.active or sender.party != envelope.sender:
            raise BadRequest("envelope_unsigned")
        expected = SealInfo(
            request=envelope.permit,
            line=line.number,
            exchange=envelope.exchange,
            sender=envelope.sender,
            recipient=envelope.recipient,
            recipient_kid=decision.recipient_key.kid,
        )
        verify_plain(line, sender.key, expected=expected)


# --- (6) ------------------------------------------------------------------------------------------------------------


def outbox_row(house: House, caller: Caller, envelope: Envelope, checked: Admitted, decision: SendDecision) -> Delivery:
    """The row that waits for its recipient. Its facts are what the hand-out needs to decide again, and nothing that a thief
    of the store could use: ids, pseudonyms, field names, obligations.
    """
    wish, now = decision.wish, int(house.clock.now().timestamp())
    return Delivery(
        delivery_id=new_id("dl"),
        sender=caller.party.text,
        sender_client=caller.client.client_id,
        recipient=wish.recipient.text,
        exchange=wish.exchange.id,
        purpose=wish.purpose,
        door=str(wish.door),
        state="waiting",
        envelope=readdress(house, envelope, checked.lines, decision),
        facts=canonical(
            {
                "case": wish.case_id or "",
                "reason": wish.reason or "",
                "children": {str(line.number): line.child.hex() for line in decision.lines if line.child},
                "agreed": {str(line.number): agreed_for(line, decision) for line in checked.lines},
                "fields": list(checked.fields),
                "function": caller.officer.function if caller.officer else "system",
                "officer": caller.officer.person_id if caller.officer else "",
            }
        ),
        created_at=now,
        expires_at=now + wish.exchange.ttl_hours * 3600,
    )


def agreed_for(line: Line, decision: SendDecision) -> dict[str, Any]:
    """What one line was let in under: the obligation of every field that it carries, and the regions."""
    permit = decision.permitted[line.number]
    carried = (*line.values, *line.references)
    return {
        "grants": {name: permit.grants[name].text for name in carried},
        "regions": sorted(permit.regions),
    }


def readdress(house: House, envelope: Envelope, lines: tuple[Line, ...], decision: SendDecision) -> bytes:
    """The envelope as the recipient will know it: its own scope's pseudonyms and references, gate fields gone."""
    exchange = decision.wish.exchange
    target = scope_of(decision.wish.recipient.department, exchange)
    children = {line.number: line.child for line in decision.lines}
    out = []
    for line in lines:
        child = children[line.number]
        name = name_for(house.ring, Child(own_pseudonym(house, child)), target) if child else None
        out.append(
            replace(
                line,
                subject=name,
                region=None,
                references=cross_references(house.ring, line, exchange, target, envelope.sender.text),
            )
        )
    return canonical(to_wire(replace(envelope, lines=tuple(out))))


def own_pseudonym(house: House, point: bytes) -> Pseudonym:
    """The gateway's own pseudonym from the 32 bytes under which the store knows the child."""
    return Pseudonym(scope=GATEWAY_SCOPE, epoch=house.ring.current_epoch(GATEWAY_SCOPE), point=point)


# --- idempotency ------------------------------------------------------------------------------------------------------


def key_digest(signed: SignedRequest, client_id: str) -> bytes:
    """SHA-256 over client and `Idempotency-Key`; a write without a key is refused."""
    key = signed.headers.get("idempotency-key", "")
    if not 8 <= len(key) <= 128 or not key.isascii():
        raise BadRequest("idempotency_key_missing")
    return hashlib.sha256(f"{client_id}\n{key}".encode()).digest()


class HandedInMeanwhile(Exception):  # noqa: N818 - internal signal; the repeat hears the first one's answer
    """The same key was used by another attempt while this one was under way."""

    def __init__(self, earlier: Remembered) -> None:
        super().__init__()
        self.earlier = earlier


async def answer_again(house: House, account: Account, earlier: Remembered) -> Answer:
    """The same answer to the same request; another request under the same key is refused."""
    if earlier.request_digest != account.caller.body_digest:
        raise BadRequest("idempotency_conflict")
    body = canonical({"delivery": earlier.answer_id})
    account.references["delivery"] = earlier.answer_id
    account.references["repeat_of"] = earlier.entry_id
    receipt = await house.log.append(
        account.draft(Outcome.DONE, code="repeated", answer=body), proof_id=account.proof_id
    )
    return Answer(body, receipt)
