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


def aead_seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Nonce (12 bytes) | ciphertext | tag (16 bytes). key: 32 random bytes. At most 2**32 messages under one key."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def aead_open(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext. Raises `GatewayFault("unseal_failed")` for a wrong key, other associated data or any change."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        raise GatewayFault("unseal_failed") from None


def random_key() -> bytes:
    """32 bytes from the operating system's randomness."""
    return os.urandom(KEY_BYTES)
