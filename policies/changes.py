"""变更: what a draft would do, whose signatures it needs, and which version decides at a moment.

draft -> lint -> cases -> invariants -> exact diff and replay -> signed approvals -> activation -> rollback.

Rules kept here: a version becomes active only if its review has no error and it carries the signatures that its changes
require - of every department whose rows or cases it touches, of all five where model or catalogue change, and of one more; nobody
approves his own; an approval is for one version (the hash), so any later edit voids it. Everything here is pure; what is kept and
recorded is `gateway/flows/policy_changes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.domain.vocabulary import Department
from gateway.errors import Denied
from policies import diff, invariants, lint, replay
from policies.book import compiled
from policies.catalogue import Catalogue
from policies.diff import Difference
from policies.expectations import Expectation, failures
from policies.invariants import Breach
from policies.lint import ERROR, Finding
from policies.replay import Asked, Replayed
from policies.rows import Rule
from policies.snapshot import Snapshot
from policies.sources import Source

EVERYBODY = "all"


@dataclass(frozen=True, slots=True)
class Edition:
    """A source, compiled: what decides, and the cases that it has to answer."""

    source: Source
    snapshot: Snapshot
    cases: tuple[Expectation, ...]

    @classmethod
    def of(cls, source: Source) -> Edition:
        """Compile a source. Raises a `ValueError` that names what is wrong: a row's column, a file, the matcher."""
        return cls(source, compiled(source), source.cases())

    @property
    def version(self) -> str:
        """The hash over model, catalogue and rules with their obligations."""
        return self.snapshot.version


@dataclass(frozen=True, slots=True)
class Signature:
    """An approval that identity has verified: who signed (`<organisation>/<person>`), for which department, which version."""

    signer: str
    department: Department
    version: str


@dataclass(frozen=True, slots=True)
class Review:
    """Everything that is known about a draft before anybody signs it."""

    version: str
    findings: tuple[Finding, ...]
    failing_cases: tuple[str, ...]
    breaches: tuple[Breach, ...]
    difference: Difference
    replayed: Replayed
    owners: frozenset[Department]

    @property
    def sound(self) -> bool:
        """No lint error, no failing case, no broken invariant."""
        errors = [finding for finding in self.findings if finding.severity == ERROR]
        return not (errors or self.failing_cases or self.breaches)


def review(active: Edition, drafted: Edition, *, log: Iterable[Asked] = (), now: str) -> Review:
    """What a draft would do. log: what was asked of late, without fields. now: for the replay, fixed-width UTC text."""
    return Review(
        version=drafted.version,
        findings=lint.lint(drafted.snapshot, drafted.cases),
        failing_cases=failures(drafted.snapshot, drafted.cases),
        breaches=invariants.breaches(drafted.snapshot),
        difference=diff.difference(active.snapshot, drafted.snapshot),
        replayed=replay.replay(active.snapshot, drafted.snapshot, replay.every_field(active.snapshot, log, now=now)),
        owners=owners(active, drafted),
    )


def owners(before: Edition, after: Edition) -> frozenset[Department]:
    """The departments whose rows or cases an edit touches; a row above all exchanges, the model and the catalogue touch all
    five.
    """
    if (before.source.model, before.snapshot.catalogue.digest) != (after.source.model, after.snapshot.catalogue.digest):
        return frozenset(Department)
    touched = owners_of_rules(set(before.source.rules) ^ set(after.source.rules))
    return touched | _owners_of_cases(before.cases, after.cases, after.snapshot.catalogue)


def owners_of_rules(rules: Iterable[Rule]) -> frozenset[Department]:
    """The departments that answer for some rules; `all` is all five."""
    named = {rule.owner for rule in rules}
    return frozenset(Department) if EVERYBODY in named else frozenset(Department(owner) for owner in named)


def _owners_of_cases(
    before: Sequence[Expectation], after: Sequence[Expectation], catalogue: Catalogue
) -> frozenset[Department]:
    """Who gives what an exchange carries answers for the cases that hold its rules."""
    were, are = {case.name: case for case in before}, {case.name: case for case in after}
    changed = [name for name in were.keys() | are.keys() if were.get(name) != are.get(name)]
    touched: set[Department] = set()
    for name in changed:
        exchange = catalogue.exchanges.get((are.get(name) or were[name]).request.obj)
        if exchange is None or not exchange.providers:
            return frozenset(Department)
        touched.add(exchange.providers[0])
    return frozenset(touched)


def require_sound(reviewed: Review) -> None:
    """Refuse a draft with a lint error, a failing case or a broken invariant: `Denied("policy_unsound")`."""
    if not reviewed.sound:
        raise Denied("policy_unsound")


def require_signed(author: str, version: str, owned: frozenset[Department], signatures: Iterable[Signature]) -> None:
    """Refuse a version without the signatures that its changes require. author: `<organisation>/<person>`.

    Raises `Denied`: `approval_self`, `approval_stale` (another version), `approval_missing` (an owner, or the one other
    department - a second person of any department where all five are owners).
    """
    given = tuple(signatures)
    if any(signature.signer == author for signature in given):
        raise Denied("approval_self")
    if any(signature.version != version for signature in given):
        raise Denied("approval_stale")
    if still_missing(owned, given):
        raise Denied("approval_missing")


def still_missing(owned: frozenset[Department], signatures: Iterable[Signature]) -> tuple[str, ...]:
    """Who has yet to sign: owners by name, then `another` for the one more; empty where all have signed."""
    given = tuple(signatures)
    signed = {signature.department for signature in given}
    people = {signature.signer for signature in given}
    missing = tuple(sorted(owned - signed))
    enough = len(people) > len(owned) and (signed - owned or len(owned) == len(Department))
    return missing if enough else (*missing, "another")


@dataclass(frozen=True, slots=True)
class Activation:
    """One line of the shelf: from when on which version decides. at: unix seconds. numbers grow from 1 without a gap."""

    number: int
    version: str
    at: int


def deciding(shelf: Sequence[Activation], now: int) -> Activation:
    """The activation that decides at a moment: the last one whose time has come. A later line voids what was still to come.

    shelf: in the order of the numbers, never empty.
    """
    return next((each for each in reversed(shelf) if each.at <= now), shelf[0])


def coming(shelf: Sequence[Activation], now: int) -> Activation | None:
    """The activation that is still to come, None where there is none."""
    return shelf[-1] if shelf[-1].at > now else None
