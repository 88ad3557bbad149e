"""SQLite statements where their caller stands: only what may wait is handed to the driver's thread.

A hop to the driver's thread and back costs more CPU than most statements that a request runs. So a statement runs at once on
the event loop's own thread, unless it may wait: for the disk (COMMIT), for another process (a BEGIN IMMEDIATE that finds
the lock taken), or because it turns out to be long (a reading that takes more than some thousand steps is stopped and begun
again in the thread; it has changed nothing).

Rules kept here: the loop never waits for a lock or for the disk; a connection is used by one thread at a time, because whoever
uses it awaits each step; a writing is never stopped half-way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import aiosqlite

LOCK_WAIT_MS = 10_000
STEPS = 10_000
"""Steps of SQLite's machine between two looks at how long a reading takes."""

LONG_LOOKS = 4
"""Looks after which a reading is long: a millisecond or so."""

_TAKE_LOCK = "BEGIN IMMEDIATE"
_LONG = frozenset({"executemany", "executescript"})
_BOUNDARIES = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "commit", "rollback"})


class NearConnection(aiosqlite.Connection):
    """A connection of `aiosqlite` whose quick statements run without its thread. writing: it takes the write lock at BEGIN."""

    def __init__(self, path: str, *, writing: bool) -> None:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                path, timeout=LOCK_WAIT_MS / 1000, isolation_level=None, check_same_thread=False
            )
            if not writing:
                connection.set_progress_handler(self._too_long, STEPS)
            return connection

        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True
        self._writing = writing
        self._near = False
        self._looks = 0
        self._last: tuple[Any, ...] = ()
        # What the thread has not finished. While there is anything (a cancelled caller does not stop it), all goes there.
        self._away: deque[None] = deque()

    async def near(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run work here. A reading that turns out long is begun again in the thread."""
        connection = self._connection
        if connection is None or not self._running:
            raise ValueError("Connection closed")
        if self._away:
            return await self._send(work, connection)
        if self._writing:
            return work(connection)
        self._near, self._looks = True, 0
        try:
            return work(connection)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
        finally:
            self._near = False
        return await self._send(work, connection)

    async def far(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run work in the driver's thread: what waits for the disk."""
        return await self._send(work, self._conn)

    async def begin(self) -> None:
        """Begin a transaction; one that writes takes the lock. What a cancelled caller left is ended first."""
        if self._away:
            await self._send(_nothing)
        if self._conn.in_transaction:
            self._conn.rollback()
        if self._writing:
            await self.take_lock()
        else:
            self._conn.execute("BEGIN")

    async def commit(self) -> None:
        """End a transaction. The end of a reading waits for nothing, so it is here; that of a writing waits for the disk."""
        if self._writing or self._away or not self._running:
            await self._send(self._conn.commit)
        else:
            self._conn.commit()

    async def rollback(self) -> None:
        """Undo a transaction: here, for nothing of it goes to the disk."""
        if self._away or not self._running:
            await self._send(self._conn.rollback)
        else:
            self._conn.rollback()

    async def take_lock(self) -> None:
        """BEGIN IMMEDIATE: at once if the lock is free, else in the thread, which waits for it."""
        try:
            self._conn.execute(_TAKE_LOCK)
        except sqlite3.OperationalError as error:
            if _code(error) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            await self._send(_wait_for_lock, self._conn)

    async def _send(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running:
            raise ValueError("Connection closed")

        def work() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                self._away.pop()

        # What the driver's own `_execute` does, without its second wrapping.
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._away.append(None)
        self._tx.put_nowait((answer, work))
        return await answer

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        name = getattr(fn, "__name__", "")
        waits = name in _LONG or (self._writing and name == "commit") or fn == self._connection.close
        if self._away or waits:
            return await self._send(fn, *args, **kwargs)
        if args and args[0] == _TAKE_LOCK:
            await self.take_lock()
            return None
        if self._writing or name in _BOUNDARIES or (args and args[0] in _BOUNDARIES):
            # The bounds of a transaction are never stopped half-way: begun again they would stand within themselves.
            return fn(*args, **kwargs)
        return await self._read(name, fn, *args, **kwargs)

    async def _read(self, name: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if name == "execute":
            self._last = (fn, args)
        self._near, self._looks = True, 0
        try:
            return fn(*args, **kwargs)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_INTERRUPT:
                raise
        finally:
            self._near = False
        if name == "fetchall" and self._last:
            # The rows were being fetched when it became long: the statement begins again with them.
            again, values = self._last
            return await self._send(lambda: again(*values).fetchall())
        return await self._send(fn, *args, **kwargs)

    def _too_long(self) -> int:
        # SQLite counts a statement's steps over all its runs, so a look may come in a run of ten steps: one look says nothing. And a
        # statement that was stopped is lost to the driver, which compiles it anew at every run from then on.
        self._looks += 1
        return int(self._near and self._looks >= LONG_LOOKS)


def _code(error: sqlite3.OperationalError) -> int:
    return int(getattr(error, "sqlite_errorcode", 0))


def _nothing() -> None:
    """Done by the thread when it has done all that was handed to it before."""


def _wait_for_lock(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {LOCK_WAIT_MS}")
    try:
        connection.execute(_TAKE_LOCK)
    finally:
        connection.execute("PRAGMA busy_timeout = 0")


def rows_of(connection: sqlite3.Connection, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
    """Run statements one after another; each one's rows."""
    execute = connection.cursor().execute
    return [execute(sql, values).fetchall() for sql, values in statements]
