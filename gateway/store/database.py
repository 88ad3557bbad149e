"""The database behind the gateway: SQLite embedded, PostgreSQL shared, the same code for both.

Rules kept here: readers cannot write (SQLite `query_only`, PostgreSQL read-only transactions) and carry another type than
writers; a SQLite writer takes its lock at BEGIN, so two writers never deadlock; SQLite runs WAL with `synchronous=FULL`:
when a commit returns, the data is on disk as far as the machine tells us.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

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
        self._standing: tuple[AsyncConnection, NearConnection] | None = None
        self._seats = asyncio.Semaphore(pool_size)
        self._idle: list[tuple[AsyncConnection, NearConnection]] = []

    def _engine(self, pool_size: int, *, writing: bool) -> AsyncEngine:
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 10}
        if self.is_sqlite:
            path = str(self.url.database)
            options["async_creator"] = lambda: NearConnection(path, writing=writing)
        engine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            _prepare_sqlite(engine, writing=writing)
        return engine

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """A consistent view for reading."""
        if self.is_sqlite:
            async with self._idle_reader() as reading:
                yield reading
            return
        async with self._reader.connect() as connection:
            await connection.execution_options(postgresql_readonly=True)
            yield Reading(connection)
            # Nothing was written, so this only ends the view; a rollback would make psycopg forget its prepared statements.
            await connection.commit()

    @asynccontextmanager
    async def _idle_reader(self) -> AsyncIterator[Reading]:
        """A reading connection of SQLite's, open already if one is idle. One that saw an error goes back to the pool instead."""
        await _take(self._seats)
        try:
            connection, near = self._idle.pop() if self._idle else await _connected(self._reader)
            try:
                await near.begin()
                yield Reading(connection, near)
                await _commit(connection, near)
            except BaseException:
                await connection.close()
                raise
            self._idle.append((connection, near))
        finally:
            self._seats.release()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writing]:
        """One write transaction: commits when the block ends well, rolls back when it raises."""
        if not self.is_sqlite:
            async with self._writer.begin() as connection:
                yield Writing(connection)
            return
        async with self._turn_of_writer() as (standing, near):
            await near.begin()
            try:
                yield Writing(standing, near)
                # A crash up to here: nothing is durable. When COMMIT returns, all of it is.
                await _commit(standing, near)
            except BaseException:
                await _roll_back(standing, near)
                raise

    @asynccontextmanager
    async def bare_writer(self) -> AsyncIterator[Any]:
        """The driver itself (`NearConnection` or psycopg's), for a caller who begins and commits in its own statements.

        What is still open at the end is rolled back.
        """
        if self.is_sqlite:
            async with self._turn_of_writer() as (_, near):
                try:
                    yield near
                finally:
                    await near.rollback()
            return
        async with self._writer.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                yield driver
            finally:
                await driver.rollback()

    @asynccontextmanager
    async def _turn_of_writer(self) -> AsyncIterator[tuple[AsyncConnection, NearConnection]]:
        """SQLite's one writing connection. It is never given back to its pool, which would cost as much as a small write.

        Writers of one process wait here for each other, not at SQLite's lock, which would have them poll.
        """
        await _take(self._turn)
        try:
            if self._standing is None or self._standing[0].closed or self._standing[0].invalidated:
                # Cut off in the middle (a cancelled commit): what it had open is rolled back as it goes.
                await self._drop_standing()
                self._standing = await _connected(self._writer)
            yield self._standing
        finally:
            self._turn.release()

    async def _drop_standing(self) -> None:
        standing, self._standing = self._standing, None
        if standing is not None:
            await standing[0].close()

    async def create_schema(self) -> None:
        """Create all tables (tests and first start of the embedded form; PostgreSQL sites run the migrations)."""
        import gateway.store.schema  # noqa: F401  (registers every table on `metadata`)

        async with self.write() as writing:
            await writing.connection.run_sync(metadata.create_all)

    async def close(self) -> None:
        """Give every connection back."""
        await self._drop_standing()
        while self._idle:
            await self._idle.pop()[0].close()
        await self._reader.dispose()
        await self._writer.dispose()


async def _connected(engine: AsyncEngine) -> tuple[AsyncConnection, NearConnection]:
    connection = await engine.connect()
    near = (await connection.get_raw_connection()).driver_connection
    assert isinstance(near, NearConnection)
    return connection, near


async def _commit(connection: AsyncConnection, near: NearConnection) -> None:
    # SQLAlchemy knows of the transaction only if a statement went through it.
    await (connection if connection.in_transaction() else near).commit()


async def _roll_back(connection: AsyncConnection, near: NearConnection) -> None:
    if connection.in_transaction():
        await connection.rollback()
    if not connection.invalidated:
        await near.rollback()


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
