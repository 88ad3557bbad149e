"""Histories' keys outside the append of entries: erasure, freezing, holds, and the lines of epoch indexes.

Rules kept here: nothing commits; a row that goes is gone whole; what is left of it elsewhere is rubbish without its bucket.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.store.audit import KEY_COLUMNS, KeyRow
from gateway.store.audit_drivers import fetch, run
from gateway.store.database import Reading, Writing


async def keys_in_bucket(reading: Reading, bucket: int) -> list[KeyRow]:
    """Every row whose keys that bucket wraps."""
    (rows,) = await fetch(reading, [(f"SELECT {KEY_COLUMNS} FROM audit_keys WHERE bucket = ?", (bucket,))])  # noqa: S608
    return [KeyRow._make(row) for row in rows]


async def rewrap_key(writing: Writing, row: KeyRow, bucket: int, wrapped: bytes) -> None:
    """Move one row's keys to another bucket."""
    change = "UPDATE audit_keys SET bucket = ?, wrapped = ? WHERE holder = ? AND generation = ?"
    await run(writing, [(change, [(bucket, wrapped, row.holder, row.generation)])])


async def delete_generations(writing: Writing, rows: Sequence[KeyRow]) -> None:
    """These generations go."""
    change = "DELETE FROM audit_keys WHERE holder = ? AND generation = ?"
    await run(writing, [(change, [(row.holder, row.generation) for row in rows])])


async def generations_until(reading: Reading, year: int) -> list[KeyRow]:
    """Every generation of that year or an earlier one, in a fixed order."""
    select = f"SELECT {KEY_COLUMNS} FROM audit_keys WHERE year <= ? ORDER BY holder, generation"  # noqa: S608
    (rows,) = await fetch(reading, [(select, (year,))])
    return [KeyRow._make(row) for row in rows]


async def delete_details(writing: Writing, indexes: Sequence[int]) -> None:
    """The sealed details of these entries go; the skeletons stay."""
    change = "UPDATE audit_entries SET detail = NULL, hints = ? WHERE idx = ?"
    await run(writing, [(change, [(b"", index) for index in indexes])])


async def set_frozen(writing: Writing, holder: bytes, frozen: bool) -> bool:
    """Freeze or thaw a history; False if there is none."""
    change = "UPDATE audit_keys SET frozen = ? WHERE holder = ?"
    return await run(writing, [], last=(change, (frozen, holder))) > 0


async def put_hold(writing: Writing, hold_id: str, holder: bytes, reason: str, until: int) -> None:
    """Keep a history from destruction until a time (unix seconds)."""
    put = "INSERT INTO audit_holds (hold_id, holder, reason, until) VALUES (?, ?, ?, ?)"
    await run(writing, [(put, [(hold_id, holder, reason, until)])])


async def held(reading: Reading, holder: bytes, now: int) -> bool:
    """Whether a hold keeps this history."""
    (rows,) = await fetch(reading, [("SELECT 1 FROM audit_holds WHERE holder = ? AND until > ?", (holder, now))])
    return bool(rows)


async def holds(reading: Reading, now: int) -> list[tuple[str, bytes, str, int]]:
    """(hold id, holder, reason, until) of every hold that holds at a time, the next to end first."""
    select = "SELECT hold_id, holder, reason, until FROM audit_holds WHERE until > ? ORDER BY until, hold_id"
    (rows,) = await fetch(reading, [(select, (now,))])
    return [(str(hold_id), bytes(holder), str(reason), int(until)) for hold_id, holder, reason, until in rows]


async def end_hold(writing: Writing, hold_id: str, now: int) -> bytes | None:
    """End a hold now; whose it was, None if there is none that holds."""
    select = "SELECT holder FROM audit_holds WHERE hold_id = ? AND until > ?"
    (rows,) = await fetch(writing, [(select, (hold_id, now))])
    await run(writing, [("UPDATE audit_holds SET until = ? WHERE hold_id = ? AND until > ?", [(now, hold_id, now)])])
    return bytes(rows[0][0]) if rows else None


async def put_epoch(writing: Writing, epoch: int, index: int, covers: int, lines: bytes) -> None:
    """Keep an index's lines, in the transaction of its entry; only the last two epochs' lines are kept."""
    put = "INSERT INTO audit_epochs (epoch, idx, covers, lines) VALUES (?, ?, ?, ?)"
    drop = "DELETE FROM audit_epochs WHERE epoch < ?"
    await run(writing, [(put, [(epoch, index, covers, lines)]), (drop, [(epoch - 1,)])])


async def newest_epoch(reading: Reading) -> tuple[int, int, int, bytes] | None:
    """(epoch, index of its entry, size it covers, lines) of the newest index."""
    select = "SELECT epoch, idx, covers, lines FROM audit_epochs ORDER BY epoch DESC LIMIT 1"
    (rows,) = await fetch(reading, [(select, ())])
    return (int(rows[0][0]), int(rows[0][1]), int(rows[0][2]), bytes(rows[0][3])) if rows else None


async def get_cosigned(reading: Reading, size: int) -> bytes | None:
    """The cosigned checkpoint of that size, with or without a quorum."""
    (rows,) = await fetch(reading, [("SELECT note FROM audit_checkpoints WHERE size = ?", (size,))])
    return bytes(rows[0][0]) if rows else None


async def put_cosigned(writing: Writing, size: int, note: bytes, quorum: bool, stored_at: int) -> None:
    """Keep a cosigned checkpoint; more cosignatures of the same size take its place."""
    put = (
        "INSERT INTO audit_checkpoints (size, note, quorum, stored_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (size) DO UPDATE SET note = excluded.note, quorum = excluded.quorum"
    )
    await run(writing, [(put, [(size, note, quorum, stored_at)])])
