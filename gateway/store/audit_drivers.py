"""The audit log's statements at the drivers: SQLite on the spot, PostgreSQL many statements in one round trip.

Rules kept here: nothing commits but the writing of a short transaction; statements are written once, with `?`, and mean the
same on both; order is kept, so the head's lock stands before everything that is read or written under it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from sqlite3 import Connection
from types import TracebackType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import Database, Reading, Writing
from gateway.store.near import NearConnection, rows_of

Statement = tuple[str, Sequence[Any]]

_DIVIDED_BY_ZERO = "22012"
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \([?, ]*\) ?(.*)\Z")
_BYTES = ("leaf", "hash", "hints", "detail", "tag", "holder", "wrapped", "state", "shares", "lines", "hashes", "note")
_NUMBERS = ("idx", "generation", "year", "bucket", "hour", "count", "level", "number", "epoch", "covers", "size")
_TYPES = dict.fromkeys(_BYTES, "bytea") | dict.fromkeys(_NUMBERS, "bigint") | dict.fromkeys(("id", "time_us"), "bigint")
_TYPES |= dict.fromkeys(("entry_id", "facets", "hold_id", "reason"), "text")
_TYPES |= dict.fromkeys(("current", "frozen", "quorum"), "boolean") | dict.fromkeys(("until", "stored_at"), "bigint")
_TYPES |= {"checkpoint": "bytea", "first_idx": "bigint", "last_idx": "bigint"}

# So many rows take milliseconds to write: then they are written in the driver's thread.
_LONG_WRITING = 200


@dataclass(frozen=True, slots=True)
class ShortWriting(Writing):
    """A transaction of one hop (SQLite) or two round trips (PostgreSQL): BEGIN goes with the first reading, COMMIT with the
    writing of the batch.

    It has a driver and no connection: only this module's functions can use it.
    """

    connection: AsyncConnection = field(init=False, repr=False)
    near: NearConnection | None = field(init=False, default=None, repr=False)
    driver: Any


def short_write(database: Database) -> AbstractAsyncContextManager[Writing]:
    """A transaction for `open_batch`, `write_batch` and this module's readings alone; `Database.write` for any stand-in."""
    return _Short(database) if type(database) is Database else database.write()


class _Short:
    """The short transaction of `short_write`. What is still open at the end is rolled back."""

    __slots__ = ("_turn",)

    def __init__(self, database: Database) -> None:
        self._turn = database.bare_writer()

    async def __aenter__(self) -> Writing:
        return ShortWriting(await self._turn.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._turn.__aexit__(kind, error, trace)


class Savepoint:
    """What fails inside leaves nothing. Said to the driver, because SQLAlchemy's own takes as long as a small effect."""

    __slots__ = ("_writing",)

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    async def __aenter__(self) -> None:
        await self._say("SAVEPOINT of_one")

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is not None:
            await self._say("ROLLBACK TO SAVEPOINT of_one")
        await self._say("RELEASE SAVEPOINT of_one")

    async def _say(self, sql: str) -> None:
        near = near_driver(self._writing)
        if near is None:
            await (await _shared_driver(self._writing)).execute(sql)
        else:
            await near.near(lambda connection: connection.execute(sql))


async def durable(reading: Reading) -> bool:
    """Whether a commit that returned is on disk: SQLite `synchronous` FULL or more, PostgreSQL `synchronous_commit` on."""
    if near_driver(reading) is not None:
        (rows,) = await fetch(reading, [("PRAGMA synchronous", ())])
        return int(rows[0][0]) >= 2  # 2 is FULL
    answers = await fetch(reading, [("SHOW synchronous_commit", ()), ("SHOW fsync", ())])
    return answers[0][0][0] not in ("off", "local") and answers[1][0][0] == "on"


def near_driver(reading: Reading) -> NearConnection | None:
    """SQLite's driver behind a transaction; None on PostgreSQL."""
    if reading.near is not None:
        return reading.near
    driver = reading.driver if isinstance(reading, ShortWriting) else None
    return driver if isinstance(driver, NearConnection) else None


async def _shared_driver(reading: Reading) -> Any:
    """Psycopg's connection behind a transaction."""
    if isinstance(reading, ShortWriting):
        return reading.driver
    return (await reading.connection.get_raw_connection()).driver_connection


async def fetch(reading: Reading, statements: Sequence[Statement]) -> list[list[Any]]:
    """Run statements and give each one's rows."""
    near = near_driver(reading)
    if near is not None:
        found: list[list[Any]] = await near.near(lambda connection: rows_of(connection, statements))
        return found
    driver = await _shared_driver(reading)
    cursors = [driver.cursor(binary=True) for _ in statements]
    async with AsyncExitStack() as stack:
        if len(statements) > 1:
            # One round trip for all of them; each sees what was committed when its own turn came.
            await stack.enter_async_context(driver.pipeline())
        for cursor, (sql, arguments) in zip(cursors, statements, strict=True):
            await cursor.execute(_psycopg(sql), tuple(arguments))
    return [await cursor.fetchall() for cursor in cursors]


async def run(writing: Writing, statements: Sequence[Statement], *, last: Statement | None = None) -> int:
    """Run each statement for its rows, then `last` once; the number of rows that `last` changed."""
    busy = [(sql, rows) for sql, rows in statements if rows]
    commits = last is not None and isinstance(writing, ShortWriting)
    near = near_driver(writing)
    if near is None:
        return await _run_postgres(await _shared_driver(writing), busy, last, commits=commits)

    def work(connection: Connection) -> int:
        cursor = connection.cursor()
        for sql, rows in busy:
            cursor.executemany(sql, rows)
        changed = cursor.execute(*last).rowcount if last else 0
        if commits and changed == 1:
            # Up to here nothing of the batch is durable; when COMMIT returns, all of it is.
            cursor.execute("COMMIT")
        return changed

    long = commits or sum([len(rows) for _, rows in busy]) > _LONG_WRITING
    return int(await (near.far if long else near.near)(work))


async def _run_postgres(
    driver: Any, busy: Sequence[tuple[str, Sequence[Any]]], last: Statement | None, *, commits: bool
) -> int:
    """One round trip. With COMMIT in it, the head's move itself fails where it finds no row, and COMMIT is not reached."""
    moving = driver.cursor(binary=True)
    try:
        async with driver.pipeline():
            for sql, rows in busy:
                gathered = _gathered(sql)
                if gathered is None:
                    await driver.cursor().executemany(_psycopg(sql), rows)
                else:
                    columns = [list(column) for column in zip(*rows, strict=True)]
                    await driver.cursor(binary=True).execute(gathered, columns)
            if last:
                await moving.execute(_psycopg(_or_fail(last[0]) if commits else last[0]), tuple(last[1]))
            if commits:
                # Up to here nothing of the batch is durable; when the answer to COMMIT is here, all of it is.
                await driver.commit()
    except Exception as error:
        if getattr(error, "sqlstate", "") == _DIVIDED_BY_ZERO:
            return 0
        raise
    return int(moving.rowcount) if last else 0


def _or_fail(update: str) -> str:
    return f"WITH moved AS ({update} RETURNING 1) SELECT 1 / count(*) FROM moved"  # noqa: S608


@lru_cache
def _gathered(insert: str) -> str | None:
    """An insert of one row as one statement for many, whose values come as one array a column; None if it is no such insert."""
    match = _INSERT.match(insert)
    if match is None:
        return None
    table, columns, rest = match.groups()
    arrays = ", ".join(f"%b::{_TYPES[column]}[]" for column in columns.split(", "))
    return f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({arrays}) {rest}"  # noqa: S608


def _psycopg(sql: str) -> str:
    # In binary form: as text, an array's every element goes through a regular expression, while the head is locked.
    return sql.replace("%", "%%").replace("?", "%b")
