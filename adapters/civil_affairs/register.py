"""The civil affairs register over SQL: any SQLAlchemy URL, synchronous or asynchronous.

Rules kept here: only the mapped columns of the ordered fields are selected; every value is a bound parameter and every name was
validated when the mapping was read; messages are stored once per delivery and line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.base.calls import Calls
from adapters.base.mapping import LocalMapping, Resource
from adapters.base.records import local_content, read_table
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from gateway.errors import ProviderFault

PAGE = 500
INBOX = sa.table("jh_sjx", *(sa.column(n) for n in ("xxbh", "sx", "dah", "jm", "nr", "jssj")))
"""Where received messages go: message number, exchange, record key, pseudonym of a child without a file, content (JSON), time."""


class SqlRegister:
    """A department whose register is reached by SQL. url: SQLAlchemy URL; `calls`: limits for this system."""

    def __init__(self, url: str, mapping: LocalMapping, calls: Calls | None = None) -> None:
        self._mapping = mapping
        self._calls = calls or Calls()
        self._engine = _engine(url)
        # One statement needs no transaction around it: two round trips less per read.
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by key. Raises `ProviderFault` (`provider_garbage` where a key answers twice)."""
        mapped = self._mapping.exchanges[wanted.exchange]
        columns = mapped.columns(wanted.fields, birth=wanted.birth)
        asked = {"keys": wanted.keys, "most": len(wanted.keys) + 1}
        rows = await self._calls.read(lambda: self._rows(_by_key(mapped.resource, columns), asked))
        if len(rows) > len(wanted.keys):
            raise ProviderFault("provider_garbage")
        return read_table(rows, mapped, wanted)

    async def take(self, message: Inbound) -> None:
        """Store every line of a message in the inbox table. Raises `ProviderFault`."""
        inbound = self._mapping.inbound[message.exchange]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for line in message.lines:
            row = {
                "xxbh": f"{message.delivery}:{line.number}",
                "sx": message.exchange,
                "dah": line.record,
                "jm": line.subject if line.record is None else None,
                "nr": json.dumps(local_content(line, inbound), ensure_ascii=False),
                "jssj": now,
            }
            await self._calls.write(lambda row=row: self._insert(row))  # type: ignore[misc]

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every record's key and numbers, by key. Raises `ProviderFault`."""
        identity, numbers = self._mapping.identity, self._mapping.numbers
        columns = tuple(dict.fromkeys((identity.key, *(local for _, local in numbers))))
        view = _view(identity, columns)
        told = [(kind, columns.index(local)) for kind, local in numbers]
        key = view.c[identity.key]
        last = ""
        while True:
            query = sa.select(*view.columns).where(key > last).order_by(key).limit(PAGE)
            rows = await self._calls.read(lambda query=query: self._rows(query))  # type: ignore[misc]
            for row in rows:
                last = str(row[0])
                yield LocalPerson(last, tuple((kind, str(row[place])) for kind, place in told if row[place]))
            if len(rows) < PAGE:
                return

    async def probe(self) -> None:
        """Raises `ProviderFault` when the database does not answer."""
        await self._calls.read(lambda: self._rows(sa.select(sa.literal(1))))

    async def close(self) -> None:
        """Close all connections."""
        if isinstance(self._engine, AsyncEngine):
            await self._engine.dispose()
        else:
            self._engine.dispose()

    async def _rows(self, query: sa.Select[Any], asked: Mapping[str, Any] | None = None) -> Sequence[sa.Row[Any]]:
        if isinstance(self._reader, AsyncEngine):
            with _Faults():
                async with self._reader.connect() as connection:
                    return (await connection.execute(query, asked)).all()  # type: ignore[no-any-return]
        return await asyncio.to_thread(self._rows_now, self._reader, query, asked)

    @staticmethod
    def _rows_now(engine: sa.Engine, query: sa.Select[Any], asked: Mapping[str, Any] | None) -> Sequence[sa.Row[Any]]:
        with _Faults(), engine.connect() as connection:
            return connection.execute(query, asked).all()

    async def _insert(self, row: dict[str, Any]) -> None:
        statement = sa.insert(INBOX).values(row)
        stored = sa.select(INBOX.c.xxbh).where(INBOX.c.xxbh == row["xxbh"])
        try:
            if isinstance(self._engine, AsyncEngine):
                with _Faults():
                    async with self._engine.begin() as connection:
                        await connection.execute(statement)
            else:
                await asyncio.to_thread(self._insert_now, self._engine, statement)
        except IntegrityError:
            # A second hand-out of the same delivery: it is there already, unless the table refused it for another reason.
            if not await self._rows(stored):
                raise ProviderFault("provider_refused") from None

    @staticmethod
    def _insert_now(engine: sa.Engine, statement: sa.Insert) -> None:
        with _Faults(), engine.begin() as connection:
            connection.execute(statement)


class _Faults:
    """Turns a database's errors into our codes; their texts, which may hold values, go nowhere."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IntegrityError) or error is None:
            return
        if (
            isinstance(error, DBAPIError)
            and not error.connection_invalidated
            and not isinstance(error, sa.exc.OperationalError)
        ):
            raise ProviderFault("provider_refused") from None
        if isinstance(error, (SQLAlchemyError, OSError)):
            raise ProviderFault("provider_unavailable") from None


def _engine(url: str) -> AsyncEngine | sa.Engine:
    """An engine with a small pool. A dead connection is noticed by the read that meets it, which is tried again, so none is tested
    beforehand. Parameters stand in no message.
    """
    if sa.make_url(url).get_dialect().is_async or url.startswith("postgresql+psycopg:"):
        return create_async_engine(url, hide_parameters=True)
    return sa.create_engine(url, hide_parameters=True)


def _view(resource: Resource, columns: Sequence[str]) -> sa.TableClause:
    """The view as a table of just these columns; names are quoted by SQLAlchemy."""
    schema, _, name = resource.name.rpartition(".")
    return sa.table(name, *(sa.column(c) for c in dict.fromkeys(columns)), schema=schema or None)


@lru_cache(maxsize=256)
def _by_key(resource: Resource, columns: tuple[str, ...]) -> sa.Select[Any]:
    """The statement for `keys`, `most` rows of them. Made once: making it again costs as much as reading a hundred rows."""
    view = _view(resource, columns)
    keys = view.c[resource.key].in_(sa.bindparam("keys", expanding=True))
    return sa.select(*view.columns).where(keys).limit(sa.bindparam("most"))
