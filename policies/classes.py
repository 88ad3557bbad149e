"""Classes of requests: the finite set of cases in which rules can tell requests apart.

Within one exchange and one subject, a column's values fall into classes that every row treats alike (fields, actions,
purposes, regions, states of consent, stretches of time). The product of these classes covers every request there can be, so a
statement about all of them is a proof.

Rules kept here: subjects, exchanges, fields and purposes are those of the catalogue; a subject that the catalogue does not
know matches rows with `*` only, and those are deny rows, so nothing can be allowed to it; a subject's department is its domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

from gateway.domain.vocabulary import Action, ConsentState
from policies import obligations, regions
from policies.ancestry import Ancestry
from policies.catalogue import Catalogue
from policies.rows import ANY, Rule

REFUSED = "refused"
_ACTIONS = tuple(map(str, Action))
_STATES = tuple(map(str, ConsentState))


@dataclass(frozen=True, slots=True)
class RequestClass:
    """Requests that every row treats alike. region: a prefix, less the narrower prefixes in `without`; "" is anywhere.

    since, until: the stretch of time, until excluded.
    """

    exchange: str
    subject: str
    fields: tuple[str, ...]
    actions: tuple[str, ...]
    purposes: tuple[str, ...]
    region: str
    without: tuple[str, ...]
    states: tuple[str, ...]
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A row with its words spelt out within one catalogue."""

    rule: Rule
    fields: frozenset[str]
    actions: frozenset[str]
    purposes: frozenset[str]
    states: frozenset[str]
    region: str

    def meets(self, other: Shape) -> bool:
        """Whether some request of one cell can match both."""
        return (
            regions.narrower(self.region, other.region) is not None
            and max(self.rule.nbf, other.rule.nbf) < min(self.rule.exp, other.rule.exp)
            and not self.purposes.isdisjoint(other.purposes)
            and not self.actions.isdisjoint(other.actions)
            and not self.states.isdisjoint(other.states)
            and not self.fields.isdisjoint(other.fields)
        )


class Space:
    """All rows of one or two versions, spelt out and laid by (exchange, subject)."""

    def __init__(self, catalogue: Catalogue, relations: Mapping[str, Ancestry], rules: Iterable[Rule]) -> None:
        self._catalogue = catalogue
        self._below = {name: _below(relation) for name, relation in relations.items()}
        self._subjects = frozenset(relations["g"].above)
        self.shapes = tuple(self.shape(rule) for rule in rules)
        self._cells: dict[tuple[str, str], list[int]] = {}
        for number, shape in enumerate(self.shapes):
            for cell in self.cells(shape.rule):
                self._cells.setdefault(cell, []).append(number)

    def shape(self, rule: Rule) -> Shape:
        """A row spelt out."""
        return Shape(
            rule=rule,
            fields=self._spelt("g4", rule.fld),
            actions=_words(rule.act, _ACTIONS),
            purposes=self._spelt("g3", rule.pur),
            states=_words(rule.con, _STATES),
            region=regions.prefix(rule.reg),
        )

    def cells(self, rule: Rule) -> Iterator[tuple[str, str]]:
        """The (exchange, subject) pairs that a row can match."""
        subjects = [each for each in self._spelt("g", rule.sub) if rule.dom in (ANY, each.partition("@")[2])]
        return product(self._spelt("g2", rule.obj), subjects)

    def meeting(self, cell: tuple[str, str], shape: Shape) -> list[int]:
        """The numbers of the rows that can match a request together with this shape, in the rows' order."""
        return [number for number in self._cells.get(cell, ()) if self.shapes[number].meets(shape)]

    def classes(self, cell: tuple[str, str], shape: Shape, meeting: list[int]) -> Iterator[tuple[RequestClass, int]]:
        """The classes of a shape within a cell, each with the bit set of `meeting` rows that match it."""
        rows = [self.shapes[number] for number in meeting]
        exchange, subject = cell
        fields = shape.fields & frozenset(self._catalogue.exchanges[exchange].fields)
        for (names, a), (acts, b), (purs, c), (region, d), (states, e), (stretch, f) in product(
            _split(fields, [row.fields for row in rows]),
            _split(shape.actions, [row.actions for row in rows]),
            _split(shape.purposes, [row.purposes for row in rows]),
            _regions(shape.region, [row.region for row in rows]),
            _split(shape.states, [row.states for row in rows]),
            _stretches(shape.rule, [row.rule for row in rows]),
        ):
            yield RequestClass(exchange, subject, names, acts, purs, *region, states, *stretch), a & b & c & d & e & f

    def _spelt(self, relation: str, word: str) -> frozenset[str]:
        below = self._below[relation]
        return below[ANY] if word == ANY else below.get(word, frozenset())


def answer(rules: Iterable[Rule]) -> str:
    """What the matching rows give together: `refused`, or the obligation with duties and reach, as text.

    Denial codes do not count: a refusal for another reason is the same answer.
    """
    allowing = []
    for rule in rules:
        if not rule.allows:
            return REFUSED
        allowing.append(rule)
    if not allowing:
        return REFUSED
    parsed = [obligations.parse(rule.obl) for rule in allowing]
    combined = obligations.combine(each.obligation for each in parsed)
    duties = frozenset().union(*(each.duties for each in parsed))
    reach = min((regions.prefix(rule.reg) for rule in allowing), key=len)
    text = obligations.write(obligations.RowObligation(combined, duties))
    return text if not reach else f"{text} in {reach}"


def answers(shapes: list[Shape], members: Callable[[Rule], bool]) -> Callable[[int], str]:
    """`answer` of a bit set of rows, counting only the rows that are members, remembered by bit set."""
    kept = sum(1 << bit for bit, shape in enumerate(shapes) if members(shape.rule))

    @cache
    def of(mask: int) -> str:
        return answer(shape.rule for bit, shape in enumerate(shapes) if mask >> bit & 1)

    return lambda mask: of(mask & kept)


def _below(relation: Ancestry) -> dict[str, frozenset[str]]:
    below: dict[str, set[str]] = {ANY: set(relation.above)}
    for name, above in relation.above.items():
        for each in above:
            below.setdefault(each, set()).add(name)
    return {name: frozenset(names) for name, names in below.items()}


def _words(word: str, words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(words) if word == ANY else frozenset((word,))


def _split(values: frozenset[str], constraints: list[frozenset[str]]) -> list[tuple[tuple[str, ...], int]]:
    """Values that the same rows admit, together, with the bit set of those rows."""
    groups: dict[int, list[str]] = {}
    for value in sorted(values):
        mask = sum(1 << bit for bit, constraint in enumerate(constraints) if value in constraint)
        groups.setdefault(mask, []).append(value)
    return [(tuple(names), mask) for mask, names in groups.items()]


def _regions(region: str, constraints: list[str]) -> list[tuple[tuple[str, tuple[str, ...]], int]]:
    """The region itself, then each narrower one that some row names; each without the narrower ones inside it."""
    atoms = sorted({region, *(each for each in constraints if each.startswith(region))})
    return [
        (
            (atom, tuple(each for each in atoms if each != atom and each.startswith(atom))),
            sum(1 << bit for bit, constraint in enumerate(constraints) if atom.startswith(constraint)),
        )
        for atom in atoms
    ]


def _stretches(rule: Rule, constraints: list[Rule]) -> list[tuple[tuple[str, str], int]]:
    """The times between which no row begins or ends."""
    marks = {mark for row in constraints for mark in (row.nbf, row.exp) if rule.nbf < mark < rule.exp}
    edges = [rule.nbf, *sorted(marks), rule.exp]
    return [
        ((since, until), sum(1 << bit for bit, row in enumerate(constraints) if row.nbf <= since and until <= row.exp))
        for since, until in pairwise(edges)
    ]
