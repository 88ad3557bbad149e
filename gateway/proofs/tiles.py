"""Tiles and entry bundles (c2sp.org/tlog-tiles): paths, bytes, and subtree hashes read from them.

Rules kept here: a tile is 256 hashes or, at the right edge, fewer and then named with its width; an empty tile does not exist;
a bundle's entries have a big-endian 16-bit length in front, so an entry has at most 65,535 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import HASH_BYTES, Span, fold, node_hash

WIDTH = 256
LONGEST_ENTRY = 65_535


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Where a tile stands. `width`: hashes (or entries) in it, 1 to 256."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`."""
        return f"tile/{self.level}/{_numbered(self.number, self.width)}"

    @property
    def bundle_path(self) -> str:
        """`tile/entries/<N>[.p/<W>]`, for a tile of level 0."""
        return f"tile/entries/{_numbered(self.number, self.width)}"


def tiles_of(size: int) -> list[Tile]:
    """Every tile of a tree of `size` leaves, level by level."""
    tiles: list[Tile] = []
    level, width = 0, size
    while width:
        tiles += [Tile(level, number) for number in range(width // WIDTH)]
        if width % WIDTH:
            tiles.append(Tile(level, width // WIDTH, width % WIDTH))
        level, width = level + 1, width // WIDTH
    return tiles


def tile_at(level: int, number: int, size: int) -> Tile:
    """The tile of that place as a tree of `size` has it; `ProofInvalid("tile_invalid")` if it has none."""
    width = min(WIDTH, (size >> 8 * level) - number * WIDTH)
    if level < 0 or number < 0 or width < 1:
        raise ProofInvalid("tile_invalid")
    return Tile(level, number, width)


def needed_tiles(spans: Iterable[Span], size: int) -> list[Tile]:
    """The tiles from which `span_hash` computes these spans in a tree of `size`."""
    places = {_place(level, number)[:2] for span in spans for level, number in _subtrees(span)}
    return sorted(tile_at(level, number, size) for level, number in places)


def span_hash(tiles: Mapping[tuple[int, int], bytes], span: Span) -> bytes:
    """Root over the leaves of a span, from tiles by (level, number); `ProofInvalid("tile_invalid")` if one is missing."""
    return fold([_subtree_hash(tiles, level, number) for level, number in _subtrees(span)])


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries with their lengths, as `tile/entries/…` serves them."""
    if any(len(entry) > LONGEST_ENTRY for entry in entries):
        raise ProofInvalid("tile_invalid")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; `ProofInvalid("tile_invalid")` if bytes are left over or missing."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise ProofInvalid("tile_invalid")
        entries.append(data[at + 2 : end])
        at = end
    return entries


def _subtrees(span: Span) -> list[tuple[int, int]]:
    """The perfect subtrees (height, number) of a span, left to right."""
    start, end = span
    found: list[tuple[int, int]] = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        found.append((height, start >> height))
        start += 1 << height
    return found


def _place(height: int, number: int) -> tuple[int, int, int, int]:
    """(tile level, tile number, first hash within it, count of hashes) that hold a subtree."""
    level, within = divmod(height, 8)
    first = number << within
    return level, first // WIDTH, first % WIDTH, 1 << within


def _subtree_hash(tiles: Mapping[tuple[int, int], bytes], height: int, number: int) -> bytes:
    level, tile, first, count = _place(height, number)
    data = tiles.get((level, tile), b"")[first * HASH_BYTES : (first + count) * HASH_BYTES]
    if len(data) != count * HASH_BYTES:
        raise ProofInvalid("tile_invalid")
    row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def _numbered(number: int, width: int) -> str:
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    path = "/".join(reversed(groups))
    return path if width == WIDTH else f"{path}.p/{width}"
