"""The exact index: from many rows to the few that can match, so that a decision costs the same at 10 and at 100,000 rules.

Why it is exact: a row that the index leaves out makes one necessary conjunct false, so Casbin would have called it
indeterminate; its effect depends only on which rows allow or deny and on their order, and the order is kept.

Rules kept here: built once per version and never changed; the keys of a level are the value itself, everything it counts
as, and `*` where the matcher says so; fields come last, so all fields of a record share one walk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policies import regions
from policies.ancestry import Ancestry
from policies.matcher import EQUAL, Conjunct

FIELD = "fld"
IN_REGION = "inRegion"
# Selective columns first; a column that the matcher does not bind by a necessary conjunct is left out.
_ORDER = ("obj", "sub", "pur", "act", "dom", "con", "reg", FIELD)
_WILD = "*"
# Up to this many rows a node stays a plain bucket: testing a few rows is cheaper than walking on, in time and in memory.
_BUCKET = 4

Row = tuple[str, ...]
Expand = Callable[[str], Sequence[str]]


class Index:
    """Row numbers by the keys of their necessary columns.

    conjuncts: from the matcher. relations: g, g2, g3, g4. rows: the Casbin rows in their order. columns: their names.
    request: the names of the request's columns, in the order in which `walk` receives them.
    """

    def __init__(
        self,
        conjuncts: Sequence[Conjunct],
        relations: Mapping[str, Ancestry],
        rows: Sequence[Sequence[str]],
        *,
        columns: Sequence[str],
        request: Sequence[str],
    ) -> None:
        by_column = {conjunct.policy: conjunct for conjunct in conjuncts}
        levels = [by_column[name] for name in _ORDER if name in by_column]
        places = [(columns.index(level.policy), level.relation == IN_REGION) for level in levels]
        self._rows: list[Row] = [
            tuple(regions.prefix(row[place]) if regional else row[place] for place, regional in places) for row in rows
        ]
        seen = [frozenset(row[depth] for row in self._rows) for depth in range(len(levels))]
        expanders = [_expander(level, relations, keys) for level, keys in zip(levels, seen, strict=True)]
        self._field = expanders.pop() if levels and levels[-1].policy == FIELD else None
        self._levels = tuple(
            (level.policy, request.index(level.request), expand)
            for level, expand in zip(levels, expanders, strict=False)
        )
        self._depth = len(levels)
        self._root = self._grow(list(range(len(rows))), 0)

    def walk(self, request: Sequence[str], *, free: str | None = None) -> Walk:
        """The reachable part of the index for a request; its field is not read.

        free: a policy column that may hold anything, to find the rows that only this column keeps from matching.
        """
        loose: list[int] = []
        nodes: list[Any] = [self._root]
        keys: list[Sequence[str] | None] = []
        for column, place, expand in self._levels:
            allowed = None if column == free else expand(request[place])
            keys.append(allowed)
            below: list[Any] = []
            for node in nodes:
                if type(node) is tuple:
                    loose.extend(node)
                elif allowed is None:
                    below.extend(node.values())
                else:
                    below.extend([node[key] for key in allowed if key in node])
            nodes = below
        trees: list[dict[str, Sequence[int]]] = []
        for node in nodes:
            if type(node) is tuple:
                loose.extend(node)
            else:
                trees.append(node)
        kept = [number for number in loose if _holds(self._rows[number], keys)] if loose else loose
        return Walk(loose=kept, trees=trees, rows=self._rows, expand=self._field)

    def _grow(self, numbers: list[int], depth: int) -> Any:
        if len(numbers) <= _BUCKET or depth == self._depth:
            return tuple(numbers)
        children: dict[str, list[int]] = {}
        for number in numbers:
            children.setdefault(self._rows[number][depth], []).append(number)
        return {key: self._grow(below, depth + 1) for key, below in children.items()}


class Walk:
    """What one walk found: rows still to be sorted by field, and subtrees keyed by field."""

    __slots__ = ("_expand", "_found", "_loose", "_rows", "_trees")

    def __init__(
        self,
        *,
        loose: list[int],
        trees: list[dict[str, Sequence[int]]],
        rows: Sequence[Row],
        expand: Expand | None,
    ) -> None:
        self._loose = loose
        self._trees = trees
        self._rows = rows
        self._expand = expand
        self._found: dict[Sequence[str], tuple[int, ...]] = {}

    def candidates(self, field: str) -> tuple[int, ...]:
        """The numbers of the rows that can match this field, in the rows' order."""
        if self._expand is None:
            return tuple(sorted(self._loose))
        names = self._expand(field)
        if names not in self._found:
            self._found[names] = self._gather(names)
        return self._found[names]

    def _gather(self, names: Sequence[str]) -> tuple[int, ...]:
        rows = self._rows
        numbers = [number for number in self._loose if rows[number][-1] in names]
        for tree in self._trees:
            for name in names:
                if name in tree:
                    numbers.extend(tree[name])
        numbers.sort()
        return tuple(numbers)


def _holds(row: Row, keys: Sequence[Sequence[str] | None]) -> bool:
    return all(allowed is None or value in allowed for value, allowed in zip(row, keys, strict=False))


def _expander(conjunct: Conjunct, relations: Mapping[str, Ancestry], seen: frozenset[str]) -> Expand:
    """How a request's value becomes the keys under which matching rows stand; keys that no row uses are left out."""
    wild = (_WILD,) if conjunct.wildcard and _WILD in seen else ()
    if conjunct.relation == EQUAL:
        known = {value: (value, *wild) for value in seen - {_WILD}} | {_WILD: (_WILD,)}
        return lambda value: known.get(value, wild)
    if conjunct.relation == IN_REGION:
        return regions.enclosing
    relation = relations[conjunct.relation]
    groups = {name: tuple((set(relation.of(name)) & seen) | {*wild}) for name in relation.above}
    strangers = {name: tuple({name, *wild}) for name in seen - set(groups)}
    return lambda value: groups.get(value) or strangers.get(value) or wild
