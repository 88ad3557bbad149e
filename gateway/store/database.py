"""The database behind the gateway: SQLite embedded, PostgreSQL shared, the same code for both.

Rules kept here: readers cannot write (SQLite `query_only`, PostgreSQL read-only transactions) and carry another type than
writers; a SQLite writer takes its lock at BEGIN, so two writers never deadlock; SQLite runs WAL with `synchronous=FULL`:
when a commit returns, the data is on disk as far as the machine tells us.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, MetaData, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A connection that can only read."""

    connection: AsyncConnection


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

    def _engine(self, pool_size: int, *, writing: bool) -> AsyncEngine:
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": 10}
        engine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            _prepare_sqlite(engine, writing=writing)
        return engine

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reading]:
        """A consistent view for reading."""
        async with self._reader.connect() as connection:
            if not self.is_sqlite:
                await connection.execution_options(postgresql_readonly=True)
            yield Reading(connection)
            # Nothing was written, so this only ends the view; a rollback would make psycopg forget its prepared statements.
            await connection.commit()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writing]:
        """One write transaction: commits when the block ends well, rolls back when it raises."""
        async with self._writer.begin() as connection:
            yield Writing(connection)

    async def create_schema(self) -> None:
        """Create all tables (tests and first start of the embedded form; PostgreSQL sites run the migrations)."""
        import gateway.store.schema  # noqa: F401  (registers every table on `metadata`)

        async with self._writer.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def close(self) -> None:
        """Give every connection back."""
        await self._reader.dispose()
        await self._writer.dispose()


def _prepare_sqlite(engine: AsyncEngine, *, writing: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _configure(dbapi_connection: Any, _record: Any) -> None:
        # Autocommit at the driver: SQLAlchemy's begin event below decides the kind of transaction.
        dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA busy_timeout=10000")
        cursor.execute("PRAGMA wal_autocheckpoint=4000")
        if not writing:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
