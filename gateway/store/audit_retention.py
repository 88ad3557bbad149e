"""The one row of retention (the plan that waits for its signatures, and how far the log was pruned), and the pruning itself.

Rules kept here: nothing commits; the minimum index only rises; what is below it goes in slices, each quick, because the log
waits meanwhile; tiles stay, and every proof with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.audit_drivers import fetch, run
from gateway.store.database import Reading, Writing

TAG_SLICES = 256
"""Tags have no order by entry, so they are looked through by their first byte."""

_ROW = "SELECT planned_at, plan, minimum, swept FROM audit_retention WHERE id = 1"
_LOWEST = "SELECT idx FROM audit_entries ORDER BY idx LIMIT 1"


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """planned_at: unix seconds of the last dry run that time brought about. plan: the file that waits to be signed, "" for none.

    minimum: entries below this index have been destroyed or are about to be. swept: how many slices of tags were looked through.
    """

    planned_at: int = 0
    plan: str = ""
    minimum: int = 0
    swept: int = TAG_SLICES


async def retention_row(reading: Reading) -> RetentionRow:
    """The row; of a log that never had a dry run, as if nothing had been."""
    (rows,) = await fetch(reading, [(_ROW, ())])
    if not rows:
        return RetentionRow()
    planned_at, plan, minimum, swept = rows[0]
    return RetentionRow(int(planned_at), str(plan), int(minimum), int(swept))


async def minimum_index(reading: Reading) -> int:
    """Where the log begins: entries below have been pruned. 0 for a whole log."""
    return (await retention_row(reading)).minimum


async def claim_dry_run(writing: Writing, now: int, before: int) -> bool:
    """Whether the dry run that is due is this caller's: of several workers one gets it. before: unix seconds."""
    await _found(writing)
    change = "UPDATE audit_retention SET planned_at = ? WHERE id = 1 AND planned_at <= ?"
    return await run(writing, [], last=(change, (now, before))) > 0


async def put_plan(writing: Writing, plan: str) -> None:
    """Let this plan wait from now on; "" for none."""
    await _found(writing)
    await run(writing, [("UPDATE audit_retention SET plan = ? WHERE id = 1", [(plan,)])])


async def raise_minimum(writing: Writing, index: int) -> None:
    """From now on the log begins at an index; what is below is to be deleted."""
    await _found(writing)
    change = "UPDATE audit_retention SET minimum = ?, swept = 0 WHERE id = 1 AND minimum < ?"
    await run(writing, [(change, [(index, index)])])


async def lowest_index(reading: Reading) -> int | None:
    """The lowest index of which an entry is still there."""
    (rows,) = await fetch(reading, [(_LOWEST, ())])
    return int(rows[0][0]) if rows else None


async def delete_entries(writing: Writing, end: int) -> None:
    """The entries and manifests below an index go."""
    await run(writing, [("DELETE FROM audit_entries WHERE idx < ?", [(end,)])])
    await run(writing, [("DELETE FROM audit_manifests WHERE idx < ?", [(end,)])])


async def delete_tags(writing: Writing, piece: int, below: int) -> None:
    """The tags of one slice go whose entries are below an index; the slice counts as looked through."""
    first, last = bytes([piece]), bytes([piece]) + b"\xff" * 16
    await run(writing, [("DELETE FROM audit_tags WHERE tag >= ? AND tag <= ? AND idx < ?", [(first, last, below)])])
    done = "UPDATE audit_retention SET swept = ? WHERE id = 1 AND swept = ? AND minimum = ?"
    await run(writing, [(done, [(piece + 1, piece, below)])])


async def _found(writing: Writing) -> None:
    first = (
        "INSERT INTO audit_retention (id, planned_at, plan, minimum, swept) VALUES (1, 0, '', 0, ?) "
        "ON CONFLICT DO NOTHING"
    )
    await run(writing, [(first, [(TAG_SLICES,)])])
