"""The sealed file in which the scopes' keys rest: each wrapped under the root key, the whole sealed by it.

Rules kept here: keys are random, never derived, so destroying one destroys it; a wrapped key opens only as the key of its
own scope, epoch and use; a changed, cut or mixed file refuses to load; a destroyed key leaves its row and nothing else.

What the file cannot tell is that it is an old copy of itself: keep it out of backups that outlive a destroyed key, or
replace the root when one is destroyed.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gateway.domain.canonical import canonical
from gateway.errors import GatewayFault
from keys.durable import read_private, replace, stamp
from keys.providers import RootKey

_FORMAT = "runxin-ring-1"


class KeyState(StrEnum):
    """What a key may do.

    prepared: nothing yet. enabled: what it named is still (or already) understood. primary: names children now, one per
    scope. retired: kept, not understood. destroyed: only the row is left.
    """

    PREPARED = "prepared"
    ENABLED = "enabled"
    PRIMARY = "primary"
    RETIRED = "retired"
    DESTROYED = "destroyed"


class Use(StrEnum):
    """What a key is for: naming children, or naming records (one per scope, epoch 0)."""

    PSEUDONYM = "pseudonym"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Slot:
    """Whose key it is. scope: `Scope.name`."""

    scope: str
    epoch: int
    use: Use

    @property
    def binding(self) -> bytes:
        """What the wrapped key is authenticated with."""
        return f"{_FORMAT}|{self.scope}|{self.epoch}|{self.use}".encode()


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One row. wrapped: empty once destroyed."""

    slot: Slot
    state: KeyState
    wrapped: bytes = field(repr=False)


def load(path: Path, root: RootKey) -> dict[Slot, StoredKey]:
    """All rows of the file; none if there is no file yet.

    Raises `GatewayFault`: `key_file_mode`, or `ring_refused` for a file that this root did not seal as it stands.
    """
    if stamp(path) is None:
        return {}
    try:
        content = json.loads(read_private(path))
        seal = b64decode(content.pop("seal"), validate=True)
        root.unwrap(seal, binding=_digest(content))
        rows = [_row(item) for item in content["keys"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GatewayFault("ring_refused") from None
    except GatewayFault as fault:
        raise GatewayFault("ring_refused" if fault.code == "unseal_failed" else fault.code) from None
    return {row.slot: row for row in rows}


def save(path: Path, root: RootKey, rows: Iterable[StoredKey]) -> None:
    """Replace the file by these rows, atomically and durably (see `keys/durable.py` for what a crash leaves)."""
    ordered = sorted(rows, key=lambda row: (row.slot.scope, row.slot.use, row.slot.epoch))
    content: dict[str, object] = {"format": _FORMAT, "keys": [_item(row) for row in ordered]}
    seal = root.wrap(b"", binding=_digest(content))
    replace(path, canonical({**content, "seal": b64encode(seal).decode("ascii")}))


def _digest(content: Mapping[str, object]) -> bytes:
    if content.get("format") != _FORMAT:
        raise ValueError("unknown ring file")
    return _FORMAT.encode() + hashlib.sha256(canonical(dict(content))).digest()


def _item(row: StoredKey) -> dict[str, object]:
    return {
        "scope": row.slot.scope,
        "epoch": row.slot.epoch,
        "use": str(row.slot.use),
        "state": str(row.state),
        "wrapped": b64encode(row.wrapped).decode("ascii"),
    }


def _row(item: Mapping[str, object]) -> StoredKey:
    scope, epoch, wrapped = item["scope"], item["epoch"], item["wrapped"]
    if not (isinstance(scope, str) and isinstance(epoch, int) and isinstance(wrapped, str)):
        raise TypeError("unknown ring file")
    slot = Slot(scope=scope, epoch=epoch, use=Use(str(item["use"])))
    return StoredKey(slot=slot, state=KeyState(str(item["state"])), wrapped=b64decode(wrapped, validate=True))
