"""A sender asks how it may send: who receives, which fields, in which form, sealed to which key. Five minutes, an entry.

Rules kept here: a send permit lets nothing leave; it shows no more about a child than the refusal codes that the sender
would hear when handing in.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

from gateway.domain.canonical import canonical
from gateway.domain.ids import new_id
from gateway.domain.vocabulary import Action, EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account, recorded
from gateway.flows.asked import case_asked, exchange_asked, reason_asked
from gateway.flows.decide import SendDecision, Wish, decide, party_named
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import SendPermitRequest, SignedRequest
from gateway.store.database import Writing
from gateway.store.exchanges import put_send_permit

LIFETIME = timedelta(minutes=5)
LINES_AT_MOST = 500


async def send_permit(house: House, signed: SignedRequest, read: Callable[[bytes], SendPermitRequest]) -> Answer:
    """Grant or refuse a send permit. If no line may go, the whole request is refused with the first line's code."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        caller = authenticated.caller
        account = Account(EntryKind.SEND_PERMIT, caller, authenticated.proof_id, provider=caller.party.department)
        async with recorded(house.log, account):
            request = read(signed.body)
            account.door = request.door
            exchange = exchange_asked(house, account, request.exchange, request.purpose, action=Action.SUBMIT)
            if len(request.lines) > LINES_AT_MOST or len({number for number, _ in request.lines}) != len(request.lines):
                raise BadRequest("lines_invalid")
            wish = Wish(
                exchange=exchange,
                purpose=request.purpose,
                door=request.door,
                recipient=party_named(house, request.recipient),
                case_id=await case_asked(request.case, caller, reading),
                reason=reason_asked(request.reason),
            )
            decision = await decide(house, account, wish, request.lines, reading)
            note_decision(account, decision)
            if not decision.permitted:
                raise Denied(decision.lines[0].denied if decision.lines else "no_field", exchange=exchange.id)
            account.policy_version = decision.policy_version

    async with recorded(house.log, account):
        permit_id = new_id("sp")
        expires = house.clock.now() + LIFETIME
        account.references["permit"] = permit_id
        body = write_permit(decision, permit_id, int(expires.timestamp()))

        async def keep(writing: Writing) -> None:
            await put_send_permit(
                writing, permit_id, caller.client.client_id, decision.fingerprint, int(expires.timestamp())
            )

        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=account.effect(keep), proof_id=account.proof_id
        )
    return Answer(body, receipt)


def note_decision(account: Account, decision: SendDecision) -> None:
    """The children whose histories the entry joins, to whom, by which rules, on which basis, and what was refused."""
    account.children = tuple(dict.fromkeys(line.child for line in decision.lines if line.child))
    refused = sorted({line.denied for line in decision.lines if line.denied})
    if refused:
        account.references["refused"] = refused
    account.references["recipient"] = decision.recipient_key.party.text
    permits = [line.permit for line in decision.lines if line.permit]
    if permits:
        rules = {rule for permit in permits for allowed in permit.rules.values() for rule in allowed}
        account.references["rules"] = sorted(rules)
    basis: dict[str, set[str]] = {}
    for permit in permits:
        for kind, name in permit.basis.references:
            basis.setdefault(f"basis_{kind}", set()).add(name)
    account.references.update({kind: sorted(names) for kind, names in basis.items()})


def write_permit(decision: SendDecision, permit_id: str, expires: int) -> bytes:
    """What the sender needs in order to reduce and seal."""
    key = decision.recipient_key
    return canonical(
        {
            "permit": permit_id,
            "expires": expires,
            "recipient_key": {
                "party": key.party.text,
                "suite": key.suite,
                "kid": key.kid,
                "key": base64.urlsafe_b64encode(key.public_key).decode().rstrip("="),
            },
            "lines": {
                str(line.number): {
                    "grants": {name: grant.text for name, grant in line.permit.grants.items()},
                    "withheld": dict(line.permit.withheld),
                }
                if line.permit
                else {"denied": line.denied}
                for line in decision.lines
            },
        }
    )
