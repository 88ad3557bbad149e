"""What files brought: a department's rows kept on its own front-end machine, so that one record can be read without the file.

Rules kept here: the file has mode 0600 and holds only the columns that the mapping names; a delivery is landed whole or not at all, and
once, however often it is delivered; an older delivery never overwrites a newer one; text stays text, a formula is never evaluated.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import GatewayFault, ProviderFault

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (name TEXT PRIMARY KEY, digest TEXT NOT NULL, rows INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    source TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL, delivery TEXT NOT NULL, PRIMARY KEY (source, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS written (message TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_AT_ONCE = 500


class Landed:
    """The open store. Raises `GatewayFault("directory_invalid")` for a file that is none."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            raise GatewayFault("directory_invalid") from None
        self._lock = asyncio.Lock()

    def known(self, name: str, digest: str) -> bool:
        """Whether this delivery has landed with exactly this content."""
        row = self._db.execute("SELECT digest FROM deliveries WHERE name = ?", (name,)).fetchone()
        return row is not None and row[0] == digest

    async def land(self, source: str, name: str, digest: str, rows: Iterable[Mapping[str, Any]], key: str) -> int:
        """Take a delivery's rows in, all or none; how many there were. A corrected delivery of the same name replaces its own rows.

        name: sorts deliveries by age. key: the column that names a record. Raises `ProviderFault("provider_garbage")` for a row
        without its key, and what `rows` raises.
        """
        async with self._lock:
            return await asyncio.to_thread(self._land, source, name, digest, rows, key)

    def _land(self, source: str, name: str, digest: str, rows: Iterable[Mapping[str, Any]], key: str) -> int:
        count = 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                record = _key(row, key)
                self._db.execute(
                    "INSERT INTO records VALUES (?, ?, ?, ?) ON CONFLICT (source, key) DO UPDATE SET "
                    "content = excluded.content, delivery = excluded.delivery WHERE excluded.delivery >= delivery",
                    (source, record, json.dumps(row, ensure_ascii=False, separators=(",", ":")), name),
                )
                count += 1
            self._db.execute(
                "INSERT INTO deliveries VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "digest = excluded.digest, rows = excluded.rows",
                (name, digest, count),
            )
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return count

    def read(self, source: str, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows by record key; those that do not exist are left out."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            statement = f"SELECT key, content FROM records WHERE source = ? AND key IN ({marks})"  # noqa: S608 - question marks
            found |= {key: json.loads(content) for key, content in self._db.execute(statement, (source, *part))}
        return found

    def all(self, source: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every row of a source by key, a page at a time."""
        last = ""
        while True:
            rows = self._db.execute(
                "SELECT key, content FROM records WHERE source = ? AND key > ? ORDER BY key LIMIT ?",
                (source, last, _AT_ONCE),
            ).fetchall()
            for last, content in rows:
                yield last, json.loads(content)
            if len(rows) < _AT_ONCE:
                return

    def written(self, message: str) -> bool:
        """Whether a received message was handed on before."""
        return self._db.execute("SELECT 1 FROM written WHERE message = ?", (message,)).fetchone() is not None

    def note_written(self, message: str) -> None:
        """Remember that a received message was handed on."""
        self._db.execute("INSERT OR IGNORE INTO written VALUES (?)", (message,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _key(row: Mapping[str, Any], column: str) -> str:
    key = row.get(column)
    if not isinstance(key, str) or not key.strip():
        raise ProviderFault("provider_garbage")
    return key.strip()
