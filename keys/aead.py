"""Authenticated encryption under keys that are already random: AES-256-GCM with a random 96-bit nonce.

Rules kept here: a nonce is drawn for every message and stands before the ciphertext; associated data is not optional;
a failed opening says nothing but that it failed.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import GatewayFault

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class AeadKey:
    """A key whose cipher is set up once, for many messages: setting it up takes longer than sealing a kilobyte.

    It holds about 3 kB; whoever caches some bounds them, and drops a key that is destroyed.
    """

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """As `aead_seal`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """As `aead_open`."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
        except (InvalidTag, ValueError):
            raise GatewayFault("unseal_failed") from None


def aead_seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Nonce (12 bytes) | ciphertext | tag (16 bytes). key: 32 random bytes. At most 2**32 messages under one key."""
    return AeadKey(key).seal(plaintext, aad)


def aead_open(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext. Raises `GatewayFault("unseal_failed")` for a wrong key, other associated data or any change."""
    return AeadKey(key).open(sealed, aad)


def random_key() -> bytes:
    """32 bytes from the operating system's randomness."""
    return os.urandom(KEY_BYTES)
