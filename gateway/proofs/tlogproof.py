"""Portable proofs of one entry (c2sp.org/tlog-proof@v1): index, inclusion path and the checkpoint that covers it, as text.

Rules kept here: the `extra` line is not authenticated and never trusted; a proof verifies against the entry's own bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.proofs.checkpoints import Checkpoint, verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import leaf_hash, verify_inclusion
from gateway.proofs.notes import Verifier

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A parsed proof. `path`: 32-byte hashes from leaf to root. `checkpoint`: the signed note, byte for byte."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = field(default=b"", repr=False)

    def encode(self) -> str:
        """The `.tlog-proof` text."""
        lines = [_HEADER]
        if self.extra:
            lines.append("extra " + base64.b64encode(self.extra).decode())
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(step).decode() for step in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint.decode("utf-8")


def parse_proof(text: str) -> TlogProof:
    """Read a `.tlog-proof`; `ProofInvalid("proof_invalid")`."""
    head, cut, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not cut or lines.pop(0) != _HEADER or not lines:
        raise ProofInvalid("proof_invalid")
    extra = b""
    if lines[0].startswith("extra "):
        extra = _decoded(lines.pop(0)[6:])
    match = _INDEX.match(lines.pop(0)) if lines else None
    path = tuple(_decoded(line) for line in lines)
    if match is None or len(path) > 63 or any(len(step) != 32 for step in path):
        raise ProofInvalid("proof_invalid")
    return TlogProof(int(match[1]), path, checkpoint.encode(), extra)


def verify_proof(
    text: str, entry: bytes, log: Verifier, witnesses: Sequence[Verifier] = (), quorum: int = 0
) -> tuple[int, Checkpoint]:
    """(index, checkpoint) if `entry` stands in the log at the proof's index, under log key and witness quorum.

    Raises `ProofInvalid` (`proof_invalid`, `note_invalid`, `note_unsigned`, `checkpoint_invalid`).
    """
    proof = parse_proof(text)
    checkpoint = verify_checkpoint(proof.checkpoint, log, witnesses, quorum)
    verify_inclusion(leaf_hash(entry), proof.index, checkpoint.size, proof.path, checkpoint.root)
    return proof.index, checkpoint


def _decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ProofInvalid("proof_invalid") from None
    if base64.b64encode(data).decode() != text:
        raise ProofInvalid("proof_invalid")
    return data
