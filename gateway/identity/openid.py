"""Sign-in by OpenID Connect (Core 1.0, code flow with PKCE): what is asked of the provider, and what its answer has to hold.

Pure: no network, no clock. What comes from the provider is read here and nowhere else; `openid_provider.py` fetches it.

Rules kept here: one provider, named by the settings and compared as it stands; PKCE by S256 only; a closed list of algorithms, and
the key decides which of them it serves; every answer is tied to one visit by state, nonce and verifier; of a token nothing is taken
but issuer and subject: who that is, and in which role, the gateway's own binding says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from jwt import PyJWK
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWKError, PyJWTError

from gateway.identity.statements import Unsound, object_of, parts_of, text_of

SKEW = 60
"""Seconds by which two clocks may differ."""
LONGEST_TOKEN = 16_384
LONGEST_CODE = 4_096
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# Algorithm -> (key type, curve or ""). Nothing symmetric: whoever knows the client's secret must not be able to sign.
ALGORITHMS = {
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
_SHORTEST_RSA = 2048
_JWS = PyJWS(algorithms=list(ALGORITHMS))


class OpenIdUnsound(Exception):  # noqa: N818 - named like `statements.Unsound`
    """The provider or its answer does not hold. why: a fixed word, fit for a log line."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider as its discovery document describes it, checked. basic: the client's secret goes into the header."""

    issuer: str
    authorization: str
    token: str
    keys: str
    end_session: str
    names_itself: bool
    basic: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in under way; it stands sealed in the browser's cookie. until: unix seconds."""

    issuer: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    until: int

    @classmethod
    def begin(cls, issuer: str, until: int) -> Attempt:
        """A fresh one; 256 random bits for each of the three."""
        return cls(issuer, secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32), until)

    @property
    def challenge(self) -> str:
        """The code challenge, S256 (RFC 7636)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return text_of(digest)


# --- the provider ---------------------------------------------------------------------------------------------------------------


def read_discovery(document: Mapping[str, Any], issuer: str) -> Provider:
    """The provider that a discovery document describes (OpenID Connect Discovery 1.0). `OpenIdUnsound`."""
    if document.get("issuer") != issuer:
        raise OpenIdUnsound("issuer")
    if "S256" not in _words(document, "code_challenge_methods_supported"):
        raise OpenIdUnsound("pkce")
    if "code" not in _words(document, "response_types_supported"):
        raise OpenIdUnsound("response_types")
    ways = _words(document, "token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Provider(
        issuer=issuer,
        authorization=_endpoint(document, "authorization_endpoint", issuer),
        token=_endpoint(document, "token_endpoint", issuer),
        keys=_endpoint(document, "jwks_uri", issuer),
        end_session=_endpoint(document, "end_session_endpoint", issuer) if document.get("end_session_endpoint") else "",
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        basic="client_secret_basic" in ways,
    )


def fit_for_secrets(url: str) -> bool:
    """Whether a URL is https, or http on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def authorization_url(
    provider: Provider, attempt: Attempt, *, client_id: str, redirect: str, acr: Sequence[str] = ()
) -> str:
    """Where the browser is sent. acr: levels of authentication that are asked for."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect,
        "scope": "openid",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    if acr:
        asked["acr_values"] = " ".join(acr)
    return _with_query(provider.authorization, asked)


def end_session_url(provider: Provider, *, client_id: str, back: str) -> str:
    """Where the browser is sent to end the provider's own session (RP-Initiated Logout 1.0). `OpenIdUnsound` where there is none."""
    if not provider.end_session:
        raise OpenIdUnsound("no_end_session")
    return _with_query(provider.end_session, {"client_id": client_id, "post_logout_redirect_uri": back})


# --- its answers ------------------------------------------------------------------------------------------------------------------


def code_in(answer: Sequence[tuple[str, str]], attempt: Attempt, provider: Provider, *, now: int) -> str:
    """The code that the provider sent along, if the answer belongs to this attempt.

    answer: the parameters of the redirect as received. now: unix seconds. `OpenIdUnsound`: late, repeated, state, issuer, error, code.
    """
    said = dict(answer)
    if len(said) != len(answer):
        raise OpenIdUnsound("repeated")
    if now > attempt.until or attempt.issuer != provider.issuer:
        raise OpenIdUnsound("late")
    if not hmac.compare_digest(said.get("state", "").encode(), attempt.state.encode()):
        raise OpenIdUnsound("state")
    # RFC 9207: an answer that names another issuer was meant for another provider's token endpoint (mix-up).
    if said.get("iss", provider.issuer) != provider.issuer or (provider.names_itself and "iss" not in said):
        raise OpenIdUnsound("mix_up")
    if "error" in said:
        raise OpenIdUnsound("error")
    code = said.get("code", "")
    if not 0 < len(code) <= LONGEST_CODE:
        raise OpenIdUnsound("code")
    return code


def key_id(token: str) -> str:
    """The key id that an ID token names, "" for none; nothing is verified. `OpenIdUnsound`."""
    header = _header(token)
    kid = header.get("kid", "")
    if not isinstance(kid, str):
        raise OpenIdUnsound("header")
    return kid


def find_key(jwks: Sequence[Mapping[str, Any]], kid: str) -> Mapping[str, Any] | None:
    """The signing key of that id; without an id the only one. None where there is none."""
    signing = [one for one in jwks if one.get("use", "sig") == "sig"]
    found = [one for one in signing if one.get("kid") == kid] if kid else signing
    return found[0] if len(found) == 1 else None


def read_id_token(
    token: str,
    jwk: Mapping[str, Any],
    attempt: Attempt,
    *,
    client_id: str,
    now: int,
    acr: Sequence[str] = (),
) -> str:
    """The subject of an ID token (OpenID Connect Core 3.1.3.7). acr: levels of authentication of which it must name one.

    `OpenIdUnsound`: header, algorithm, key, signature, issuer, audience, expired, future, nonce, acr, subject.
    """
    claims = _verified(token, jwk)
    if claims.get("iss") != attempt.issuer:
        raise OpenIdUnsound("issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", client_id if len(audiences) == 1 else None)
    if client_id not in audiences or party != client_id:
        raise OpenIdUnsound("audience")
    if _seconds(claims, "exp") + SKEW <= now:
        raise OpenIdUnsound("expired")
    if _seconds(claims, "iat") > now + SKEW or ("nbf" in claims and _seconds(claims, "nbf") > now + SKEW):
        raise OpenIdUnsound("future")
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
        raise OpenIdUnsound("nonce")
    if acr and claims.get("acr") not in acr:
        raise OpenIdUnsound("acr")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise OpenIdUnsound("subject")
    return subject


def _verified(token: str, jwk: Mapping[str, Any]) -> dict[str, Any]:
    algorithm = _header(token)["alg"]
    kind, curve = ALGORITHMS[algorithm]
    if jwk.get("kty") != kind or jwk.get("crv", "") != curve or jwk.get("alg", algorithm) != algorithm:
        raise OpenIdUnsound("key")
    public = {name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    try:
        key = PyJWK(public, algorithm=algorithm).key
        if kind == "RSA" and key.key_size < _SHORTEST_RSA:
            raise OpenIdUnsound("key")
        payload: bytes = _JWS.decode_complete(token, key, algorithms=[algorithm])["payload"]
        return object_of(payload)
    except PyJWKError as error:
        raise OpenIdUnsound("key") from error
    except (PyJWTError, Unsound, ValueError, TypeError) as error:
        raise OpenIdUnsound("signature") from error


def _header(token: str) -> dict[str, Any]:
    """The header, nothing verified, if its algorithm is on the list and it asks for nothing special."""
    try:
        header = object_of(parts_of(token)[0])
    except Unsound as error:
        raise OpenIdUnsound("header") from error
    if header.get("alg") not in ALGORITHMS:
        raise OpenIdUnsound("algorithm")
    # No key, no certificate and no extension that a token brings along is looked at (RFC 8725, 3.10).
    if header.keys() - {"alg", "kid", "typ", "x5t", "x5t#S256"}:
        raise OpenIdUnsound("header")
    return header


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or len(url) > 2048 or not fit_for_secrets(url):
        raise OpenIdUnsound("endpoint")
    if urlsplit(issuer).scheme == "https" and urlsplit(url).scheme != "https":
        raise OpenIdUnsound("endpoint")
    return url


def _words(document: Mapping[str, Any], name: str) -> list[str]:
    words = document.get(name, [])
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 2**40:
        raise OpenIdUnsound("expired")
    return int(value)


def _with_query(url: str, asked: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"


def packed(attempt: Attempt) -> bytes:
    """An attempt as bytes to be sealed."""
    told = {name: getattr(attempt, name) for name in Attempt.__slots__}
    return json.dumps(told, separators=(",", ":")).encode("ascii")


def unpacked(data: bytes) -> Attempt:
    """The attempt behind bytes that were sealed here."""
    return Attempt(**json.loads(data))
