"""Pruning: entries past their term go from the beginning of the log, and every proof of what is left stays valid.

C2SP tlog-tiles calls it the minimum index: bundles wholly below it are refused, tiles and checkpoints stay. The published
policy: a skeleton is kept ten whole years after its year, and for as long as any key of its year lives, so a hold or a case keeps
the years of its child whole.

Rules kept here: the log begins at whole bundles; the entry that ends a term says in clear where the log begins from then on
(`covers` of an `erasure` entry), so that deleting without such an entry is found by whoever verifies; deleting follows that
entry in slices and goes on after a crash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from gateway.audit.entry import read_skeleton
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import EntryKind
from gateway.errors import GatewayFault
from gateway.proofs.merkle import HASH_BYTES, CompactRange, root_of
from gateway.proofs.tiles import WIDTH
from gateway.store import audit as store
from gateway.store import audit_retention
from gateway.store.database import Database, Reading

SKELETONS_KEPT_YEARS = 10
_SLICE = 2048
_CERTIFIES = (b'"covers":', b'"kind":"%s"' % EntryKind.ERASURE.encode())


async def prunable(reading: Reading, newest: int, living: Collection[int]) -> int:
    """The minimum index that years allow; 0 where nothing more may go.

    newest: the last year whose skeletons' term has ended. living: the years up to it of which a key will still live.
    """
    first_kept = min([newest + 1, *living])
    begins = int(datetime(first_kept, 1, 1, tzinfo=SHANGHAI).timestamp()) * 1_000_000
    head = await store.get_head(reading)
    if head is None or begins > head.time_us:
        # Not even the newest entry's term runs any more. The log keeps its last bundle, by which it goes on.
        index = head.size if head else 0
    else:
        index = await store.first_at(reading, begins, head.size)
    index = index // WIDTH * WIDTH
    return index if index > await audit_retention.minimum_index(reading) else 0


async def prune(database: Database) -> bool:
    """Delete one slice of what is below the minimum index; whether anything was left to do."""
    async with database.read() as reading:
        row = await audit_retention.retention_row(reading)
        lowest = await audit_retention.lowest_index(reading) if row.swept < audit_retention.TAG_SLICES else None
    if row.swept >= audit_retention.TAG_SLICES:
        return False
    async with database.write() as writing:
        if lowest is not None and lowest < row.minimum:
            await audit_retention.delete_entries(writing, min(lowest + _SLICE, row.minimum))
        else:
            await audit_retention.delete_tags(writing, row.swept, row.minimum)
        # A crash before this commit leaves the slice whole, and a crash after it the next one: both go on from what is there.
    return True


def certified(leaves: Iterable[bytes]) -> int:
    """The highest minimum index that one of these leaves says; 0 if none does."""
    said = [read_skeleton(leaf) for leaf in leaves if all(part in leaf for part in _CERTIFIES)]
    return max((int(one["covers"]) for one in said if one["kind"] == EntryKind.ERASURE), default=0)


async def pruned_tree(reading: Reading, minimum: int) -> CompactRange:
    """The tree over what was pruned, from its tiles. Raises `GatewayFault("log_tile_invalid")` where they do not agree."""
    tree = CompactRange()
    for number in range(minimum // WIDTH):
        upper, place = divmod(number, WIDTH)
        tiles = await store.get_tiles(reading, [(0, number), (1, upper)])
        data, above = tiles.get((0, number), b""), tiles.get((1, upper), b"")
        hashes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        root = root_of(hashes)
        if len(hashes) != WIDTH or above[place * HASH_BYTES : (place + 1) * HASH_BYTES] != root:
            raise GatewayFault("log_tile_invalid", level=0, tile=number)
        tree = tree.joined(CompactRange(WIDTH, (root,)))
    return tree
