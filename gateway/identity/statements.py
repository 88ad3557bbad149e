"""Signed statements: compact JWS (RFC 7515) with one algorithm and a `typ` that its reader names (RFC 8725, 3.11).

Rules kept here: `EdDSA` only; the header holds exactly the members that its kind has, so no `crit`, `jku`, `x5c` or foreign
`jwk` is ever looked at; the key comes from the caller of `verify`; unpadded base64url in its one spelling; JSON without
repeated members.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jwt.api_jws import PyJWS

from gateway.domain import base64url
from gateway.errors import BadRequest
from keys.signing import VerifyKey

LONGEST = 16_384
"""Characters of the longest statement that is read at all."""

SKEW = 60
"""Seconds by which two clocks may differ."""

BY_KID = frozenset({"typ", "alg", "kid"})
BY_JWK = frozenset({"typ", "alg", "jwk"})

# The algorithm as PyJWT has it, without PyJWT's own reading of the three parts: that walks over every character once more and
# takes a header with a repeated member, and what stands in ours is held to one spelling and to exact members here.
_EDDSA = PyJWS(algorithms=["EdDSA"]).get_algorithm_by_name("EdDSA")


class Unsound(Exception):  # noqa: N818 (no error of its own: each reader names its code)
    """The text is no statement of the expected kind under the expected key. Says nothing more."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A verified statement. text: as received, for evidence."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)


def verify(text: str, *, typ: str, key: VerifyKey, members: frozenset[str] = BY_KID) -> Statement:
    """The statement behind a compact JWS signed by `key`.

    typ: the one media type accepted. members: exactly the header members it must have. Raises `Unsound`.
    """
    header, payload, signature = _read(text, typ, members)
    try:
        sound = _EDDSA.verify(text.rpartition(".")[0].encode("ascii"), key.handle, signature)
    except (ValueError, TypeError) as error:
        raise Unsound from error
    if not sound:
        raise Unsound
    return Statement(header=header, claims=object_of(payload), text=text)


def kid_of(text: str, *, typ: str) -> str:
    """The key id that a statement claims, before anything is verified: only good for finding a key. Raises `Unsound`."""
    header, _, _ = _read(text, typ, BY_KID)
    return text_claim(header, "kid", longest=64)


def parts_of(text: str) -> tuple[bytes, bytes, bytes]:
    """The three parts of a compact statement, nothing verified; each in the one spelling of its bytes. Raises `Unsound`."""
    first, second, third = _split(text)
    return bytes_of(first), bytes_of(second), bytes_of(third)


def text_of(data: bytes) -> str:
    """Unpadded base64url: the one spelling that `bytes_of` reads."""
    return base64url.encode(data)


def bytes_of(text: str) -> bytes:
    """The bytes behind unpadded base64url, which has one spelling for each. Raises `Unsound`."""
    try:
        return base64url.decode(text)
    except ValueError as error:
        raise Unsound from error


def object_of(payload: bytes) -> dict[str, Any]:
    """The JSON object in a part, no member repeated. Raises `Unsound`."""
    try:
        value = _JSON.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unsound from error
    if not isinstance(value, dict):
        raise Unsound
    return value


@lru_cache(maxsize=4096)
def verify_key(public: bytes) -> VerifyKey:
    """The key object of 32 registered bytes; making one costs as much as a third of a verification, so they are kept."""
    return VerifyKey(public)


def text_claim(claims: Mapping[str, Any], name: str, *, longest: int = 256) -> str:
    """A claim that must be a non-empty text. Raises `Unsound`."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Unsound
    return value


def time_claim(claims: Mapping[str, Any], name: str) -> int:
    """A claim that must be unix seconds, whole and positive. Raises `Unsound`."""
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**40:
        raise Unsound
    return value


def object_claim(claims: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A claim that must be a JSON object. Raises `Unsound`."""
    value = claims.get(name)
    if not isinstance(value, dict):
        raise Unsound
    return value


def public_key_claim(claims: Mapping[str, Any], name: str) -> VerifyKey:
    """A claim that must be a public Ed25519 JWK. Raises `Unsound`."""
    try:
        return VerifyKey.from_jwk(object_claim(claims, name))
    except BadRequest as error:
        raise Unsound from error


def require(condition: bool) -> None:
    """What a statement must fulfil. Raises `Unsound`."""
    if not condition:
        raise Unsound


def require_members(claims: Mapping[str, Any], names: frozenset[str]) -> None:
    """Exactly these claims, none more. Raises `Unsound`."""
    if claims.keys() != names:
        raise Unsound


def require_lifetime(claims: Mapping[str, Any], *, now: int, longest: int) -> int:
    """Check `iat` and `exp`: issued not in the future, lifetime within `longest` seconds. Returns `exp`, which the caller
    compares with `now` itself, because an expired statement has a code of its own. Raises `Unsound`.
    """
    issued, expires = time_claim(claims, "iat"), time_claim(claims, "exp")
    if issued > now + SKEW or not 0 < expires - issued <= longest:
        raise Unsound
    return expires


def expired(expires: int, now: int) -> bool:
    """Whether an `exp` has passed, the skew allowed for."""
    return expires + SKEW <= now


def _read(text: str, typ: str, members: frozenset[str]) -> tuple[Mapping[str, Any], bytes, bytes]:
    """Header, payload and signature of a compact statement of this kind, nothing verified. Raises `Unsound`."""
    first, second, third = _split(text)
    header = _kept_header(first, typ, members) if len(first) <= _LONGEST_KEPT else _header(first, typ, members)
    return header, bytes_of(second), bytes_of(third)


def _header(part: str, typ: str, members: frozenset[str]) -> Mapping[str, Any]:
    header = object_of(bytes_of(part))
    if header.keys() != members or header["typ"] != typ or header["alg"] != "EdDSA":
        raise Unsound
    if not isinstance(header.get("kid", ""), str):
        raise Unsound
    return header


# All that one key signs begins with the same header: it names the key and the kind. What was refused is not kept.
_kept_header = lru_cache(maxsize=4096)(_header)
_LONGEST_KEPT = 512


def _split(text: str) -> tuple[str, str, str]:
    # What stands between the dots is looked at where it is decoded.
    parts = text.split(".", 3) if len(text) <= LONGEST else []
    if len(parts) != 3 or not all(parts):
        raise Unsound
    return parts[0], parts[1], parts[2]


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _refuse_constant(_name: str) -> None:
    raise ValueError("not JSON")


# One decoder for all: `json.loads` makes one at every call that names a hook.
_JSON = json.JSONDecoder(object_pairs_hook=_unrepeated, parse_constant=_refuse_constant)
