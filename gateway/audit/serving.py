"""Tiles and entry bundles as mirrors ask for them (c2sp.org/tlog-tiles): a path in, the bytes of the log's present size out.

Rules kept here: a path is one of the few forms or nothing; a partial tile is served only as wide as the log has it; a bundle
below the log's minimum index is refused, its tile is not.
"""

from __future__ import annotations

import re

from gateway.audit.tree import read_tiles
from gateway.errors import BadRequest
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.tiles import WIDTH, Tile, encode_bundle, tile_at
from gateway.store import audit as store
from gateway.store.audit_retention import minimum_index
from gateway.store.database import Reading

_PATH = re.compile(r"tile/(entries|\d{1,2})/((?:x\d{3}/){0,4}\d{3})(?:\.p/(\d{1,3}))?\Z")


async def read_path(reading: Reading, path: str) -> bytes:
    """The bytes behind a C2SP path.

    Raises `BadRequest`: `not_found` for any other path or a tile that does not exist, `entry_pruned`.
    """
    match = _PATH.match(path)
    head = await store.get_head(reading)
    if match is None or head is None:
        raise BadRequest("not_found")
    kind, digits, width = match.groups()
    number = int(digits.replace("x", "").replace("/", ""))
    level = 0 if kind == "entries" else int(kind)
    try:
        tile = tile_at(level, number, head.size)
    except ProofInvalid:
        raise BadRequest("not_found") from None
    wanted = int(width) if width else WIDTH
    if not 0 < wanted <= tile.width:
        raise BadRequest("not_found")
    if kind == "entries":
        start = number * WIDTH
        if start < await minimum_index(reading):
            raise BadRequest("entry_pruned")
        return encode_bundle(await store.get_leaves(reading, start, start + wanted))
    tiles = await read_tiles(reading, [Tile(level, number, wanted)])
    return bytes(tiles[level, number])[: wanted * 32]
