"""The root key in shares: SLIP-39, three of five, one share per department (`runxin keys ceremony`).

Rules kept here: two shares tell nothing; a share that is damaged, of another ceremony or given twice is refused; the
recovered root is held against its fingerprint before anybody uses it. Pure functions: nothing is stored or printed here.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics

from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from keys.aead import KEY_BYTES, random_key

THRESHOLD = 3
_FINGERPRINT_LABEL = b"runxin root key fingerprint 1"
_FINGERPRINT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Ceremony:
    """One splitting. shares: department -> 33 words. fingerprint: 16 hex digits, to write down openly."""

    shares: Mapping[Department, str] = field(repr=False)
    fingerprint: str = ""

    def __reduce__(self) -> NoReturn:
        raise TypeError("shares are not for pickling")


def new_root() -> bytes:
    """A fresh root key, 32 bytes."""
    return random_key()


def split(root: bytes) -> Ceremony:
    """Five shares of a root key, any three of which recover it. Raises `BadRequest("root_key_invalid")`."""
    if len(root) != KEY_BYTES:
        raise BadRequest("root_key_invalid")
    mnemonics = generate_mnemonics(1, [(THRESHOLD, len(Department))], root, iteration_exponent=0)[0]
    return Ceremony(shares=dict(zip(Department, mnemonics, strict=True)), fingerprint=fingerprint(root))


def recover(shares: Sequence[str], expected: str) -> bytes:
    """The root key from exactly three shares. expected: the fingerprint written down at the ceremony.

    Raises `BadRequest("shares_invalid")` for too few, too many, repeated, damaged or foreign shares, and where the
    result is not the root that the ceremony split.
    """
    words = [" ".join(share.lower().split()) for share in shares]
    if len(words) != THRESHOLD or len(set(words)) != THRESHOLD:
        raise BadRequest("shares_invalid")
    try:
        root: bytes = combine_mnemonics(words)
    except (MnemonicError, ValueError):
        raise BadRequest("shares_invalid") from None
    if len(root) != KEY_BYTES or not hmac.compare_digest(fingerprint(root), expected):
        raise BadRequest("shares_invalid")
    return root


def fingerprint(root: bytes) -> str:
    """What tells one root from another and nothing else about it: HMAC-SHA-256 under the root, 16 hex digits."""
    return hmac.digest(root, _FINGERPRINT_LABEL, "sha256")[:_FINGERPRINT_BYTES].hex()
