"""Numbers with a check digit: citizens, organisations, cards; and the shape of region codes.

Rules kept here: pure predicates over text; nothing is normalised silently; the weights are those of the standards
(GB 11643-1999, GB 32100-2015, ISO/IEC 7812-1).
"""

from __future__ import annotations

import re
from calendar import isleap
from datetime import date, timedelta
from operator import mul

_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CITIZEN_EXCESS = 48 * sum(_CITIZEN_WEIGHTS)
_CITIZEN_CHECK = "10X98765432"

_ORGANISATION = re.compile(r"[0-9A-HJ-NP-RTUWXY]{2}[0-9]{6}[0-9A-HJ-NP-RTUWXY]{10}", re.ASCII)
_ORGANISATION_VALUES = {character: value for value, character in enumerate("0123456789ABCDEFGHJKLMNPQRTUWXY")}
_ORGANISATION_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))

# GB/T 2260 province prefixes; 66 is the tree of the Xinjiang Production and Construction Corps (兵团), which has
# divisions and regiments of its own beside Xinjiang's 65.
PROVINCES = frozenset(re.findall("..", "1112131415212223313233343536374142434445465051525354616263646566718182"))
_CITIZEN_PROVINCES = PROVINCES | {"83"}
_YEARS = frozenset(str(year) for year in range(1800, 2100))
_DAYS = frozenset(f"{date(2000, 1, 1) + timedelta(days=day):%m%d}" for day in range(366))
_REGION_LENGTHS = (6, 9, 12)


def is_citizen_number(text: str) -> bool:
    """A GB 11643 number of 18 characters: province, a birth date that exists, MOD 11-2 check digit (upper-case X).

    Permits for residents of Hong Kong, Macao and Taiwan (81, 82, 83) follow the same arithmetic.
    """
    head = text[:17]
    if (
        len(text) != 18
        or not (head.isascii() and head.isdigit())
        or text[0] == "0"
        or text[:2] not in _CITIZEN_PROVINCES
    ):
        return False
    if not is_birth_date(text[6:14]):
        return False
    # "0" is 48 in ASCII, so every weight counts 48 too often.
    total = sum(map(mul, _CITIZEN_WEIGHTS, head.encode("ascii"))) - _CITIZEN_EXCESS
    return _CITIZEN_CHECK[total % 11] == text[17]


def is_birth_date(digits: str) -> bool:
    """Eight digits `YYYYMMDD` that name a day from 1800 to 2099."""
    day = digits[4:]
    return day in _DAYS and digits[:4] in _YEARS and (day != "0229" or isleap(int(digits[:4])))


def is_organisation_code(text: str) -> bool:
    """A GB 32100 unified social credit code: 18 characters without I, O, S, V, Z; check 31 - sum mod 31."""
    if _ORGANISATION.fullmatch(text) is None:
        return False
    total = sum(
        weight * _ORGANISATION_VALUES[character] for weight, character in zip(_ORGANISATION_WEIGHTS, text, strict=False)
    )
    return (31 - total % 31) % 31 == _ORGANISATION_VALUES[text[17]]


def is_region(text: str) -> bool:
    """A GB/T 2260 code of 6 digits, or its extension to 9 (township) or 12 (village).

    Checked is the structure: a known province, and no lower level under an empty higher one. Whether the county exists is
    the registry's knowledge; towns directly under a prefecture (东莞, 中山 and others) leave the county level empty.
    """
    length = len(text)
    if length not in _REGION_LENGTHS or not (text.isascii() and text.isdigit()) or text[:2] not in PROVINCES:
        return False
    if text[2:4] == "00" and text[4:].strip("0"):
        return False
    return length < 12 or text[6:9] != "000" or text[9:] == "000"


def is_card_number(digits: str) -> bool:
    """Sixteen to nineteen digits with a Luhn check digit and a bank's first digit (3-6)."""
    if not 16 <= len(digits) <= 19 or not digits.isdigit() or digits[0] not in "3456":
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
