"""Checkpoints (c2sp.org/tlog-checkpoint): origin, size and root of a tree as the text of a signed note.

Rules kept here: no extension lines of our own (a monitor could not audit them); the log's key carries the origin as its name.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.proofs.faults import ProofInvalid
from gateway.proofs.notes import ED25519, Note, Signer, Verifier, parse_note, sign_note, verify_note

_ORIGIN = re.compile(r"[^\s+\x00-\x1f\x7f]+\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. `root`: 32 bytes. `extensions`: further lines, kept as they came."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text, with its last newline."""
        root = binascii.b2a_base64(self.root, newline=False).decode("ascii")
        return "\n".join((self.origin, str(self.size), root, *self.extensions, ""))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text; `ProofInvalid("checkpoint_invalid")`."""
    lines = text[:-1].split("\n")
    if not text.endswith("\n") or len(lines) < 3:
        raise ProofInvalid("checkpoint_invalid")
    origin, size, root, *extensions = lines
    if not _ORIGIN.match(origin) or not _SIZE.match(size) or not all(extensions):
        raise ProofInvalid("checkpoint_invalid")
    try:
        digest = base64.b64decode(root, validate=True)
    except (ValueError, binascii.Error):
        raise ProofInvalid("checkpoint_invalid") from None
    if len(digest) != 32 or base64.b64encode(digest).decode() != root:
        raise ProofInvalid("checkpoint_invalid")
    return Checkpoint(origin, int(size), digest, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The checkpoint as a note signed by the log."""
    text = checkpoint.text
    return Note(text, (sign_note(text, signer),)).encode()


def read_checkpoint(data: bytes) -> Checkpoint:
    """The checkpoint of a note whose signatures somebody else has checked."""
    return parse_checkpoint(parse_note(data).text)


def verify_checkpoint(data: bytes, log: Verifier, witnesses: Sequence[Verifier] = (), quorum: int = 0) -> Checkpoint:
    """The checkpoint of a note that the log signed and at least `quorum` of the witnesses cosigned.

    Raises `ProofInvalid`: `note_unsigned` (log or quorum missing), `note_invalid`, `checkpoint_invalid` (other origin).
    """
    note, signed = verify_note(data, (log, *witnesses))
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != log.name or log.kind != ED25519:
        raise ProofInvalid("checkpoint_invalid")
    if log not in signed or sum(1 for verifier in set(signed) if verifier != log) < quorum:
        raise ProofInvalid("note_unsigned")
    return checkpoint
