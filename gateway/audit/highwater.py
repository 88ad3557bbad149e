"""The high-water file: the newest checkpoint this machine has committed, kept outside the database.

Rules kept here: it only rises; it is written after the commit and before anybody hears of it, so a database that is behind it
has lost acknowledged entries; it holds the signed note itself, so nobody without the log's key can lower it unseen.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.errors import GatewayFault
from gateway.proofs.checkpoints import Checkpoint, verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.notes import Verifier

_BLOCK = 512


class HighWater:
    """One file of one 512-byte block, shared by all workers of a machine.

    A block is one disk sector: it is the old note or the new one. It is not synced at each commit; after a power failure it may
    be older than the database, which is safe, because only a database *behind* the file is refused.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def read(self, log: Verifier) -> Checkpoint | None:
        """The checkpoint in the file, None in a new file; `GatewayFault("high_water_invalid")` if it is not the log's."""
        note = os.pread(self._file, _BLOCK, 0).rstrip(b"\x00")
        if not note:
            return None
        try:
            return verify_checkpoint(note, log)
        except ProofInvalid:
            raise GatewayFault("high_water_invalid") from None

    def rise(self, size: int, note: bytes) -> None:
        """Write the note of that size, unless a faster worker has already written a newer one."""
        if len(note) > _BLOCK:
            raise GatewayFault("high_water_invalid")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            lines = os.pread(self._file, _BLOCK, 0).split(b"\n", 2)
            if len(lines) < 3 or int(lines[1]) < size:
                os.pwrite(self._file, note.ljust(_BLOCK, b"\x00"), 0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def sync(self) -> None:
        """Put the file on disk (at close)."""
        os.fsync(self._file)

    def close(self) -> None:
        """Sync and give the file back."""
        self.sync()
        os.close(self._file)
