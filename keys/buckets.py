"""Bucket keys: what wraps children's keys and detail keys, in a file outside the database, so that erasing is possible.

Destroying one key means: its bucket's survivors are wrapped again under a new bucket key and the old bucket key is gone from
the file. Every copy of the wrapped key, in the database, its WAL, a dead tuple or a backup, is then rubbish.

Rules kept here: a bucket key is never in the database; nobody's bucket but one's own is filled, so processes need no
counter between them; when `destroy` returns, the old bucket key is no longer in the file; a crash loses no survivor.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from gateway.domain.canonical import canonical
from gateway.errors import GatewayFault
from keys.aead import aead_open, aead_seal, random_key
from keys.durable import only_writer, read_private, replace, stamp
from keys.providers import RootKey

__all__ = ["BucketFile", "aead_open", "aead_seal", "random_key"]

_FORMAT = "runxin-buckets-1"
# What one destruction costs: at most this many survivors are wrapped again, a few microseconds each.
CAPACITY = 512


@dataclass(slots=True)
class _Content:
    """buckets: number -> wrapped bucket key, empty once destroyed. pending: digest of a survivor's old wrapping -> its new
    bucket and wrapping, kept here until the database has them.
    """

    buckets: dict[int, bytes] = field(default_factory=dict, repr=False)
    pending: dict[str, tuple[int, bytes]] = field(default_factory=dict, repr=False)


class BucketFile:
    """The bucket keys of one gateway. Made by `open`. Safe for several processes on one file."""

    def __init__(self, path: Path, root: RootKey) -> None:
        self._path = path
        self._root = root
        self._mine: int | None = None
        self._filled = 0
        self._opened: dict[int, bytes] = {}
        self._stamp = stamp(path)
        self._content = self._load()

    @classmethod
    def open(cls, path: Path, root: RootKey) -> BucketFile:
        """The file, made on first use. Raises `GatewayFault`: `buckets_refused` (other root, changed file), `key_file_mode`."""
        return cls(Path(path), root)

    def wrap(self, key: bytes) -> tuple[int, bytes]:
        """The bucket's number and the wrapped key (key + 28 bytes), for the database.

        Wrapping, writing the row and `destroy` belong under one lock (the log's head row): a key that is wrapped while
        another process destroys its bucket, and is not among the survivors, is lost.
        """
        mine = self._mine
        if mine is None or self._filled >= CAPACITY or not self._fresh().buckets.get(mine):
            with only_writer(self._path):
                content = self._load()
                mine = self._add(content)
                self._store(content)
            self._mine, self._filled = mine, 0
        self._filled += 1
        return mine, aead_seal(self._bucket(mine), key, _binding(mine))

    def unwrap(self, bucket: int, wrapped: bytes) -> bytes:
        """The key. A survivor of a destruction opens by its old wrapping too, until the destruction is settled.

        Raises `GatewayFault("key_destroyed")` if its bucket is gone, `GatewayFault("unseal_failed")` if it is not a key
        of that bucket.
        """
        content = self._fresh()
        if not content.buckets.get(bucket):
            moved = content.pending.get(_name(bucket, wrapped))
            if moved is None:
                raise GatewayFault("key_destroyed")
            bucket, wrapped = moved
        return aead_open(self._bucket(bucket), wrapped, _binding(bucket))

    def destroy(self, bucket: int, survivors: Sequence[bytes]) -> tuple[int, list[bytes]]:
        """Destroy a bucket's key, and with it every key in the bucket but the survivors.

        survivors: the wrapped keys that shall live, all of this bucket. Returns the new bucket and the survivors' new
        wrappings in the same order. The caller writes these to the database and then calls `settle`. Raises
        `GatewayFault("key_destroyed")` if the bucket is already gone, `GatewayFault("unseal_failed")` if one survivor is
        not of this bucket (then nothing is destroyed).
        """
        with only_writer(self._path):
            content = self._load()
            if not content.buckets.get(bucket):
                raise GatewayFault("key_destroyed")
            old = self._unwrap_bucket(content, bucket)
            keys = [aead_open(old, wrapped, _binding(bucket)) for wrapped in survivors]
            successor = self._add(content)
            new = self._unwrap_bucket(content, successor)
            rewrapped = [aead_seal(new, key, _binding(successor)) for key in keys]
            for before, after in zip(survivors, rewrapped, strict=True):
                content.pending[_name(bucket, before)] = (successor, after)
            content.buckets[bucket] = b""
            # If we crash before this has replaced the file, nothing has happened. If we crash after it, the key is gone
            # and the survivors stand in `pending`, where `unwrap` finds them and `pending` lists them for the database.
            self._store(content)
        self._opened.pop(bucket, None)
        return successor, rewrapped

    def pending(self, bucket: int, survivors: Sequence[bytes]) -> dict[bytes, tuple[int, bytes]]:
        """For a destruction that was cut short: old wrapping -> new bucket and wrapping, of those given that are waiting."""
        waiting = self._fresh().pending
        return {before: waiting[name] for before in survivors if (name := _name(bucket, before)) in waiting}

    def settle(self, bucket: int, survivors: Sequence[bytes]) -> None:
        """The database holds the new wrappings: forget the old ones of this destruction."""
        self.forget({_name(bucket, before) for before in survivors})

    def listed(self) -> frozenset[str]:
        """The digests of all old wrappings that are kept for destructions not yet settled."""
        return frozenset(self._fresh().pending)

    def forget(self, listed: Collection[str]) -> None:
        """Forget these old wrappings (`listed`) and no other: a destruction may have begun since."""
        with only_writer(self._path):
            content = self._load()
            for name in listed:
                content.pending.pop(name, None)
            self._store(content)

    def replace_root(self, new: RootKey) -> None:
        """Wrap every bucket key again under another root; see `KeyRing.replace_root`."""
        with only_writer(self._path):
            content = self._load()
            for number, wrapped in content.buckets.items():
                if wrapped:
                    key = self._root.unwrap(wrapped, binding=_binding(number))
                    content.buckets[number] = new.wrap(key, binding=_binding(number))
            self._root = new
            self._store(content)

    def unsettled(self) -> int:
        """How many survivors still stand in the file only. Not zero at start means a destruction was cut short."""
        return len(self._fresh().pending)

    def _add(self, content: _Content) -> int:
        number = max(content.buckets, default=0) + 1
        content.buckets[number] = self._root.wrap(random_key(), binding=_binding(number))
        return number

    def _bucket(self, bucket: int) -> bytes:
        key = self._opened.get(bucket)
        if key is None:
            key = self._opened[bucket] = self._unwrap_bucket(self._fresh(), bucket)
        return key

    def _unwrap_bucket(self, content: _Content, bucket: int) -> bytes:
        return self._root.unwrap(content.buckets[bucket], binding=_binding(bucket))

    def _fresh(self) -> _Content:
        if stamp(self._path) != self._stamp:
            seen = stamp(self._path)
            self._content = self._load()
            # Another process may have destroyed a bucket whose key we hold.
            self._opened = {number: key for number, key in self._opened.items() if self._content.buckets.get(number)}
            self._stamp = seen
        return self._content

    def _load(self) -> _Content:
        if stamp(self._path) is None:
            return _Content()
        try:
            stored = json.loads(read_private(self._path))
            self._root.unwrap(b64decode(stored.pop("seal"), validate=True), binding=_digest(stored))
            return _Content(
                buckets={int(number): b64decode(wrapped) for number, wrapped in stored["buckets"].items()},
                pending={name: (place[0], b64decode(place[1])) for name, place in stored["pending"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise GatewayFault("buckets_refused") from None
        except GatewayFault as fault:
            raise GatewayFault("buckets_refused" if fault.code == "unseal_failed" else fault.code) from None

    def _store(self, content: _Content) -> None:
        stored: dict[str, object] = {
            "format": _FORMAT,
            "buckets": {str(number): _text(wrapped) for number, wrapped in content.buckets.items()},
            "pending": {name: [bucket, _text(wrapped)] for name, (bucket, wrapped) in content.pending.items()},
        }
        seal = self._root.wrap(b"", binding=_digest(stored))
        replace(self._path, canonical({**stored, "seal": _text(seal)}))
        self._stamp, self._content = stamp(self._path), content

    def __repr__(self) -> str:
        return f"BucketFile({len(self._content.buckets)} buckets)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a bucket file is not for pickling")


def _binding(bucket: int) -> bytes:
    return f"{_FORMAT}|{bucket}".encode("ascii")


def _name(bucket: int, wrapped: bytes) -> str:
    return hashlib.sha256(_binding(bucket) + wrapped).hexdigest()


def _digest(stored: dict[str, object]) -> bytes:
    if stored.get("format") != _FORMAT:
        raise ValueError("unknown bucket file")
    return _FORMAT.encode("ascii") + hashlib.sha256(canonical(stored)).digest()


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
