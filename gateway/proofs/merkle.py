"""Merkle trees as RFC 6962 section 2.1 (= RFC 9162 section 2.1) defines them: hashes, compact ranges, proofs.

Rules kept here: SHA-256 only; leaf and node hashing are domain-separated (0x00, 0x01); a proof has exactly the length that its
index and sizes demand; verification raises `ProofInvalid` and never answers with a truth value.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.proofs.faults import ProofInvalid

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
_WHOLE = 256

Span = tuple[int, int]
"""A half-open range of leaf indexes, `[start, end)`."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 | entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 | left | right)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The roots of the perfect subtrees that a tree of `size` leaves consists of, left to right.

    This is all that an append needs to know of the tree: one hash per set bit of `size`.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ProofInvalid("proof_invalid")

    def extended(self, leaves: Iterable[bytes]) -> CompactRange:
        """The range after appending leaf hashes."""
        size, hashes = self.size, list(self.hashes)
        leaves = leaves if isinstance(leaves, list) else list(leaves)
        whole = len(leaves) // _WHOLE * _WHOLE if size % _WHOLE == 0 else 0
        for at in range(0, whole, _WHOLE):
            # Perfect subtrees level by level: the same hashes in a third of the time.
            node, filled = _perfect(b"".join(leaves[at : at + _WHOLE])), size // _WHOLE
            while filled & 1:
                node = sha256(b"\x01" + hashes.pop() + node).digest()
                filled >>= 1
            hashes.append(node)
            size += _WHOLE
        for leaf in leaves[whole:]:
            node, filled = leaf, size
            while filled & 1:
                node = sha256(b"\x01" + hashes.pop() + node).digest()
                filled >>= 1
            hashes.append(node)
            size += 1
        return CompactRange(size, tuple(hashes))

    def joined(self, other: CompactRange) -> CompactRange:
        """The range after appending the leaves that another range stands for.

        Raises `ProofInvalid` where its largest subtree would not begin at a multiple of its own size.
        """
        size, hashes, left = self.size, list(self.hashes), other.size
        for node in other.hashes:
            height = left.bit_length() - 1
            if size & ((1 << height) - 1):
                raise ProofInvalid("proof_invalid")
            filled, joined = size >> height, node
            while filled & 1:
                joined = sha256(b"\x01" + hashes.pop() + joined).digest()
                filled >>= 1
            hashes.append(joined)
            size, left = size + (1 << height), left - (1 << height)
        return CompactRange(size, tuple(hashes))

    @property
    def root(self) -> bytes:
        """The tree's root hash."""
        return fold(self.hashes) if self.hashes else EMPTY_ROOT

    def encode(self) -> bytes:
        """The hashes one after another, 32 bytes each."""
        return b"".join(self.hashes)

    @classmethod
    def decode(cls, size: int, data: bytes) -> CompactRange:
        """The inverse of `encode`; `ProofInvalid` if the length does not fit the size."""
        if len(data) != size.bit_count() * HASH_BYTES:
            raise ProofInvalid("proof_invalid")
        return cls(size, tuple([data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]))


def _perfect(row: bytes) -> bytes:
    """The root over a power of two of hashes, one after another."""
    while len(row) > HASH_BYTES:
        row = b"".join([sha256(b"\x01" + row[at : at + 64]).digest() for at in range(0, len(row), 64)])
    return row


def fold(hashes: Sequence[bytes]) -> bytes:
    """Join subtree roots of falling size, left to right, into one root."""
    node = hashes[-1]
    for left in reversed(hashes[:-1]):
        node = sha256(b"\x01" + left + node).digest()
    return node


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes."""
    return CompactRange().extended(leaves).root


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Which subtree roots make up the inclusion proof of leaf `index` in a tree of `size`, from leaf to root."""
    if not 0 <= index < size:
        raise ProofInvalid("proof_invalid")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    spans.reverse()
    return spans


def consistency_spans(old: int, new: int) -> list[Span]:
    """Which subtree roots prove that the tree of `old` leaves is a prefix of the tree of `new` leaves (RFC 9162 2.1.4)."""
    if not 0 <= old <= new:
        raise ProofInvalid("proof_invalid")
    if old in (0, new):
        return []
    spans: list[Span] = []
    start, end, whole = 0, new, True
    while start + old != end:
        length = end - start
        cut = _split(length)
        if old <= cut:
            spans.append((start + cut, end))
            end = start + cut
        else:
            spans.append((start, start + cut))
            start, old, whole = start + cut, old - cut, False
    if not whole:
        spans.append((start, end))
    spans.reverse()
    return spans


def span_hash(leaves: Sequence[bytes], span: Span) -> bytes:
    """The root over `leaves[start:end]`; for small trees held in memory."""
    return root_of(leaves[span[0] : span[1]])


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Leaf hash `leaf` stands at `index` of the tree of `size` with `root`, or `ProofInvalid` (RFC 9162 2.1.3.2)."""
    spans = inclusion_spans(index, size)
    if len(proof) != len(spans) or not _all_hashes(proof):
        raise ProofInvalid("proof_invalid")
    node = leaf
    for (start, _), sibling in zip(spans, proof, strict=True):
        node = node_hash(sibling, node) if start < index else node_hash(node, sibling)
    _require_equal(node, root)


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """The tree of `old` is a prefix of the tree of `new`, or `ProofInvalid` (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new or not _all_hashes(proof):
        raise ProofInvalid("proof_invalid")
    if old in (0, new):
        if proof:
            raise ProofInvalid("proof_invalid")
        _require_equal(old_root, EMPTY_ROOT if old == 0 else new_root)
        return
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    # A perfect old tree is its own first step; otherwise the proof begins with the old tree's last subtree.
    first = second = proof[0] if node and proof else old_root
    for step in proof[1:] if node else proof:
        if not last:
            raise ProofInvalid("proof_invalid")
        if node & 1 or node == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            second = node_hash(second, step)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofInvalid("proof_invalid")
    _require_equal(first, old_root)
    _require_equal(second, new_root)


def _split(length: int) -> int:
    """The largest power of two smaller than `length` (which is at least 2)."""
    return 1 << (length - 1).bit_length() - 1


def _all_hashes(proof: Sequence[bytes]) -> bool:
    return all(len(item) == HASH_BYTES for item in proof)


def _require_equal(found: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(found, expected):
        raise ProofInvalid("proof_invalid")
