"""Writes of the basis room. Every function takes a `Writing`, none commits; the transaction is the log's own.

Rules kept here: rows are made or change state, never vanish; a change of state names the states it may come from, so two
writers cannot both succeed; what must not happen twice is a key of the database, not a look before the write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.store import basis_tables as t
from gateway.store.basis import Question, actors
from gateway.store.database import Writing


@dataclass(frozen=True, slots=True)
class GivenReference:
    """A reference given to the holder of a scope for one record."""

    reference: str
    kind: str
    record_id: str
    holder: str
    scope: str


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """A consent as it is first written; see `basis_tables.consents`. Lists are space-separated words."""

    child: bytes = field(repr=False)
    exchange: str
    consent_id: str
    purpose: str
    recipients: str
    fields: str
    age_band: str
    grantor: str
    relation: str
    guardian: str
    child_grant: str
    method: str
    given: int
    ends: int
    state: str
    changed: int
    notice_version: str
    definition: str
    issuer: str
    evidence_digest: str
    statement_digest: str


async def put(writing: Writing, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert one row; False, and nothing written, if a key of it is already there."""
    try:
        async with writing.connection.begin_nested():
            await writing.connection.execute(insert(table), dict(row))
    except IntegrityError:
        return False
    return True


async def add_references(writing: Writing, references: Collection[GivenReference]) -> None:
    """Remember references; giving the same one again changes nothing."""
    for given in references:
        row = {name: getattr(given, name) for name in GivenReference.__slots__}
        await put(writing, t.record_references, row)


async def add_case(writing: Writing, row: Mapping[str, Any], parties: Collection[str]) -> None:
    """A case and the parties by which it is listed."""
    await writing.connection.execute(insert(t.cases), dict(row))
    await writing.connection.execute(
        insert(t.case_parties), [{"party": party, "case_id": row["case_id"]} for party in sorted(parties)]
    )


async def move_case(writing: Writing, case_id: str, *, state: str, row: Mapping[str, Any]) -> bool:
    """Change a case that is still in `state`; False if it is not."""
    done = await writing.connection.execute(
        update(t.cases).where(t.cases.c.case_id == case_id, t.cases.c.state == state).values(**row)
    )
    return done.rowcount == 1


async def count_case(writing: Writing, *, region: str, month: str, counter: str) -> None:
    """One more arrow of this kind in this county and month."""
    column = t.case_counters.c
    key = {"region": region, "month": month, "counter": counter}
    where = (column.region == region, column.month == month, column.counter == counter)
    await _add(writing, t.case_counters, where, key, counter="count", more=1)


async def add_consent(writing: Writing, row: ConsentRow) -> bool:
    """A consent; False if its statement was recorded before."""
    return await put(writing, t.consents, {name: getattr(row, name) for name in ConsentRow.__slots__})


async def change_consents(
    writing: Writing,
    *,
    state: str,
    before: Collection[str],
    changed: int,
    consent_id: str | None = None,
    child: bytes | None = None,
    exchange: str | None = None,
    guardian: str | None = None,
) -> list[tuple[str, str]]:
    """Move the consents that match and are in one of `before`; their (consent id, exchange)."""
    column = t.consents.c
    named = {"consent_id": consent_id, "child": child, "exchange": exchange, "guardian": guardian}
    where = [column[name] == value for name, value in named.items() if value is not None]
    if not where:
        return []
    where.append(column.state.in_(sorted(before)))
    found = await writing.connection.execute(select(column.consent_id, column.exchange).where(*where))
    ids = [(row.consent_id, row.exchange) for row in found]
    await writing.connection.execute(update(t.consents).where(*where).values(state=state, changed=changed))
    return ids


async def add_approval(writing: Writing, row: Mapping[str, Any]) -> bool:
    """An approval; False if its statement was recorded before."""
    return await put(writing, t.approvals, row)


async def count_emergency(writing: Writing, question: Question) -> None:
    """Count that this child was reached through the emergency door today by this officer and this client."""
    column = t.emergency_uses.c
    for actor in actors(question)[:2]:
        key = {"day": question.day, "actor": actor, "child": question.child}
        where = (column.day == question.day, column.actor == actor, column.child == question.child)
        await _add(writing, t.emergency_uses, where, key, counter="uses", more=1)


async def count_records(writing: Writing, question: Question, records: int) -> None:
    """Records seen in this hour by officer, client and department."""
    column, hour = t.fuse_uses.c, question.now // 3_600_000_000
    for actor in actors(question):
        where = (column.actor == actor, column.hour == hour)
        await _add(writing, t.fuse_uses, where, {"actor": actor, "hour": hour}, counter="records", more=records)


async def _add(
    writing: Writing, table: Table, where: tuple[Any, ...], key: Mapping[str, Any], *, counter: str, more: int
) -> None:
    # The log's append lets one writer in at a time, so look-then-insert cannot race here.
    column = table.c[counter]
    done = await writing.connection.execute(update(table).where(and_(*where)).values({counter: column + more}))
    if done.rowcount == 0:
        await writing.connection.execute(insert(table), {**key, counter: more})


async def add_rows(writing: Writing, table: Table, rows: Collection[Mapping[str, Any]]) -> None:
    """Plain new rows."""
    if rows:
        await writing.connection.execute(insert(table), [dict(row) for row in rows])


async def settle(
    writing: Writing, table: Table, *, key: Mapping[str, Any], before: str, row: Mapping[str, Any]
) -> bool:
    """Change the one row of `key` that is in state `before`; False if there is none."""
    where = [table.c[name] == value for name, value in key.items()]
    done = await writing.connection.execute(update(table).where(*where, table.c.state == before).values(**row))
    return done.rowcount == 1
