"""The blind door, a department's side: r*H(id) goes out, k*r*H(id) comes back, r is removed.

Rules kept here: r is fresh for every identifier and every call, so what the gateway sees is a uniformly random point;
the factor never shows itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from keys.group import hash_to_group, invert, multiply, random_scalar
from keys.identifiers import Identifier


@dataclass(frozen=True, slots=True)
class Blinded:
    """point: 32 bytes to send. unblinder: the scalar 1/r, 32 bytes, to keep until the answer is there."""

    point: bytes
    unblinder: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a blinding factor is not for writing down")


def blind(identifier: Identifier) -> Blinded:
    """A blinded point for one identifier (RFC 9497 section 3.3.1, Blind)."""
    factor = random_scalar()
    return Blinded(point=multiply(factor, hash_to_group(identifier.canonical)), unblinder=invert(factor))


def unblind(evaluated: bytes, unblinder: bytes) -> bytes:
    """The pseudonym's point, 32 bytes, from the gateway's answer. Raises `BadRequest("point_invalid")`."""
    return multiply(unblinder, evaluated)
