"""Sealing one record for one organisation, and opening it (DESIGN section 5).

A fresh content key per record, encapsulated by HPKE to the recipient; each sealed field AES-256-GCM under a key of its own;
one signature of the sender over what the record is bound to, the encapsulation and one digest per field.

Rules kept here: a field may be dropped on the way, never changed, swapped, replayed or forged; a value without an obligation
is not sealed and not sent; the length of a sealed field is told to 64 bytes only; an error names the part that failed and
never a value.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gateway.domain.base64url import encode as unpadded
from gateway.domain.canonical import canonical, parse_canonical
from gateway.domain.orders import FieldValue, Line, PlainValue, SealedValue, SealInfo, Sealing, SealingKey
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from gateway.errors import BadRequest, ProgrammingError
from keys.sealing_keys import SUITES, SealingPair, key_id, public, sealing_key
from keys.signing import SigningKey, VerifyKey

__all__ = ["SUITES", "SealingPair", "drop", "key_id", "open_line", "seal_line", "sealing_key", "verify_plain"]

CONTENT_KEY_BYTES = 32
SALT_BYTES = 16
BLOCK_BYTES = 64
_DOMAIN = b"runxin-line-1\n"
_FIELD_LABEL = b"runxin-field-1|"
# Every field key encrypts exactly once (fresh content key per record, one key per field name), so the nonce may stand still.
_NONCE = bytes(12)


def seal_line(
    values: Mapping[str, FieldValue],
    *,
    grants: Mapping[str, Obligation],
    info: SealInfo,
    recipient: SealingKey,
    signer: SigningKey,
    number: int,
    subject: str | None,
    references: Mapping[str, str],
    region: str | None,
) -> Line:
    """One record, already reduced, sealed where its obligations say so and signed.

    values: field -> value in the ordered form. Raises `ProgrammingError` for a value without an obligation or under
    `suppress`, or an `info` of another line or another recipient key; `BadRequest("sealing_key_invalid")`.
    """
    if info.line != number or info.recipient_kid != recipient.kid:
        raise ProgrammingError("the sealing is bound to another line or key")
    if any(name not in grants or grants[name].transform is Transform.SUPPRESS for name in values):
        raise ProgrammingError("a value without an obligation does not leave")
    bound = _info_bytes(info, recipient.suite)
    encapsulation = b""
    cells: dict[str, SealedValue | PlainValue] = {}
    digests: dict[str, bytes] = {}
    content_key = b""
    if any(grants[name].sealed for name in values):
        content_key = os.urandom(CONTENT_KEY_BYTES)
        encapsulation = _encapsulate(content_key, recipient, bound)
    for name, value in values.items():
        cell = (
            _seal(content_key, name, value, bound) if grants[name].sealed else PlainValue(value, os.urandom(SALT_BYTES))
        )
        cells[name] = cell
        digests[name] = _digest(cell)
    signature = signer.sign(_signed(bound, encapsulation, digests))
    sealing = Sealing(
        info=info,
        suite=recipient.suite,
        encapsulation=encapsulation,
        digests=digests,
        signature=signature,
        sender_kid=signer.thumbprint,
    )
    return Line(
        number=number, subject=subject, references=dict(references), region=region, values=cells, sealing=sealing
    )


def open_line(line: Line, *, pair: SealingPair, sender_key: VerifyKey, expected: SealInfo) -> dict[str, FieldValue]:
    """The values of the fields that are present, after the signature, the binding and every digest are verified.

    expected: what the recipient itself knows of the request or permit, line, exchange, sender and its own key.
    Raises `BadRequest("seal_invalid", part=…)`, part one of `missing info signature digest encapsulation ciphertext`.
    """
    sealing = verify_plain(line, sender_key, expected=expected)
    if sealing.suite != pair.suite or sealing.info.recipient_kid != pair.kid:
        raise BadRequest("seal_invalid", part="info")
    bound = _info_bytes(sealing.info, sealing.suite)
    values: dict[str, FieldValue] = {}
    content_key: bytes | None = None
    for name, cell in line.values.items():
        if isinstance(cell, PlainValue):
            values[name] = cell.value
            continue
        if content_key is None:
            content_key = _content_key(sealing, pair, bound)
        values[name] = _open(content_key, name, cell, bound)
    return values


def verify_plain(line: Line, sender_key: VerifyKey, *, expected: SealInfo | None = None) -> Sealing:
    """What can be verified without the recipient's key: the gateway's check, and the first half of `open_line`.

    The signature, the digest of every field present (of the ciphertext where it is sealed), the line's number, and, where
    it is given, that the sealing is bound to `expected`. Returns the verified frame. Raises as `open_line` does.
    """
    sealing = line.sealing
    if sealing is None:
        raise BadRequest("seal_invalid", part="missing")
    if sealing.suite not in SUITES or sealing.info.line != line.number:
        raise BadRequest("seal_invalid", part="info")
    if expected is not None and sealing.info != expected:
        raise BadRequest("seal_invalid", part="info")
    if sealing.sender_kid != sender_key.thumbprint:
        raise BadRequest("seal_invalid", part="signature")
    bound = _info_bytes(sealing.info, sealing.suite)
    try:
        sender_key.verify(sealing.signature, _signed(bound, sealing.encapsulation, sealing.digests))
    except (BadRequest, ValueError):
        raise BadRequest("seal_invalid", part="signature") from None
    for name, cell in line.values.items():
        # The prefix-free shapes cannot be taken for each other: a sealed cell opens only under GCM, and a ciphertext shown
        # as a plain value would have to be salt and canonical JSON by chance.
        if not compare_digest(_digest(cell), sealing.digests.get(name, b"")):
            raise BadRequest("seal_invalid", part="digest")
    return sealing


def drop(line: Line, names: frozenset[str]) -> Line:
    """The line without these fields. Its signature stays good: digests of dropped fields remain in the frame."""
    kept = {name: cell for name, cell in line.values.items() if name not in names}
    return Line(
        number=line.number,
        subject=line.subject,
        references=line.references,
        region=line.region,
        values=kept,
        sealing=line.sealing,
    )


def _info_bytes(info: SealInfo, suite: str) -> bytes:
    """HPKE `info`, associated data of every field and first part of what is signed."""
    return canonical(
        {
            "exchange": info.exchange,
            "line": info.line,
            "recipient": info.recipient.text,
            "recipient_kid": info.recipient_kid,
            "request": info.request,
            "sender": info.sender.text,
            "suite": suite,
        }
    )


def _signed(bound: bytes, encapsulation: bytes, digests: Mapping[str, bytes]) -> bytes:
    frame = {
        "digests": {name: unpadded(digest) for name, digest in digests.items()},
        "enc": unpadded(encapsulation),
        "info": bound.decode("utf-8"),
    }
    return _DOMAIN + canonical(frame)


def _seal(content_key: bytes, name: str, value: FieldValue, bound: bytes) -> SealedValue:
    plaintext = canonical(value) + b"\x80"
    plaintext += bytes(-len(plaintext) % BLOCK_BYTES)
    return SealedValue(AESGCM(_field_key(content_key, name)).encrypt(_NONCE, plaintext, bound))


def _open(content_key: bytes, name: str, cell: SealedValue, bound: bytes) -> FieldValue:
    try:
        padded = AESGCM(_field_key(content_key, name)).decrypt(_NONCE, cell.ciphertext, bound)
        plaintext, mark, rest = padded.rpartition(b"\x80")
        if not mark or rest.strip(b"\x00") or len(padded) % BLOCK_BYTES:
            raise BadRequest("seal_invalid", part="ciphertext")
        value: FieldValue = parse_canonical(plaintext)
    except (InvalidTag, ValueError):
        raise BadRequest("seal_invalid", part="ciphertext") from None
    return value


def _field_key(content_key: bytes, name: str) -> bytes:
    # The content key is uniform, so HKDF's extraction is not needed (RFC 5869 section 3.3).
    return HKDFExpand(SHA256(), CONTENT_KEY_BYTES, _FIELD_LABEL + name.encode("utf-8")).derive(content_key)


def _encapsulate(content_key: bytes, recipient: SealingKey, bound: bytes) -> bytes:
    key = public(recipient.suite, recipient.public_key)
    try:
        return SUITES[recipient.suite].encrypt(content_key, key, bound)
    except (
        ValueError
    ):  # A point of small order gives everybody the same secret, and the library refuses it (RFC 9180 7.1.4).
        raise BadRequest("sealing_key_invalid") from None


def _content_key(sealing: Sealing, pair: SealingPair, bound: bytes) -> bytes:
    try:
        key = SUITES[pair.suite].decrypt(sealing.encapsulation, pair.private, bound)
    except (InvalidTag, ValueError):
        raise BadRequest("seal_invalid", part="encapsulation") from None
    if len(key) != CONTENT_KEY_BYTES:
        raise BadRequest("seal_invalid", part="encapsulation")
    return key


def _digest(cell: SealedValue | PlainValue) -> bytes:
    """SHA-256 of the ciphertext, or of 16 salt bytes and the canonical value."""
    if isinstance(cell, SealedValue):
        return sha256(cell.ciphertext).digest()
    if len(cell.salt) != SALT_BYTES:
        raise BadRequest("seal_invalid", part="digest")
    try:
        return sha256(cell.salt + canonical(cell.value)).digest()
    except ValueError:
        raise BadRequest("seal_invalid", part="digest") from None
