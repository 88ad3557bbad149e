"""Reads and writes of matters for review, and what a review of accesses reads of other rooms.

Rules kept here: nothing commits; a matter that was decided stays decided when it is found again; whatever is counted by
department is counted for the department's own entries only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, func, insert, or_, select, update

from gateway.store import basis_tables as basis
from gateway.store.console_tables import console_matters, console_works
from gateway.store.database import Reading, Writing

MOST = 100
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class MatterRow:
    """A matter; see `console_tables.console_matters`. at: unix seconds of its first entry."""

    matter_id: str
    rule: str
    entry: int
    entries: int
    more: str
    figures: str
    score: int
    at: int
    requester: str
    provider: str
    state: str
    note: str = field(repr=False)
    decided_by: str
    changed: int


_COLUMNS = [console_matters.c[name] for name in MatterRow.__slots__]


async def put_matters(writing: Writing, rows: Iterable[MatterRow]) -> int:
    """Enter those that are not known yet, and bring up to date those that still wait; how many were new."""
    wanted = {row.matter_id: row for row in rows}
    column, known = console_matters.c, dict[str, str]()
    for some in _chunks(list(wanted)):
        found = await writing.connection.execute(
            select(column.matter_id, column.state).where(column.matter_id.in_(some))
        )
        known |= {row[0]: row[1] for row in found}
    for row in wanted.values():
        if known.get(row.matter_id) == "waiting":
            grown = {"entries": row.entries, "more": row.more, "figures": row.figures, "score": row.score}
            await writing.connection.execute(
                update(console_matters).where(column.matter_id == row.matter_id).values(**grown)
            )
    fresh = [_values(row) for row in wanted.values() if row.matter_id not in known]
    for some in _chunks(fresh):
        await writing.connection.execute(insert(console_matters), some)
    return len(fresh)


async def find_matter(reading: Reading, matter_id: str) -> MatterRow | None:
    """One matter."""
    row = (
        await reading.connection.execute(select(*_COLUMNS).where(console_matters.c.matter_id == matter_id))
    ).one_or_none()
    return None if row is None else MatterRow(*row)


async def matters(
    reading: Reading, *, state: str, rule: str = "", department: str | None = None, after: tuple[int, int] | None = None
) -> list[MatterRow]:
    """A page of matters in a state, the gravest first. after: (score, entry) of the last one of the page before."""
    column = console_matters.c
    query = select(*_COLUMNS).where(column.state == state, *_own(department))
    if rule:
        query = query.where(column.rule == rule)
    if after is not None:
        score, entry = after
        query = query.where((column.score < score) | ((column.score == score) & (column.entry > entry)))
    rows = await reading.connection.execute(query.order_by(column.score.desc(), column.entry).limit(MOST))
    return [MatterRow(*row) for row in rows]


async def matter_counts(reading: Reading, department: str | None = None) -> dict[tuple[str, str], int]:
    """(rule, state) -> how many."""
    column = console_matters.c
    query = select(column.rule, column.state, func.count()).where(*_own(department)).group_by(column.rule, column.state)
    return {(row[0], row[1]): int(row[2]) for row in await reading.connection.execute(query)}


async def decide_matter(writing: Writing, matter_id: str, **values: Any) -> bool:
    """Decide a matter that waits; False where somebody was faster."""
    column = console_matters.c
    where = (column.matter_id == matter_id) & (column.state == "waiting")
    done = await writing.connection.execute(update(console_matters).where(where).values(**values))
    return bool(done.rowcount == 1)


async def cases_about(reading: Reading, children: Iterable[bytes]) -> list[tuple[bytes, list[str], str, int, int]]:
    """(child, parties, state, opened µs, changed µs) of every case about these children."""
    column = basis.cases.c
    found: list[tuple[bytes, list[str], str, int, int]] = []
    for some in _chunks(sorted(set(children))):
        query = select(column.child, column.parties, column.state, column.opened, column.changed)
        rows = await reading.connection.execute(query.where(column.child.in_(some)))
        found += [(bytes(row[0]), row[1].split(), row[2], int(row[3]), int(row[4])) for row in rows]
    return found


async def last_review(reading: Reading) -> int:
    """When (unix seconds) the last review that came to its end began, 0 where there was none."""
    column = console_works.c
    query = select(func.max(column.started)).where(column.kind == "review", column.state == "done")
    return int((await reading.connection.execute(query)).scalar_one_or_none() or 0)


def _own(department: str | None) -> list[ColumnElement[bool]]:
    if department is None:
        return []
    return [or_(console_matters.c.requester == department, console_matters.c.provider == department)]


def _chunks(values: list[Any]) -> list[list[Any]]:
    return [values[at : at + _CHUNK] for at in range(0, len(values), _CHUNK)]


def _values(row: MatterRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in MatterRow.__slots__}
