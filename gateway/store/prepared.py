"""Statements that every request runs: written in SQLAlchemy, compiled once, handed to SQLite's driver as text.

Building and dispatching an expression costs ten times what SQLite needs for the look-up. So a hot statement is compiled once per
dialect; on SQLite its text goes to the driver where the caller stands (`near.py`), elsewhere it goes SQLAlchemy's usual way.

Rules kept here: the same statement object serves every database; parameters are always bound, never written into the text;
only plain types stand in hot statements (text, integers, bytes), so nothing has to be converted on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from gateway.store.database import Reading, Writing

_DIALECT = sqlite.dialect(paramstyle="named")


class Prepared:
    """One hot statement. build: makes the SQLAlchemy statement with `bindparam`s; called once, at first use."""

    def __init__(self, build: Callable[[], Executable]) -> None:
        self._build = build
        self._statement: Executable | None = None
        self._text = ""
        self._constants: dict[str, Any] = {}

    def _prepare(self) -> Executable:
        statement = self._statement = self._build()
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)
        self._text = str(compiled)
        # What the statement itself gives. A parameter that neither it nor the caller gives is refused by the driver.
        self._constants = {
            name: compiled.params[name] for bound, name in compiled.bind_names.items() if not bound.required
        }
        return statement

    async def rows(self, reading: Reading, **parameters: Any) -> Sequence[Any]:
        """All rows, as tuples in the order of the statement's columns."""
        statement = self._statement if self._statement is not None else self._prepare()
        driver = reading.near
        if driver is None:
            return (await reading.connection.execute(statement, parameters)).all()
        text, values = self._text, self._constants | parameters
        found: list[Any] = await driver.near(lambda connection: connection.execute(text, values).fetchall())
        return found

    async def first(self, reading: Reading, **parameters: Any) -> Any | None:
        """The first row, or None."""
        rows = await self.rows(reading, **parameters)
        return rows[0] if rows else None

    async def run(self, writing: Writing, **parameters: Any) -> None:
        """A statement that gives no rows, inside the caller's transaction."""
        statement = self._statement if self._statement is not None else self._prepare()
        driver = writing.near
        if driver is None:
            await writing.connection.execute(statement, parameters)
            return
        text, values = self._text, self._constants | parameters
        await driver.near(lambda connection: connection.execute(text, values))
