"""Steps (2)-(4) for a delivery: each line recognised, covered by a basis, and allowed to both ends.

A sender needs this twice: once for its send permit (how shall I reduce and seal?), once when it hands in. Both times the
same function answers, so that "nothing changed in between" is an equality of two values.

Rules kept here: the sender's `submit` and the recipient's `receive` must both allow a field, and the more protective
obligation of the two holds; in a delivery every field is sealed except gate fields and record references; a line that may
not go says why and does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.domain.basis import Ask, Basis
from gateway.domain.canonical import canonical
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import SealingKey
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation, Permit
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import Action, Department, Door
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account
from gateway.flows.house import House
from gateway.flows.recognise import recognise
from gateway.flows.requests import SubjectRequest
from gateway.flows.sighted import is_sighted, refuse_sighted
from gateway.store.database import Reading
from policies.obligations import combine


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sender wants to do, the same at both times."""

    exchange: Exchange
    purpose: str
    door: Door
    recipient: Party
    case_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class LineDecision:
    """One line: the permit with the united grants, or the code of its refusal."""

    number: int
    child: bytes | None = field(repr=False)
    permit: Permit | None
    denied: str = ""


@dataclass(frozen=True, slots=True)
class SendDecision:
    """What both ends may do, line by line, and the key to seal to."""

    wish: Wish
    recipient_key: SealingKey
    lines: tuple[LineDecision, ...]

    @property
    def fingerprint(self) -> bytes:
        """Canonical bytes of everything that a sender relies on; equal bytes mean that nothing changed."""
        wish = self.wish
        return canonical(
            {
                "exchange": wish.exchange.id,
                "purpose": wish.purpose,
                "door": str(wish.door),
                "recipient": wish.recipient.text,
                "case": wish.case_id or "",
                "reason": wish.reason or "",
                "kid": self.recipient_key.kid,
                "lines": {
                    str(line.number): {
                        "child": line.child.hex() if line.child else "",
                        "denied": line.denied,
                        "grants": {name: duty.text for name, duty in line.permit.grants.items()} if line.permit else {},
                    }
                    for line in self.lines
                },
            }
        )

    @property
    def policy_version(self) -> str:
        """The version that permitted, empty where nothing is."""
        return next((permit.policy_version for permit in self.permitted.values()), "")

    @property
    def permitted(self) -> Mapping[int, Permit]:
        """The lines that may go."""
        return {line.number: line.permit for line in self.lines if line.permit is not None}


async def decide(
    house: House,
    account: Account,
    wish: Wish,
    subjects: Iterable[tuple[int, SubjectRequest | None]],
    reading: Reading,
) -> SendDecision:
    """Decide every line. Raises `Denied` where the whole delivery cannot be (no recipient key, unknown recipient, sighted)."""
    key, caller = house.registry.sealing_key(wish.recipient), account.caller
    account.sighted = is_sighted(house, caller.party, wish.recipient)
    refuse_sighted(house, wish.exchange, sighted=account.sighted)
    lines = []
    for number, subject in subjects:
        recognised = await recognise(house, account, wish.exchange, subject, reading)
        child = recognised.subject.key if isinstance(recognised.subject, Child) else None
        ask = Ask(
            exchange=wish.exchange,
            purpose=wish.purpose,
            door=wish.door,
            action=Action.SUBMIT,
            recipient=wish.recipient,
            fields=tuple(wish.exchange.fields),
            case_id=wish.case_id,
            reason=wish.reason,
            region=caller.region,
        )
        try:
            basis = await house.basis.find(recognised, ask, reading)
            permit = permit_both_ends(house, basis)
        except Denied as error:
            lines.append(LineDecision(number, child, None, error.code))
            continue
        lines.append(LineDecision(number, child, permit))
    return SendDecision(wish, key, tuple(lines))


def permit_both_ends(house: House, basis: Basis) -> Permit:
    """The sender's `submit` and the recipient's `receive`, united."""
    book = house.book
    submit = book.decide(basis)
    recipient = basis.ask.recipient
    organisation = house.registry.organisation(recipient.organisation)
    receive = book.decide(replace(basis, ask=replace(basis.ask, action=Action.RECEIVE)), region=organisation.region)
    if receive.policy_version != submit.policy_version:
        # A version was published between the two: neither decided this delivery.
        raise Denied("permit_stale")
    grants: dict[str, Obligation] = {}
    withheld = {**submit.withheld, **receive.withheld}
    for name in submit.grants:
        if name in receive.grants:
            united = combine((submit.grants[name], receive.grants[name]))
            grants[name] = replace(united, sealed=sealed_in_delivery(basis.ask.exchange, name))
    if not grants:
        raise Denied("no_field", exchange=basis.ask.exchange.id)
    return replace(
        receive,
        grants=grants,
        withheld={name: code for name, code in withheld.items() if name not in grants},
        rules={name: submit.rules.get(name, ()) + receive.rules.get(name, ()) for name in grants},
        duties=submit.duties | receive.duties,
        until=min(submit.until, receive.until),
    )


def sealed_in_delivery(exchange: Exchange, name: str) -> bool:
    """Everything but gate fields (a rule at the gateway reads them) and record references (the gateway translates)."""
    field_ = exchange.fields[name]
    return not field_.gate and field_.type != "record_id"


def party_named(house: House, text: str) -> Party:
    """`<organisation>/<department>` of a registered organisation that acts for that department."""
    code, _, department = text.partition("/")
    try:
        party = Party(code, Department(department))
    except ValueError as error:
        raise BadRequest("recipient_unknown") from error
    organisation = house.registry.find_organisation(code)
    if organisation is None or party.department not in organisation.departments:
        raise BadRequest("recipient_unknown")
    return party
