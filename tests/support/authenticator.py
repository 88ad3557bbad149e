"""A security key in software: what a WebAuthn authenticator and its browser answer, with every part open to tampering."""

import hashlib
import json
import os
from base64 import urlsafe_b64encode

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED = 0x01, 0x04


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class Authenticator:
    """One P-256 credential for one host."""

    def __init__(self, origin="https://gateway.example", host="gateway.example"):
        self.origin, self.host = origin, host
        self.credential = os.urandom(32)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.signs = 0

    @property
    def public_key(self) -> bytes:
        """COSE."""
        numbers = self._key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

    def assertion(self, challenge: bytes, *, flags=PRESENT | VERIFIED, host=None, **client_data) -> dict[str, str]:
        """`authenticatorData`, `clientDataJSON`, `signature`. client_data: members to say otherwise."""
        self.signs += 1
        data = {"type": "webauthn.get", "challenge": base64url(challenge), "origin": self.origin, "crossOrigin": False}
        told = json.dumps(data | client_data).encode()
        authenticator = hashlib.sha256((host or self.host).encode()).digest() + bytes([flags])
        authenticator += self.signs.to_bytes(4, "big")
        signature = self._key.sign(authenticator + hashlib.sha256(told).digest(), ec.ECDSA(SHA256()))
        parts = {"authenticatorData": authenticator, "clientDataJSON": told, "signature": signature}
        return {name: base64url(part) for name, part in parts.items()}

    def approval(self, kid: str, claims: dict, *, challenge: bytes | None = None, header=None, **said) -> str:
        """An approval as the console's page makes it. challenge: another than the digest of what is approved."""
        first = {"typ": "approval+webauthn", "alg": "webauthn", "kid": kid} | (header or {})
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (first, claims))
        answer = self.assertion(hashlib.sha256(signed.encode()).digest() if challenge is None else challenge, **said)
        return f"{signed}.{base64url(json.dumps(answer).encode())}"
