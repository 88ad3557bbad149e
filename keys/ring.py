"""The key ring: what a child is called within each scope, and how one scope's name becomes another's.

Rules kept here: a door evaluates open scopes only, because it multiplies any point that it is given; nothing translates
between two scopes of one holder; every scope has keys of its own, random and made on demand; no key leaves the ring, and
none stands in a repr, an error or a pickle.

After Camenisch and Lehmann, "(Un)linkable Pseudonyms for Governmental Databases": P = k*H(id), translated by k_B/k_A.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from gateway.domain import base32
from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department, ScopeKind
from gateway.errors import BadRequest, Denied, GatewayFault, ProgrammingError
from keys import ring_file
from keys.aead import random_key
from keys.durable import only_writer, stamp
from keys.group import hash_to_group, invert, multiply, multiply_all, random_scalar, scalar_product
from keys.identifiers import Identifier
from keys.providers import RootKey
from keys.ring_file import KeyState, Slot, StoredKey, Use

FILE_NAME = "ring.json"
_LIVE = (KeyState.ENABLED, KeyState.PRIMARY)
_REFERENCE_CHARACTERS = 26
_DEPARTMENTS = frozenset(Department)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The ring's file as last read, and what was computed from it. Swapped whole, so threads need no lock."""

    stamp: tuple[int, int, int] | None
    rows: Mapping[Slot, StoredKey]
    primary: Mapping[str, int]
    opened: dict[Slot, bytes] = field(default_factory=dict, repr=False)
    quotients: dict[tuple[Scope, int, Scope, int], bytes] = field(default_factory=dict, repr=False)


class KeyRing:
    """All scopes' keys of one gateway. Made by `open`. Safe for several threads, and for several processes on one directory."""

    def __init__(self, path: Path, root: RootKey) -> None:
        self._path = path
        self._root = root
        self._snapshot = self._read()

    @classmethod
    def open(cls, directory: Path, provider: RootKey) -> KeyRing:
        """The ring in a directory (made with mode 0700 if it is missing).

        Raises `GatewayFault`: `ring_refused` (another root, or a changed file), `key_file_mode`.
        """
        directory = Path(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(directory / FILE_NAME, provider)

    def current_epoch(self, scope: Scope) -> int:
        """The epoch in which the scope's children are named now, from 1. Makes the scope if it is new."""
        epoch = self._fresh().primary.get(_require_scope(scope).name)
        return self._make(scope) if epoch is None else epoch

    def accepted_epochs(self, scope: Scope) -> tuple[int, ...]:
        """The epochs whose pseudonyms are understood now, ascending."""
        return tuple(sorted(row.slot.epoch for row in self._rows(scope) if row.state in _LIVE))

    def evaluate(self, scope: Scope, points: Sequence[bytes], *, epoch: int | None = None) -> list[bytes]:
        """The blind door: every point multiplied by the scope's key, 32 bytes each, in order.

        epoch: the current one unless another accepted one is named. Raises `ProgrammingError` for any scope that is not
        open, `BadRequest("point_invalid")` if one point is not canonical or the identity (then nothing is answered),
        `BadRequest("pseudonym_epoch")`.
        """
        if scope.kind is not ScopeKind.OPEN:
            # A door multiplies any point, so with a closed scope's key two departments could join what translation keeps
            # apart: k_A * (k_B * x) = k_B * (k_A * x).
            raise ProgrammingError("a door evaluates open scopes only")
        return multiply_all(self._key(scope, self.current_epoch(scope) if epoch is None else epoch), points)

    def derive(self, scope: Scope, identifier: Identifier) -> Pseudonym:
        """The pseudonym of an identifier in an open scope (the assisted door) or in the gateway's own.

        Raises `ProgrammingError` for a closed scope.
        """
        if scope.kind is not ScopeKind.OPEN and scope != GATEWAY_SCOPE:
            raise ProgrammingError("a closed scope is reached by translation only")
        epoch = self.current_epoch(scope)
        point = multiply(self._key(scope, epoch), hash_to_group(identifier.canonical))
        return Pseudonym(scope=scope, epoch=epoch, point=point)

    def translate(self, pseudonyms: Sequence[Pseudonym], target: Scope) -> list[Pseudonym]:
        """The same children in another holder's scope, current epoch, in order; all or nothing.

        A pseudonym that is of the target scope already is brought to the current epoch. Raises `Denied("same_holder")`
        between two scopes of one holder, `BadRequest("pseudonym_epoch")` for an epoch that is not understood,
        `BadRequest("point_invalid")`.
        """
        epoch = self.current_epoch(target)
        return self._convert(pseudonyms, target, epoch)

    def convert(self, pseudonyms: Sequence[Pseudonym], epoch: int) -> list[Pseudonym]:
        """The same children of the same scope in another accepted epoch, for holders that follow a rotation.

        Raises `BadRequest("pseudonym_epoch")`, `BadRequest("point_invalid")`, `ProgrammingError` if the scopes differ.
        """
        if len({pseudonym.scope for pseudonym in pseudonyms}) > 1:
            raise ProgrammingError("one scope is converted at a time")
        self._fresh()
        return self._convert(pseudonyms, pseudonyms[0].scope, epoch) if pseudonyms else []

    def reference(self, scope: Scope, kind: str, record_id: str) -> str:
        """What a record (case, plan, register, consent …) is called towards the scope's holder: `<kind>-<26 characters>`.

        HMAC-SHA-256 under the scope's reference key, 130 bits of it, base32. kind: lower-case ASCII letters and `_`.
        """
        if not kind.isascii() or not kind.replace("_", "").isalpha() or not kind.islower():
            raise ProgrammingError("a reference's kind is a lower-case word")
        self.current_epoch(scope)
        key = self._open(Slot(scope.name, 0, Use.REFERENCE))
        digest = hmac.digest(key, f"{kind}|{record_id}".encode(), "sha256")
        return f"{kind}-{base32.encode(digest)[:_REFERENCE_CHARACTERS]}"

    def change(self, step: Callable[[dict[Slot, StoredKey], RootKey], int]) -> int:
        """Apply one step to the rows and make it durable before anything uses it; for `keys/rotation.py` and for new scopes.

        If we crash before `save` has replaced the file, nothing has happened; after it, everything has.
        """
        with only_writer(self._path):
            rows = ring_file.load(self._path, self._root)
            result = step(rows, self._root)
            ring_file.save(self._path, self._root, rows.values())
        self._snapshot = self._read()
        return result

    def replace_root(self, new: RootKey) -> None:
        """Wrap every key again under another root, so that copies of the file from before are worth nothing without the old one.

        The caller destroys the old root once this (and `BucketFile.replace_root`) has returned. If we crash before the
        file is replaced, the old root opens it; after it, the new one does. Other processes restart with the new root.
        """
        with only_writer(self._path):
            rows = ring_file.load(self._path, self._root)
            ring_file.save(self._path, new, [_wrapped_again(row, self._root, new) for row in rows.values()])
            self._root = new
        self._snapshot = self._read()

    def rows(self) -> tuple[StoredKey, ...]:
        """Every key's place and state (the wrapped bytes do not show themselves), for the operator."""
        return tuple(self._fresh().rows.values())

    def _convert(self, pseudonyms: Sequence[Pseudonym], target: Scope, epoch: int) -> list[Pseudonym]:
        source: Scope | None = None
        source_epoch = 0
        quotient = b""
        translated = []
        for pseudonym in pseudonyms:
            if pseudonym.scope is not source or pseudonym.epoch != source_epoch:
                source, source_epoch = pseudonym.scope, pseudonym.epoch
                quotient = self._quotient(source, source_epoch, target, epoch)
            translated.append(Pseudonym(target, epoch, multiply(quotient, pseudonym.point)))
        return translated

    def _quotient(self, source: Scope, source_epoch: int, target: Scope, target_epoch: int) -> bytes:
        """k_target / k_source, computed once per pair of keys. The caller has just asked for a fresh snapshot."""
        quotients = self._snapshot.quotients
        pair = (source, source_epoch, target, target_epoch)
        quotient = quotients.get(pair)
        if quotient is None:
            if source != target and source.holder == target.holder:
                raise Denied("same_holder")
            source_key, target_key = self._key(source, source_epoch), self._key(target, target_epoch)
            quotient = quotients[pair] = scalar_product(target_key, invert(source_key))
        return quotient

    def _key(self, scope: Scope, epoch: int) -> bytes:
        """A scope's key in an epoch that is understood. Raises `BadRequest("pseudonym_epoch")`."""
        slot = Slot(scope.name, epoch, Use.PSEUDONYM)
        row = self._fresh().rows.get(slot)
        if row is None or row.state not in _LIVE:
            raise BadRequest("pseudonym_epoch")
        return self._open(slot)

    def _open(self, slot: Slot) -> bytes:
        snapshot = self._fresh()
        key = snapshot.opened.get(slot)
        if key is None:
            try:
                key = self._root.unwrap(snapshot.rows[slot].wrapped, binding=slot.binding)
            except (KeyError, GatewayFault):
                raise GatewayFault("ring_refused") from None
            snapshot.opened[slot] = key
        return key

    def _rows(self, scope: Scope) -> list[StoredKey]:
        rows = self._fresh().rows.values()
        return [row for row in rows if row.slot.scope == scope.name and row.slot.use is Use.PSEUDONYM]

    def _make(self, scope: Scope) -> int:
        def step(rows: dict[Slot, StoredKey], root: RootKey) -> int:
            made = [
                slot.epoch for slot, row in rows.items() if slot.scope == scope.name and row.state is KeyState.PRIMARY
            ]
            if made:  # Another process was first.
                return max(made)
            add_key(rows, root, Slot(scope.name, 0, Use.REFERENCE), KeyState.ENABLED, random_key())
            add_key(rows, root, Slot(scope.name, 1, Use.PSEUDONYM), KeyState.PRIMARY, random_scalar())
            return 1

        return self.change(step)

    def _fresh(self) -> _Snapshot:
        """The snapshot, read again if another process has replaced the file. One `stat`, about a microsecond."""
        if stamp(self._path) != self._snapshot.stamp:
            self._snapshot = self._read()
        return self._snapshot

    def _read(self) -> _Snapshot:
        # The stamp is taken first: if the file is replaced in between, we hold newer rows under an older stamp and the
        # next call reads once more; the other order could hide a change for ever.
        seen = stamp(self._path)
        rows = ring_file.load(self._path, self._root)
        primary = {row.slot.scope: row.slot.epoch for row in rows.values() if row.state is KeyState.PRIMARY}
        return _Snapshot(stamp=seen, rows=rows, primary=primary)

    def __repr__(self) -> str:
        return f"KeyRing({len(self._snapshot.primary)} scopes)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key ring is not for pickling")


def add_key(rows: dict[Slot, StoredKey], root: RootKey, slot: Slot, state: KeyState, key: bytes) -> None:
    """Wrap a fresh key into its slot. Raises `ProgrammingError` if the slot was ever used."""
    if slot in rows:
        raise ProgrammingError("a key is never replaced")
    rows[slot] = StoredKey(slot=slot, state=state, wrapped=root.wrap(key, binding=slot.binding))


def _wrapped_again(row: StoredKey, old: RootKey, new: RootKey) -> StoredKey:
    if not row.wrapped:
        return row
    key = old.unwrap(row.wrapped, binding=row.slot.binding)
    return replace(row, wrapped=new.wrap(key, binding=row.slot.binding))


def _require_scope(scope: Scope) -> Scope:
    """Names of scopes become names of keys, so an unknown shape is a bug, not a new key."""
    if scope.kind is ScopeKind.OPEN:
        good = scope.holder in _DEPARTMENTS and scope.exchange is None
    elif scope.holder == GATEWAY_SCOPE.holder:
        good = scope.exchange is None
    else:
        good = bool(scope.holder) and bool(scope.exchange) and "|" not in scope.name
    if not good:
        raise ProgrammingError("no such scope")
    return scope
