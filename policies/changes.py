"""变更: draft, lint, cases, invariants, exact diff and replay, signed approvals, activation, rollback.

Rules kept here: a version becomes active only if its review has no error and it carries the signatures that its changes
require - of every department whose rows it touches, and of one more; nobody approves his own; an approval is for one version
(the hash), so any later edit voids it; what is active stays active when anything here fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.vocabulary import Department
from gateway.errors import Denied
from policies import diff, invariants, lint, replay
from policies.catalogue import Catalogue
from policies.diff import Difference
from policies.expectations import Expectation, failures
from policies.invariants import Breach
from policies.lint import ERROR, Finding
from policies.replay import Replayed
from policies.rows import Rule, checked
from policies.snapshot import Request, Snapshot

Build = Callable[[Catalogue, Sequence[Rule]], Snapshot]
EVERYBODY = "all"


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A draft. base: the version it starts from. rules: the complete rules it proposes. author: `<organisation>/<person>`."""

    base: str
    rules: tuple[Rule, ...]
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class Signature:
    """An approval that identity has verified: who signed, for which department, which version."""

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


def review(
    change: ChangeSet,
    active: Snapshot,
    build: Build,
    *,
    cases: tuple[Expectation, ...],
    log: Iterable[Request] = (),
) -> tuple[Snapshot, Review]:
    """The draft's snapshot and its review. Raises `Denied("policy_stale")` on another base, `RuleError` on a bad row."""
    if change.base != active.version:
        raise Denied("policy_stale")
    drafted = build(active.catalogue, checked(change.rules, active.catalogue))
    return drafted, Review(
        version=drafted.version,
        findings=lint.lint(drafted, cases),
        failing_cases=failures(drafted, cases),
        breaches=invariants.breaches(drafted),
        difference=diff.difference(active, drafted),
        replayed=replay.replay(active, drafted, log),
        owners=owners(active.rules, drafted.rules),
    )


def owners(before: Sequence[Rule], after: Sequence[Rule]) -> frozenset[Department]:
    """The departments whose rows an edit touches; a row above all exchanges touches all five."""
    touched = {rule.owner for rule in set(before) ^ set(after)}
    if EVERYBODY in touched:
        return frozenset(Department)
    return frozenset(Department(owner) for owner in touched)


def require_signed(change: ChangeSet, reviewed: Review, signatures: Iterable[Signature]) -> None:
    """Refuse a version that may not load.

    Raises `Denied`: `policy_unsound` (review), `approval_self`, `approval_stale` (another version), `approval_missing`
    (an owner, or the one other department - a second person of any department where all five are owners).
    """
    if not reviewed.sound:
        raise Denied("policy_unsound")
    given = tuple(signatures)
    if any(signature.signer == change.author for signature in given):
        raise Denied("approval_self")
    if any(signature.version != reviewed.version for signature in given):
        raise Denied("approval_stale")
    signed = {signature.department for signature in given}
    people = {signature.signer for signature in given}
    if not reviewed.owners <= signed or len(people) <= len(reviewed.owners):
        raise Denied("approval_missing")
    if not signed - reviewed.owners and len(reviewed.owners) < len(Department):
        raise Denied("approval_missing")


@dataclass(frozen=True, slots=True)
class Activation:
    """A signed version and the moment from which it decides."""

    snapshot: Snapshot
    at: datetime


class Shelf:
    """The versions that were signed, in the order of their activation; rolling back is another activation.

    active: the version that decides at first.
    """

    def __init__(self, active: Snapshot, since: datetime) -> None:
        self._activations: tuple[Activation, ...] = (Activation(active, since),)

    def at(self, now: datetime) -> Snapshot:
        """The version that decides at a moment."""
        due = [each for each in self._activations if each.at <= now]
        return (due or self._activations[:1])[-1].snapshot

    def activate(
        self,
        snapshot: Snapshot,
        change: ChangeSet,
        reviewed: Review,
        signatures: Iterable[Signature],
        *,
        at: datetime,
        now: datetime,
    ) -> None:
        """Let a signed version decide from a moment on. Raises as `require_signed`; `policy_stale` where it was drafted on
        a version that is no longer the last one, or for a moment in the past.
        """
        require_signed(change, reviewed, signatures)
        last = self._activations[-1]
        current = change.base == last.snapshot.version and snapshot.version == reviewed.version
        if not current or at < now or at < last.at:
            raise Denied("policy_stale")
        self._activations = (*self._activations, Activation(snapshot, at))

    def roll_back(self, *, now: datetime) -> Snapshot:
        """Return to the version before the one that decides now, and drop what was still to come."""
        past = [each for each in self._activations if each.at <= now]
        if len(past) < 2:
            raise Denied("policy_stale")
        earlier = past[-2].snapshot
        self._activations = (*past, Activation(earlier, now))
        return earlier
