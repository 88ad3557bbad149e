"""One canonical JSON for everything that is hashed or signed: the restricted subset on which `json.dumps` equals RFC 8785.

Rules kept here: object keys `[a-z0-9_.:/@*-]` and ASCII; strings without lone surrogates; integers below 2**53; booleans, arrays,
objects; no floats, no null. Whoever stores canonical bytes stores the bytes and never rebuilds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

# No look-out for cycles: the walk before it would never have come to an end. It costs as much as the encoding.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)
_LIMIT = 2**53
_PLAIN = frozenset({str, bool})


def canonical(value: Any) -> bytes:
    """UTF-8 canonical bytes of a restricted JSON value.

    Raises `ValueError` on floats, null, large integers, non-ASCII keys or lone surrogates.
    """
    _require_restricted(value)
    return _ENCODER.encode(value).encode("utf-8")


def parse_canonical(data: bytes) -> Any:
    """The value behind canonical bytes; `ValueError` if re-encoding does not give the same bytes."""
    value = json.loads(data.decode("utf-8"))
    if canonical(value) != data:
        raise ValueError("not canonical")
    return value


def _require_restricted(value: Any) -> None:
    # Exact types first, and no call for a member that is text or a flag: this runs a dozen times per request.
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is dict:
        if not _ascii(value):
            raise ValueError("object key is not ASCII text")
        for item in value.values():
            if type(item) not in _PLAIN:
                _require_restricted(item)
    elif kind is list or kind is tuple:
        for item in value:
            if type(item) not in _PLAIN:
                _require_restricted(item)
    elif isinstance(value, str):
        return
    elif isinstance(value, int):
        if not -_LIMIT < value < _LIMIT:
            raise ValueError("integer out of range")
    elif isinstance(value, dict | list | tuple):
        _require_restricted(dict(value) if isinstance(value, dict) else list(value))
    else:
        raise ValueError(f"{kind.__name__} has no canonical form")


def _ascii(keys: Iterable[Any]) -> bool:
    try:
        return "".join(keys).isascii()
    except TypeError:
        return False
