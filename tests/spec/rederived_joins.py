"""The join test of the care register, written a second time: which columns of theirs find a child in ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

Row = Mapping[str, Any]


def finding_columns(ours: Sequence[Row], theirs: Sequence[Row]) -> list[str]:
    """Columns, or `first+second`, whose value stands on one row of theirs, and under some column or pair on one row of ours."""
    found = set()
    for width in (1, 2):
        single = set()
        for columns in permutations(_names(ours), width):
            single |= _on_one_row(ours, columns)
        for columns in permutations(_names(theirs), width):
            if _on_one_row(theirs, columns) & single:
                found.add("+".join(sorted(columns)))
    return sorted(found)


def _names(rows: Sequence[Row]) -> list[str]:
    return sorted({name for row in rows for name in row})


def _on_one_row(rows: Sequence[Row], columns: Sequence[str]) -> set[tuple[str, ...]]:
    places: dict[tuple[str, ...], int] = defaultdict(int)
    for row in rows:
        if all(row.get(name) is not None for name in columns):
            places[tuple(_text(row[name]) for name in columns)] += 1
    return {value for value, count in places.items() if count == 1}


def _text(value: Any) -> str:
    return "|".join(sorted(map(str, value))) if isinstance(value, list) else str(value)
