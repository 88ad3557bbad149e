"""A mirror: whoever follows a log keeps every tile and every entry of it, and takes no step that the log cannot prove.

Rules kept here: nothing counts until it hashes to a root that the log's key signed; the root over what the mirror had before
must come out of the new tiles, or the log has been rewritten and the old checkpoint stays as evidence beside the new one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.errors import GatewayFault
from gateway.proofs.checkpoints import verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import HASH_BYTES, CompactRange, leaf_hash, root_of
from gateway.proofs.notes import Verifier
from gateway.proofs.tiles import Tile, decode_bundle, tiles_of
from keys.durable import replace

Get = Callable[[str], Awaitable[bytes]]
"""Fetches `checkpoint` or `tile/…` from the log."""

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
    tiles = tiles_of(now.size)
    for tile in (tile for tile in tiles if tile.level == 0):
        hashes = await _checked_tile(get, folder, tile)
        start = tree.size
        if before is not None and start <= before.size < start + len(hashes):
            old_root = tree.extended(hashes[: before.size - start]).root
        tree = tree.extended(hashes)
    if before is not None and before.size == tree.size:
        old_root = tree.root
    if before is not None and old_root != before.root:
        replace(folder / REFUSED, note)
        raise GatewayFault("log_fork")
    if tree.root != now.root:
        raise ProofInvalid("tile_invalid")
    for tile in (tile for tile in tiles if tile.level > 0):
        await _upper_tile(get, folder, tile)
    replace(place, note)
    return now.size


async def _checked_tile(get: Get, folder: Path, tile: Tile) -> list[bytes]:
    """The hashes of a level-0 tile whose entries are here too and hash to it."""
    data = await _fetched(get, folder, tile.path)
    hashes = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    entries = decode_bundle(await _fetched(get, folder, tile.bundle_path))
    if [leaf_hash(entry) for entry in entries] != hashes:
        (folder / tile.path).unlink()
        (folder / tile.bundle_path).unlink()
        raise ProofInvalid("tile_invalid")
    return hashes


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
