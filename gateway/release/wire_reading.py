"""Strict reading of JSON values that came over a wire: closed keys, bounded sizes, no coercion.

Rules kept here: every refusal is `BadRequest("wire_invalid")` with the name of the member of our own format at most, never
with a value or a foreign key; an absent member is absent, never null; duplicate keys in a body are refused (RFC 8259
section 4 leaves them undefined); bytes are base64url without padding (RFC 4648 section 5), in their one canonical spelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn, TypeVar

from gateway.domain import base64url
from gateway.domain.orders import FieldValue
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest

MAX_BODY = 8 * 1024 * 1024
MAX_LINES = 1000
MAX_FIELDS = 96
MAX_TEXT = 8192
MAX_ITEMS = 64
MAX_ITEM = 128
MAX_CIPHERTEXT = 64 * 1024
MAX_ENCAPSULATION = 4096
MAX_INTEGER = 2**53 - 1

FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", re.ASCII)
HEX_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
REGION = re.compile(r"[0-9]{6}(?:[0-9]{3}){0,2}", re.ASCII)
REGION_PREFIX = re.compile(r"[0-9]{0,12}", re.ASCII)
_ORGANISATION = re.compile(r"[0-9A-HJ-NP-RTUWXY]{18}", re.ASCII)
# Control characters can hide text from a reader; a lone surrogate can be neither hashed nor sent as UTF-8.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HIDDEN_IN_PROSE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

T = TypeVar("T")


def refuse(member: str) -> NoReturn:
    """Refuse the document, naming only the member of our own format."""
    raise BadRequest("wire_invalid", member=member) from None


def read_json(body: bytes, *, limit: int = MAX_BODY) -> dict[str, Any]:
    """The JSON object in `body` (UTF-8, at most `limit` bytes). Duplicate keys, NaN, floats and null are refused."""
    if len(body) > limit:
        refuse("body")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        refuse("body")
    if not isinstance(value, dict):
        refuse("body")
    return value


def members(value: object, required: frozenset[str], optional: frozenset[str] = frozenset()) -> Mapping[str, Any]:
    """`value` as an object with all `required` and none but `required` and `optional` members."""
    if not isinstance(value, dict):
        refuse("object")
    keys = value.keys()
    if keys != required and not (optional and required <= keys <= required | optional):
        refuse("members")
    return value


def text(value: object, member: str, *, limit: int = 256) -> str:
    """A non-empty string without control characters or lone surrogates, at most `limit` characters."""
    if not isinstance(value, str) or not 0 < len(value) <= limit or _HIDDEN.search(value) is not None:
        refuse(member)
    return value


def matched(value: object, pattern: re.Pattern[str], member: str) -> str:
    """A string that `pattern` matches whole."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        refuse(member)
    return value


def whole(value: object, member: str, *, low: int, high: int) -> int:
    """An integer in [low, high]; a boolean is not one."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        refuse(member)
    return value


def flag(value: object, member: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        refuse(member)
    return value


def binary(value: object, member: str, *, low: int = 1, high: int) -> bytes:
    """Bytes from base64url without padding, length in [low, high]."""
    if not isinstance(value, str) or len(value) > (high * 4 + 2) // 3:
        refuse(member)
    try:
        data = base64url.decode(value)
    except ValueError:
        refuse(member)
    if not low <= len(data) <= high:
        refuse(member)
    return data


def bytes_of(size: int, member: str) -> Callable[[object], bytes]:
    """A reader of exactly `size` bytes from base64url without padding."""
    length = (size * 4 + 2) // 3

    def read(value: object) -> bytes:
        if not isinstance(value, str) or len(value) != length:
            refuse(member)
        try:
            return base64url.decode(value)
        except ValueError:
            refuse(member)

    return read


unpadded = base64url.encode
"""Base64url without padding."""


def party(value: object, member: str) -> Party:
    """A party from `<organisation>/<department>` (GB 32100 alphabet, 18 characters; check digit is the registry's)."""
    if not isinstance(value, str):
        refuse(member)
    try:
        return _party(value)
    except ValueError:
        refuse(member)


@lru_cache(maxsize=4_096)
def _party(text: str) -> Party:
    organisation, _, department = text.partition("/")
    if _ORGANISATION.fullmatch(organisation) is None:
        raise ValueError("no organisation")
    return Party(organisation, Department(department))


def listing(value: object, member: str, read: Callable[[Any], T], *, limit: int) -> tuple[T, ...]:
    """An array of at most `limit` items, each read by `read`."""
    if not isinstance(value, list) or len(value) > limit:
        refuse(member)
    return tuple(map(read, value))


def by_field(value: object, member: str, read: Callable[[Any], T], *, limit: int = MAX_FIELDS) -> dict[str, T]:
    """An object whose keys are field names, at most `limit`, each value read by `read`."""
    if not isinstance(value, dict) or len(value) > limit:
        refuse(member)
    for name in value:
        if FIELD_NAME.fullmatch(name) is None:
            refuse(member)
    return {name: read(item) for name, item in value.items()}


def field_value(value: object) -> FieldValue:
    """A value of a field: text (up to 8,192 characters), integer, boolean, or up to 64 short texts."""
    match value:
        case str():
            if len(value) > MAX_TEXT or _HIDDEN_IN_PROSE.search(value) is not None:
                refuse("value")
            return value
        case bool():
            return value
        case int():
            return whole(value, "value", low=-MAX_INTEGER, high=MAX_INTEGER)
        case list():
            return list(listing(value, "value", _item, limit=MAX_ITEMS))
        case _:
            refuse("value")


def _item(value: object) -> str:
    return text(value, "value", limit=MAX_ITEM)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _refuse_number(_: str) -> NoReturn:
    raise ValueError("number has no canonical form")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number)
