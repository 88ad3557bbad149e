"""An edge's directory: its own department's map pseudonym <-> local record key, filled through the blind door.

Rules kept here: the file belongs to one department and has mode 0600; it holds no identifier, only a fingerprint under a key of the
file, so that a changed identifier is noticed; a batch is committed whole, so an interrupted enrolment goes on where it was; while a
rotation overlaps, a record is found by both of its names, and what the gateway understands no more is forgotten.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from adapters.base.source import Enrolment, Evaluate, LocalPerson, Progress
from adapters.oracle_watch import OracleWatch
from gateway.domain.subjects import Pseudonym, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from keys import text
from keys.blind import Blinded, blind, unblind
from keys.identifiers import Identifier, identify

BATCH = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    pseudonym TEXT PRIMARY KEY, record TEXT NOT NULL UNIQUE, fingerprint BLOB NOT NULL, epoch INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS earlier (
    pseudonym TEXT PRIMARY KEY, record TEXT NOT NULL, epoch INTEGER NOT NULL
) WITHOUT ROWID;
"""


Named = tuple[LocalPerson, Identifier, bytes]
"""Who is to be enrolled, by which identifier, and its fingerprint."""


def _untold(_state: Enrolment) -> None:
    """Progress that nobody asked for."""


class _Blinding:
    """A batch that is being blinded. Group arithmetic takes milliseconds per hundred; off the loop, orders are answered meanwhile."""

    def __init__(self, batch: Sequence[Named]) -> None:
        self.batch = batch
        self.identifiers = [identifier for _, identifier, _ in batch]
        self.done: asyncio.Future[list[Blinded]] = asyncio.ensure_future(
            asyncio.to_thread(lambda: [blind(identifier) for identifier in self.identifiers])
        )


class Directory:
    """The open directory file of one department. Raises `GatewayFault("directory_invalid")` if the file is another's."""

    def __init__(self, path: Path, department: Department) -> None:
        self.department = department
        self._scope = Scope.open(department)
        # Created with its final mode, before SQLite could create it with another.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(_SCHEMA)
            self._db.execute("INSERT OR IGNORE INTO meta VALUES ('department', ?)", (str(department),))
            for name in ("fingerprint_key", "shift_key"):
                self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, secrets.token_bytes(32)))
            meta = dict(self._db.execute("SELECT name, value FROM meta"))
        except sqlite3.DatabaseError:
            raise GatewayFault("directory_invalid") from None
        if meta["department"] != str(department):
            raise GatewayFault("directory_invalid")
        self._fingerprint_key: bytes = meta["fingerprint_key"]
        # Moves a child's dates by the same amount in every answer for one purpose (gateway/release/shift.py).
        self.shift_key: bytes = meta["shift_key"]

    @property
    def epoch(self) -> int:
        """The epoch of the newest pseudonym, 0 in an empty directory."""
        return int(self._db.execute("SELECT coalesce(max(epoch), 0) FROM entries").fetchone()[0])

    @property
    def size(self) -> int:
        """How many records have a pseudonym."""
        return int(self._db.execute("SELECT count(*) FROM entries").fetchone()[0])

    def record(self, pseudonym: str) -> str | None:
        """The local record key behind a pseudonym's text, None if unknown."""
        for table in ("entries", "earlier"):
            row = self._db.execute(f"SELECT record FROM {table} WHERE pseudonym = ?", (pseudonym,)).fetchone()  # noqa: S608
            if row:
                return str(row[0])
        return None

    def pseudonym(self, record: str) -> str | None:
        """The pseudonym's text of a local record, None if it was never enrolled."""
        row = self._db.execute("SELECT pseudonym FROM entries WHERE record = ?", (record,)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def behind(self, epoch: int, limit: int = BATCH) -> list[str]:
        """Pseudonyms older than an epoch, to be converted; not those that only an enrolment can renew (see `forget`)."""
        rows = self._db.execute(
            "SELECT pseudonym FROM entries WHERE epoch < ? AND fingerprint <> x'' LIMIT ?", (epoch, limit)
        )
        return [row[0] for row in rows]

    def follow(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Give records their new names; by the old ones they are found until `forget`. Raises `GatewayFault("directory_invalid")`
        where a new name is not of this department.
        """
        named = [text.read(name, self._scope) for name in new]
        if len(old) != len(new):
            raise GatewayFault("directory_invalid")
        with self._whole():
            for before, after, pseudonym in zip(old, new, named, strict=True):
                self._db.execute(
                    "INSERT OR REPLACE INTO earlier SELECT pseudonym, record, epoch FROM entries WHERE pseudonym = ?",
                    (before,),
                )
                self._db.execute(
                    "UPDATE entries SET pseudonym = ?, epoch = ? WHERE pseudonym = ?", (after, pseudonym.epoch, before)
                )

    def forget(self, accepted: Collection[int]) -> int:
        """Forget earlier names of epochs that the gateway understands no more. A record whose only name is such a one keeps it,
        because the word of the gateway alone must not empty a directory, but the next enrolment names it anew. Returns how many
        records were marked so now.
        """
        marks = ",".join("?" * len(accepted))
        with self._whole():
            self._db.execute(f"DELETE FROM earlier WHERE epoch NOT IN ({marks})", tuple(accepted))  # noqa: S608
            lost = self._db.execute(
                f"UPDATE entries SET fingerprint = x'' WHERE fingerprint <> x'' AND epoch NOT IN ({marks})",  # noqa: S608
                tuple(accepted),
            )
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return lost.rowcount

    @contextmanager
    def _whole(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    async def enrol(
        self,
        people: AsyncIterator[LocalPerson],
        evaluate: Evaluate,
        grant: str | None,
        progress: Progress | None = None,
        watch: OracleWatch | None = None,
    ) -> Enrolment:
        """Enrol whoever is new or has another identifier than before; `progress` is called after each batch.

        watch: looks at each batch before it leaves; a fresh one with the usual limits where none is given. Raises what `evaluate`
        raises and `Denied("enrolment_suspicious")`; batches before that stay.
        """
        watch, told = watch or OracleWatch(), progress or _untold
        state = Enrolment(epoch=self.epoch)
        batch: list[Named] = []
        blinding: _Blinding | None = None
        async for person in people:
            state = replace(state, seen=state.seen + 1)
            identifier = _best(person)
            if identifier is None:
                state = replace(state, unidentified=state.unidentified + 1)
            elif self._known(person.key, mark := self._fingerprint(identifier)):
                state = replace(state, kept=state.kept + 1)
            else:
                batch.append((person, identifier, mark))
            if len(batch) == BATCH:
                # This batch is blinded while the one before it is at the gateway; only one is ever there.
                before, blinding = blinding, _Blinding(batch)
                batch = []
                if before is not None:
                    state = await self._enrol_batch(before, evaluate, grant, state)
                    told(state)
                watch.require_plausible(blinding.identifiers)
            elif state.seen % BATCH == 0:
                told(state)
        if blinding is not None:
            state = await self._enrol_batch(blinding, evaluate, grant, state)
            told(state)
        if batch:
            last = _Blinding(batch)
            watch.require_plausible(last.identifiers)
            state = await self._enrol_batch(last, evaluate, grant, state)
            told(state)
        elif blinding is None:
            told(state)
        return state

    async def _enrol_batch(
        self, blinding: _Blinding, evaluate: Evaluate, grant: str | None, state: Enrolment
    ) -> Enrolment:
        batch, blinded = blinding.batch, await blinding.done
        evaluated, epoch = await evaluate([b.point for b in blinded], grant)
        if len(evaluated) != len(batch):
            raise GatewayFault("directory_invalid")
        texts = await asyncio.to_thread(
            lambda: [self._text(p, b.unblinder, epoch) for p, b in zip(evaluated, blinded, strict=True)]
        )
        conflicts = 0
        with self._whole():
            for (person, _, mark), pseudonym in zip(batch, texts, strict=True):
                holder = self.record(pseudonym)
                if holder is not None and holder != person.key:
                    conflicts += 1
                    continue
                for table in ("entries", "earlier"):
                    self._db.execute(f"DELETE FROM {table} WHERE record = ?", (person.key,))  # noqa: S608
                self._db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", (pseudonym, person.key, mark, epoch))
        return replace(
            state, enrolled=state.enrolled + len(batch) - conflicts, conflicts=state.conflicts + conflicts, epoch=epoch
        )

    def _text(self, evaluated: bytes, unblinder: bytes, epoch: int) -> str:
        return text.write(Pseudonym(self._scope, epoch, unblind(evaluated, unblinder)))

    def _fingerprint(self, identifier: Identifier) -> bytes:
        return hmac.digest(self._fingerprint_key, identifier.canonical, "sha256")[:16]

    def _known(self, record: str, mark: bytes) -> bool:
        row = self._db.execute("SELECT fingerprint FROM entries WHERE record = ?", (record,)).fetchone()
        return row is not None and hmac.compare_digest(row[0], mark)


def _best(person: LocalPerson) -> Identifier | None:
    """The first identifier that is valid; a mistyped one is passed over, never repaired."""
    for kind, value in person.numbers:
        try:
            return identify(kind, value)
        except BadRequest:
            continue
    return None
