"""A department asks: the first story of the house (DESIGN section 3).

 (1) authenticate    who asks: client, organisation, department, officer; token and body bound to keys
 (2) recognise       whom it is about: the gateway's own pseudonym, from the caller's (or an identifier, assisted)
 (3) find the basis  consent or statute, door, case, approval
 (4) authorise       Casbin per field, given the basis; obligations; the policy version named
 (5) order           the provider's edge fetches, reduces, seals; only what the order names
 (6) translate,      pseudonyms and references into the caller's scope; then post-conditions: every field permitted and
     check           in the form that its obligation demands, region as permitted, labels set
 (7) record          the entry is durable, with the salted digest of the exact body bytes, before the answer leaves

Rules kept here: each step takes what the step before built, so none can be skipped; every refusal after (1) is an entry;
absent, unknown and outside the region answer alike; no entry, no data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.audit.log import Effect
from gateway.consent.uses import refused, released
from gateway.domain.basis import Ask, Basis
from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Checked, Order, OrderLine, Release, SealInfo
from gateway.domain.permits import Permit
from gateway.domain.subjects import Child, Recognised, Scope
from gateway.domain.vocabulary import Action, ConsentState, EntryKind, Outcome
from gateway.errors import BadRequest, NoResult, ProviderFault
from gateway.flows.account import Account, recorded
from gateway.flows.asked import case_asked, exchange_asked, fields_asked, naming_known_fields, reason_asked
from gateway.flows.calendar_days import DAYS
from gateway.flows.house import House
from gateway.flows.recognise import name_for, recognise
from gateway.flows.requests import QueryRequest, SignedRequest
from gateway.flows.sighted import is_sighted, refuse_sighted
from gateway.flows.translate import translate_lines
from gateway.release.check import check
from gateway.release.wire import to_wire
from gateway.store.database import Writing
from gateway.store.registry import Edge
from keys.envelope import verify_plain

ORDER_LIFETIME = 30  # seconds; an edge refuses an order older than this


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door sends: the exact bytes that the entry digests, and the receipt."""

    body: bytes = field(repr=False)
    receipt: Receipt


async def query(house: House, signed: SignedRequest, read: Callable[[bytes], QueryRequest]) -> Answer:
    """Answer one query, or refuse it; either way there is one entry.

    read: the door's strict reader of the body; called only after the raw bytes are authenticated.
    Raises the `GatewayError` that the caller may hear.
    """
    async with house.database.read() as reading:
        # (1) authenticate
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        account = Account(EntryKind.QUERY, authenticated.caller, authenticated.proof_id)
        async with recorded(house.log, account):
            request = read(signed.body)
            account.door = request.door
            exchange = exchange_asked(house, account, request.exchange, request.purpose, action=Action.QUERY)

            # (2) recognise
            recognised = await recognise(house, account, exchange, request.subject, reading)
            note_subject(account, recognised)

            # (3) find the basis
            ask = Ask(
                exchange=exchange,
                purpose=request.purpose,
                door=request.door,
                action=Action.QUERY,
                recipient=authenticated.caller.party,
                fields=fields_asked(exchange, request.fields),
                case_id=await case_asked(request.case, authenticated.caller, reading),
                reason=reason_asked(request.reason),
                region=authenticated.caller.region,
            )
            note_ask(house, account, recognised, ask)
            basis = await house.basis.find(recognised, ask, reading)
            note_basis(account, basis)

    async with recorded(house.log, account):
        # (4) authorise
        permit = house.book.decide(basis)
        note_permit(account, permit)

        # (5) order
        edge = provider_for(house, exchange, basis)
        account.provider = edge.party.department
        order = write_order(house, permit, edge, authenticated.caller.request_id)
        account.sighted = is_sighted(house, edge.party, authenticated.caller.party)
        refuse_sighted(house, exchange, sighted=account.sighted)
        release = await house.providers.at(edge).fetch(order)
        account.sighted |= release.sighted
        refuse_sighted(house, exchange, sighted=account.sighted)
        verify_sender(release, edge, order)

        # (6) translate, check
        with naming_known_fields(exchange):
            translated = translate_lines(
                house.ring, release, order, permit, called=request.subject.pseudonym if request.subject else None
            )
            checked = check(
                translated, permit=permit, request=order.request, medical=is_medical(house, edge.party.organisation)
            )
        if not checked.lines:
            raise NoResult
        account.references["fields"] = list(checked.fields)

        # (7) record
        body = write_answer(checked, permit, edge, order.request)
        told = account.draft(Outcome.RELEASED, answer=body)
        left = released(
            basis,
            told,
            provider=edge.party.department,
            fields=checked.fields,
            now=house.clock.now(),
            days=DAYS,
            limits=house.basis.limits,
            request=order.request,
        )
        receipt = await house.log.append(
            told, effect=account.effect(while_it_holds(house, basis, left)), proof_id=account.proof_id
        )
    return Answer(body, receipt)


# --- what the steps note for the entry ----------------------------------------------------------------------------


def note_subject(account: Account, recognised: Recognised) -> None:
    """From here on the entry joins the child's history."""
    if isinstance(recognised.subject, Child):
        account.children = (recognised.subject.key,)


def note_ask(house: House, account: Account, recognised: Recognised, ask: Ask) -> None:
    """From here on a refusal also writes the guardian's line: that somebody tried is theirs to know."""
    provider = ask.exchange.providers[0]

    def line(code: str) -> Effect:
        return refused(recognised, ask, provider=provider, code=code, now=house.clock.now())

    account.on_refusal = line


def note_basis(account: Account, basis: Basis) -> None:
    """The ids that the request rests on, for the encrypted detail."""
    account.references.update({f"basis_{kind}": name for kind, name in basis.references})


def note_permit(account: Account, permit: Permit) -> None:
    """The version that decided and the rows that allowed."""
    account.policy_version = permit.policy_version
    account.references["rules"] = sorted({rule for rules in permit.rules.values() for rule in rules})


# --- (5) -----------------------------------------------------------------------------------------------------------


def provider_for(house: House, exchange: Exchange, basis: Basis) -> Edge:
    """The edge that serves this exchange in the case's region (or the caller's own)."""
    region = basis.case_region or basis.recognised.caller.region
    for department in exchange.providers:
        edge = house.registry.edge_for(department, region)
        if edge is not None:
            return edge
    raise ProviderFault("provider_unknown", exchange=exchange.id)


def write_order(house: House, permit: Permit, edge: Edge, request_id: str) -> Order:
    """The order: pseudonyms of the provider's own open scope by line number, and nothing that it does not need."""
    basis = permit.basis
    recipient = basis.ask.recipient
    subject = basis.recognised.subject
    named = name_for(house.ring, subject, Scope.open(edge.party.department)) if isinstance(subject, Child) else None
    return Order(
        request=request_id,
        exchange=basis.ask.exchange.id,
        purpose=basis.ask.purpose,
        provider=edge.party,
        recipient=recipient,
        recipient_key=house.registry.sealing_key(recipient),
        lines=(OrderLine(1, named),),
        grants=permit.grants,
        regions=permit.regions,
        age_band=basis.age_band,
        request_digest=hashlib.sha256(basis.recognised.caller.body_digest).hexdigest(),
        expires_at=int(house.clock.now().timestamp()) + ORDER_LIFETIME,
    )


def verify_sender(release: Release, edge: Edge, order: Order) -> None:
    """Every line is signed by the provider's registered key, bound to this order, over its digests and what we can see."""
    for line in release.lines:
        expected = SealInfo(
            request=order.request,
            line=line.number,
            exchange=order.exchange,
            sender=order.provider,
            recipient=order.recipient,
            recipient_kid=order.recipient_key.kid,
        )
        try:
            verify_plain(line, edge.sender_key, expected=expected)
        except BadRequest as error:
            raise ProviderFault("release_unsigned", edge=edge.party.text) from error


def is_medical(house: House, organisation: str) -> bool:
    """Only a medical institution may state a diagnosis (精神卫生法 23, 27, 29)."""
    return house.registry.organisation(organisation).medical


# --- (6), (7) --------------------------------------------------------------------------------------------------------


def while_it_holds(house: House, basis: Basis, left: Effect) -> Effect:
    """The release's effect, after the last look at switches and consent: either may have gone while the provider answered,
    and what is withdrawn holds from the commit of its entry.
    """
    caller, ask = basis.recognised.caller, basis.ask

    async def effect(writing: Writing) -> EntryDraft | None:
        await house.registry.refresh(writing)
        house.registry.require_running(ask.exchange.id, caller.client.client_id)
        if basis.con is ConsentState.GRANTED:
            await house.basis.find(basis.recognised, ask, writing, again=True)
        return await left(writing)

    return effect


def write_answer(checked: Checked, permit: Permit, edge: Edge, request_id: str) -> bytes:
    """The exact bytes that leave."""
    ask = permit.basis.ask
    return canonical(
        {
            "request": request_id,
            "exchange": ask.exchange.id,
            "purpose": ask.purpose,
            "door": str(ask.door),
            "provider": edge.party.text,
            "policy": permit.policy_version,
            "labels": dict(checked.labels),
            "lines": [to_wire(line) for line in checked.lines],
            "withheld": dict(permit.withheld),
        }
    )
