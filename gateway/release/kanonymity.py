"""k-anonymity and l-diversity of published needs (X15), by local generalisation along declared hierarchies.

After Mondrian (LeFevre 2006) with hierarchies in place of medians: start with every quasi-identifier at its coarsest, then make
one finer at a time wherever every resulting class still holds k records and l sensitive values.

Rules kept here: k >= 5 inside the five departments, k >= 20 outside, l >= 2 (GB/T 37964, 个人信息保护法 73); what cannot be published
safely at the coarsest level is refused whole; a refusal names sizes, never a record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.exchanges import Generalisation
from gateway.errors import BadRequest, Denied

K_INSIDE, K_OUTSIDE, L_LEAST = 5, 20, 2
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """How one quasi-identifier becomes coarser. levels: finest first, each a complete mapping value -> label of that level;
    the level above all is `*`.
    """

    levels: tuple[Mapping[str, str], ...]

    @property
    def top(self) -> int:
        """The number of the level `*`."""
        return len(self.levels)

    def at(self, value: str, level: int) -> str:
        """The label of a value on a level. Raises `BadRequest("hierarchy_value")` for an undeclared value."""
        if level == self.top:
            return "*"
        label = self.levels[level].get(value)
        if label is None:
            raise BadRequest("hierarchy_value")
        return label


def hierarchies(declared: Generalisation, rows: Sequence[Row]) -> dict[str, Hierarchy]:
    """The hierarchies that an exchange declares; those of region codes over the codes that occur.

    Raises `BadRequest("hierarchy_value")` for a code that is not six digits.
    """
    made = {name: Hierarchy(levels) for name, levels in declared.groups.items()}
    for name, digits in declared.digits.items():
        codes = {row[name] for row in rows}
        if any(not (len(code) == 6 and code.isascii() and code.isdigit()) for code in codes):
            raise BadRequest("hierarchy_value")
        made[name] = Hierarchy(tuple({code: code[:count] for code in codes} for count in digits))
    return made


def anonymise(
    rows: Sequence[Row],
    *,
    hierarchies: Mapping[str, Hierarchy],
    sensitive: str,
    k: int = K_INSIDE,
    diversity: int = L_LEAST,
) -> list[dict[str, str]]:
    """The rows in their order with every quasi-identifier generalised; columns other than those of `hierarchies` and
    `sensitive` are dropped.

    Raises `Denied("k_anonymity", size=…, k=…, diversity=…)` where even the coarsest table is no such class, and
    `BadRequest("hierarchy_value")`. No rows give no rows.
    """
    if not rows:
        return []
    for row in rows:
        for name, hierarchy in hierarchies.items():
            for level in range(hierarchy.top):
                hierarchy.at(row[name], level)
    everyone = list(range(len(rows)))
    rule = _Rule(rows, sensitive, k, diversity)
    if not rule.holds(everyone):
        raise Denied("k_anonymity", size=len(rows), k=k, diversity=diversity)
    published: list[dict[str, str]] = [{} for _ in rows]
    start = {name: hierarchy.top for name, hierarchy in hierarchies.items()}
    for members, levels in _split(everyone, start, frozenset(), hierarchies, rule):
        for index in members:
            labels = {name: hierarchies[name].at(rows[index][name], level) for name, level in levels.items()}
            published[index] = {**labels, sensitive: rows[index][sensitive]}
    require_anonymous(published, quasi=tuple(hierarchies), sensitive=sensitive, k=k, diversity=diversity)
    return published


def require_anonymous(
    rows: Sequence[Row], *, quasi: Sequence[str], sensitive: str, k: int = K_INSIDE, diversity: int = L_LEAST
) -> None:
    """Refuse a table with a class of fewer than k rows or too few sensitive values: `Denied("k_anonymity", size=…, k=…, diversity=…)`,
    where size is that of the smallest offending class.
    """
    broken = offending(rows, quasi=quasi, sensitive=sensitive, k=k, diversity=diversity)
    if broken:
        raise Denied("k_anonymity", size=min(size for _, size in broken), k=k, diversity=diversity)


def offending(
    rows: Sequence[Row], *, quasi: Sequence[str], sensitive: str, k: int = K_INSIDE, diversity: int = L_LEAST
) -> list[tuple[tuple[str, ...], int]]:
    """Classes that break the rule, with their sizes: for the publishing department's own eyes only."""
    classes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        classes[tuple(row[name] for name in quasi)].append(index)
    rule = _Rule(rows, sensitive, k, diversity)
    return [(labels, len(members)) for labels, members in sorted(classes.items()) if not rule.holds(members)]


@dataclass(frozen=True, slots=True)
class _Rule:
    rows: Sequence[Row]
    sensitive: str
    k: int
    diversity: int

    def holds(self, members: list[int]) -> bool:
        return len(members) >= self.k and len({self.rows[index][self.sensitive] for index in members}) >= self.diversity


def _split(
    members: list[int],
    levels: dict[str, int],
    settled: frozenset[str],
    hierarchies: Mapping[str, Hierarchy],
    rule: _Rule,
) -> list[tuple[list[int], dict[str, int]]]:
    """Make the class finer where it stays safe; the attribute that gives the most classes goes first."""
    best: tuple[int, str, list[list[int]], list[int]] | None = None
    for name in sorted(hierarchies.keys() - settled):
        if levels[name] == 0:
            continue
        parts = _finer(members, name, levels[name] - 1, hierarchies, rule)
        if parts is not None and (best is None or len(parts[0]) > best[0]):
            best = (len(parts[0]), name, *parts)
    if best is None:
        return [(members, levels)]
    _, name, children, rest = best
    result: list[tuple[list[int], dict[str, int]]] = []
    for child in children:
        result += _split(child, {**levels, name: levels[name] - 1}, settled, hierarchies, rule)
    if rest:
        result += _split(rest, levels, settled | {name}, hierarchies, rule)
    return result


def _finer(
    members: list[int], name: str, level: int, hierarchies: Mapping[str, Hierarchy], rule: _Rule
) -> tuple[list[list[int]], list[int]] | None:
    """Safe classes one level finer, and the rest that stays as coarse as before (itself safe or empty)."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index in members:
        groups[hierarchies[name].at(rule.rows[index][name], level)].append(index)
    safe = sorted((group for group in groups.values() if rule.holds(group)), key=len)
    rest = [index for group in groups.values() if not rule.holds(group) for index in group]
    while rest and not rule.holds(rest) and safe:
        rest += safe.pop(0)
    return (safe, sorted(rest)) if safe else None
