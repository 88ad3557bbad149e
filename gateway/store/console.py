"""Reads and writes of the console's rows, and the counts that its pages show of other rooms.

Rules kept here: nothing commits; counts name no child and no person; what changes an account or a finding runs as the effect of
its entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Column, Table, delete, func, insert, select, update

from gateway.store import basis_tables as basis
from gateway.store.audit import fetch
from gateway.store.console_tables import (
    console_accounts,
    console_findings,
    console_security_keys,
    console_sessions,
    console_works,
)
from gateway.store.database import Reading, Writing
from gateway.store.exchange_tables import outbox
from gateway.store.registry_tables import kill_switches

MOST = 200


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A local account as stored; see `console_tables.console_accounts`."""

    account: str
    person: str
    role: str
    department: str
    password_hash: str = field(repr=False)
    code_secret: bytes = field(repr=False)
    last_step: int
    failures: int
    locked_until: int
    enabled: bool
    demo: bool
    created: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session, known by its token's digest. started, seen: unix seconds."""

    token_digest: bytes = field(repr=False)
    account: str
    started: int
    seen: int


@dataclass(frozen=True, slots=True)
class SecurityKeyRow:
    """A security key's public half; see `console_tables.console_security_keys`."""

    credential_id: bytes
    account: str
    public_key: bytes = field(repr=False)
    signs: int
    label: str
    added: int


@dataclass(frozen=True, slots=True)
class WorkRow:
    """Long work; see `console_tables.console_works`. place: an entry index that the result speaks of, -1 for none."""

    work_id: str
    kind: str
    account: str
    department: str
    worker: str
    state: str
    done: int
    total: int
    code: str
    place: int
    started: int
    ended: int


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding; see `console_tables.console_findings`."""

    finding_id: str
    entry: int
    severity: str
    against: str
    department: str
    text: str = field(repr=False)
    remedy: str = field(repr=False)
    verdict: str = field(repr=False)
    state: str
    opened: int
    opened_by: str
    answered_by: str
    closed_by: str
    changed: int


# --- accounts and sessions ------------------------------------------------------------------------------------------


async def find_account(reading: Reading, account: str) -> AccountRow | None:
    """The account of that name."""
    row = (await reading.connection.execute(_accounts().where(console_accounts.c.account == account))).one_or_none()
    return None if row is None else AccountRow(*row)


async def accounts_of(reading: Reading, person: str) -> list[AccountRow]:
    """Every account of one person."""
    rows = await reading.connection.execute(_accounts().where(console_accounts.c.person == person))
    return [AccountRow(*row) for row in rows]


async def all_accounts(reading: Reading) -> list[AccountRow]:
    """Every account, by name."""
    rows = await reading.connection.execute(_accounts().order_by(console_accounts.c.account).limit(MOST))
    return [AccountRow(*row) for row in rows]


async def put_account(writing: Writing, row: AccountRow) -> None:
    """Enter an account; the caller has looked that its name is free."""
    await writing.connection.execute(insert(console_accounts).values(**_values(row)))


async def change_account(writing: Writing, account: str, **values: Any) -> None:
    """Change columns of an account."""
    await writing.connection.execute(
        update(console_accounts).where(console_accounts.c.account == account).values(**values)
    )


async def accept_step(writing: Writing, account: str, step: int) -> bool:
    """Claim a time step of the one-time code; False where it, or a later one, was used before."""
    where = (console_accounts.c.account == account) & (console_accounts.c.last_step < step)
    done = await writing.connection.execute(update(console_accounts).where(where).values(last_step=step))
    return bool(done.rowcount == 1)


async def put_security_key(writing: Writing, row: SecurityKeyRow) -> None:
    """Enter a security key; the caller has looked that it is new."""
    await writing.connection.execute(insert(console_security_keys).values(**_values(row)))


async def find_security_key(reading: Reading, credential_id: bytes) -> SecurityKeyRow | None:
    """The security key of that id."""
    column = console_security_keys.c
    query = select(*_columns(console_security_keys, SecurityKeyRow)).where(column.credential_id == credential_id)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else SecurityKeyRow(*row)


async def security_keys_of(reading: Reading, account: str) -> list[SecurityKeyRow]:
    """The security keys of an account, oldest first."""
    column = console_security_keys.c
    query = select(*_columns(console_security_keys, SecurityKeyRow)).where(column.account == account)
    rows = await reading.connection.execute(query.order_by(column.added))
    return [SecurityKeyRow(*row) for row in rows]


async def security_key_signed(writing: Writing, credential_id: bytes, signs: int) -> None:
    """Keep the authenticator's newest count."""
    where = console_security_keys.c.credential_id == credential_id
    await writing.connection.execute(update(console_security_keys).where(where).values(signs=signs))


async def drop_security_key(writing: Writing, account: str, credential_id: bytes) -> bool:
    """Forget a security key of an account; False where it has no such key."""
    column = console_security_keys.c
    where = (column.credential_id == credential_id) & (column.account == account)
    done = await writing.connection.execute(delete(console_security_keys).where(where))
    return bool(done.rowcount == 1)


async def put_session(writing: Writing, row: SessionRow) -> None:
    """Begin a session."""
    await writing.connection.execute(insert(console_sessions).values(**_values(row)))


async def find_session(reading: Reading, token_digest: bytes) -> SessionRow | None:
    """The session of a token."""
    query = select(*_columns(console_sessions, SessionRow)).where(console_sessions.c.token_digest == token_digest)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else SessionRow(*row)


async def session_seen(writing: Writing, token_digest: bytes, now: int) -> None:
    """Note that a session is alive, and drop those that have long ended."""
    column = console_sessions.c
    await writing.connection.execute(
        update(console_sessions).where(column.token_digest == token_digest).values(seen=now)
    )
    await writing.connection.execute(delete(console_sessions).where(column.seen < now - 86_400))


async def end_session(writing: Writing, token_digest: bytes) -> None:
    """End one session."""
    await writing.connection.execute(delete(console_sessions).where(console_sessions.c.token_digest == token_digest))


async def end_sessions_of(writing: Writing, account: str) -> None:
    """End every session of an account: its role changed, or it was disabled."""
    await writing.connection.execute(delete(console_sessions).where(console_sessions.c.account == account))


# --- long work and findings -----------------------------------------------------------------------------------------


async def put_work(writing: Writing, row: WorkRow) -> None:
    """Note the beginning of long work."""
    await writing.connection.execute(insert(console_works).values(**_values(row)))


async def change_work(writing: Writing, work_id: str, **values: Any) -> None:
    """Note how far it is, or how it ended."""
    await writing.connection.execute(update(console_works).where(console_works.c.work_id == work_id).values(**values))


async def find_work(reading: Reading, work_id: str) -> WorkRow | None:
    """One piece of long work."""
    query = select(*_columns(console_works, WorkRow)).where(console_works.c.work_id == work_id)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else WorkRow(*row)


async def works(reading: Reading, kind: str, *, department: str | None = None, limit: int = 20) -> list[WorkRow]:
    """The newest pieces of long work of a kind. department: of that department's accounts only."""
    query = select(*_columns(console_works, WorkRow)).where(console_works.c.kind == kind)
    if department is not None:
        query = query.where(console_works.c.department == department)
    rows = await reading.connection.execute(query.order_by(console_works.c.started.desc()).limit(limit))
    return [WorkRow(*row) for row in rows]


async def put_finding(writing: Writing, row: FindingRow) -> None:
    """Enter a finding."""
    await writing.connection.execute(insert(console_findings).values(**_values(row)))


async def move_finding(writing: Writing, finding_id: str, before: str, **values: Any) -> bool:
    """Move a finding on from a state; False where it is in another."""
    where = (console_findings.c.finding_id == finding_id) & (console_findings.c.state == before)
    done = await writing.connection.execute(update(console_findings).where(where).values(**values))
    return bool(done.rowcount == 1)


async def find_finding(reading: Reading, finding_id: str) -> FindingRow | None:
    """One finding."""
    query = select(*_columns(console_findings, FindingRow)).where(console_findings.c.finding_id == finding_id)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else FindingRow(*row)


async def findings(reading: Reading, *, state: str = "", department: str | None = None) -> list[FindingRow]:
    """Findings, newest first. department: those that it opened or must answer."""
    column = console_findings.c
    query = select(*_columns(console_findings, FindingRow))
    if state:
        query = query.where(column.state == state)
    if department is not None:
        query = query.where((column.department == department) | (column.against == department))
    rows = await reading.connection.execute(query.order_by(column.changed.desc()).limit(MOST))
    return [FindingRow(*row) for row in rows]


# --- what other rooms hold, as numbers ------------------------------------------------------------------------------


async def counts(reading: Reading, table: str, column: str) -> dict[str, int]:
    """How many rows of a table stand at each value of a column. table: one of `COUNTED`."""
    counted = COUNTED[table].c[column]
    rows = await reading.connection.execute(select(counted, func.count()).group_by(counted).order_by(counted))
    return {str(row[0]): int(row[1]) for row in rows}


COUNTED: dict[str, Table] = {
    "cases": basis.cases,
    "consents": basis.consents,
    "approvals": basis.approvals,
    "reviews": basis.reviews,
    "notices": basis.notices,
    "propagations": basis.propagations,
    "rights_requests": basis.rights_requests,
    "outbox": outbox,
}


async def approvals_in_force(reading: Reading, now_us: int) -> tuple[int, int]:
    """(approvals in force, approvals that have ended). now_us: microseconds since 1970 UTC."""
    ends = basis.approvals.c.ends
    row = (
        await reading.connection.execute(
            select(func.count().filter(ends > now_us), func.count().filter(ends <= now_us)).select_from(basis.approvals)
        )
    ).one()
    return int(row[0]), int(row[1])


async def thrown_switches(reading: Reading) -> list[tuple[str, str, int, str]]:
    """(kind, target, unix seconds, by) of every thrown kill switch."""
    column = kill_switches.c
    rows = await reading.connection.execute(
        select(column.kind, column.target, column.thrown_at, column.thrown_by).order_by(column.kind, column.target)
    )
    return [(row[0], row[1], int(row[2]), row[3]) for row in rows]


class Places(NamedTuple):
    """Where the entries of one hour and facets stand: `entries` of them from index `first` to index `last`."""

    hour: int
    entries: int
    first: int
    last: int


async def totals(reading: Reading, first_hour: int, last_hour: int) -> list[tuple[str, int]]:
    """(facets, count) over a range of hours since 1970, both ends included."""
    select_ = "SELECT facets, SUM(count) FROM audit_rollups WHERE hour >= ? AND hour <= ? GROUP BY facets"
    (rows,) = await fetch(reading, [(select_, (first_hour, last_hour))])
    return [(str(row[0]), int(row[1])) for row in rows]


async def facets_like(reading: Reading, pattern: str) -> list[str]:
    """Every facets of the log that matches a LIKE pattern: one step down an index for each that there is, however long the log."""
    select_ = (
        "WITH RECURSIVE known(facets) AS (SELECT MIN(facets) FROM audit_rollups UNION ALL "
        "SELECT (SELECT MIN(r.facets) FROM audit_rollups r WHERE r.facets > known.facets) FROM known "
        "WHERE known.facets IS NOT NULL) SELECT facets FROM known WHERE facets LIKE ? ESCAPE '!'"
    )
    (rows,) = await fetch(reading, [(select_, (pattern,))])
    return [str(row[0]) for row in rows]


async def places_of(reading: Reading, facets: Sequence[str], first_hour: int, last_hour: int) -> list[Places]:
    """Where entries of these facets stand in a range of hours, both ends included, the newest hour first."""
    found: list[Places] = []
    for at in range(0, len(facets), 500):
        some = facets[at : at + 500]
        select_ = (
            "SELECT hour, count, first_idx, last_idx FROM audit_rollups "  # noqa: S608
            f"WHERE facets IN ({', '.join('?' * len(some))}) AND hour >= ? AND hour <= ?"
        )
        (rows,) = await fetch(reading, [(select_, (*some, first_hour, last_hour))])
        found += [Places(*map(int, row)) for row in rows]
    return sorted(found, key=lambda one: one.hour, reverse=True)


async def newest_witnessed(reading: Reading) -> list[tuple[int, bytes, bool, int]]:
    """(size, cosigned note, quorum reached, stored at) of the newest cosigned checkpoints."""
    select_ = "SELECT size, note, quorum, stored_at FROM audit_checkpoints ORDER BY size DESC LIMIT 5"
    (rows,) = await fetch(reading, [(select_, ())])
    return [(int(row[0]), bytes(row[1]), bool(row[2]), int(row[3])) for row in rows]


async def first_witnessed(reading: Reading, size: int) -> bytes | None:
    """The note of the first checkpoint of at least that size which reached the witness quorum."""
    select_ = "SELECT note FROM audit_checkpoints WHERE size >= ? AND quorum = ? ORDER BY size LIMIT 1"
    (rows,) = await fetch(reading, [(select_, (size, True))])
    return bytes(rows[0][0]) if rows else None


@dataclass(frozen=True, slots=True)
class OpenReview:
    """A task that waits. party: `<organisation>/<department>`; opened, due: microseconds since 1970 UTC."""

    review_id: str
    kind: str
    exchange: str
    party: str
    opened: int
    due: int


async def open_reviews(reading: Reading, department: str | None = None) -> list[OpenReview]:
    """Tasks that wait, most urgent first. department: those of its parties only."""
    column = basis.reviews.c
    shown = [column[name] for name in OpenReview.__slots__]
    query = select(*shown).where(column.state == "open")
    if department is not None:
        query = query.where(column.party.like(f"%/{department}"))
    rows = await reading.connection.execute(query.order_by(column.due, column.review_id).limit(MOST))
    return [OpenReview(*row) for row in rows]


def _accounts() -> Any:
    return select(*_columns(console_accounts, AccountRow))


def _columns(table: Table, row: type[Any]) -> list[Column[Any]]:
    return [table.c[name] for name in row.__slots__]


def _values(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}
