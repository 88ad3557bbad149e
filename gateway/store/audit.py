"""Reads and writes of the audit log's rows.

Rules kept here: nothing commits; a batch is few statements, each for many rows, handed to the driver in one go, because the
hops between event loop and driver cost more than the rows; the head moves only from the size that the writer saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.errors import GatewayFault
from gateway.store.audit_drivers import ShortWriting, Statement, near_driver, run
from gateway.store.audit_drivers import fetch as fetch  # noqa: PLC0414  (for readers of these tables elsewhere)
from gateway.store.database import Reading, Writing


# Rows are tuples: one is made in a fifth of a frozen dataclass's time, and it goes to the driver as it is.
class HeadRow(NamedTuple):
    """The log's head. hashes: the compact range, encoded. checkpoint: the signed note over `size`."""

    size: int
    hashes: bytes
    time_us: int
    checkpoint: bytes


class EntryRow(NamedTuple):
    """One entry as stored, in the order of its columns."""

    index: int  # type: ignore[assignment]  # tuple's own method of that name is of no use here
    entry_id: str
    facets: str
    leaf: bytes
    hash: bytes
    hints: bytes
    detail: bytes | None

    def __repr__(self) -> str:
        return f"EntryRow(index={self[0]})"


class KeyRow(NamedTuple):
    """One generation of a history's keys, in the order of KEY_COLUMNS."""

    holder: bytes
    generation: int
    year: int
    bucket: int
    wrapped: bytes
    state: bytes
    shares: bytes
    current: bool
    frozen: bool

    def __repr__(self) -> str:
        return f"KeyRow(generation={self.generation}, year={self.year}, current={self.current})"


class Opening(NamedTuple):
    """What a batch reads first: the locked head, the proofs that were new, the current keys of the holders."""

    head: HeadRow | None
    fresh: frozenset[str]
    keys: list[KeyRow]


class BatchRows(NamedTuple):
    """What a batch writes. tiles: (level, number, hashes), replaced whole. rollups: (hour, facets, count,
    first index, last index). before: the size that the head had.
    """

    head: HeadRow
    before: int
    entries: Sequence[EntryRow]
    tags: Sequence[tuple[bytes, int]]
    keys: Sequence[KeyRow]
    manifests: Sequence[tuple[int, bytes]]
    rollups: Sequence[tuple[int, str, int, int, int]]
    tiles: Sequence[tuple[int, int, bytes]]

    def with_tiles(self, tiles: Sequence[tuple[int, int, bytes]]) -> BatchRows:
        """The same batch with the tiles that it completes."""
        return self._replace(tiles=tiles)


# "runxin": any number that nobody else locks in this database.
_TAKE_TURN: Statement = ("SELECT pg_advisory_xact_lock(?)", (0x72756E78696E,))
_HEAD = "SELECT size, hashes, time_us, checkpoint FROM audit_head WHERE id = 1"
KEY_COLUMNS = "holder, generation, year, bucket, wrapped, state, shares, current, frozen"
_KEYS = f"SELECT {KEY_COLUMNS} FROM audit_keys WHERE current = ? AND holder "  # noqa: S608
_CLAIM, _NEW_CLAIMS = "INSERT INTO proof_jti (jti, expires_at) ", " ON CONFLICT DO NOTHING RETURNING jti"
_ENTRY_COLUMNS = "idx, entry_id, facets, leaf, hash, hints, detail"
# `current` is a reserved word in neither dialect; booleans are bound as booleans, which SQLite stores as 0 and 1.
_PUT_KEY = (
    f"INSERT INTO audit_keys ({KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
    "ON CONFLICT (holder, generation) DO UPDATE SET state = excluded.state, current = excluded.current"
)
_PUT_ENTRY = f"INSERT INTO audit_entries ({_ENTRY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_PUT_ROLLUP = (
    "INSERT INTO audit_rollups (hour, facets, count, first_idx, last_idx) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (hour, facets) DO UPDATE SET count = audit_rollups.count + excluded.count, last_idx = excluded.last_idx"
)
_PUT_TILE = (
    "INSERT INTO audit_tiles (level, number, hashes) VALUES (?, ?, ?) "
    "ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes"
)
_MOVE_HEAD = "UPDATE audit_head SET size = ?, hashes = ?, time_us = ?, checkpoint = ? WHERE id = 1 AND size = ?"


# --- one batch ------------------------------------------------------------------------------------------------------


async def open_batch(
    writing: Writing, *, proofs: Sequence[str], proofs_until: int, holders: Sequence[bytes]
) -> Opening:
    """Lock the head, claim the proofs, read the current keys of the holders.

    The lock: SQLite took its write lock at BEGIN; PostgreSQL locks the head row here, and every later statement of this
    transaction sees what the batch before it committed. Writers queue for it at an advisory lock, which is given in the order of
    asking: at the row alone, each new version is a new queue, and some waited for many turns of others.
    """
    near = near_driver(writing)
    sqlite = near is not None
    statements: list[Statement] = [(_HEAD, ())] if sqlite else [_TAKE_TURN, (_HEAD + " FOR UPDATE", ())]
    if near is not None and isinstance(writing, ShortWriting):
        await near.take_lock()
    if proofs:
        statements.append(_claim_statement(proofs, proofs_until, sqlite=sqlite))
    if holders:
        statements.append(_keys_statement(holders, sqlite=sqlite))
    answers = iter(await fetch(writing, statements))
    if not sqlite:
        next(answers)
    head = next(answers)
    fresh = frozenset([str(jti) for (jti,) in next(answers)]) if proofs else frozenset()
    keys = [KeyRow._make(row) for row in next(answers)] if holders else []
    return Opening(HeadRow._make(head[0]) if head else None, fresh, keys)


async def current_keys(reading: Reading, holders: Sequence[bytes]) -> list[KeyRow]:
    """The current generation of each holder that has one."""
    (rows,) = await fetch(reading, [_keys_statement(holders, sqlite=near_driver(reading) is not None)])
    return [KeyRow._make(row) for row in rows]


async def release_proofs(writing: Writing, proofs: Sequence[str]) -> None:
    """Give back proofs whose submission failed, so that its denial can be recorded under the same proof."""
    await run(writing, [("DELETE FROM proof_jti WHERE jti = ?", [(proof,) for proof in proofs])])


async def write_batch(writing: Writing, rows: BatchRows) -> None:
    """Write a batch and move the head; `GatewayFault("log_fork")` if somebody else moved it meanwhile."""
    statements: list[Statement] = [
        (_PUT_ENTRY, rows.entries),
        ("INSERT INTO audit_tags (tag, idx) VALUES (?, ?)", rows.tags),
        (_PUT_KEY, rows.keys),
        ("INSERT INTO audit_manifests (idx, lines) VALUES (?, ?)", rows.manifests),
        (_PUT_ROLLUP, rows.rollups),
        (_PUT_TILE, rows.tiles),
    ]
    head = rows.head
    moved = await run(
        writing, statements, last=(_MOVE_HEAD, (head.size, head.hashes, head.time_us, head.checkpoint, rows.before))
    )
    if moved != 1:
        raise GatewayFault("log_fork")


async def create_head(writing: Writing, head: HeadRow) -> None:
    """The first head of an empty log; does nothing if another worker was first."""
    first = (
        "INSERT INTO audit_head (id, size, hashes, time_us, checkpoint) VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    await run(writing, [(first, [(head.size, head.hashes, head.time_us, head.checkpoint)])])


# --- reading --------------------------------------------------------------------------------------------------------


async def get_head(reading: Reading) -> HeadRow | None:
    """The head as committed."""
    (rows,) = await fetch(reading, [(_HEAD, ())])
    return HeadRow._make(rows[0]) if rows else None


async def get_entries(reading: Reading, start: int, end: int) -> list[EntryRow]:
    """Entries with `start <= index < end`, in order."""
    select = f"SELECT {_ENTRY_COLUMNS} FROM audit_entries WHERE idx >= ? AND idx < ? ORDER BY idx"  # noqa: S608
    (rows,) = await fetch(reading, [(select, (start, end))])
    return [EntryRow._make(row) for row in rows]


async def get_entries_at(reading: Reading, indexes: Sequence[int]) -> list[EntryRow]:
    """The entries at these indexes, in index order."""
    found: list[EntryRow] = []
    for at in range(0, len(indexes), 500):
        some = indexes[at : at + 500]
        select = f"SELECT {_ENTRY_COLUMNS} FROM audit_entries WHERE idx IN ({_marks(some)}) ORDER BY idx"  # noqa: S608
        (rows,) = await fetch(reading, [(select, some)])
        found += [EntryRow._make(row) for row in rows]
    return found


async def get_leaves(reading: Reading, start: int, end: int) -> list[bytes]:
    """Canonical bytes of the entries with `start <= index < end`, in order."""
    select = "SELECT leaf FROM audit_entries WHERE idx >= ? AND idx < ? ORDER BY idx"
    (rows,) = await fetch(reading, [(select, (start, end))])
    return [bytes(row[0]) for row in rows]


async def get_hashed_leaves(reading: Reading, start: int, end: int) -> list[tuple[int, bytes, bytes]]:
    """(index, canonical bytes, stored leaf hash) of the entries with `start <= index < end`, in order."""
    select = "SELECT idx, leaf, hash FROM audit_entries WHERE idx >= ? AND idx < ? ORDER BY idx"
    (rows,) = await fetch(reading, [(select, (start, end))])
    return [(int(index), bytes(leaf), bytes(kept)) for index, leaf, kept in rows]


async def newest_cosigned(reading: Reading) -> tuple[int, bytes] | None:
    """(size, note) of the newest checkpoint that reached the witness quorum."""
    select = "SELECT size, note FROM audit_checkpoints WHERE quorum = ? ORDER BY size DESC LIMIT 1"
    (rows,) = await fetch(reading, [(select, (True,))])
    return (int(rows[0][0]), bytes(rows[0][1])) if rows else None


async def find_entry(reading: Reading, entry_id: str) -> EntryRow | None:
    """The entry of that random id."""
    select = f"SELECT {_ENTRY_COLUMNS} FROM audit_entries WHERE entry_id = ?"  # noqa: S608
    (rows,) = await fetch(reading, [(select, (entry_id,))])
    return EntryRow._make(rows[0]) if rows else None


async def page(
    reading: Reading, *, pattern: str, start: int, end: int, limit: int, newest_first: bool
) -> list[EntryRow]:
    """Up to `limit` entries of an index range whose facets match a LIKE pattern; `%` matches all."""
    order = "DESC" if newest_first else "ASC"
    matching = "" if pattern == "%" else "AND facets LIKE ? ESCAPE '!' "
    select = (
        f"SELECT {_ENTRY_COLUMNS} FROM audit_entries WHERE idx >= ? AND idx < ? "  # noqa: S608
        f"{matching}ORDER BY idx {order} LIMIT ?"
    )
    arguments = (start, end, *(() if pattern == "%" else (pattern,)), limit)
    (rows,) = await fetch(reading, [(select, arguments)])
    return [EntryRow._make(row) for row in rows]


async def find_tags(reading: Reading, tags: Sequence[bytes]) -> dict[bytes, int]:
    """Entry index per tag that stands in the log."""
    found: dict[bytes, int] = {}
    for at in range(0, len(tags), 500):
        some = tags[at : at + 500]
        select = f"SELECT tag, idx FROM audit_tags WHERE tag IN ({_marks(some)})"  # noqa: S608
        (rows,) = await fetch(reading, [(select, some)])
        found.update({bytes(tag): int(index) for tag, index in rows})
    return found


async def tagged_entries(reading: Reading, tags: Sequence[bytes]) -> list[EntryRow]:
    """The entry of each tag that stands in the log, in no order; one that carries two of the tags comes twice."""
    columns = ", ".join(f"e.{name}" for name in _ENTRY_COLUMNS.split(", "))
    found: list[EntryRow] = []
    for at in range(0, len(tags), 500):
        some = tags[at : at + 500]
        select = (
            f"SELECT {columns} FROM audit_tags t JOIN audit_entries e ON e.idx = t.idx "  # noqa: S608
            f"WHERE t.tag IN ({_marks(some)})"
        )
        (rows,) = await fetch(reading, [(select, some)])
        found += map(EntryRow._make, rows)
    return found


async def get_tiles(reading: Reading, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Stored tiles by (level, number)."""
    select = "SELECT hashes FROM audit_tiles WHERE level = ? AND number = ?"
    answers = await fetch(reading, [(select, place) for place in places])
    return {place: bytes(rows[0][0]) for place, rows in zip(places, answers, strict=True) if rows}


async def key_generations(reading: Reading, holder: bytes) -> list[KeyRow]:
    """Every generation of a holder's keys, oldest first."""
    select = f"SELECT {KEY_COLUMNS} FROM audit_keys WHERE holder = ? ORDER BY generation"  # noqa: S608
    (rows,) = await fetch(reading, [(select, (holder,))])
    return [KeyRow._make(row) for row in rows]


async def all_current_keys(reading: Reading) -> tuple[int, list[KeyRow]]:
    """(log size, current keys) in one consistent statement, for the epoch index."""
    columns = ", ".join(f"k.{name}" for name in KEY_COLUMNS.split(", "))
    select = f"SELECT h.size, {columns} FROM audit_head h LEFT JOIN audit_keys k ON k.current = ?"  # noqa: S608
    (rows,) = await fetch(reading, [(select, (True,))])
    size = int(rows[0][0]) if rows else 0
    return size, [KeyRow._make(row[1:]) for row in rows if row[1] is not None]


async def all_keys(reading: Reading) -> list[KeyRow]:
    """Every generation of every history, for finding whose key opens a detail."""
    (rows,) = await fetch(reading, [(f"SELECT {KEY_COLUMNS} FROM audit_keys", ())])  # noqa: S608
    return [KeyRow._make(row) for row in rows]


async def first_at(reading: Reading, time_us: int, size: int) -> int:
    """The first index whose entry is not older than `time_us`; `size` if there is none. Entry ids begin with the time."""
    select = "SELECT idx FROM audit_entries WHERE entry_id >= ? ORDER BY entry_id LIMIT 1"
    (rows,) = await fetch(reading, [(select, (f"{max(time_us, 0):014x}",))])
    return int(rows[0][0]) if rows else size


async def get_manifest(reading: Reading, index: int) -> bytes | None:
    """The manifest lines of a bulk entry."""
    (rows,) = await fetch(reading, [("SELECT lines FROM audit_manifests WHERE idx = ?", (index,))])
    return bytes(rows[0][0]) if rows else None


async def rollups(reading: Reading, first_hour: int, last_hour: int) -> list[tuple[int, str, int]]:
    """(hour since 1970, facets, count) of a range of hours, both ends included."""
    select = "SELECT hour, facets, count FROM audit_rollups WHERE hour >= ? AND hour <= ? ORDER BY hour, facets"
    (rows,) = await fetch(reading, [(select, (first_hour, last_hour))])
    return [(int(hour), str(facets), int(count)) for hour, facets, count in rows]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _keys_statement(holders: Sequence[bytes], *, sqlite: bool) -> Statement:
    if sqlite:
        return _keys_text(len(holders)), (True, *holders)
    return _KEYS + "= ANY(?::bytea[])", (True, list(holders))


@lru_cache
def _keys_text(count: int) -> str:
    return f"{_KEYS}IN ({', '.join('?' * count)})"


def _claim_statement(proofs: Sequence[str], until: int, *, sqlite: bool) -> Statement:
    """Claims the proofs and gives back those that were new."""
    if sqlite:
        return _claim_text(len(proofs)), [part for proof in proofs for part in (proof, until)]
    return f"{_CLAIM}SELECT unnest(?::text[]), ?{_NEW_CLAIMS}", (list(proofs), until)


@lru_cache
def _claim_text(count: int) -> str:
    return f"{_CLAIM}VALUES {', '.join(['(?, ?)'] * count)}{_NEW_CLAIMS}"
