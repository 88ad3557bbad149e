"""A mirror: whoever follows a log keeps every tile and every entry of it, and takes no step that the log cannot prove.

Rules kept here: nothing counts until it hashes to a root that the log's key signed; the root over what the mirror had before
must come out of the new tiles, or the log has been rewritten and the old checkpoint stays as evidence beside the new one; a
bundle that the log refuses as pruned may be missing only where an entry that the mirror has says that the log begins later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.audit.pruning import certified
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs.checkpoints import verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import HASH_BYTES, CompactRange, leaf_hash, root_of
from gateway.proofs.notes import Verifier
from gateway.proofs.tiles import WIDTH, Tile, decode_bundle, tiles_of
from keys.durable import replace

Get = Callable[[str], Awaitable[bytes]]
"""Fetches `checkpoint` or `tile/…` from the log. Raises `BadRequest("entry_pruned")` where the log says so."""

REFUSED = "checkpoint.refused"


async def follow(get: Get, folder: Path, log: Verifier) -> int:
    """Bring a mirror up to the log's newest checkpoint; the size.

    Raises `ProofInvalid` (`note_unsigned`, `tile_invalid`), `GatewayFault("log_step_back")`, `GatewayFault("log_fork")`; for the
    last two the log's signed statement is kept as `checkpoint.refused` beside the older one: together they prove it.
    """
    note = await get("checkpoint")
    now = verify_checkpoint(note, log)
    place = folder / "checkpoint"
    before = verify_checkpoint(place.read_bytes(), log) if place.exists() else None
    if before is not None and now.size < before.size:
        replace(folder / REFUSED, note)
        raise GatewayFault("log_step_back", here=now.size, seen=before.size)
    tree, old_root = CompactRange(), None
    missing, said = 0, 0
    tiles = tiles_of(now.size)
    for tile in (tile for tile in tiles if tile.level == 0):
        hashes, entries = await _checked_tile(get, folder, tile)
        said = max(said, certified(entries))
        missing = missing if entries else (tile.number + 1) * WIDTH
        start = tree.size
        if before is not None and start <= before.size < start + len(hashes):
            old_root = tree.extended(hashes[: before.size - start]).root
        tree = tree.extended(hashes)
    if before is not None and before.size == tree.size:
        old_root = tree.root
    if before is not None and old_root != before.root:
        replace(folder / REFUSED, note)
        raise GatewayFault("log_fork")
    if tree.root != now.root or missing > said:
        raise ProofInvalid("tile_invalid")
    for tile in (tile for tile in tiles if tile.level > 0):
        await _upper_tile(get, folder, tile)
    replace(place, note)
    return now.size


async def _checked_tile(get: Get, folder: Path, tile: Tile) -> tuple[list[bytes], list[bytes]]:
    """The hashes of a level-0 tile, and its entries, which are here too and hash to it; none where they have been pruned."""
    data = await _fetched(get, folder, tile.path)
    hashes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    try:
        entries = decode_bundle(await _fetched(get, folder, tile.bundle_path))
    except BadRequest as refusal:
        if refusal.code != "entry_pruned":
            raise
        return hashes, []
    if [leaf_hash(entry) for entry in entries] != hashes:
        (folder / tile.path).unlink()
        (folder / tile.bundle_path).unlink()
        raise ProofInvalid("tile_invalid")
    return hashes, entries


async def _upper_tile(get: Get, folder: Path, tile: Tile) -> None:
    """A tile above is what those below make it."""
    data = await _fetched(get, folder, tile.path)
    for number in range(tile.width):
        below = (folder / Tile(tile.level - 1, tile.number * 256 + number).path).read_bytes()
        root = root_of([below[at : at + HASH_BYTES] for at in range(0, len(below), HASH_BYTES)])
        if data[number * HASH_BYTES : (number + 1) * HASH_BYTES] != root:
            (folder / tile.path).unlink()
            raise ProofInvalid("tile_invalid")


async def _fetched(get: Get, folder: Path, path: str) -> bytes:
    place = folder / path
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        replace(place, await get(path))
    return place.read_bytes()
