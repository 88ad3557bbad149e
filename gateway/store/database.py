"""The database behind the gateway: SQLite embedded, PostgreSQL shared, the same code for both.

Rules kept here: readers cannot write (SQLite `query_only`, PostgreSQL read-only transactions) and carry another type than
writers; a SQLite writer takes its lock at BEGIN, so two writers never deadlock; SQLite runs WAL with `synchronous=FULL`:
when a commit returns, the data is on disk as far as the machine tells us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, MetaData, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.store.near import NearConnection

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_TURN_WAIT = 10
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A connection that can only read. near: SQLite's driver behind it, inside the same transaction; None elsewhere."""

    connection: AsyncConnection
    near: NearConnection | None = None


@dataclass(frozen=True, slots=True)
class Writing(Reading):
    """A connection inside the one write transaction of its unit of work."""


class Database:
    """Opens readers and writers on one database URL.

    url: `sqlite+aiosqlite:///path` or `postgresql+psycopg://…`.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._reader = self._engine(pool_size, writing=False)
        self._writer = self._engine(1 if self.is_sqlite else pool_size, writing=True)
        self._turn = asyncio.Lock()
        self._standing: _Held | None = None
        self._seats = asyncio.Semaphore(pool_size)
        self._idle: list[_Held] = []

    def _engine(self, pool_size: int, *, writing: bool) -> AsyncEngine:
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 10}
        if self.is_sqlite:
            path = str(self.url.database)
            options["async_creator"] = lambda: NearConnection(path, writing=writing)
        engine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            _prepare_sqlite(engine, writing=writing)
        return engine

    def read(self) -> AbstractAsyncContextManager[Reading]:
        """A consistent view for reading."""
        return _ReadingTurn(self) if self.is_sqlite else self._read_shared()

    def write(self) -> AbstractAsyncContextManager[Writing]:
        """One write transaction: commits when the block ends well, rolls back when it raises."""
        return _WritingTurn(self) if self.is_sqlite else self._write_shared()

    def bare_writer(self) -> AbstractAsyncContextManager[Any]:
        """The driver itself (`NearConnection` or psycopg's), for a caller who begins and commits in its own statements.

        What is still open at the end is rolled back.
        """
        return _BareTurn(self) if self.is_sqlite else self._bare_shared()

    @asynccontextmanager
    async def _read_shared(self) -> AsyncIterator[Reading]:
        async with self._reader.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            yield Reading(connection)
            # Nothing was written, so this only ends the view; a rollback would make psycopg forget its prepared statements.
            await connection.commit()

    @asynccontextmanager
    async def _write_shared(self) -> AsyncIterator[Writing]:
        async with self._writer.begin() as connection:
            yield Writing(connection)

    @asynccontextmanager
    async def _bare_shared(self) -> AsyncIterator[Any]:
        async with self._writer.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                yield driver
            finally:
                await driver.rollback()

    async def _take_writer(self) -> _Held:
        """SQLite's one writing connection. It is never given back to its pool, which would cost as much as a small write.

        Writers of one process wait here for each other, not at SQLite's lock, which would have them poll.
        """
        await _take(self._turn)
        try:
            standing = self._standing
            if standing is None or standing.sync.closed or standing.sync.invalidated:
                # Cut off in the middle (a cancelled commit): what it had open is rolled back as it goes.
                await self._drop_standing()
                standing = self._standing = await _opened(self._writer)
        except BaseException:
            self._turn.release()
            raise
        return standing

    async def _drop_standing(self) -> None:
        standing, self._standing = self._standing, None
        if standing is not None:
            await standing.connection.close()

    async def create_schema(self) -> None:
        """Create all tables (tests and first start of the embedded form; PostgreSQL sites run the migrations)."""
        import gateway.store.schema  # noqa: F401  (registers every table on `metadata`)

        async with self.write() as writing:
            await writing.connection.run_sync(metadata.create_all)

    async def close(self) -> None:
        """Give every connection back."""
        await self._drop_standing()
        while self._idle:
            await self._idle.pop().connection.close()
        await self._reader.dispose()
        await self._writer.dispose()


class _Held(NamedTuple):
    """An open connection of SQLite's, kept between turns: SQLAlchemy's, the same without its async face, and the driver."""

    connection: AsyncConnection
    sync: Connection
    near: NearConnection


# A turn is a class and no generator: every request takes two, and the event loop keeps account of each open generator, which
# costs more than a small statement.
class _Turn:
    __slots__ = ("_database", "_held")
    _held: _Held

    def __init__(self, database: Database) -> None:
        self._database = database


class _ReadingTurn(_Turn):
    """A connection that is open already, if one is idle. It stays open for the next; one that saw an error goes back to the pool."""

    __slots__ = ()

    async def __aenter__(self) -> Reading:
        database = self._database
        await _take(database._seats)
        try:
            held = self._held = database._idle.pop() if database._idle else await _opened(database._reader)
            try:
                await held.near.begin()
            except BaseException:
                await held.connection.close()
                raise
        except BaseException:
            database._seats.release()
            raise
        return Reading(held.connection, held.near)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        database, held = self._database, self._held
        try:
            if kind is not None:
                await held.connection.close()
                return
            try:
                await _commit(held)
            except BaseException:
                await held.connection.close()
                raise
            database._idle.append(held)
        finally:
            database._seats.release()


class _WritingTurn(_Turn):
    __slots__ = ()

    async def __aenter__(self) -> Writing:
        held = self._held = await self._database._take_writer()
        try:
            await held.near.begin()
        except BaseException:
            self._database._turn.release()
            raise
        return Writing(held.connection, held.near)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        held = self._held
        try:
            if kind is not None:
                await _roll_back(held)
                return
            try:
                # A crash up to here: nothing is durable. When COMMIT returns, all of it is.
                await _commit(held)
            except BaseException:
                await _roll_back(held)
                raise
        finally:
            self._database._turn.release()


class _BareTurn(_Turn):
    __slots__ = ()

    async def __aenter__(self) -> NearConnection:
        held = self._held = await self._database._take_writer()
        return held.near

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            await self._held.near.rollback()
        finally:
            self._database._turn.release()


async def _opened(engine: AsyncEngine) -> _Held:
    connection = await engine.connect()
    near = (await connection.get_raw_connection()).driver_connection
    assert isinstance(near, NearConnection)
    assert connection.sync_connection is not None
    return _Held(connection, connection.sync_connection, near)


async def _commit(held: _Held) -> None:
    # SQLAlchemy knows of the transaction only if a statement went through it.
    await (held.connection if held.sync.in_transaction() else held.near).commit()


async def _roll_back(held: _Held) -> None:
    if held.sync.in_transaction():
        await held.connection.rollback()
    if not held.sync.invalidated:
        await held.near.rollback()


async def _take(turn: asyncio.Lock | asyncio.Semaphore) -> None:
    """Wait for a turn, `_TURN_WAIT` seconds at most: `TimeoutError`."""
    if not turn.locked():
        await turn.acquire()
        return
    async with asyncio.timeout(_TURN_WAIT):
        await turn.acquire()


def _prepare_sqlite(engine: AsyncEngine, *, writing: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _configure(dbapi_connection: Any, _record: Any) -> None:
        # The driver is in autocommit: SQLAlchemy's begin event below decides the kind of transaction.
        cursor = dbapi_connection.cursor()
        _set_up(cursor, writing=writing)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # `read` and `write` have begun already, at the driver; a statement of SQLAlchemy's joins them.
        if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _set_up(cursor: Any, *, writing: bool) -> None:
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA wal_autocheckpoint=4000")
    if not writing:
        cursor.execute("PRAGMA query_only=ON")
    else:
        # From here on nothing waits on the loop's thread: see `NearConnection.take_lock`.
        cursor.execute("PRAGMA busy_timeout=0")
