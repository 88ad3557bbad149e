"""回执: the recipient says that it holds an envelope, and the sender asks what became of it.

Rules kept here: an acknowledged envelope is destroyed at once, whatever the recipient made of it; saying the same twice is no
fault; a word of the recipient's own stands in the encrypted detail, never in the leaf; somebody else's delivery is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from gateway.domain.canonical import canonical
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.query import Answer
from gateway.flows.requests import AcknowledgeRequest, SignedRequest
from gateway.store.database import Writing
from gateway.store.exchanges import finish, get_delivery, sent_by


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
            account.references.update({"delivery": row.delivery_id, "status": request.status, "said": request.code})
    final = {"stored": "acknowledged", "rejected": "rejected"}[request.status]
    body = canonical({"delivery": row.delivery_id, "status": final})

    async def close(writing: Writing) -> None:
        if not await finish(writing, row.delivery_id, final, expected=("delivered",)):
            current = await get_delivery(writing, row.delivery_id)
            if current is None or current.state != final:
                raise Denied("delivery_state")

    async with recorded(house.log, account):
        receipt = await house.log.append(
            account.draft(Outcome.DONE, code="" if final == "acknowledged" else final, answer=body),
            effect=close,
            proof_id=account.proof_id,
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
