"""The whole log in the database, checked against its own signed head: every leaf, every tile, every step of time.

Rules kept here: the first thing that is wrong is named by its entry index; a check raises, it never answers false. Details are
checked only by who can open them (`gateway/audit/reading.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context

from gateway.audit.entry import read_skeleton
from gateway.audit.form import time_in
from gateway.audit.pruning import certified, pruned_tree
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs.checkpoints import Checkpoint, verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import HASH_BYTES, CompactRange, root_of
from gateway.proofs.notes import Verifier
from gateway.proofs.tiles import WIDTH
from gateway.store import audit as store
from gateway.store.audit_retention import minimum_index
from gateway.store.database import Database, Reading

_STRIDE = 16 * WIDTH
_SHARE = 256 * WIDTH


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked. `entries`: how many leaves stand under the signed root. `minimum`: how many of them have been pruned,
    as an entry says, so that of these only the hashes are left.
    """

    checkpoint: Checkpoint
    entries: int
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """A range of entries, checked: the tree over it alone, the times of its first and last entry, and where one of them says that
    the log begins. Or what is wrong there.
    """

    tree: CompactRange = field(default_factory=CompactRange)
    first_us: int = 0
    last_us: int = 0
    certified: int = 0
    fault: tuple[str, dict[str, str | int]] | None = None


async def verify_log(database: Database, log: Verifier, *, canonical: bool = True, processes: int = 1) -> Verified:
    """Check the log in a database; live logs are checked up to the head at the start.

    canonical: also check every skeleton's form and that time rises. processes: how many share the work of a long log. Raises
    `GatewayFault`: `log_head_invalid`, `log_entry_invalid` (fact `index`), `log_tile_invalid` (facts `level`, `tile`),
    `log_root_invalid`.
    """
    async with database.read() as reading:
        head = await store.get_head(reading)
        if head is None:
            raise GatewayFault("log_head_invalid")
        minimum = await minimum_index(reading)
        tree = await pruned_tree(reading, minimum)
    try:
        checkpoint = verify_checkpoint(head.checkpoint, log)
    except ProofInvalid:
        raise GatewayFault("log_head_invalid") from None
    if checkpoint.size != head.size:
        raise GatewayFault("log_head_invalid")
    ranges = _ranges(minimum, head.size)
    if processes > 1 and len(ranges) > 1:
        parts = await _checked_beside(database, ranges, min(processes, len(ranges)), canonical=canonical)
    else:
        parts = [await _checked(database, start, end, canonical=canonical) for start, end in ranges]
    time_us, said = 0, 0
    for (start, _), part in zip(ranges, parts, strict=True):
        if part.fault is not None:
            async with database.read() as reading:
                began_later = await minimum_index(reading) > minimum
            if began_later:
                # What was missing has been pruned meanwhile, and is no fault.
                return await verify_log(database, log, canonical=canonical, processes=processes)
            raise GatewayFault(part.fault[0], **part.fault[1])
        if canonical and part.first_us <= time_us:
            raise GatewayFault("log_entry_invalid", index=start)
        tree, time_us, said = tree.joined(part.tree), part.last_us, max(said, part.certified)
    if minimum != said:
        # Entries are missing from the beginning, and no entry of the log says that they were to go; or it says more.
        raise GatewayFault("log_entry_invalid", index=min(minimum, said))
    if tree.root != checkpoint.root:
        # Entries, hashes and tiles agree with each other and not with what the log signed: somebody rewrote them all.
        # Receipts, witnesses and mirrors tell from where on.
        raise GatewayFault("log_root_invalid", size=head.size)
    return Verified(checkpoint, head.size, minimum)


def _ranges(start: int, end: int) -> list[tuple[int, int]]:
    """Shares of the work, each beginning at a multiple of its own size, so that its tree joins the tree before it."""
    found = []
    while start < end:
        size = min(_SHARE, start & -start or _SHARE)
        found.append((start, min(start + size, end)))
        start += size
    return found


async def _checked_beside(
    database: Database, ranges: Sequence[tuple[int, int]], processes: int, *, canonical: bool
) -> list[_Part]:
    """The ranges, by processes of their own: each opens the database for itself."""
    url = database.url.render_as_string(hide_password=False)
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        work = [loop.run_in_executor(pool, _check_range, url, start, end, canonical) for start, end in ranges]
        return list(await asyncio.gather(*work))


def _check_range(url: str, start: int, end: int, canonical: bool) -> _Part:
    async def work() -> _Part:
        database = Database(url, pool_size=1)
        try:
            return await _checked(database, start, end, canonical=canonical)
        finally:
            await database.close()

    return asyncio.run(work())


async def _checked(database: Database, first: int, last: int, *, canonical: bool) -> _Part:
    tree, first_us, time_us, said = CompactRange(), 0, 0, 0
    try:
        async with database.read() as reading:
            for start in range(first, last, _STRIDE):
                entries, leaves = await _hashed(reading, start, min(start + _STRIDE, last))
                if canonical:
                    first_us = first_us or _require_forms(entries[:1], start, 0)
                    time_us = _require_forms(entries, start, time_us)
                tree, said = tree.extended(leaves), max(said, certified(entries))
    except GatewayFault as fault:
        return _Part(fault=(fault.code, dict(fault.facts)))
    return _Part(tree, first_us, time_us, said)


async def _hashed(reading: Reading, start: int, end: int) -> tuple[list[bytes], list[bytes]]:
    """(entries, leaf hashes) of a range; none is missing, and tiles and stored hashes say the same."""
    indexes, entries, kept = _columns(await store.get_hashed_leaves(reading, start, end))
    if indexes != list(range(start, end)):
        wrong = (at for at, found in enumerate(indexes, start) if at != found)
        raise GatewayFault("log_entry_invalid", index=next(wrong, start + len(indexes)))
    leaves = [sha256(b"\x00" + entry).digest() for entry in entries]
    await _require_tiles(reading, start, leaves)
    if kept != leaves:
        wrong = (at for at, (one, two) in enumerate(zip(kept, leaves, strict=True), start) if one != two)
        raise GatewayFault("log_entry_invalid", index=next(wrong))
    return entries, leaves


def _columns(rows: Sequence[tuple[int, bytes, bytes]]) -> tuple[list[int], list[bytes], list[bytes]]:
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _require_forms(entries: Sequence[bytes], start: int, before: int) -> int:
    """Each canonical, time rising; the last time."""
    for index, entry in enumerate(entries, start):
        time_us = time_in(entry)
        if time_us is None:
            try:
                time_us = int(read_skeleton(entry)["t"])
            except BadRequest:
                raise GatewayFault("log_entry_invalid", index=index) from None
        if time_us <= before:
            raise GatewayFault("log_entry_invalid", index=index)
        before = time_us
    return before


async def _require_tiles(reading: Reading, start: int, leaves: Sequence[bytes]) -> None:
    """Each full tile must be what its entries hash to. Where they differ the tile above says which of them is wrong."""
    numbers = range(start // WIDTH, (start + len(leaves)) // WIDTH)
    stored = await store.get_tiles(reading, [(0, number) for number in numbers])
    for number in numbers:
        computed = leaves[number * WIDTH - start : (number + 1) * WIDTH - start]
        data = stored.get((0, number), b"")
        if data == b"".join(computed):
            continue
        level, place = divmod(number, WIDTH)
        above = (await store.get_tiles(reading, [(1, level)])).get((1, level), b"")
        claimed = above[place * HASH_BYTES : (place + 1) * HASH_BYTES]
        tile = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        if len(tile) != WIDTH or (root_of(tile) != claimed and root_of(computed) == claimed):
            raise GatewayFault("log_tile_invalid", level=0, tile=number)
        wrong = next(at for at, (found, kept) in enumerate(zip(computed, tile, strict=True)) if found != kept)
        raise GatewayFault("log_entry_invalid", index=number * WIDTH + wrong)
