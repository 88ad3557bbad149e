"""Request proofs: DPoP (RFC 9449) with the body's digest inside, so that a request can be neither altered nor denied.

Rules kept here: the proof's key is the client's registered one, given by the caller; method, URL, token and body are all
bound; the URL is the issuer's own origin and the path as received, whatever Host header came; a proof older than its
window is refused and one inside it is good once (`proof_id` is claimed in the transaction that writes the entry).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import NotAuthenticated
from gateway.identity.statements import (
    BY_JWK,
    SKEW,
    Unsound,
    object_claim,
    require,
    require_members,
    text_claim,
    text_of,
    time_claim,
    verify,
)
from keys.signing import VerifyKey

PROOF_TYPE = "dpop+jwt"
MAX_AGE = 60
"""Seconds after `iat` for which a proof is accepted, before the skew is added."""

_CLAIMS = frozenset({"jti", "htm", "htu", "iat", "content-digest"})
_WITH_TOKEN = _CLAIMS | {"ath"}
_JTI = re.compile(r"[A-Za-z0-9_.~-]{16,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proof:
    """A verified request proof. proof_id: `<key thumbprint>.<jti>`, unique for all clients. ends: unix seconds after which
    it could not be accepted again.
    """

    proof_id: str
    ends: int
    text: str = field(repr=False)


def origin_of(issuer: str) -> str:
    """`https://host[:port]` of the issuer's URL, without path. `ValueError` for anything but an http(s) URL."""
    parts = urlsplit(issuer)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError("the issuer is an http(s) URL without user, query or fragment")
    return f"{parts.scheme}://{parts.netloc}"


def content_digest(body_digest: bytes) -> str:
    """RFC 9530 `Content-Digest` value of a body whose SHA-256 is given: `sha-256=:<base64>:`."""
    return f"sha-256=:{b2a_base64(body_digest, newline=False).decode('ascii')}:"


def verify_proof(
    text: str, *, key: VerifyKey, method: str, url: str, body_digest: bytes, token_digest: bytes | None, now: int
) -> Proof:
    """Check one request proof.

    key: the client's registered key. url: issuer origin + path, no query. body_digest: SHA-256 of the raw body, also of
    an empty one. token_digest: SHA-256 of the access token's text, None at the token endpoint. now: unix seconds.
    Raises `NotAuthenticated`: `proof_invalid`, `proof_expired`, `proof_body_mismatch`.
    """
    try:
        statement = verify(text, typ=PROOF_TYPE, key=key, members=BY_JWK)
        claims = statement.claims
        require_members(claims, _CLAIMS if token_digest is None else _WITH_TOKEN)
        _require_own_key(statement.header, key)
        jti = text_claim(claims, "jti", longest=128)
        require(_JTI.fullmatch(jti) is not None and claims["htm"] == method and claims["htu"] == url)
        require(token_digest is None or _same(claims["ath"], text_of(token_digest)))
        issued = time_claim(claims, "iat")
        require(issued <= now + SKEW)
    except Unsound as error:
        raise NotAuthenticated("proof_invalid") from error
    if now > issued + MAX_AGE + SKEW:
        raise NotAuthenticated("proof_expired")
    if not _same(claims["content-digest"], content_digest(body_digest)):
        raise NotAuthenticated("proof_body_mismatch")
    return Proof(proof_id=f"{key.thumbprint}.{jti}", ends=issued + MAX_AGE + SKEW + 1, text=text)


def seen_key(proof_id: str) -> bytes:
    """The digest under which a worker remembers a proof that it has seen."""
    return hashlib.sha256(proof_id.encode()).digest()


def _require_own_key(header: Mapping[str, Any], key: VerifyKey) -> None:
    # The signature already holds under the registered key; the header must not claim another one. A key has one spelling, so
    # its text is compared; one that carries its private half was lost in that moment (`keys.signing.public_from_jwk`).
    claimed = object_claim(header, "jwk")
    require(claimed.get("kty") == "OKP" and claimed.get("crv") == "Ed25519" and "d" not in claimed)
    require(_same(claimed.get("x"), _spelt(key.public)))


@lru_cache(maxsize=4096)
def _spelt(public: bytes) -> str:
    return text_of(public)


def _same(claim: object, expected: str) -> bool:
    return isinstance(claim, str) and claim.isascii() and hmac.compare_digest(claim, expected)
