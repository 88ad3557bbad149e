"""Access tokens: RFC 9068 (`at+jwt`), bound to the client's registered key by `cnf.jkt` (RFC 9449, 6.1), five minutes.

Rules kept here: the gateway issues and reads its own tokens only; a token names a client, never a person; what it
carries is checked again against the registry by `authenticate`, so a disabled client's token is worth nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jwt.api_jws import PyJWS

from gateway.domain.parties import Client
from gateway.errors import NotAuthenticated
from gateway.identity.remembered import Remembered
from gateway.identity.statements import (
    SKEW,
    Unsound,
    expired,
    kid_of,
    object_claim,
    require_lifetime,
    require_members,
    text_claim,
    verify,
)
from keys.signing import SigningKey, VerifyKey

TOKEN_TYPE = "at+jwt"  # noqa: S105 (a media type)
LIFETIME = 300
"""Seconds for which a token is good."""

_CLAIMS = frozenset({"iss", "aud", "sub", "client_id", "iat", "exp", "jti", "cnf"})
_JWS = PyJWS(algorithms=["EdDSA"])


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """client_id and the thumbprint of the key that the token is bound to. expires: unix seconds. digest: SHA-256 of its
    text, as `ath` names it.
    """

    client_id: str
    key_thumbprint: str
    expires: int
    digest: bytes


class AccessTokens:
    """Issues and reads access tokens.

    issuer: the gateway's URL, `iss` and `aud` alike. key: signs new tokens. earlier: keys whose tokens are still read
    while a rotation is under way.
    """

    def __init__(
        self, *, issuer: str, key: SigningKey, earlier: Sequence[VerifyKey] = (), remembered: int = 10_000
    ) -> None:
        self._issuer = issuer
        self._key = key
        self._readers = {reader.thumbprint: reader for reader in (key.verify_key, *earlier)}
        self._remembered: Remembered[VerifiedToken] = Remembered(remembered)

    def issue(self, client: Client, *, now: int) -> str:
        """A token for this client, bound to its registered key. now: unix seconds."""
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": client.client_id,
            "client_id": client.client_id,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
            "cnf": {"jkt": client.thumbprint},
        }
        header: dict[str, Any] = {"typ": TOKEN_TYPE, "kid": self._key.thumbprint}
        payload = json.dumps(claims, separators=(",", ":")).encode()
        return _JWS.encode(payload, self._key.handle, algorithm="EdDSA", headers=header)

    def read(self, text: str, *, now: int) -> VerifiedToken:
        """What a token says. Raises `NotAuthenticated`: `token_invalid` or `token_expired`."""
        try:
            digest = hashlib.sha256(text.encode("ascii")).digest()
        except UnicodeEncodeError as error:
            raise NotAuthenticated("token_invalid") from error
        known = self._remembered.get(digest, now)
        if known is not None:
            return known
        try:
            token = self._verify(text, digest, now)
        except Unsound as error:
            raise NotAuthenticated("token_invalid") from error
        if expired(token.expires, now):
            raise NotAuthenticated("token_expired")
        self._remembered.put(digest, token, ends=token.expires + SKEW, now=now)
        return token

    def _verify(self, text: str, digest: bytes, now: int) -> VerifiedToken:
        reader = self._readers.get(kid_of(text, typ=TOKEN_TYPE))
        if reader is None:
            raise Unsound
        claims = verify(text, typ=TOKEN_TYPE, key=reader).claims
        require_members(claims, _CLAIMS)
        if claims["iss"] != self._issuer or claims["aud"] != self._issuer or claims["sub"] != claims["client_id"]:
            raise Unsound
        return VerifiedToken(
            client_id=text_claim(claims, "client_id"),
            key_thumbprint=text_claim(object_claim(claims, "cnf"), "jkt", longest=43),
            expires=require_lifetime(claims, now=now, longest=LIFETIME),
            digest=digest,
        )
