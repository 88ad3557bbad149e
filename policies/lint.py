"""Lint: what a set of rules may not look like even though every row is well formed.

Rules kept here: a finding is a sentence with the rule or exchange it is about; `error` findings stop a change. Refusals at write (`rows`) and at load (`catalogue`) come before; nothing here repairs anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.domain.exchanges import Exchange, Field
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Department, ExchangeState, Profile, Transform
from policies import obligations
from policies.classes import Shape, Space
from policies.deciding import sealing
from policies.expectations import Expectation
from policies.snapshot import Snapshot

ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """subject: a rule's or an exchange's id. code: stable; sentence: for people."""

    severity: str
    subject: str
    code: str
    sentence: str


def lint(snapshot: Snapshot, cases: tuple[Expectation, ...] = ()) -> tuple[Finding, ...]:
    """Every finding about a version, errors first."""
    space = Space(snapshot.catalogue, snapshot.relations, snapshot.rules)
    found = [*_exchanges(snapshot), *_bearing(snapshot, space), *_reach(space), *_uncovered(snapshot, cases)]
    return tuple(sorted(found, key=lambda each: (each.severity != ERROR, each.subject, each.code)))


def _exchanges(snapshot: Snapshot) -> Iterator[Finding]:
    for exchange in snapshot.catalogue.exchanges.values():
        if exchange.personal and not any(citation.statute for citation in exchange.citations):
            yield Finding(ERROR, exchange.id, "no_statute", "personal information and no law or regulation is cited")
        served = exchange.state is ExchangeState.SERVED
        for field in exchange.fields.values() if served else ():
            if field.type == "text" and exchange.personal and exchange.profile is not Profile.D0:
                yield Finding(ERROR, exchange.id, "free_text", f"{field.name}: below D0 there are codes, not prose")


def _bearing(snapshot: Snapshot, space: Space) -> Iterator[Finding]:
    """Obligations that a field cannot bear: a form of another type, a sealed gate, a sealed reference."""
    for shape in space.shapes:
        if not shape.rule.allows:
            continue
        obligation = obligations.parse(shape.rule.obl).obligation
        for exchange, field in _fields(snapshot, space, shape):
            if sentence := _unbearable(exchange, field, obligation):
                yield Finding(ERROR, shape.rule.id, "obligation_unbearable", f"{exchange.id}.{field.name}: {sentence}")
                break


def _unbearable(exchange: Exchange, field: Field, obligation: Obligation) -> str:
    if not obligations.applies_to(obligation, field.type):
        return "this form does not suit a field of its type"
    if obligation.sealed and field.gate:
        return "the gateway reads a gate, so it cannot be sealed"
    if obligation.sealed and field.field_class == "reference":
        return "the gateway translates a record reference, so it cannot be sealed"
    sealed = obligation.sealed or sealing(exchange, field)
    if obligation.transform is Transform.ANSWER_ONLY and sealed and exchange.pattern.is_query:
        return "an answer is checked at the gateway, so it cannot be sealed"
    return ""


def _reach(space: Space) -> Iterator[Finding]:
    """Allow rows that can match nothing: no such field in the exchange, or a subject of another department."""
    for shape in space.shapes:
        if shape.rule.allows and not any(True for _ in space.cells(shape.rule)):
            yield Finding(ERROR, shape.rule.id, "dead_rule", "no subject of this department acts under this name")


def _fields(snapshot: Snapshot, space: Space, shape: Shape) -> Iterator[tuple[Exchange, Field]]:
    for obj in sorted({obj for obj, _ in space.cells(shape.rule)}):
        exchange = snapshot.catalogue.exchanges[obj]
        yield from ((exchange, field) for name, field in exchange.fields.items() if name in shape.fields)


def _uncovered(snapshot: Snapshot, cases: tuple[Expectation, ...]) -> Iterator[Finding]:
    """Allow rows of served exchanges that no case's answer rests on."""
    if not cases:
        return
    used: set[str] = set()
    for case in cases:
        exchange = snapshot.catalogue.exchanges.get(case.request.obj)
        if exchange is not None:
            verdicts = snapshot.judge(case.request, case.fields or tuple(exchange.fields))
            used |= {rule.id for verdict in verdicts.values() for rule in verdict.matching}
            used |= {verdict.witness.id for verdict in verdicts.values() if verdict.witness}
    for rule in snapshot.rules:
        exchange = snapshot.catalogue.exchanges.get(rule.obj)
        if exchange is not None and exchange.state is ExchangeState.SERVED and rule.id not in used:
            yield Finding(ERROR, rule.id, "no_case", "no case covers this rule")


def consumers_without_rule(snapshot: Snapshot) -> tuple[tuple[str, Department], ...]:
    """Served exchanges and consumers to whom no allow row gives anything: declared in the catalogue, dead in the rules."""
    space = Space(snapshot.catalogue, snapshot.relations, (rule for rule in snapshot.rules if rule.allows))
    reached = {
        (obj, Department(subject.partition("@")[2]))
        for shape in space.shapes
        for obj, subject in space.cells(shape.rule)
    }
    return tuple(
        (exchange.id, consumer)
        for exchange in snapshot.catalogue.exchanges.values()
        if exchange.state is ExchangeState.SERVED
        for consumer in exchange.consumers
        if (exchange.id, consumer) not in reached
    )
