"""Who is this child? A signed request, two approvals from two departments, one view, fifteen minutes (DESIGN section 5).

 grant   an officer signs what is asked and why; two approvers, of two departments and neither of the officer's, sign the same
 view    the entry first; then the pseudonym goes back to the source, which answers from its own register, sealed to the
         requester; the answer leaves once

Rules kept here: the gateway learns nothing: it translates a pseudonym and passes a sealed line on; there is no escrow, so without
the source there is no answer; one set of signatures makes one grant, one grant one view; where the source could not answer,
nothing has left and the view is given back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.audit.log import Effect
from gateway.domain.canonical import canonical
from gateway.domain.ids import new_id
from gateway.domain.orders import Line, Order, OrderLine
from gateway.domain.parties import Party
from gateway.domain.subjects import GATEWAY_SCOPE, Child, Pseudonym, Scope
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayFault, NoResult, ProviderFault
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.opening import opened
from gateway.flows.query import ORDER_LIFETIME, Answer, verify_sender
from gateway.flows.recognise import name_for, recognise, scope_of
from gateway.flows.requests import ReidentificationRequest, SignedRequest, SubjectRequest
from gateway.identity.approvals import VerifiedApproval, verify_approval
from gateway.identity.reidentification import VerifiedRequest, verify_request
from gateway.release.reidentification import EXCHANGE, GRANTS, PURPOSE, require_form
from gateway.release.wire import to_wire
from gateway.store.database import Reading, Writing
from gateway.store.naming import (
    Reidentification,
    get_reidentification,
    move_reidentification,
    put_reidentification,
)
from gateway.store.registry import Edge

VIEW_WITHIN = 15 * 60
"""Seconds from the grant within which the one view has to begin."""


async def grant(house: House, signed: SignedRequest, read: Callable[[bytes], ReidentificationRequest]) -> Answer:
    """Grant one view. `Denied`: request_invalid, request_expired, requester_unknown, request_other, approval_self,
    approval_own_department, approval_departments, approval_subject, approval_expired …, reidentification_used.
    """
    async with opened(house, signed, EntryKind.REIDENTIFICATION) as (account, reading):
        made = await what_is_granted(house, account, read(signed.body), reading)
    return await record_grant(house, account, made)


async def view(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """The one view of a grant. `Denied`: reidentification_unknown, reidentification_expired, reidentification_viewed;
    `NoResult` where the source has no such record (the view is spent); `ProviderFault` (the view is given back).
    """
    async with opened(house, signed, EntryKind.REIDENTIFICATION) as (account, reading):
        granted = await grant_named(house, account, read(signed.body), reading)
    return await view_once(house, account, granted)


# --- the steps, whoever takes them --------------------------------------------------------------------------------------


async def what_is_granted(
    house: House, account: Account, request: ReidentificationRequest, reading: Reading
) -> Reidentification:
    """The grant that these signatures make, not yet kept. Raises as `grant`."""
    now = int(house.clock.now().timestamp())
    asked = verify_request(request.request, snapshot=house.registry.current, now=now)
    account.references.update({"statement": request.request, "approvals": list(request.approvals)})
    require_own(asked, account)
    approvals = [
        verify_approval(text, snapshot=house.registry.current, now=now, expected=asked.subject)
        for text in request.approvals
    ]
    require_independent(approvals, asked)
    account.more_actors = tuple(
        f"person:{one.approver.party.organisation}/{one.approver.person_id}" for one in approvals
    )
    source_named(house, asked.subject["source"])
    child = await child_asked(house, account, asked, reading)
    account.children = (child.key,)
    made = Reidentification(
        reidentification_id=new_id("ri"),
        digest=hashlib.sha256(request.request.encode()).hexdigest(),
        client_id=account.caller.client.client_id,
        officer=officer_of(account),
        request=canonical(dict(asked.subject)),
        child=child.key,
        state="granted",
        expires_at=now + VIEW_WITHIN,
    )
    account.references["reidentification"] = made.reidentification_id
    return made


async def record_grant(
    house: House, account: Account, made: Reidentification, *, within: Effect | None = None
) -> Answer:
    """Keep the grant in the transaction of its entry, and what `within` keeps beside it."""
    async with recorded(house.log, account):
        body = canonical({"reidentification": made.reidentification_id, "expires": made.expires_at})

        async def keep(writing: Writing) -> None:
            if not await put_reidentification(writing, made):
                raise Denied("reidentification_used")
            if within is not None:
                await within(writing)

        receipt = await house.log.append(
            account.draft(Outcome.DONE, code="granted", answer=body), effect=keep, proof_id=account.proof_id or None
        )
    return Answer(body, receipt)


async def grant_named(house: House, account: Account, name: str, reading: Reading) -> Reidentification:
    """The officer's own grant, still good. `Denied`: reidentification_unknown, reidentification_expired."""
    granted = await get_reidentification(reading, name)
    own = (account.caller.client.client_id, officer_of(account))
    if granted is None or (granted.client_id, granted.officer) != own:
        raise Denied("reidentification_unknown")
    account.children, account.references["reidentification"] = (granted.child,), name
    if house.clock.now().timestamp() >= granted.expires_at:
        raise Denied("reidentification_expired")
    account.provider = provider_of(house, granted)
    return granted


async def view_once(house: House, account: Account, granted: Reidentification) -> Answer:
    """Spend the grant's one view. Raises as `view`."""
    name, asked = granted.reidentification_id, json.loads(granted.request)
    edge = source_named(house, asked["source"])

    async def begin(writing: Writing) -> None:
        if not await move_reidentification(writing, name, "granted", "viewing"):
            raise Denied("reidentification_viewed")

    async def end(writing: Writing) -> None:
        await move_reidentification(writing, name, "viewing", "viewed")

    # The entry first: from here on the log says that somebody looks, whatever happens next.
    async with recorded(house.log, account):
        await house.log.append(
            account.draft(Outcome.DONE, code="viewing"), effect=begin, proof_id=account.proof_id or None
        )
    account.proof_id = ""
    try:
        async with recorded(house.log, account):
            body = await looked_up(house, account, granted, asked, edge)
            receipt = await house.log.append(account.draft(Outcome.RELEASED, answer=body), effect=end)
    except (ProviderFault, GatewayFault):
        # Nothing has left: the source failed, or the last entry could not be written.
        async with house.database.write() as writing:
            await move_reidentification(writing, name, "viewing", "granted")
        raise
    return Answer(body, receipt)


# --- what a grant needs ---------------------------------------------------------------------------------------------------


def require_own(asked: VerifiedRequest, account: Account) -> None:
    """The officer who signed is the one who asks, for the party that asks."""
    officer, caller = account.caller.officer, account.caller
    person = asked.officer
    if officer is None or (person.party, person.person_id) != (officer.party, officer.person_id):
        raise Denied("request_other")
    if asked.subject["officer"] != person.person_id or asked.subject["party"] != caller.party.text:
        raise Denied("request_other")


def require_independent(approvals: Sequence[VerifiedApproval], asked: VerifiedRequest) -> None:
    """Two people of two departments, neither of them the requester's, neither of them the requester under another role."""
    departments = {approval.approver.party.department for approval in approvals}
    for approval in approvals:
        require_other(approval, asked)
    if len(approvals) != 2 or len(departments) != 2:
        raise Denied("approval_departments")


def require_other(approval: VerifiedApproval, asked: VerifiedRequest) -> None:
    """Somebody else, of another department. `Denied`: approval_self, approval_own_department."""
    requester, person = asked.officer, approval.approver
    same = (person.party.organisation, person.person_id) == (requester.party.organisation, requester.person_id)
    if same or person.public_key == requester.public_key:
        raise Denied("approval_self")
    if person.party.department is requester.party.department:
        raise Denied("approval_own_department")


def source_named(house: House, text: str) -> Edge:
    """The registered edge of the source. `ProviderFault("provider_unknown")`."""
    for edge in house.registry.current.edges:
        if edge.party.text == text:
            return edge
    raise ProviderFault("provider_unknown", edge="")


async def child_asked(house: House, account: Account, asked: VerifiedRequest, reading: Reading) -> Child:
    """The child behind the requester's pseudonym, open or of the exchange that the request names."""
    name = asked.subject["exchange"]
    exchange = house.catalogue.exchanges.get(name) if name else None
    if name and exchange is None:
        raise BadRequest("exchange_unknown")
    account.exchange = exchange.id if exchange else ""
    house.registry.require_running(name, account.caller.client.client_id)
    subject = SubjectRequest(pseudonym=asked.subject["pseudonym"])
    recognised = await recognise(house, account, exchange, subject, reading)
    if not isinstance(recognised.subject, Child):
        raise BadRequest("subject_missing")
    return recognised.subject


def provider_of(house: House, granted: Reidentification) -> Department:
    """Whose register answers. `ProviderFault("provider_unknown")`."""
    return source_named(house, json.loads(granted.request)["source"]).party.department


# --- what a view does -------------------------------------------------------------------------------------------------------


async def looked_up(
    house: House, account: Account, granted: Reidentification, asked: Mapping[str, str], edge: Edge
) -> bytes:
    """The answer's bytes: the source, and its line under the requester's own pseudonym."""
    child = Child(Pseudonym(GATEWAY_SCOPE, house.ring.current_epoch(GATEWAY_SCOPE), granted.child))
    line = await answered(house, account, child, edge, granted.reidentification_id)
    exchange = house.catalogue.exchanges.get(asked["exchange"])
    own = name_for(house.ring, child, scope_of(account.caller.party.department, exchange))
    return canonical({"source": edge.party.text, "line": to_wire(replace(line, subject=own, region=None))})


async def answered(house: House, account: Account, child: Child, edge: Edge, grant_id: str) -> Line:
    """The source's one line, sealed to the requester and checked for its form. Raises `NoResult`, `ProviderFault`."""
    order = write_order(house, account, child, edge, grant_id)
    release = await house.providers.at(edge).fetch(order)
    if (release.request, release.exchange, release.provider) != (order.request, order.exchange, order.provider):
        raise ProviderFault("release_lines", edge=edge.party.text)
    if not release.lines:
        raise NoResult
    verify_sender(release, edge, order)
    (ordered,) = order.lines
    if len(release.lines) != 1 or ordered.subject is None:
        raise ProviderFault("release_lines", edge=edge.party.text)
    (line,) = release.lines
    require_form(line, subject=ordered.subject, edge=edge.party.text)
    return line


def write_order(house: House, account: Account, child: Child, edge: Edge, grant_id: str) -> Order:
    """An order for the identifier behind the source's own open-scope pseudonym, bound to the grant."""
    recipient: Party = account.caller.party
    return Order(
        request=grant_id,
        exchange=EXCHANGE,
        purpose=PURPOSE,
        provider=edge.party,
        recipient=recipient,
        recipient_key=house.registry.sealing_key(recipient),
        lines=(OrderLine(1, name_for(house.ring, child, Scope.open(edge.party.department))),),
        grants=GRANTS,
        regions=(),
        age_band=None,
        request_digest=hashlib.sha256(account.caller.body_digest).hexdigest(),
        expires_at=int(house.clock.now().timestamp()) + ORDER_LIFETIME,
    )


def officer_of(account: Account) -> str:
    """`<organisation>/<person>` of whoever asks. `Denied("reidentification_unknown")` for a machine."""
    officer = account.caller.officer
    if officer is None:
        raise Denied("reidentification_unknown")
    return f"{officer.party.organisation}/{officer.person_id}"
