"""What two departments could find by laying their tables side by side: equality joins on any column or pair of columns.

Rules kept here: a join finds a child where a value (or pair of values) stands on exactly one row of each table; columns are compared
under every name, because whoever joins will not care what a column is called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations, product
from typing import Any

Row = Mapping[str, Any]


def joined_children(ours: Sequence[Row], theirs: Sequence[Row]) -> set[str]:
    """Names of columns (or `first+second`) of `theirs` by which at least one child is found in `ours`."""
    found: set[str] = set()
    left = dict(_columns(ours))
    right = {name: column for name, column in _columns(theirs) if name != "exchange"}
    for one, other in product(left, right):
        if _unique(left[one]) & _unique(right[other]):
            found.add(other)
    for pair_left in combinations(sorted(left), 2):
        joint = _unique(list(zip(left[pair_left[0]], left[pair_left[1]], strict=True)))
        for pair_right in permutations(sorted(right), 2):
            if joint & _unique(list(zip(right[pair_right[0]], right[pair_right[1]], strict=True))):
                found.add("+".join(sorted(pair_right)))
    return found


def _columns(rows: Sequence[Row]) -> Iterator[tuple[str, list[Any]]]:
    for name in sorted({name for row in rows for name in row}):
        yield name, [_plain(row.get(name)) for row in rows]


def _plain(value: Any) -> Any:
    return "|".join(sorted(map(str, value))) if isinstance(value, list) else value


def _unique(column: Sequence[Any]) -> set[Any]:
    """Values that stand on exactly one row; an empty one says nothing."""
    counts = Counter(column)
    return {
        value
        for value, count in counts.items()
        if count == 1 and value is not None and not (isinstance(value, tuple) and None in value)
    }
