"""The exact diff of two versions: every class of request whose answer changes, and nothing else changes.

A request whose answer changes matches a changed row, for otherwise the same rows match it in both versions. Inside the
changed rows' boxes the classes are enumerated and both versions asked.

Rules kept here: an answer is the refusal, or the obligation with its duties and reach (not the reason of a refusal, not the
id of the row); a box that holds more classes than the limit is shown as the box itself, marked so, and never cut silently.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.classes import REFUSED, RequestClass, Shape, Space, answers
from policies.rows import Rule
from policies.snapshot import Snapshot

LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """One class of requests with its answer before and after."""

    requests: RequestClass
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Difference:
    """changes: complete, but for the boxes. boxes: rows whose own box is shown because it holds too many classes.

    catalogue: whether the catalogue differs too; then the classes are those of the new one.
    """

    changes: tuple[Change, ...]
    boxes: tuple[Rule, ...]
    catalogue: bool

    @property
    def size(self) -> int:
        """How many classes are listed."""
        return len(self.changes)

    @property
    def gained(self) -> int:
        """Classes that were refused and would be allowed."""
        return sum(change.before == REFUSED for change in self.changes)

    @property
    def lost(self) -> int:
        """Classes that were allowed and would be refused."""
        return sum(change.after == REFUSED for change in self.changes)

    @property
    def complete(self) -> bool:
        """Whether it may be said that nothing else changes."""
        return not self.boxes and not self.catalogue


def difference(before: Snapshot, after: Snapshot, *, limit: int = LIMIT) -> Difference:
    """Every class of request that two versions answer differently."""
    was, will = _rows(before), _rows(after)
    kept = [rule for rule in before.rules if rule in will]
    removed = [rule for rule in before.rules if rule not in will]
    added = [rule for rule in after.rules if rule not in was]
    space = Space(after.catalogue, after.relations, [*kept, *removed, *added])
    finder = _Finder(space, frozenset(removed), frozenset(added), limit)
    for number, rule in enumerate([*removed, *added], len(kept)):
        finder.explore(number, rule)
    return Difference(
        changes=tuple(finder.changes),
        boxes=tuple(finder.boxes),
        catalogue=before.catalogue.digest != after.catalogue.digest,
    )


class _Finder:
    """Explores changed rows in their order; a class that an earlier changed row covers is left to that row."""

    def __init__(self, space: Space, removed: frozenset[Rule], added: frozenset[Rule], limit: int) -> None:
        self._space = space
        self._removed = removed
        self._added = added
        self._limit = limit
        self._done: set[int] = set()
        self.changes: list[Change] = []
        self.boxes: list[Rule] = []

    def explore(self, number: int, rule: Rule) -> None:
        found: list[Change] = []
        shape = self._space.shapes[number]
        for cell in self._space.cells(rule):
            meeting = self._space.meeting(cell, shape)
            for part, counted in self._parts(shape, meeting):
                found.extend(self._changes(cell, part, meeting, counted))
            if len(found) > self._limit:
                self.boxes.append(rule)
                break
        else:
            self.changes.extend(found)
        self._done.add(number)

    def _parts(self, shape: Shape, meeting: list[int]) -> list[tuple[Shape, tuple[int, ...]]]:
        """Where to look within a shape, with the rows whose requests an earlier part has shown.

        A deny row changes an answer only where an allow row holds, so it is cut by each allow row in turn.
        """
        if shape.rule.allows:
            return [(shape, ())]
        allowing = [number for number in meeting if self._space.shapes[number].rule.allows]
        return [
            (_cut(shape, self._space.shapes[number]), tuple(allowing[:place])) for place, number in enumerate(allowing)
        ]

    def _changes(self, cell: tuple[str, str], part: Shape, meeting: list[int], shown: tuple[int, ...]) -> list[Change]:
        near = [number for number in meeting if self._space.shapes[number].meets(part)]
        shapes = [self._space.shapes[number] for number in near]
        covered = sum(1 << bit for bit, number in enumerate(near) if number in self._done or number in shown)
        before = answers(shapes, lambda rule: rule not in self._added)
        after = answers(shapes, lambda rule: rule not in self._removed)
        return [
            Change(requests, before(mask), after(mask))
            for requests, mask in self._space.classes(cell, part, near)
            if not mask & covered and before(mask) != after(mask)
        ]


def _cut(shape: Shape, other: Shape) -> Shape:
    """The requests that match both, as a shape of its own."""
    region = max(shape.region, other.region, key=len)
    nbf, exp = max(shape.rule.nbf, other.rule.nbf), min(shape.rule.exp, other.rule.exp)
    narrow = other.rule if (nbf, exp) == (other.rule.nbf, other.rule.exp) else _dated(other.rule, nbf, exp)
    return Shape(
        rule=narrow,
        fields=shape.fields & other.fields,
        actions=shape.actions & other.actions,
        purposes=shape.purposes & other.purposes,
        states=shape.states & other.states,
        region=region,
    )


def _dated(rule: Rule, nbf: str, exp: str) -> Rule:
    columns = {**rule.__dict__, "nbf": nbf, "exp": exp}
    columns.pop("projection", None)
    return Rule(**columns)


def _rows(snapshot: Snapshot) -> frozenset[Rule]:
    return frozenset(snapshot.rules)
