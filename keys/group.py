"""The group in which children are named: ristretto255 (RFC 9496) by libsodium, hash-to-group of RFC 9497.

Rules kept here: every point that comes in is checked, the identity and non-canonical encodings are refused; scalars are
never zero; nothing but libsodium (`rbcl`) computes on a secret; no point and no scalar stands in an error.

A trap: the libsodium 1.0.18 within rbcl 1.1.2 ignores the highest bit of an encoding, where RFC 9496 section 4.3.1 demands
that it be refused. One child would have two names; so that bit is checked here, before every call.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha512
from hmac import compare_digest

import rbcl

from gateway.errors import BadRequest, GatewayFault, ProgrammingError

POINT_BYTES = 32
SCALAR_BYTES = 32
IDENTITY = bytes(POINT_BYTES)
_LAST = POINT_BYTES - 1
_HIGHEST_BIT = 0x80

# RFC 9497 section 4.1: OPRF(ristretto255, SHA-512), mode 0x00. The tag separates our use of the group from every other.
CONTEXT = b"OPRFV1-\x00-ristretto255-SHA512"
_HASH_TO_GROUP_DST = b"HashToGroup-" + CONTEXT
_SHA512_BLOCK = 128
_ONE = (1).to_bytes(SCALAR_BYTES, "little")


def hash_to_group(message: bytes) -> bytes:
    """The point of a message: `expand_message_xmd` (RFC 9380 5.3.1, SHA-512, 64 bytes), then the one-way map of RFC 9496.

    message: any length. Returns 32 bytes, never the identity. Raises `GatewayFault("group_failed")` in the case of
    probability 2**-252 that RFC 9497 calls an invalid input.
    """
    point: bytes = rbcl.crypto_core_ristretto255_from_hash(_expand(message, _HASH_TO_GROUP_DST, 64))
    if point == IDENTITY:
        raise GatewayFault("group_failed")
    return point


def random_scalar() -> bytes:
    """A uniform scalar of 32 bytes, never zero."""
    while True:
        scalar: bytes = rbcl.crypto_core_ristretto255_scalar_random()
        if scalar != bytes(SCALAR_BYTES):
            return scalar


def multiply(scalar: bytes, point: bytes) -> bytes:
    """`scalar * point`, 32 bytes. Raises `BadRequest("point_invalid")` if the point is not canonical or the identity."""
    # libsodium's multiplication decodes strictly (but for the highest bit, see above) and refuses an identity result. As
    # the group has prime order and our scalars are not zero, that is exactly an identity point: one call checks and computes.
    try:
        if point[_LAST] & _HIGHEST_BIT:
            raise BadRequest("point_invalid")
        product: bytes = rbcl.crypto_scalarmult_ristretto255(scalar, point)
    except (RuntimeError, ValueError, TypeError, IndexError):
        raise BadRequest("point_invalid") from None
    return product


def multiply_all(scalar: bytes, points: Iterable[bytes]) -> list[bytes]:
    """`scalar * point` for each, in order; all or nothing. Raises `BadRequest("point_invalid")`."""
    return [multiply(scalar, point) for point in points]


def invert(scalar: bytes) -> bytes:
    """`1/scalar` modulo the group order. Raises `ProgrammingError` if it is zero or not a reduced scalar."""
    inverse: bytes = rbcl.crypto_core_ristretto255_scalar_invert(require_scalar(scalar))
    return inverse


def scalar_product(left: bytes, right: bytes) -> bytes:
    """`left * right` modulo the group order, 32 bytes. Raises `ProgrammingError` as `invert` does."""
    product: bytes = rbcl.crypto_core_ristretto255_scalar_mul(require_scalar(left), require_scalar(right))
    return product


def require_point(point: bytes) -> bytes:
    """The point itself if it is a canonical encoding and not the identity; else `BadRequest("point_invalid")`."""
    # libsodium calls the identity a valid point, so it is refused here by name.
    try:
        valid = bool(rbcl.crypto_core_ristretto255_is_valid_point(point)) and not point[_LAST] & _HIGHEST_BIT
    except (ValueError, TypeError):
        valid = False
    if not valid or point == IDENTITY:
        raise BadRequest("point_invalid")
    return point


def require_scalar(scalar: bytes) -> bytes:
    """The scalar itself if it is 32 bytes, reduced and not zero; else `ProgrammingError` (scalars are ours alone)."""
    if len(scalar) != SCALAR_BYTES or compare_digest(scalar, bytes(SCALAR_BYTES)):
        raise ProgrammingError("not a scalar of the group")
    # Multiplying by one reduces modulo the order in constant time: what changes was not reduced.
    if not compare_digest(rbcl.crypto_core_ristretto255_scalar_mul(scalar, _ONE), scalar):
        raise ProgrammingError("not a scalar of the group")
    return scalar


def _expand(message: bytes, dst: bytes, length: int) -> bytes:
    """`expand_message_xmd` with SHA-512 (RFC 9380 section 5.3.1) for up to 64 bytes, which is one block of output."""
    dst_prime = dst + bytes([len(dst)])
    seed = sha512(bytes(_SHA512_BLOCK) + message + length.to_bytes(2, "big") + b"\x00" + dst_prime).digest()
    return sha512(seed + b"\x01" + dst_prime).digest()[:length]
