"""One canonical JSON for everything that is hashed or signed: the restricted subset on which `json.dumps` equals RFC 8785.

Rules kept here: object keys `[a-z0-9_.:/@*-]` and ASCII; strings without lone surrogates; integers below 2**53; booleans, arrays,
objects; no floats, no null. Whoever stores canonical bytes stores the bytes and never rebuilds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

# No look-out for cycles, which costs as much as the encoding: a value that holds itself ends in a `RecursionError`.
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"), check_circular=False
)
_LIMIT = 2**53
_PLAIN = frozenset({str, bool})
_ARRAY = (list, tuple)


def canonical(value: Any) -> bytes:
    """UTF-8 canonical bytes of a restricted JSON value.

    Raises `ValueError` on floats, null, large integers, non-ASCII keys or lone surrogates.
    """
    try:
        text = _ENCODER.encode(value)
    except TypeError:
        raise ValueError("value has no canonical form") from None
    if type(value) is not str:
        _require_restricted(value)
    return text.encode("utf-8")


def parse_canonical(data: bytes) -> Any:
    """The value behind canonical bytes; `ValueError` if re-encoding does not give the same bytes."""
    value = json.loads(data.decode("utf-8"))
    if canonical(value) != data:
        raise ValueError("not canonical")
    return value


def _require_restricted(value: Any) -> None:
    # What JSON knows beyond our subset. One loop over all that is no text and no flag, what a container holds added behind: this
    # runs a dozen times per request.
    names: list[Any] = []
    nodes = [value]
    for node in nodes:
        kind = type(node)
        if kind is dict or isinstance(node, dict):
            names += node
            held = node.values()
        elif kind is int or isinstance(node, int):
            if not -_LIMIT < node < _LIMIT:
                raise ValueError("integer out of range")
            continue
        elif isinstance(node, _ARRAY):
            held = node
        elif isinstance(node, str):
            continue
        else:
            raise ValueError(f"{kind.__name__} has no canonical form")
        for member in held:
            if type(member) not in _PLAIN:
                nodes.append(member)  # noqa: PERF401 - a comprehension is a call of its own
    if not _ascii(names):
        raise ValueError("object key is not ASCII text")


def _ascii(names: Iterable[Any]) -> bool:
    try:
        return "".join(names).isascii()
    except TypeError:
        return False
