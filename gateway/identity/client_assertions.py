"""How a client shows who it is at the token endpoint: private_key_jwt (RFC 7523, section 3).

Rules kept here: the audience is the issuer's URL alone (not the endpoint's), lifetimes are at most five minutes, each
assertion is good once; the key is the registered one, so an assertion cannot bring its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.domain.parties import Client
from gateway.errors import NotAuthenticated
from gateway.identity.statements import (
    Unsound,
    expired,
    kid_of,
    require,
    require_lifetime,
    require_members,
    text_claim,
    verify,
    verify_key,
)
from gateway.store.registry import Snapshot

ASSERTION_TYPE = "client-authentication+jwt"
LONGEST_ASSERTION = 300
"""Seconds between `iat` and `exp` at most."""

_CLAIMS = frozenset({"iss", "sub", "aud", "jti", "iat", "exp"})
_JTI = re.compile(r"[A-Za-z0-9_.~-]{16,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asserted:
    """A verified client assertion. assertion_id: to be claimed once, like a request proof."""

    client: Client
    assertion_id: str


def verify_assertion(text: str, *, issuer: str, snapshot: Snapshot, now: int) -> Asserted:
    """The client behind an assertion.

    Raises `NotAuthenticated`: `assertion_invalid`, `assertion_expired`, `client_unknown`, `client_disabled`.
    """
    try:
        client = _client(kid_of(text, typ=ASSERTION_TYPE), snapshot)
        claims = verify(text, typ=ASSERTION_TYPE, key=verify_key(client.public_key)).claims
        require_members(claims, _CLAIMS)
        require(claims["iss"] == claims["sub"] == client.client_id and claims["aud"] == issuer)
        jti = text_claim(claims, "jti", longest=128)
        require(_JTI.fullmatch(jti) is not None)
        expires = require_lifetime(claims, now=now, longest=LONGEST_ASSERTION)
    except Unsound as error:
        raise NotAuthenticated("assertion_invalid") from error
    if expired(expires, now):
        raise NotAuthenticated("assertion_expired")
    require_enabled(client, snapshot)
    return Asserted(client=client, assertion_id=f"assertion.{client.thumbprint}.{jti}")


def require_enabled(client: Client, snapshot: Snapshot) -> None:
    """Refuse a client that was disabled or whose kill switch is thrown: `NotAuthenticated("client_disabled")`."""
    if not client.enabled or ("client", client.client_id) in snapshot.stopped:
        raise NotAuthenticated("client_disabled")


def _client(kid: str, snapshot: Snapshot) -> Client:
    client = snapshot.client_by_key(kid)
    if client is None:
        raise NotAuthenticated("client_unknown")
    return client
