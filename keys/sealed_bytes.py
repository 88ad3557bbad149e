"""A few bytes sealed to one organisation outside of any record: halves of protective keys, exports for one auditor.

Rules kept here: HPKE in the suites of `sealing_keys`; `info` names the use, so that what was sealed for one use opens for no
other.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from gateway.domain.orders import SealingKey
from gateway.errors import BadRequest
from keys.sealing_keys import SUITES, SealingPair, public


def seal_bytes(recipient: SealingKey, plaintext: bytes, info: bytes) -> bytes:
    """HPKE base mode (RFC 9180), single shot: encapsulation and ciphertext together. Raises `BadRequest("sealing_key_invalid")`."""
    try:
        return SUITES[recipient.suite].encrypt(plaintext, public(recipient.suite, recipient.public_key), info)
    except ValueError:  # a point of small order gives everybody the same secret
        raise BadRequest("sealing_key_invalid") from None


def open_bytes(pair: SealingPair, sealed: bytes, info: bytes) -> bytes:
    """What `seal_bytes` sealed. `BadRequest("seal_invalid")` for another key, another use, or changed bytes."""
    try:
        return SUITES[pair.suite].decrypt(sealed, pair.private, info)
    except (InvalidTag, ValueError):
        raise BadRequest("seal_invalid", part="ciphertext") from None
