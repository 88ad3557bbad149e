"""Mutants of the rules: does anybody's case notice when a rule is lost, turned round or widened?

Rules kept here: a mutant differs from the rules in one row and one way; only the cases of the exchange that the row speaks of
are asked, because no other can notice; rows of exchanges that are only declared have no cases and no mutants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gateway.domain.vocabulary import ExchangeState
from policies import regions
from policies.catalogue import Catalogue
from policies.expectations import Expectation
from policies.rows import ANY, Rule
from policies.snapshot import Snapshot

Build = Callable[[Catalogue, list[Rule]], Snapshot]
KINDS = ("dropped", "effect swapped", "region widened", "purpose widened", "door widened")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed row; `rule` is None where the row is gone."""

    kind: str
    original: Rule
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Score:
    """caught of total, and those that nobody noticed (kind, rule id)."""

    caught: int
    total: int
    survivors: tuple[tuple[str, str], ...]

    @property
    def ratio(self) -> float:
        """Caught by total, 1.0 where there is nothing to catch."""
        return self.caught / self.total if self.total else 1.0


def mutants(rules: tuple[Rule, ...], catalogue: Catalogue) -> Iterator[Mutant]:
    """Every mutant of the rules that can be noticed: of served exchanges, and of rows above all exchanges."""
    for rule in rules:
        exchange = catalogue.exchanges.get(rule.obj)
        if exchange is not None and exchange.state is not ExchangeState.SERVED:
            continue
        yield Mutant("dropped", rule, None)
        swapped = replace(rule, eft="deny", obl="none", code="rule_denied") if rule.allows else None
        yield Mutant("effect swapped", rule, swapped or replace(rule, eft="allow", obl="clear", code="-"))
        if rule.allows and rule.reg != ANY:
            yield Mutant("region widened", rule, replace(rule, reg=_wider(rule.reg)))
        if rule.allows and "." in rule.pur:
            door, _, purpose = rule.pur.partition(".")
            yield Mutant("purpose widened", rule, replace(rule, pur=door))
            other = "emergency" if door == "normal" else "normal"
            yield Mutant("door widened", rule, replace(rule, pur=f"{other}.{purpose}", id=f"{rule.id}+"))


def score(
    rules: tuple[Rule, ...], catalogue: Catalogue, cases: tuple[Expectation, ...], build: Build, *, every: int = 1
) -> Score:
    """How many mutants the cases notice. every: take each n-th mutant only."""
    caught, survivors = 0, []
    taken = list(mutants(rules, catalogue))[::every]
    for mutant in taken:
        obj = mutant.original.obj
        single = obj in catalogue.exchanges
        # Rows of other exchanges cannot match a case of this one, so leaving them out changes no answer.
        kept = [rule for rule in rules if not single or rule.obj == obj or rule.obj not in catalogue.exchanges]
        snapshot = build(catalogue, _with(kept, mutant))
        asked = (case for case in cases if not single or case.request.obj == obj)
        if any(case.difference(snapshot) for case in asked):
            caught += 1
        else:
            survivors.append((mutant.kind, mutant.original.id))
    return Score(caught, len(taken), tuple(survivors))


def _with(rules: list[Rule], mutant: Mutant) -> list[Rule]:
    changed: list[Rule] = []
    for rule in rules:
        if rule is not mutant.original:
            changed.append(rule)
        elif mutant.rule is not None:
            # A widened door stands beside the row, as an administrator's extra row would.
            changed.extend((rule, mutant.rule) if mutant.kind == "door widened" else (mutant.rule,))
    return changed


def _wider(region: str) -> str:
    short = regions.prefix(region)
    parents = [length for length in regions.LENGTHS if length < len(short)]
    return short[: parents[-1]].ljust(6, "0") if parents else ANY
