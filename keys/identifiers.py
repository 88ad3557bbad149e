"""Identifiers of persons in one canonical form, before any cryptography touches them.

Rules kept here: what cannot be checked is refused, never guessed; repairs are limited to those listed (NFKC, which folds
full-width characters; upper case; surrounding space; the 15-digit form); no identifier stands in a repr or an error.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest

# GB/T 2260 province codes; 81-83 open the numbers on residence permits for people of 港澳台.
_PROVINCES = frozenset(
    str(code)
    for codes in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
    for code in range(codes[0], codes[1] + 1)
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_RESIDENT_18 = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)
_RESIDENT_15 = re.compile(r"[1-9][0-9]{14}", re.ASCII)
_BIRTH = re.compile(r"[A-Z][0-9]{9}", re.ASCII)
_PASSPORT = re.compile(r"E[A-HJ-NP-Z][0-9]{7}|[EGDSP][0-9]{8}|[DSP]E?[0-9]{7}|1[45][0-9]{7}", re.ASCII)
_HONG_KONG_MACAO = re.compile(r"([HM][0-9]{8})(?:[0-9]{2})?", re.ASCII)
_TAIWAN = re.compile(r"([0-9]{8})(?:[0-9]{2})?", re.ASCII)
_ISSUED = re.compile(rf"(?:{'|'.join(department.short for department in Department)})-[0-9a-z]{{8,40}}", re.ASCII)
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Identifier:
    """A canonical, typed identifier. kind: a key of `KINDS`. canonical: ASCII bytes `<kind>:<value>`."""

    kind: str
    canonical: bytes = field(repr=False)


def identify(kind: str, text: str) -> Identifier:
    """The canonical identifier behind what was typed.

    kind: `cn-rid` 居民身份证号 (GB 11643, also 15-digit, 港澳台居民居住证 and 外国人永久居留身份证), `cn-birth` 出生医学证明编号,
    `cn-passport` 护照, `cn-hkmo` 港澳居民来往内地通行证, `cn-tw` 台湾居民来往大陆通行证, `issued` a number that one department
    gave to a child without any. Raises `BadRequest("identifier_invalid")`; the error holds the kind at most.
    """
    form = KINDS.get(kind)
    if form is None:
        raise BadRequest("identifier_invalid")
    value = form(unicodedata.normalize("NFKC", text).strip()) if len(text) <= _LONGEST else None
    if value is None:
        raise BadRequest("identifier_invalid", kind=kind)
    return Identifier(kind=kind, canonical=f"{kind}:{value}".encode("ascii"))


def issue(department: Department) -> Identifier:
    """A fresh `issued` identifier (128 random bits) for a child who has no other."""
    return identify("issued", f"{department.short}-{secrets.token_hex(16)}")


def check_character(body: str) -> str:
    """The 18th character of a resident identity number: ISO 7064 MOD 11-2 over 17 digits (GB 11643-1999 section 4.4)."""
    return _CHECKS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, body, strict=True)) % 11]


def _resident(text: str) -> str | None:
    value = text.upper()
    if _RESIDENT_15.fullmatch(value):
        # The first generation gave two digits of the year, always of the 20th century, and no check character.
        body = value[:6] + "19" + value[6:]
        value = body + check_character(body)
    if not _RESIDENT_18.fullmatch(value) or check_character(value[:17]) != value[17]:
        return None
    # A leading 9 marks the permanent residence card of foreigners; its province follows.
    province = value[1:3] if value[0] == "9" else value[:2]
    return value if province in _PROVINCES and _is_date(value[6:14]) else None


def _is_date(digits: str) -> bool:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year >= 1850
    except ValueError:
        return False


def _whole(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def form(text: str) -> str | None:
        value = text.upper()
        return value if pattern.fullmatch(value) else None

    return form


def _lifelong(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    """Permits whose last two digits count re-issues: the lifelong part alone names the person."""

    def form(text: str) -> str | None:
        found = pattern.fullmatch(text.upper())
        return found.group(1) if found else None

    return form


def _issued(text: str) -> str | None:
    value = text.lower()
    return value if _ISSUED.fullmatch(value) else None


KINDS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "cn-rid": _resident,
        "cn-birth": _whole(_BIRTH),
        "cn-passport": _whole(_PASSPORT),
        "cn-hkmo": _lifelong(_HONG_KONG_MACAO),
        "cn-tw": _lifelong(_TAIWAN),
        "issued": _issued,
    }
)
