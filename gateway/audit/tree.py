"""The tree as the store holds it: full tiles, growing upper tiles, and the last leaves of entries themselves.

Rules kept here: a tile is computed from the entries' bytes, never from anything that a caller says; what a proof needs is read
in one go and computed by `gateway/proofs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import GatewayFault
from gateway.proofs.merkle import EMPTY_ROOT, HASH_BYTES, Span, leaf_hash, root_of
from gateway.proofs.tiles import WIDTH, Tile, needed_tiles, span_hash
from gateway.store import audit as store
from gateway.store.database import Reading, Writing


async def grown_tiles(writing: Writing, before: int, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
    """The tiles that appending leaf hashes to a tree of `before` completes or (above level 0) lengthens."""
    tiles: list[tuple[int, int, bytes]] = []
    level, count, fresh = 0, before, list(leaves)
    while count // WIDTH != (count + len(fresh)) // WIDTH or (level and fresh):
        number, partial = divmod(count, WIDTH)
        row = [*await _edge(writing, level, number, partial), *fresh]
        full = len(row) // WIDTH
        shown = full if level == 0 else -(-len(row) // WIDTH)
        cuts = [row[place * WIDTH : (place + 1) * WIDTH] for place in range(shown)]
        tiles += [(level, number + place, b"".join(cut)) for place, cut in enumerate(cuts)]
        fresh = [root_of(cut) for cut in cuts[:full]]
        level, count = level + 1, count // WIDTH
    return tiles


async def read_tiles(reading: Reading, tiles: Sequence[Tile]) -> dict[tuple[int, int], bytes]:
    """Tiles by (level, number), each cut to its width; `GatewayFault("log_incomplete")` if one is missing."""
    stored = await store.get_tiles(reading, [(tile.level, tile.number) for tile in tiles if not _at_edge(tile)])
    found: dict[tuple[int, int], bytes] = {}
    for tile in tiles:
        if _at_edge(tile):
            start = tile.number * WIDTH
            data = b"".join(leaf_hash(leaf) for leaf in await store.get_leaves(reading, start, start + tile.width))
        else:
            data = stored.get((tile.level, tile.number), b"")[: tile.width * HASH_BYTES]
        if len(data) != tile.width * HASH_BYTES:
            raise GatewayFault("log_incomplete", level=tile.level, tile=tile.number)
        found[tile.level, tile.number] = data
    return found


async def span_hashes(reading: Reading, spans: Sequence[Span], size: int) -> list[bytes]:
    """Subtree roots over spans of leaves, in a tree of `size`."""
    tiles = await read_tiles(reading, needed_tiles(spans, size))
    return [span_hash(tiles, span) for span in spans]


async def root_at(reading: Reading, size: int, head: int) -> bytes:
    """The root that the tree had when it was `size` leaves, `size <= head`."""
    return (await span_hashes(reading, [(0, size)], head))[0] if size else EMPTY_ROOT


async def _edge(writing: Writing, level: int, number: int, partial: int) -> list[bytes]:
    if not partial:
        return []
    if level == 0:
        start = number * WIDTH
        return [leaf_hash(leaf) for leaf in await store.get_leaves(writing, start, start + partial)]
    data = (await store.get_tiles(writing, [(level, number)])).get((level, number), b"")
    if len(data) != partial * HASH_BYTES:
        raise GatewayFault("log_incomplete", level=level, tile=number)
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _at_edge(tile: Tile) -> bool:
    return tile.level == 0 and tile.width < WIDTH
