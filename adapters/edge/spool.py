"""What the department asked to be sent and the gateway has not yet acknowledged: kept on disk, sent at least once, delivered once.

A sending is written here before it is tried and struck out after the gateway's receipt. The idempotency key travels with every try, so a
sending that was accepted just before the machine died is not delivered again: the gateway answers the repeat with a conflict.

Rules kept here: a write is durable before the department hears "accepted" (SQLite, synchronous FULL); the file has mode 0600 and what
was sent is erased from it (secure_delete); one key means one content; a full spool refuses instead of forgetting.
"""

from __future__ import annotations

import hmac
import json
import os
import sqlite3
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from gateway.errors import BadRequest, GatewayFault

MOST = 10_000
KEPT = 7 * 86_400
"""Seconds that a finished key is remembered: as long as the gateway remembers it."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sendings (
    key TEXT PRIMARY KEY, digest BLOB NOT NULL, body BLOB, result TEXT, at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sending that is not finished. body: the department's own request, as it came."""

    key: str
    body: bytes = field(repr=False)
    tries: int


class Spool:
    """The open spool. Raises `GatewayFault("directory_invalid")` for a file that is none."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        self._most = most
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            raise GatewayFault("directory_invalid") from None
        self._db.execute("DELETE FROM sendings WHERE body IS NULL AND at < ?", (int(time.time()) - KEPT,))

    @property
    def waiting(self) -> int:
        """How many sendings are not finished."""
        return int(self._db.execute("SELECT count(*) FROM sendings WHERE body IS NOT NULL").fetchone()[0])

    def put(self, key: str, body: bytes) -> dict[str, Any] | None:
        """Keep a sending, durably. What became of it, if its key was finished before.

        Raises `BadRequest("local_key_reused")` for another content under a known key, `GatewayFault("spool_full")`.
        """
        digest = sha256(body).digest()
        row = self._db.execute("SELECT digest, result FROM sendings WHERE key = ?", (key,)).fetchone()
        if row is not None:
            if not hmac.compare_digest(row[0], digest):
                raise BadRequest("local_key_reused")
            finished: dict[str, Any] | None = json.loads(row[1]) if row[1] is not None else None
            return finished
        if self.waiting >= self._most:
            raise GatewayFault("spool_full")
        self._db.execute(
            "INSERT INTO sendings (key, digest, body, at) VALUES (?, ?, ?, ?)", (key, digest, body, _now())
        )
        return None

    def waits(self, key: str) -> bool:
        """Whether a sending is kept and not finished."""
        row = self._db.execute("SELECT body IS NOT NULL FROM sendings WHERE key = ?", (key,)).fetchone()
        return row is not None and bool(row[0])

    def tried(self, key: str) -> None:
        """Count a try that failed for now."""
        self._db.execute("UPDATE sendings SET tries = tries + 1 WHERE key = ?", (key,))

    def finish(self, key: str, result: dict[str, Any]) -> None:
        """Strike out a sending that the gateway has; its content is erased, its key and result remembered."""
        self._db.execute(
            "UPDATE sendings SET body = NULL, result = ?, at = ? WHERE key = ?", (json.dumps(result), _now(), key)
        )

    def forget(self, key: str) -> None:
        """Drop a sending that was refused for good: the same key may be used again."""
        self._db.execute("DELETE FROM sendings WHERE key = ?", (key,))

    def oldest(self, limit: int = 20) -> list[Waiting]:
        """Unfinished sendings, those with fewest tries first, then by age."""
        rows = self._db.execute(
            "SELECT key, body, tries FROM sendings WHERE body IS NOT NULL ORDER BY tries, at LIMIT ?", (limit,)
        )
        return [Waiting(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _now() -> int:
    return int(time.time())
