"""From a basis to a permit: the request that Casbin is asked, and what its answers mean.

Rules kept here: Casbin decides every field; code here only narrows (consent's fields, obligations, sealing, regions). A
refusal says the first thing that the caller could do something about: exchange_unknown, not_served, no_field, door_closed,
purpose, the code of the deny row (consent_none, consent_withdrawn, rule_denied …), region, no_rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from gateway.domain.basis import Basis
from gateway.domain.exchanges import Exchange, Field
from gateway.domain.permits import Grants, Obligation, Permit
from gateway.domain.vocabulary import Action, Department, Door, Duty, ExchangeState, Level, Profile, Transform
from gateway.errors import Denied, ProgrammingError
from policies import obligations, regions
from policies.index import Walk
from policies.rows import Rule
from policies.snapshot import Request, Snapshot, Verdict

NO_RULE, REGION, PURPOSE, CONSENT = "no_rule", "region", "purpose", "consent_none"
NEAR = (("con", CONSENT), ("reg", REGION), ("pur", PURPOSE))
CONSENT_FIELD, WITHHELD = "consent_field", "obligation_withheld"
_UNSEALED_CLASSES = frozenset({"gate", "reference"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a version says to one request.

    grants: field -> obligation. withheld: field -> code. matching: field -> allow rows that matched, for granted fields.
    code: why nothing at all is granted, empty where something is. refusing: ids of the deny rows that took part.
    """

    grants: Mapping[str, Obligation]
    withheld: Mapping[str, str]
    matching: Mapping[str, tuple[Rule, ...]]
    code: str = ""
    refusing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version grants to all who ask the same: a permit but for what the basis itself adds.

    until: when the first of the rules ends.
    """

    grants: Grants
    withheld: Mapping[str, str]
    rules: Mapping[str, tuple[str, ...]]
    duties: frozenset[Duty]
    regions: tuple[str, ...]
    until: datetime


def decide(snapshot: Snapshot, basis: Basis, request: Request) -> Permit:
    """The permit for a basis. request: of `request_for`. Raises `Denied`."""
    fields, consumer, consented = basis.ask.fields, basis.ask.recipient.department, basis.consent_fields
    terms = snapshot.once(
        request,
        ("terms", fields, consumer, consented),
        lambda: _terms(snapshot, request, fields, consumer=consumer, consent_fields=consented),
    )
    return Permit(
        basis=basis,
        grants=terms.grants,
        withheld=terms.withheld,
        rules=terms.rules,
        duties=_duties(basis) | terms.duties,
        regions=terms.regions,
        policy_version=snapshot.version,
        until=min(basis.until, terms.until),
    )


def request_for(basis: Basis, *, now: str, region: str | None = None) -> Request:
    """What Casbin is asked for a basis; its field stays open.

    region: of the organisation whose action this is, where it is not the caller's; `receive` falls back to `ask.region`.
    """
    ask, caller = basis.ask, basis.recognised.caller
    receives = ask.action is Action.RECEIVE
    department = ask.recipient.department if receives else caller.party.department
    if region is None:
        region = ask.region if receives and ask.region is not None else caller.region
    return Request(
        sub=f"inbox@{department}" if receives else caller.role,
        dom=str(department),
        obj=ask.exchange.id,
        fld="",
        act=str(ask.action),
        pur=f"{ask.door}.{ask.purpose}",
        reg=region,
        con=str(basis.con),
        now=now,
    )


def answer(
    snapshot: Snapshot,
    request: Request,
    fields: Iterable[str] = (),
    *,
    consumer: Department,
    consent_fields: frozenset[str] | None = None,
) -> Answer:
    """What a version says to a request. No field named means every field of the exchange.

    consumer: the department that would hold the data in the end; its consent code opens the doors.
    """
    exchange = snapshot.catalogue.exchanges.get(request.obj)
    code = _closed(exchange, request, consumer)
    if exchange is None or code:
        return Answer({}, {}, {}, code)
    asked = tuple(dict.fromkeys(fields)) or tuple(exchange.fields)
    if any(field not in exchange.fields for field in asked):
        return Answer({}, {}, {}, "no_field")
    verdicts = snapshot.judge(request, asked)
    refusals = Refusals(snapshot, request)
    grants: dict[str, Obligation] = {}
    withheld: dict[str, str] = {}
    for field, verdict in verdicts.items():
        if not verdict.allowed:
            withheld[field] = refusals.code(field, verdict)
        elif consent_fields is not None and field not in consent_fields:
            withheld[field] = CONSENT_FIELD
        elif (granted := _obligation(exchange, exchange.fields[field], verdict)) is None:
            withheld[field] = WITHHELD
        else:
            grants[field] = granted
    return Answer(
        grants,
        withheld,
        {field: verdicts[field].matching for field in grants},
        code="" if grants else _foremost(withheld),
        refusing=() if grants else _refusing(verdicts),
    )


def _terms(
    snapshot: Snapshot,
    request: Request,
    fields: tuple[str, ...],
    *,
    consumer: Department,
    consent_fields: frozenset[str] | None,
) -> Terms:
    answered = answer(snapshot, request, fields, consumer=consumer, consent_fields=consent_fields)
    if answered.code:
        raise Denied(answered.code, rules=answered.refusing)
    used = answered.matching.values()
    rules = {rule for matching in used for rule in matching}
    return Terms(
        grants=Grants(answered.grants),
        withheld=answered.withheld,
        rules={name: tuple(rule.id for rule in matching) for name, matching in answered.matching.items()},
        duties=frozenset(duty for rule in rules for duty in obligations.parse(rule.obl).duties),
        regions=_regions(snapshot.catalogue.exchanges[request.obj], request, used),
        until=min(_time(rule.exp) for rule in rules),
    )


class Refusals:
    """Why fields of one request were refused: the deny row's code, or what alone keeps the nearest allow row away."""

    def __init__(self, snapshot: Snapshot, request: Request) -> None:
        self._snapshot = snapshot
        self._request = request
        self._walks: dict[str, Walk] = {}

    def code(self, field: str, verdict: Verdict) -> str:
        """The refusal's code for one field."""
        if verdict.witness is not None and not verdict.witness.allows:
            return verdict.witness.code
        for column, code in NEAR:
            if any(self.near(field, column)):
                return code
        return NO_RULE

    def near(self, field: str, column: str) -> Iterator[Rule]:
        """The allow rows that only this column keeps from matching the field."""
        if column not in self._walks:
            self._walks[column] = self._snapshot.walk(self._request, free=column)
        asked = self._request._replace(fld=field)
        for number in self._walks[column].candidates(field):
            rule = self._snapshot.rules[number]
            if rule.allows and self._snapshot.failing(asked, rule) == (column,):
                yield rule


def sealing(exchange: Exchange, field: Field) -> bool:
    """Whether the catalogue has this field sealed (DESIGN section 5): in a delivery all but gates and references, in a
    query those of L4 and L5 unless the exchange only answers (Q).
    """
    if field.sealed is not None:
        return field.sealed
    if exchange.pattern.is_query:
        return exchange.level in (Level.L4, Level.L5) and exchange.profile is not Profile.Q
    return field.field_class not in _UNSEALED_CLASSES


def _closed(exchange: Exchange | None, request: Request, consumer: Department) -> str:
    """The code by which the catalogue alone refuses, before any rule is asked; empty where it does not."""
    if exchange is None:
        return "exchange_unknown"
    if exchange.state is not ExchangeState.SERVED:
        return "not_served"
    door, _, purpose = request.pur.partition(".")
    if Door(door) not in exchange.doors_for(consumer):
        return "door_closed"
    if purpose != exchange.purpose:
        return PURPOSE
    if exchange.pattern.is_query != (request.act == Action.QUERY):
        return NO_RULE
    return ""


def _obligation(exchange: Exchange, field: Field, verdict: Verdict) -> Obligation | None:
    """The obligation that all matching rows give together, None where the field is to be withheld."""
    combined = obligations.united(tuple([rule.obl for rule in verdict.matching]))
    sealed = combined.sealed or sealing(exchange, field)
    borne = obligations.applies_to(combined, field.type) and not (sealed and field.gate)
    if combined.transform is Transform.SUPPRESS or not borne:
        return None
    return Obligation(combined.transform, combined.form, sealed=sealed)


def _foremost(withheld: Mapping[str, str]) -> str:
    codes = set(withheld.values())
    for code in ("consent_withdrawn", CONSENT, REGION, PURPOSE):
        if code in codes:
            return code
    special = sorted(codes - {NO_RULE, CONSENT_FIELD, WITHHELD})
    return special[0] if special else min(codes, key=(CONSENT_FIELD, WITHHELD, NO_RULE).index)


def _refusing(verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    return tuple(sorted({verdict.witness.id for verdict in verdicts.values() if verdict.witness}))


def _duties(basis: Basis) -> frozenset[Duty]:
    try:
        return frozenset([Duty(duty) for duty in basis.duties])
    except ValueError:
        raise ProgrammingError("the basis names an unknown duty") from None


def _regions(exchange: Exchange, request: Request, used: Iterable[tuple[Rule, ...]]) -> tuple[str, ...]:
    """The one prefix within which every granted record must lie.

    All matching rows enclose the organisation's region, so their prefixes lie in one another: a field's reach is its
    widest row, the record's is the narrowest field. Where the exchange reaches only the recipient's own region, that is it.
    """
    if exchange.reach == "own" and request.act != Action.SUBMIT:
        return (regions.prefix(request.reg),)
    return (max((min((regions.prefix(rule.reg) for rule in rules), key=len) for rules in used), key=len),)


@lru_cache(maxsize=4_096)
def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
