"""Sealing keys of organisations: the HPKE suites that we speak and their key pairs.

Rules kept here: a closed list of suites; a key is named by suite and bytes, so the same bytes under another suite are
another key; private keys never show themselves, are not pickled, and are written with mode 0600 only.

`x25519` is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180). `xwing` is ML-KEM-768 with X25519 (X-Wing,
draft-connolly-cfrg-xwing-kem; HPKE KEM 0x647a), HKDF-SHA256, AES-256-GCM.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import sha256, shake_256
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from gateway.domain.orders import SealingKey
from gateway.domain.parties import Party
from gateway.errors import BadRequest, GatewayFault, ProgrammingError
from keys.durable import read_private

X25519 = "x25519"
XWING = "xwing"
SUITES = {
    X25519: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    XWING: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}
PUBLIC_BYTES = {X25519: 32, XWING: 1216}
_SECRET_BYTES = 32
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64


def key_id(suite: str, public_key: bytes) -> str:
    """First 16 hex digits of SHA-256 over suite and key (`SealingKey.kid`)."""
    return sha256(suite.encode("ascii") + public_key).hexdigest()[:16]


def sealing_key(party: Party, suite: str, public_key: bytes) -> SealingKey:
    """A recipient's public key as a value. Raises `BadRequest("sealing_key_invalid")`."""
    public(suite, public_key)
    return SealingKey(party=party, suite=suite, kid=key_id(suite, public_key), public_key=public_key)


@lru_cache(maxsize=256)
def public(suite: str, public_key: bytes) -> X25519PublicKey | MLKEM768X25519PublicKey:
    """The library's object for a raw public key. Raises `BadRequest("sealing_key_invalid")`."""
    if len(public_key) != PUBLIC_BYTES.get(suite):
        raise BadRequest("sealing_key_invalid")
    try:
        if suite == X25519:
            return X25519PublicKey.from_public_bytes(public_key)
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:]),
        )
    except ValueError:
        raise BadRequest("sealing_key_invalid") from None


class SealingPair:
    """An organisation's private sealing key and its public half. Made by `generate`, `load` or `from_secret`.

    The secret is 32 bytes in both suites; X-Wing expands it by SHAKE-256 into an ML-KEM seed and an X25519 key.
    """

    __slots__ = ("_secret", "kid", "private", "public_key", "suite")

    def __init__(self, suite: str, secret: bytes) -> None:
        if suite not in SUITES:
            raise ProgrammingError("no such sealing suite")
        if len(secret) != _SECRET_BYTES:
            raise GatewayFault("key_unreadable")
        self._secret = secret
        self.suite = suite
        self.private, self.public_key = _expand(suite, secret)
        self.kid = key_id(suite, self.public_key)

    @classmethod
    def generate(cls, suite: str = X25519) -> SealingPair:
        """A fresh pair from the operating system's randomness."""
        return cls(suite, os.urandom(_SECRET_BYTES))

    @classmethod
    def from_secret(cls, suite: str, secret: bytes) -> SealingPair:
        """The pair of a 32-byte secret."""
        return cls(suite, secret)

    @classmethod
    def load(cls, path: Path) -> SealingPair:
        """The pair in a file of mode 0600. Raises `GatewayFault`: `key_file_missing`, `key_file_mode`, `key_unreadable`."""
        data = read_private(Path(path))
        try:
            content = json.loads(data)
            suite, secret = content["suite"], b64decode(content["secret"], validate=True)
        except (ValueError, KeyError, TypeError):
            raise GatewayFault("key_unreadable") from None
        if suite not in SUITES:
            raise GatewayFault("key_unreadable")
        return cls(suite, secret)

    def save(self, path: Path) -> None:
        """Write the pair into a new file of mode 0600; an existing file is never overwritten (`FileExistsError`)."""
        content = {"suite": self.suite, "kid": self.kid, "secret": b64encode(self._secret).decode("ascii")}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())

    def sealing_key(self, party: Party) -> SealingKey:
        """The public half as the value that is published for a party."""
        return SealingKey(party=party, suite=self.suite, kid=self.kid, public_key=self.public_key)

    def __repr__(self) -> str:
        return f"SealingPair({self.suite}, {self.kid})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sealing pair is not for pickling")


def _expand(suite: str, secret: bytes) -> tuple[X25519PrivateKey | MLKEM768X25519PrivateKey, bytes]:
    if suite == X25519:
        key = X25519PrivateKey.from_private_bytes(secret)
        return key, key.public_key().public_bytes_raw()
    expanded = shake_256(secret).digest(_MLKEM_SEED_BYTES + _SECRET_BYTES)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
    curve = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
    both = mlkem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return MLKEM768X25519PrivateKey(mlkem, curve), both
