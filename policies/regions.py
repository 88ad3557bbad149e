"""Regions by prefix: GB/T 2260 (six digits) and its extension to township (nine) and village (twelve).

Rules kept here: trailing zero groups mean "and below"; groups are 2-2-2-3-3 digits, so 500000 (Chongqing) becomes `50` and never
touches 510101; `*` is any region and only a rule may say it.
"""

from __future__ import annotations

import re
from functools import lru_cache

ANY = "*"
LENGTHS = (2, 4, 6, 9, 12)
_CODE = re.compile(r"[1-9][0-9]{5}([0-9]{3}){0,2}\Z")


def is_region(code: str) -> bool:
    """Whether a text is a region code of 6, 9 or 12 digits."""
    return bool(_CODE.fullmatch(code))


@lru_cache(maxsize=65_536)
def prefix(code: str) -> str:
    """The digits of a region code without its trailing zero groups; `*` gives the empty prefix, which means any.

    >>> prefix("330100"), prefix("500000"), prefix("330106000000")
    ('3301', '50', '330106')
    """
    if code == ANY:
        return ""
    for length in reversed(LENGTHS):
        if len(code) < length:
            continue
        if code[length:].strip("0"):
            return code
        start = LENGTHS[LENGTHS.index(length) - 1] if length > LENGTHS[0] else 0
        if code[start:length].strip("0"):
            return code[:length]
    return code


def in_region(inner: str, outer: str) -> bool:
    """The matcher's `inRegion`: whether the region `inner` lies in `outer`, which may be `*`."""
    return outer == ANY or inner.startswith(prefix(outer))


@lru_cache(maxsize=65_536)
def enclosing(code: str) -> tuple[str, ...]:
    """Every prefix under which a rule may stand that holds for this region, the empty one first."""
    return ("", *(code[:length] for length in LENGTHS if length <= len(code)))


def narrower(one: str, other: str) -> str | None:
    """The narrower of two prefixes, or None where neither lies in the other."""
    if one.startswith(other):
        return one
    return other if other.startswith(one) else None
