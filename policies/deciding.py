"""From a basis to a permit: the request that Casbin is asked, and what its answers mean.

Rules kept here: Casbin decides every field; code here only narrows (consent's fields, obligations, sealing, regions). A
refusal says the first thing that the caller could do something about: exchange_unknown, not_served, no_field, door_closed,
purpose, the code of the deny row (consent_none, consent_withdrawn, rule_denied …), region, no_rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from gateway.domain.basis import Basis
from gateway.domain.exchanges import Exchange, Field
from gateway.domain.permits import Obligation, Permit
from gateway.domain.vocabulary import Action, Duty, ExchangeState, Level, Profile, Transform
from gateway.errors import Denied, ProgrammingError
from policies import obligations, regions
from policies.index import Walk
from policies.rows import Rule
from policies.snapshot import Request, Snapshot, Verdict

NO_RULE, REGION, PURPOSE, CONSENT = "no_rule", "region", "purpose", "consent_none"
NEAR = (("con", CONSENT), ("reg", REGION), ("pur", PURPOSE))
CONSENT_FIELD, WITHHELD = "consent_field", "obligation_withheld"
_UNSEALED_CLASSES = frozenset({"gate", "reference"})


def decide(snapshot: Snapshot, basis: Basis, *, now: str, region: str | None = None) -> Permit:
    """The permit for a basis at a time (fixed-width UTC text). Raises `Denied`."""
    ask = basis.ask
    exchange = _exchange(snapshot, basis)
    fields = _fields(exchange, ask.fields)
    own = _own_region(basis, region)
    request = Request(
        sub=f"inbox@{ask.recipient.department}" if ask.action is Action.RECEIVE else basis.recognised.caller.role,
        dom=str(ask.recipient.department if ask.action is Action.RECEIVE else basis.recognised.caller.party.department),
        obj=exchange.id,
        fld="",
        act=str(ask.action),
        pur=f"{ask.door}.{ask.purpose}",
        reg=own,
        con=str(basis.con),
        now=now,
    )
    verdicts = snapshot.judge(request, fields)
    refusals = Refusals(snapshot, request)
    grants: dict[str, Obligation] = {}
    withheld: dict[str, str] = {}
    for field, verdict in verdicts.items():
        if not verdict.allowed:
            withheld[field] = refusals.code(field, verdict)
        elif basis.consent_fields is not None and field not in basis.consent_fields:
            withheld[field] = CONSENT_FIELD
        else:
            _grant(exchange, exchange.fields[field], verdict, grants, withheld)
    if not grants:
        raise Denied(_foremost(withheld), rules=_refusing(verdicts))
    used = {field: verdicts[field].matching for field in grants}
    return Permit(
        basis=basis,
        grants=grants,
        withheld=withheld,
        rules={field: tuple(rule.id for rule in rules) for field, rules in used.items()},
        duties=_duties(basis, used.values()),
        regions=_regions(exchange, ask.action, own, used.values()),
        policy_version=snapshot.version,
        until=min((basis.until, *(_time(rule.exp) for rules in used.values() for rule in rules))),
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


def _exchange(snapshot: Snapshot, basis: Basis) -> Exchange:
    ask = basis.ask
    exchange = snapshot.catalogue.exchanges.get(ask.exchange.id)
    if exchange is None:
        raise Denied("exchange_unknown")
    if exchange.state is not ExchangeState.SERVED:
        raise Denied("not_served")
    if ask.door not in exchange.doors_for(ask.recipient.department):
        raise Denied("door_closed")
    if ask.purpose != exchange.purpose:
        raise Denied(PURPOSE)
    if exchange.pattern.is_query != (ask.action is Action.QUERY):
        raise Denied(NO_RULE)
    return exchange


def _fields(exchange: Exchange, asked: tuple[str, ...]) -> tuple[str, ...]:
    if any(field not in exchange.fields for field in asked):
        raise Denied("no_field")
    return tuple(dict.fromkeys(asked)) or tuple(exchange.fields)


def _own_region(basis: Basis, region: str | None) -> str:
    if region is None and basis.ask.action is Action.RECEIVE:
        region = basis.ask.region
    return basis.recognised.caller.region if region is None else region


def _grant(
    exchange: Exchange, field: Field, verdict: Verdict, grants: dict[str, Obligation], withheld: dict[str, str]
) -> None:
    combined = obligations.combine(obligations.parse(rule.obl).obligation for rule in verdict.matching)
    sealed = combined.sealed or sealing(exchange, field)
    borne = obligations.applies_to(combined, field.type) and not (sealed and field.gate)
    if combined.transform is Transform.SUPPRESS or not borne:
        withheld[field.name] = WITHHELD
    else:
        grants[field.name] = Obligation(combined.transform, combined.form, sealed=sealed)


def _foremost(withheld: Mapping[str, str]) -> str:
    codes = set(withheld.values())
    for code in ("consent_withdrawn", CONSENT, REGION, PURPOSE):
        if code in codes:
            return code
    special = sorted(codes - {NO_RULE, CONSENT_FIELD, WITHHELD})
    return special[0] if special else min(codes, key=(CONSENT_FIELD, WITHHELD, NO_RULE).index)


def _refusing(verdicts: Mapping[str, Verdict]) -> tuple[str, ...]:
    return tuple(sorted({verdict.witness.id for verdict in verdicts.values() if verdict.witness}))


def _duties(basis: Basis, used: Iterable[tuple[Rule, ...]]) -> frozenset[Duty]:
    try:
        duties = {Duty(duty) for duty in basis.duties}
    except ValueError:
        raise ProgrammingError("the basis names an unknown duty") from None
    for rules in used:
        for rule in rules:
            duties |= obligations.parse(rule.obl).duties
    return frozenset(duties)


def _regions(exchange: Exchange, action: Action, own: str, used: Iterable[tuple[Rule, ...]]) -> tuple[str, ...]:
    """The one prefix within which every granted record must lie.

    All matching rows enclose the organisation's region, so their prefixes lie in one another: a field's reach is its
    widest row, the record's is the narrowest field. Where the exchange reaches only the recipient's own region, that is it.
    """
    if exchange.reach == "own" and action is not Action.SUBMIT:
        return (regions.prefix(own),)
    return (max((min((regions.prefix(rule.reg) for rule in rules), key=len) for rules in used), key=len),)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
