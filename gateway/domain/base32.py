"""Bytes as five-bit symbols, and as base32 (RFC 4648 section 6) in lower case without padding.

Rules kept here: what does not fill the last symbol is filled with zeros; at most 40 bytes, as all that is spelled so here.
"""

from __future__ import annotations

_LANES = 64
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567" + bytes(224)


def _spread() -> tuple[tuple[int, int, int], ...]:
    """How symbols that lie side by side in one number come to lie eight bits apart: in each step the upper half of every block
    of them moves up (by `shift`, out of `upper`) and the lower half stays.
    """
    steps = []
    half = _LANES // 2
    while half:
        block = (1 << 5 * half) - 1
        lower = sum(block << 16 * half * place for place in range(_LANES // (2 * half)))
        steps.append((3 * half, lower, lower << 5 * half))
        half //= 2
    return tuple(steps)


_STEPS = _spread()


def symbols(data: bytes) -> bytes:
    """One byte (0-31) per five bits, 40 bytes of data at most. A few operations on one large number, whatever its length."""
    count = (len(data) * 8 + 4) // 5
    number = int.from_bytes(data, "big") << (5 * count - 8 * len(data))
    for shift, lower, upper in _STEPS:
        number = number & lower | (number & upper) << shift
    return number.to_bytes(count, "big")


def encode(data: bytes) -> str:
    """The base32 text of 40 bytes at most."""
    return symbols(data).translate(_ALPHABET).decode("ascii")
