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
# Below this many rows a node stays a plain bucket: testing a few rows is cheaper than walking on, in time and in memory.
_BUCKET = 4

Key = tuple[str, ...]


class Index:
    """Row numbers by the keys of their necessary columns.

    conjuncts: from the matcher. relations: g, g2, g3, g4. rows: the Casbin rows in their order. columns: their names.
    """

    def __init__(
        self,
        conjuncts: Sequence[Conjunct],
        relations: Mapping[str, Ancestry],
        rows: Sequence[Sequence[str]],
        columns: Sequence[str],
    ) -> None:
        by_column = {conjunct.policy: conjunct for conjunct in conjuncts}
        self._levels = tuple(by_column[name] for name in _ORDER if name in by_column)
        self._expanders = tuple(_expander(conjunct, relations) for conjunct in self._levels)
        places = [columns.index(level.policy) for level in self._levels]
        regional = [level.relation == IN_REGION for level in self._levels]
        self._keys: list[Key] = [
            tuple(
                regions.prefix(row[place]) if is_region else row[place]
                for place, is_region in zip(places, regional, strict=True)
            )
            for row in rows
        ]
        self._root: Any = self._grow(list(range(len(rows))), 0)
        self.has_field_level = bool(self._levels) and self._levels[-1].policy == FIELD

    def _grow(self, numbers: list[int], depth: int) -> Any:
        if len(numbers) <= _BUCKET or depth == len(self._levels):
            return tuple(numbers)
        children: dict[str, list[int]] = {}
        for number in numbers:
            children.setdefault(self._keys[number][depth], []).append(number)
        return {key: self._grow(below, depth + 1) for key, below in children.items()}

    def walk(self, request: Mapping[str, str], *, free: str | None = None) -> Walk:
        """The reachable part of the index for a request; `fld` of the request is not read.

        free: a policy column that may hold anything, to find the rows that only this column keeps from matching.
        """
        keys: list[Sequence[str] | None] = [
            None if level.policy == free else expand(request[level.request])
            for level, expand in zip(self._levels, self._expanders, strict=True)
            if level.policy != FIELD
        ]
        found: list[int] = []
        nodes: list[Any] = [self._root]
        for level_keys in keys:
            below: list[Any] = []
            for node in nodes:
                if isinstance(node, tuple):
                    found.extend(node)
                    continue
                if level_keys is None:
                    below.extend(node.values())
                    continue
                for key in level_keys:
                    child = node.get(key)
                    if child is not None:
                        below.append(child)
            nodes = below
        trees: list[dict[str, Any]] = []
        for node in nodes:
            if isinstance(node, tuple):
                found.extend(node)
            else:
                trees.append(node)
        kept = [number for number in found if self._holds(self._keys[number], keys)]
        return Walk(
            loose=kept,
            trees=trees,
            keys=self._keys,
            expand=self._expanders[-1] if self.has_field_level else None,
        )

    @staticmethod
    def _holds(row: Key, keys: Sequence[Sequence[str] | None]) -> bool:
        return all(allowed is None or value in allowed for value, allowed in zip(row, keys, strict=False))


class Walk:
    """What one walk found: rows still to be sorted by field, and subtrees keyed by field."""

    __slots__ = ("_expand", "_keys", "_loose", "_trees")

    def __init__(
        self,
        *,
        loose: list[int],
        trees: list[dict[str, Any]],
        keys: Sequence[Key],
        expand: Callable[[str], Sequence[str]] | None,
    ) -> None:
        self._loose = loose
        self._trees = trees
        self._keys = keys
        self._expand = expand

    def candidates(self, field: str) -> tuple[int, ...]:
        """The numbers of the rows that can match this field, in the rows' order."""
        if self._expand is None:
            return tuple(sorted(self._loose))
        names = self._expand(field)
        keys = self._keys
        numbers = [number for number in self._loose if keys[number][-1] in names]
        for tree in self._trees:
            for name in names:
                numbers.extend(tree.get(name, ()))
        numbers.sort()
        return tuple(numbers)


def _expander(conjunct: Conjunct, relations: Mapping[str, Ancestry]) -> Callable[[str], Sequence[str]]:
    wild = (_WILD,) if conjunct.wildcard else ()
    if conjunct.relation == EQUAL:
        return lambda value: (value, *wild) if value != _WILD else (value,)
    if conjunct.relation == IN_REGION:
        return regions.enclosing
    relation = relations[conjunct.relation]
    known = {name: tuple({*relation.of(name), *wild}) for name in relation.above}
    return lambda value: known.get(value) or tuple({value, *wild})
