"""Numbers with a check digit: citizens, organisations, cards; and the shape of region codes.

Rules kept here: pure predicates over text; nothing is normalised silently; the weights are those of the standards
(GB 11643-1999, GB 32100-2015, ISO/IEC 7812-1).
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from operator import mul

_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1)

_ORGANISATION = re.compile(r"[0-9A-HJ-NP-RTUWXY]{2}[0-9]{6}[0-9A-HJ-NP-RTUWXY]{10}", re.ASCII)
_ORGANISATION_VALUES = bytes.maketrans(b"0123456789ABCDEFGHJKLMNPQRTUWXY", bytes(range(31)))
# The last character is the check digit: it makes the weighed sum a multiple of 31.
_ORGANISATION_WEIGHTS = (*(pow(3, position, 31) for position in range(17)), 1)

# GB/T 2260 province prefixes; 66 is the tree of the Xinjiang Production and Construction Corps (兵团), which has
# divisions and regiments of its own beside Xinjiang's 65.
PROVINCES = frozenset(re.findall("..", "1112131415212223313233343536374142434445465051525354616263646566718182"))
_CITIZEN_PROVINCES = PROVINCES | {"83"}
_YEARS = frozenset(str(year) for year in range(1800, 2100))
_DAYS = frozenset(f"{date(2000, 1, 1) + timedelta(days=day):%m%d}" for day in range(366))
_DIGITS_3, _DIGITS_4 = [f"{number:03d}" for number in range(1000)], [f"{number:04d}" for number in range(10_000)]
# Levels of 2, 4 and 6 digits, then 3 for the township and 3 for the village; nothing stands under an empty level.
REGION = re.compile(
    rf"(?:{'|'.join(sorted(PROVINCES))})(?:0000(?:000){{0,2}}|(?!00)[0-9]{{4}}(?:000000|(?!000)[0-9]{{6}}|[0-9]{{3}})?)",
    re.ASCII,
)


def _weighed(groups: Iterable[str], start: int) -> dict[str, int]:
    """Groups of a citizen's number that begin at character `start` -> their weighed sum (X counts 10)."""
    weights = _CITIZEN_WEIGHTS[start:]
    return {
        group: sum(weight * (10 if sign == "X" else int(sign)) for weight, sign in zip(weights, group, strict=False))
        for group in groups
    }


# A citizen's number group by group: a group that is no key here does not occur. Five look-ups are several times cheaper
# than eighteen multiplications, and they check province and birth date on the way.
_PROVINCE_SUMS = _weighed(_CITIZEN_PROVINCES, 0)
_COUNTY_SUMS = _weighed(_DIGITS_4, 2)
_YEAR_SUMS = _weighed(_YEARS, 6)
_DAY_SUMS = _weighed(_DAYS, 10)
CITIZEN_ENDS = _weighed((digits + check for digits in _DIGITS_3 for check in "0123456789X"), 14)
"""The last four characters that a citizen's number may have, with their weighed sums."""


def is_citizen_number(text: str) -> bool:
    """A GB 11643 number of 18 characters: province, a birth date that exists, MOD 11-2 check digit (upper-case X).

    Permits for residents of Hong Kong, Macao and Taiwan (81, 82, 83) follow the same arithmetic.
    """
    try:
        total = (
            _PROVINCE_SUMS[text[:2]]
            + _COUNTY_SUMS[text[2:6]]
            + _YEAR_SUMS[text[6:10]]
            + _DAY_SUMS[text[10:14]]
            + CITIZEN_ENDS[text[14:]]
        )
    except KeyError:
        return False
    # ISO 7064 MOD 11-2: with the check character's own weight of 1 the sum leaves 1.
    return total % 11 == 1 and (text[10:14] != "0229" or isleap(int(text[6:10])))


def are_citizen_numbers(texts: Sequence[str]) -> bool:
    """Whether all are GB 11643 numbers: `is_citizen_number` of many, at half the cost of asking one by one."""
    days = [text[10:14] for text in texts]
    if "0229" in days:
        return all(map(is_citizen_number, texts))
    try:
        totals = [
            _PROVINCE_SUMS[text[:2]]
            + _COUNTY_SUMS[text[2:6]]
            + _YEAR_SUMS[text[6:10]]
            + _DAY_SUMS[day]
            + CITIZEN_ENDS[text[14:]]
            for text, day in zip(texts, days, strict=True)
        ]
    except KeyError:
        return False
    return {total % 11 for total in totals} == {1}


def is_birth_date(digits: str) -> bool:
    """Eight digits `YYYYMMDD` that name a day from 1800 to 2099."""
    day = digits[4:]
    return day in _DAYS and digits[:4] in _YEARS and (day != "0229" or isleap(int(digits[:4])))


def is_organisation_code(text: str) -> bool:
    """A GB 32100 unified social credit code: 18 characters without I, O, S, V, Z; check 31 - sum mod 31."""
    if _ORGANISATION.fullmatch(text) is None:
        return False
    values = text.encode("ascii").translate(_ORGANISATION_VALUES)
    total: int = sum(map(mul, _ORGANISATION_WEIGHTS, values))
    return total % 31 == 0


def is_region(text: str) -> bool:
    """A GB/T 2260 code of 6 digits, or its extension to 9 (township) or 12 (village).

    Checked is the structure: a known province, and no lower level under an empty higher one. Whether the county exists is
    the registry's knowledge; towns directly under a prefecture (东莞, 中山 and others) leave the county level empty.
    """
    return REGION.fullmatch(text) is not None


def is_card_number(digits: str) -> bool:
    """Sixteen to nineteen digits with a Luhn check digit and a bank's first digit (3-6)."""
    if not 16 <= len(digits) <= 19 or not digits.isdigit() or digits[0] not in "3456":
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
