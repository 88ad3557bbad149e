"""Signed notes (c2sp.org/signed-note) with Ed25519 keys, type 0x01, and the frame for other key types.

Rules kept here: a text is valid UTF-8, ends with a newline and holds no other control character; a key is known by name *and*
id; a known key's wrong signature fails the whole note; a note that no known key signed is refused; unknown keys are ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.proofs.faults import ProofInvalid

ED25519 = 0x01
COSIGNATURE = 0x04
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 72}
_MOST_SIGNATURES = 100
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+\Z")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A verification key. `kind`: 0x01 (note) or 0x04 (timestamped cosignature). `public_key`: 32 bytes."""

    name: str
    kind: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256(name | newline | kind | public key)."""
        return key_id(self.name, self.kind, self.public_key)

    @property
    def vkey(self) -> str:
        """`name+hex(key id)+base64(kind | public key)`."""
        body = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{body}"

    def verify_bytes(self, message: bytes, signature: bytes) -> None:
        """Ed25519 over raw bytes; `ProofInvalid("note_invalid")`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise ProofInvalid("note_invalid") from None


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs notes under a name. `sign`: Ed25519 over bytes, from wherever the key lives."""

    name: str
    public_key: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)
    kind: int = ED25519
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_id", key_id(self.name, self.kind, self.public_key))

    @classmethod
    def from_seed(cls, name: str, seed: bytes, kind: int = ED25519) -> Signer:
        """A signer over a 32-byte Ed25519 seed."""
        key = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(name, key.public_key().public_bytes_raw(), key.sign, kind)

    @property
    def verifier(self) -> Verifier:
        """The key by which others check this signer."""
        return Verifier(self.name, self.kind, self.public_key)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: key name, 4-byte key id, signature bytes."""

    name: str
    key_id: bytes
    value: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """`— name base64(key id | signature)`, with the newline."""
        body = binascii.b2a_base64(self.key_id + self.value, newline=False).decode("ascii")
        return f"— {self.name} {body}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note: the signed text (with its last newline) and every signature line, checked or not."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """The note as it goes on the wire."""
        return (self.text + "\n" + "".join([signature.line for signature in self.signatures])).encode()


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """c2sp.org/signed-note key id."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def parse_vkey(text: str) -> Verifier:
    """Read a vkey; `ProofInvalid("vkey_invalid")` on a wrong id, an unknown kind or a wrong length."""
    try:
        name, hexadecimal, body = text.strip().split("+", 2)
        data = base64.b64decode(body, validate=True)
        verifier = Verifier(name, data[0], data[1:])
        claimed = bytes.fromhex(hexadecimal)
    except (ValueError, IndexError, binascii.Error):
        raise ProofInvalid("vkey_invalid") from None
    wrong_key = verifier.kind not in _SIGNATURE_BYTES or len(verifier.public_key) != 32
    if wrong_key or claimed != verifier.key_id or not _NAME.match(name):
        raise ProofInvalid("vkey_invalid")
    return verifier


def sign_note(text: str, signer: Signer) -> Signature:
    """An Ed25519 note signature (kind 0x01) over `text`."""
    _require_text(text)
    return Signature(signer.name, signer.key_id, signer.sign(text.encode()))


def parse_note(data: bytes) -> Note:
    """Split a note into text and signature lines without checking a signature; `ProofInvalid("note_invalid")`."""
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ProofInvalid("note_invalid") from None
    cut = whole.rfind("\n\n")
    if cut < 0 or not whole.endswith("\n"):
        raise ProofInvalid("note_invalid")
    text, block = whole[: cut + 1], whole[cut + 2 :]
    _require_text(text)
    lines = block.split("\n")[:-1]
    if not lines or len(lines) > _MOST_SIGNATURES:
        raise ProofInvalid("note_invalid")
    return Note(text, tuple(_signature_line(line) for line in lines))


def verify_note(data: bytes, verifiers: Sequence[Verifier]) -> tuple[Note, tuple[Verifier, ...]]:
    """The note and the keys of `verifiers` that signed it.

    Raises `ProofInvalid`: `note_invalid` where a known key's signature is wrong, `note_unsigned` where none is known.
    """
    note = parse_note(data)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed: dict[tuple[str, bytes], Verifier] = {}
    for signature in note.signatures:
        place = (signature.name, signature.key_id)
        verifier = known.get(place)
        if verifier is not None and place not in signed:
            verify_signature(note.text, signature, verifier)
            signed[place] = verifier
    if not signed:
        raise ProofInvalid("note_unsigned")
    return note, tuple(signed.values())


def verify_signature(text: str, signature: Signature, verifier: Verifier) -> None:
    """One signature line over `text`, by the rules of the key's kind."""
    value = signature.value
    if len(value) != _SIGNATURE_BYTES[verifier.kind]:
        raise ProofInvalid("note_invalid")
    if verifier.kind == COSIGNATURE:
        seconds = int.from_bytes(value[:8], "big")
        verifier.verify_bytes(cosigned_message(text, seconds), value[8:])
    else:
        verifier.verify_bytes(text.encode(), value)


def cosigned_message(text: str, seconds: int) -> bytes:
    """What a cosignature of kind 0x04 signs (c2sp.org/tlog-cosignature)."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _signature_line(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _NAME.match(parts[1]):
        raise ProofInvalid("note_invalid")
    try:
        body = base64.b64decode(parts[2], validate=True)
    except (ValueError, binascii.Error):
        raise ProofInvalid("note_invalid") from None
    if len(body) < 5 or base64.b64encode(body).decode() != parts[2]:
        raise ProofInvalid("note_invalid")
    return Signature(parts[1], body[:4], body[4:])


def _require_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ProofInvalid("note_invalid")
