"""The secrets of one history (a child's or an actor's): tags, second sequence, detail key; and how they are kept.

K (32 bytes) makes the ordinary tags: tag n = HMAC(K, "tag" | n). S makes the second sequence: tag = HMAC(S, "tag"), next S =
HMAC(S, "next"), and only the present S is kept. D opens details. W seals the counters. K, D and W are random, wrapped once
under a bucket key outside the database; the counters are sealed under W, so destroying the bucket destroys every copy.

Rules kept here: every history has both sequences from its first entry, and its row always has the same length, so that the
store does not tell who has protective entries; running numbers are given inside the commit transaction only.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from gateway.audit.entry import TAG_BYTES
from gateway.store.audit import KeyRow
from keys.aead import AeadKey
from keys.buckets import BucketFile

KEY_BYTES = 32
HINT_BYTES = 4
_HIGHEST_BIT = 0x80
_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_INNER_PAD, _OUTER_PAD = _INNER[:1], _OUTER[:1]
_CACHE = 50_000
_CIPHERS = 2_000

Escrow = Callable[[bytes], bytes]
"""Seals one half of S_0 to a department's public key, so that only this department opens it."""

_Ready = tuple[bytes, tuple[bytes, bytes], bytes, AeadKey, AeadKey]
"""K and its blocks, D, and the ciphers of D and W."""


@dataclass(slots=True)
class History:
    """One generation of a history, opened. `count`: entries of the ordinary sequence so far."""

    row: KeyRow = field(repr=False)
    tag_key: bytes = field(repr=False)
    tag_blocks: tuple[bytes, bytes] = field(repr=False)
    detail_key: bytes = field(repr=False)
    detail: AeadKey = field(repr=False)
    state: AeadKey = field(repr=False)
    count: int
    second: bytes = field(repr=False)

    @property
    def holder(self) -> bytes:
        """Whose history: see `child_holder`, `actor_holder`."""
        return self.row.holder

    def next_tag(self) -> tuple[bytes, int]:
        """The next tag of the ordinary sequence and its number."""
        self.count += 1
        return _keyed(self.tag_blocks, b"tag" + self.count.to_bytes(8, "big"))[:TAG_BYTES], self.count

    def next_second_tag(self) -> bytes:
        """The next tag of the second sequence; the S that made it is forgotten."""
        made = second_tag(self.second)
        self.second = second_step(self.second)
        return made

    def sealed_row(self) -> KeyRow:
        """The row as it goes back into the store."""
        plain = self.count.to_bytes(8, "big") + self.second
        row = self.row
        return KeyRow(
            row.holder,
            row.generation,
            row.year,
            row.bucket,
            row.wrapped,
            self.state.seal(plain, _binding(row)),
            row.shares,
            row.current,
            row.frozen,
        )


def child_holder(point: bytes) -> bytes:
    """A child's histories stand under its gateway pseudonym (32 bytes)."""
    return point


@lru_cache(maxsize=10_000)
def actor_holder(name: str) -> bytes:
    """An actor's stand under a digest of the name, marked as no child's point (`names_child`)."""
    return _no_child(sha256(b"runxin/audit/actor\x00" + name.encode()).digest())


def names_child(holder: bytes) -> bool:
    """Whether histories are a child's: a canonical point never has the highest bit set (RFC 9496 4.3.1), other holders always.

    This shows a reader of the store nothing new: staff names are known, so an actor's digest can be recomputed anyway.
    """
    return not holder[-1] & _HIGHEST_BIT


def _no_child(digest: bytes) -> bytes:
    return digest[:-1] + bytes([digest[-1] | _HIGHEST_BIT])


LOG_HOLDER = _no_child(sha256(b"runxin/audit/log\x00").digest())
"""The history whose detail key seals entries that are about no child."""


def keyed_hash(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) under a key of at most 64 bytes, spelled out: `hmac.digest` takes twice as long for two blocks,
    and an entry needs four of them.
    """
    return _keyed(_blocks(key), message)


def _blocks(key: bytes) -> tuple[bytes, bytes]:
    """The key's part of HMAC: (inner, outer)."""
    return key.translate(_INNER).ljust(_BLOCK, _INNER_PAD), key.translate(_OUTER).ljust(_BLOCK, _OUTER_PAD)


def _keyed(blocks: tuple[bytes, bytes], message: bytes) -> bytes:
    inner, outer = blocks
    return sha256(outer + sha256(inner + message).digest()).digest()


def tag(key: bytes, number: int) -> bytes:
    """HMAC-SHA256(K, "tag" | n as 8 bytes), its first 16 bytes."""
    return keyed_hash(key, b"tag" + number.to_bytes(8, "big"))[:TAG_BYTES]


def tags_until(key: bytes, count: int) -> list[bytes]:
    """The tags of numbers 1 to `count`, with the key's half of the work done once."""
    start, outer = _blocks(key)
    inner = sha256(start + b"tag")
    made: list[bytes] = []
    for number in range(1, count + 1):
        one = inner.copy()
        one.update(number.to_bytes(8, "big"))
        made.append(sha256(outer + one.digest()).digest()[:TAG_BYTES])
    return made


def second_tag(state: bytes) -> bytes:
    """HMAC-SHA256(S, "tag"), its first 16 bytes."""
    return keyed_hash(state, b"tag")[:TAG_BYTES]


def second_step(state: bytes) -> bytes:
    """The next S."""
    return keyed_hash(state, b"next")


def head_label(key: bytes, epoch: int) -> bytes:
    """HMAC(K, "head" | epoch): where the history stands in the epoch's index. For the second sequence, under S."""
    return keyed_hash(key, b"head" + epoch.to_bytes(8, "big"))


def count_label(key: bytes, epoch: int, count: int) -> bytes:
    """HMAC(K, "count" | epoch | n): how many entries it had. The second sequence counts by its S and says n = 0."""
    return keyed_hash(key, b"count" + epoch.to_bytes(8, "big") + count.to_bytes(8, "big"))


def successor_commitment(old: bytes, new: bytes) -> bytes:
    """HMAC(K, "successor" | K'): the last entry of a generation binds the next; only who knows both sees it."""
    return keyed_hash(old, b"successor" + new)


def hint(detail_key: bytes, nonce: bytes) -> bytes:
    """Four bytes by which a key's holder recognises a detail that it (helps to) open."""
    return keyed_hash(detail_key, b"hint" + nonce)[:HINT_BYTES]


def joint_key(keys: Sequence[bytes]) -> bytes:
    """The key of a detail about several children: it opens only while every child's key lives, so erasure wins."""
    return keys[0] if len(keys) == 1 else sha256(b"runxin/audit/joint\x00" + b"".join(keys)).digest()


class Keeper:
    """Opens and makes histories. Caches opened keys by their wrapped form, so an erased row is never found again; of the newest
    few thousand their ciphers too.

    escrow: seals the two halves of each S_0 to two departments; None where no department has been named yet.
    """

    def __init__(self, buckets: BucketFile, escrow: tuple[Escrow, Escrow] | None = None) -> None:
        self._buckets = buckets
        self._escrow = escrow
        self._opened: OrderedDict[bytes, bytes] = OrderedDict()
        self._ready: OrderedDict[bytes, _Ready] = OrderedDict()

    def open(self, row: KeyRow) -> History:
        """Raises `GatewayFault` (`key_destroyed`, `unseal_failed`) if the keys are destroyed or were changed."""
        ready = self._ready.get(row.wrapped) or self._set_up(row.wrapped, self._keys(row))
        plain = ready[-1].open(row.state, _binding(row))
        return History(row, *ready, int.from_bytes(plain[:8], "big"), plain[8:])

    def create(self, holder: bytes, *, generation: int, year: int) -> History:
        """A history's first or next generation, under fresh random keys."""
        keys = os.urandom(3 * KEY_BYTES)
        bucket, wrapped = self._buckets.wrap(keys)
        self._remember(wrapped, keys)
        second = os.urandom(KEY_BYTES)
        row = KeyRow(holder, generation, year, bucket, wrapped, b"", self._shares(second), True, False)
        return History(row, *self._set_up(wrapped, keys), 0, second)

    def detail_key(self, row: KeyRow) -> bytes:
        """D alone, for finding whose key opens a detail. Raises like `open`."""
        return self._keys(row)[KEY_BYTES : 2 * KEY_BYTES]

    def _keys(self, row: KeyRow) -> bytes:
        keys = self._opened.get(row.wrapped)
        if keys is None:
            keys = self._buckets.unwrap(row.bucket, row.wrapped)
            self._remember(row.wrapped, keys)
        return keys

    def forget(self, wrapped: bytes) -> None:
        """Drop a cached key (erasure)."""
        self._opened.pop(wrapped, None)
        self._ready.pop(wrapped, None)

    def _shares(self, second: bytes) -> bytes:
        if self._escrow is None:
            return b""
        one = os.urandom(KEY_BYTES)
        other = bytes(left ^ right for left, right in zip(one, second, strict=True))
        first, last = self._escrow[0](one), self._escrow[1](other)
        return len(first).to_bytes(2, "big") + first + last

    def _set_up(self, wrapped: bytes, keys: bytes) -> _Ready:
        tag_key, detail_key = keys[:32], keys[32:64]
        ready = tag_key, _blocks(tag_key), detail_key, AeadKey(detail_key), AeadKey(keys[64:])
        self._ready[wrapped] = ready
        if len(self._ready) > _CIPHERS:
            self._ready.popitem(last=False)
        return ready

    def _remember(self, wrapped: bytes, keys: bytes) -> None:
        self._opened[wrapped] = keys
        if len(self._opened) > _CACHE:
            self._opened.popitem(last=False)


def _binding(row: KeyRow) -> bytes:
    return b"runxin/audit/state/v1\x00" + row.holder + row.generation.to_bytes(4, "big")
