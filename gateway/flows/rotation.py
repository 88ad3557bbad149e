"""Rotating a scope's key under load: who steps, who follows, and what each step leaves behind.

PREPARED -> DUAL -> CURRENT -> RETIRED -> DESTROYED (`keys/rotation.py`). While two epochs are understood, holders convert what
they have stored (`convert`), edges by themselves; requests in either epoch are answered.

Rules kept here: each step is an entry before it happens; the new epoch names children only once every edge of the scope's
holder has followed, because an edge that has not would not find them; when the old epoch ends, no envelope that waits still
speaks it; a step over the network carries the signatures of two approvers of two departments for exactly this step.

The gateway's own scope takes the same steps, but from the command line only, and `advance` with the gateway stopped
(`own_scope.py`): its store and its log's histories are filed under it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.parties import Party
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department, EntryKind, Outcome, ScopeKind
from gateway.errors import BadRequest, Denied, GatewayError
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.own_scope import rename_rows
from gateway.flows.query import Answer
from gateway.flows.recognise import scope_of
from gateway.flows.requests import ConvertRequest, RotationRequest, SignedRequest
from gateway.identity.approvals import VerifiedApproval, verify_approval
from gateway.release.wire import envelope_from_wire, to_wire
from gateway.store.database import Reading, Writing
from gateway.store.naming import conversions_to, note_conversion, readdress_waiting, waiting_envelopes
from keys import rotation as keys_rotation
from keys.rotation import Step, due
from keys.text import read as read_pseudonym
from keys.text import write as write_pseudonym


@dataclass(frozen=True, slots=True)
class Stepped:
    """A step taken: the epoch that it concerns and its entry."""

    step: Step
    epoch: int
    receipt: Receipt


# --- stepping -----------------------------------------------------------------------------------------------------------


def scope_named(house: House, name: str) -> Scope:
    """The scope behind `open:education` or `closed:youth_league:X13`. `BadRequest("scope_unknown")`."""
    kind, _, rest = name.partition(":")
    holder, _, exchange = rest.partition(":")
    if holder not in set(Department):
        raise BadRequest("scope_unknown")
    department = Department(holder)
    if kind == "open" and not exchange:
        return Scope.open(department)
    known = house.catalogue.exchanges.get(exchange)
    if kind == "closed" and known is not None and known.scopes.get(department) is ScopeKind.CLOSED:
        return Scope.closed(holder, exchange)
    raise BadRequest("scope_unknown")


async def take_step(house: House, scope: Scope, step: Step, *, by: EntryDraft, anyway: bool = False) -> Stepped:
    """Take one step. by: the entry that says who; its code and detail are completed here. anyway: advance although an edge has not
    followed (it is gone for good).

    Raises `Denied`: rotation_order, rotation_unfollowed (fact: party).
    """
    epoch = due(house.ring, scope).get(step)
    if epoch is None:
        raise Denied("rotation_order")
    if step is Step.ADVANCE and not anyway:
        await _require_followed(house, scope, epoch)
    draft = replace(by, code=f"rotation_{step}", detail={**by.detail, "scope": scope.name, "epoch": epoch})

    async def effect(writing: Writing) -> None:
        if step is Step.ADVANCE and scope == GATEWAY_SCOPE:
            await rename_rows(house, writing, epoch)
        if step is Step.RETIRE:
            await _readdress(house, scope, writing)

    receipt = await house.log.append(draft, effect=effect)
    # A crash from here on: the entry says more than has happened. The step is due still, and is taken again.
    try:
        keys_rotation.take(house.ring, scope, step, epoch)
    except GatewayError as error:
        failed = replace(draft, outcome=Outcome.FAULT, code=error.code)
        await house.log.append(failed)
        raise
    return Stepped(step, epoch, receipt)


async def rotate(house: House, signed: SignedRequest, read: Callable[[bytes], RotationRequest]) -> Answer:
    """One step over the network. The approvals' common subject is
    `{"kind": "rotation", "scope": …, "step": …, "epoch": …}`, signed by approvers of two departments.
    """
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
    account = Account(EntryKind.KEY_EVENT, authenticated.caller, authenticated.proof_id)
    async with recorded(house.log, account):
        request = read(signed.body)
        subject, approvals = _approved(house, account, request)
        scope, step = scope_named(house, str(subject["scope"])), _step_named(subject["step"])
        if due(house.ring, scope).get(step) != subject["epoch"]:
            raise Denied("rotation_order")
        account.references["approvals"] = list(request.approvals)
        account.more_actors = tuple(
            f"person:{one.approver.party.organisation}/{one.approver.person_id}" for one in approvals
        )
        await spend_proof(house, account.proof_id)
        account.proof_id = ""
        body = canonical({"scope": scope.name, "step": str(step), "epoch": subject["epoch"]})
        stepped = await take_step(house, scope, step, by=account.draft(Outcome.DONE, answer=body))
    return Answer(body, stepped.receipt)


def _step_named(value: object) -> Step:
    try:
        return Step(str(value))
    except ValueError:
        raise BadRequest("rotation_step") from None


def _approved(
    house: House, account: Account, request: RotationRequest
) -> tuple[Mapping[str, object], Sequence[VerifiedApproval]]:
    now = int(house.clock.now().timestamp())
    approvals = [verify_approval(text, snapshot=house.registry.current, now=now) for text in request.approvals]
    subject = approvals[0].subject
    if set(subject) != {"kind", "scope", "step", "epoch"} or subject["kind"] != "rotation":
        raise Denied("approval_subject")
    if any(approval.subject != subject for approval in approvals):
        raise Denied("approval_subject")
    if len({approval.approver.party.department for approval in approvals}) != len(approvals):
        raise Denied("approval_departments")
    officer = account.caller.officer
    for approval in approvals:
        person = approval.approver
        if officer and (person.party.organisation, person.person_id) == (officer.party.organisation, officer.person_id):
            raise Denied("approval_self")
    return subject, approvals


async def _require_followed(house: House, scope: Scope, epoch: int) -> None:
    async with house.database.read() as reading:
        snapshot = await house.registry.refresh(reading)
        followed = {row.party for row in await conversions_to(reading, scope.name, epoch) if row.finished}
    if scope.kind is ScopeKind.OPEN:
        for edge in snapshot.edges:
            if edge.party.department == scope.holder and edge.party.text not in followed:
                raise Denied("rotation_unfollowed", party=edge.party.text)


async def _readdress(house: House, scope: Scope, writing: Writing) -> None:
    """Envelopes that wait and still speak the old epoch of this scope are given names of the current one. A pseudonym stands
    outside the sender's signature for just this.
    """
    current = house.ring.current_epoch(scope)
    for delivery_id, exchange, recipient, data in await waiting_envelopes(writing):
        known = house.catalogue.exchanges.get(exchange)
        department = Department(recipient.partition("/")[2])
        if known is None or scope_of(department, known) != scope:
            continue
        envelope = envelope_from_wire(json.loads(data))
        lines = []
        for line in envelope.lines:
            subject = line.subject
            if subject is not None:
                [named] = house.ring.convert([read_pseudonym(subject, scope)], current)
                subject = write_pseudonym(named)
            lines.append(replace(line, subject=subject))
        again = canonical(to_wire(replace(envelope, lines=tuple(lines))))
        if again != data:
            await readdress_waiting(writing, delivery_id, again)


# --- following ------------------------------------------------------------------------------------------------------------


async def convert(house: House, signed: SignedRequest, read: Callable[[bytes], ConvertRequest]) -> Answer:
    """A holder's stored pseudonyms in another accepted epoch of the same scope, in their order; all or nothing.

    `BadRequest`: exchange_unknown, pseudonym_invalid, pseudonym_scope, pseudonym_epoch.
    """
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    caller = authenticated.caller
    account = Account(EntryKind.EVALUATION, caller, authenticated.proof_id)
    async with recorded(house.log, account):
        request = read(signed.body)
        scope = _own_scope(house, caller.party, request.exchange)
        account.references.update({"pseudonyms": len(request.pseudonyms), "scope": scope.name})
        epoch = request.epoch or max(house.ring.accepted_epochs(scope), default=house.ring.current_epoch(scope))
        if epoch not in house.ring.accepted_epochs(scope):
            raise BadRequest("pseudonym_epoch")
        known = [read_pseudonym(text, scope) for text in request.pseudonyms]
        named = [write_pseudonym(pseudonym) for pseudonym in house.ring.convert(known, epoch)]
        body = canonical({"pseudonyms": named, "epoch": epoch})
        now = int(house.clock.now().timestamp())

        async def count(writing: Writing) -> None:
            await note_conversion(
                writing,
                caller.party.text,
                caller.client.client_id,
                scope.name,
                epoch,
                converted=len(named),
                finished=now if request.finished else 0,
            )

        receipt = await house.log.append(
            account.draft(Outcome.DONE, code="converted", answer=body), effect=count, proof_id=account.proof_id
        )
    return Answer(body, receipt)


async def epochs(house: House, signed: SignedRequest) -> bytes:
    """The epochs of the caller's scopes: which one names children now, and which are understood."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    await spend_proof(house, authenticated.proof_id)
    department = authenticated.caller.party.department
    scopes = {"open": Scope.open(department)} | {
        exchange.id: Scope.closed(str(department), exchange.id)
        for exchange in house.catalogue.exchanges.values()
        if exchange.scopes.get(department) is ScopeKind.CLOSED
    }
    told = {}
    for name, scope in scopes.items():
        accepted = house.ring.accepted_epochs(scope)
        if accepted:
            told[name] = {"current": house.ring.current_epoch(scope), "accepted": list(accepted)}
    return json.dumps({"scopes": told}).encode()


async def followers(house: House, scope: Scope, reading: Reading) -> list[dict[str, object]]:
    """Who has followed the scope's newest epoch, for the operator."""
    epoch = max(house.ring.accepted_epochs(scope), default=0)
    return [
        {"party": row.party, "client": row.client, "converted": row.converted, "finished": bool(row.finished)}
        for row in await conversions_to(reading, scope.name, epoch)
    ]


def _own_scope(house: House, party: Party, exchange: str | None) -> Scope:
    if exchange is None:
        return Scope.open(party.department)
    known = house.catalogue.exchanges.get(exchange)
    if known is None or known.scopes.get(party.department) is not ScopeKind.CLOSED:
        raise BadRequest("exchange_unknown")
    return Scope.closed(str(party.department), exchange)
