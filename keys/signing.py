"""Signing keys of organisations, clients, people and the gateway: Ed25519 (RFC 8032), named by RFC 7638 thumbprint.

Rules kept here: one algorithm; a verification raises or returns nothing; private keys never show themselves in a repr,
are not pickled, and are written with mode 0600 only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gateway.domain import base64url
from gateway.errors import BadRequest, GatewayFault

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
# The encodings of the eight points of small order, canonical and not. Under such a "key" one signature fits many messages,
# so whoever enrols it could deny everything (RFC 8032 leaves this open; libraries differ).
_SMALL_ORDER = frozenset(
    bytes.fromhex(low) + bytes([high | sign])
    for low, high in (
        ("00" * 31, 0x00),
        ("01" + "00" * 30, 0x00),
        ("ec" + "ff" * 30, 0x7F),
        ("ed" + "ff" * 30, 0x7F),
        ("ee" + "ff" * 30, 0x7F),
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc", 0x05),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03", 0x7A),
    )
    for sign in (0x00, 0x80)
)


class VerifyKey:
    """A public Ed25519 key. public: 32 raw bytes; another length or a point of small order is `BadRequest("key_invalid")`."""

    __slots__ = ("_key", "public", "thumbprint")

    def __init__(self, public: bytes) -> None:
        try:
            self._key = Ed25519PublicKey.from_public_bytes(public)
        except (ValueError, TypeError):
            raise BadRequest("key_invalid") from None
        if public in _SMALL_ORDER:
            raise BadRequest("key_invalid")
        self.public = bytes(public)
        self.thumbprint = thumbprint(self.public)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> VerifyKey:
        """The key of an OKP JWK (RFC 8037). Raises `BadRequest("key_invalid")`."""
        return cls(public_from_jwk(jwk))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Returns if the 64-byte signature is this key's over the message, else `BadRequest("signature_invalid")`."""
        try:
            self._key.verify(signature, message)
        except (InvalidSignature, ValueError, TypeError):
            raise BadRequest("signature_invalid") from None

    @property
    def handle(self) -> Ed25519PublicKey:
        """The library's own key object, for PyJWT."""
        return self._key

    def jwk(self) -> dict[str, str]:
        """The public JWK with its thumbprint as `kid`."""
        return public_jwk(self.public)

    def __repr__(self) -> str:
        return f"VerifyKey({self.thumbprint})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and other.public == self.public

    def __hash__(self) -> int:
        return hash(self.public)


class SigningKey:
    """A private Ed25519 key. Made by `generate`, `load`, `from_pem` or `from_jwk`."""

    __slots__ = ("_key", "public", "thumbprint")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: bytes = key.public_key().public_bytes_raw()
        self.thumbprint = thumbprint(self.public)

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        """The key of a 32-byte seed (RFC 8032 private key). Raises `GatewayFault("key_unreadable")`."""
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(seed))
        except (ValueError, TypeError):
            raise GatewayFault("key_unreadable") from None

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> SigningKey:
        """The key of a PKCS #8 PEM text. Raises `GatewayFault("key_unreadable")`, without saying what was read."""
        try:
            key = load_pem_private_key(pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise GatewayFault("key_unreadable") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise GatewayFault("key_unreadable")
        return cls(key)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> SigningKey:
        """The key of a private OKP JWK (RFC 8037). Raises `GatewayFault("key_unreadable")`."""
        seed = _bytes_of(jwk.get("d"))
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or seed is None:
            raise GatewayFault("key_unreadable")
        key = cls.from_seed(seed)
        if "x" in jwk and _bytes_of(jwk["x"]) != key.public:
            raise GatewayFault("key_unreadable")
        return key

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """The key in a file, PEM or JWK by its first character. Raises `GatewayFault("key_unreadable")`."""
        try:
            data = Path(path).read_bytes()
            return cls.from_jwk(json.loads(data)) if data.lstrip()[:1] == b"{" else cls.from_pem(data)
        except (OSError, json.JSONDecodeError, UnicodeDecodeError, AttributeError):
            raise GatewayFault("key_unreadable") from None

    def save(self, path: Path) -> None:
        """Write the key as PKCS #8 PEM into a new file of mode 0600; an existing file is never overwritten (`FileExistsError`)."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.pem())
            file.flush()
            os.fsync(file.fileno())

    def sign(self, message: bytes) -> bytes:
        """64 bytes, deterministic (RFC 8032)."""
        return self._key.sign(message)

    @property
    def verify_key(self) -> VerifyKey:
        """The public half."""
        return VerifyKey(self.public)

    @property
    def handle(self) -> Ed25519PrivateKey:
        """The library's own key object, for PyJWT."""
        return self._key

    def pem(self) -> bytes:
        """PKCS #8 PEM, unencrypted: for key files of mode 0600 only."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def jwk(self) -> dict[str, str]:
        """The public JWK with its thumbprint as `kid`; the private half never stands in a JWK that we make."""
        return public_jwk(self.public)

    def __repr__(self) -> str:
        return f"SigningKey({self.thumbprint})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not for pickling")


def thumbprint(public: bytes) -> str:
    """RFC 7638 SHA-256 thumbprint of a raw Ed25519 public key, base64url without padding, 43 characters."""
    required = {"crv": "Ed25519", "kty": "OKP", "x": base64url.encode(public)}
    return base64url.encode(
        sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode("ascii")).digest()
    )


def public_jwk(public: bytes) -> dict[str, str]:
    """The public JWK (RFC 8037) of a raw Ed25519 key, `kid` = thumbprint."""
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(public), "kid": thumbprint(public)}


def public_from_jwk(jwk: Mapping[str, object]) -> bytes:
    """The raw public key, 32 bytes, of a *public* OKP JWK. One that carries a private part is refused: whoever sends
    such a thing has just lost the key. Raises `BadRequest("key_invalid")`.
    """
    public = _bytes_of(jwk.get("x"))
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or "d" in jwk or public is None:
        raise BadRequest("key_invalid")
    if len(public) != PUBLIC_BYTES:
        raise BadRequest("key_invalid")
    return public


def public_pem(public: bytes) -> bytes:
    """SubjectPublicKeyInfo PEM of a raw Ed25519 key."""
    return VerifyKey(public).handle.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _bytes_of(text: object) -> bytes | None:
    """The bytes of strict base64url text; None if it is anything else, also another spelling of the same bytes."""
    try:
        return base64url.decode(text) if isinstance(text, str) else None
    except ValueError:
        return None
