"""Forms of dates, moments and periods (GB/T 7408 / ISO 8601), by day, month, year, age band or shift.

Rules kept here: a shifted date moves by one keyed number of days per child and purpose, never by zero, so that intervals
within one child's releases stay true and dates do not join releases of different purposes; an age is told as a band.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from gateway.domain.orders import FieldValue
from gateway.release.form import Form, NotInForm, Recognises, Surroundings, all_known, unchanged

# Years 1900 to 2099, their months, and "-MM-DD" of a leap year: looking up is several times cheaper than parsing.
_YEARS = frozenset(str(year) for year in range(1900, 2100))
_MONTHS = frozenset(f"{year}-{month:02d}" for year in _YEARS for month in range(1, 13))
_DAYS = frozenset((date(2000, 1, 1) + timedelta(days=day)).isoformat()[4:] for day in range(366))
_LEAP_YEARS = frozenset(year for year in _YEARS if isleap(int(year)))
_QUARTER = re.compile(r"(?:19|20)[0-9]{2}-Q[1-4]", re.ASCII)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|\+08:00)", re.ASCII)
_SHIFT = re.compile(r"date\.shift=([1-9][0-9]{0,2})", re.ASCII)

AGE_BANDS = ("0-7", "8-13", "14-15", "16-17", "18+")
_FIRST_AGE = (0, 8, 14, 16, 18)


def date_form(name: str) -> Form | None:
    """The form of a calendar day: "" (as it is), `date.month`, `date.year`, `date.age_band`, `date.shift=<days>`."""
    match name:
        case "":
            days = all_known(is_day)
            return Form(_day, is_day, all_in=days, apply_all=unchanged(days))
        case "date.month":
            return Form(_month, _is_month, all_in=_MONTHS.issuperset, apply_all=_months)
        case "date.year":
            return Form(lambda value, _: _day(value)[:4], _is_year, all_in=_YEARS.issuperset)
        case "date.age_band":
            return Form(
                _age_band,
                lambda value: isinstance(value, str) and value in AGE_BANDS,
                all_in=frozenset(AGE_BANDS).issuperset,
            )
    shift = _SHIFT.fullmatch(name)
    return _shift_form(int(shift[1])) if shift else None


def instant_form(name: str) -> Form | None:
    """The form of a moment: "" (as it is), `date.day`, `date.month`, `date.year`."""
    cut = {"date.day": 10, "date.month": 7, "date.year": 4}.get(name)
    if name == "":
        return Form(_instant, is_instant)
    if cut is None:
        return None
    recognises: dict[int, Recognises] = {10: is_day, 7: _is_month, 4: _is_year}
    return Form(lambda value, _: _instant(value)[:cut], recognises[cut])


def period_form(name: str) -> Form | None:
    """The form of a period (year, quarter, month, or two days with a slash): "" , `date.month`, `date.year`."""
    match name:
        case "":
            return Form(_period, is_period)
        case "date.month":
            return Form(
                lambda value, _: _ends(value, 7), lambda value: is_period(value) and not is_day(str(value)[:10])
            )
        case "date.year":
            return Form(lambda value, _: _ends(value, 4), _is_years)
    return None


def is_day(value: FieldValue) -> bool:
    """`YYYY-MM-DD` of a day that exists, 1900 to 2099."""
    if not isinstance(value, str):
        return False
    day = value[4:]
    return day in _DAYS and value[:4] in _YEARS and (day != "-02-29" or value[:4] in _LEAP_YEARS)


def is_instant(value: FieldValue) -> bool:
    """`YYYY-MM-DDThh:mm[:ss]` with `Z` or `+08:00`."""
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None or not is_day(value[:10]):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_period(value: FieldValue) -> bool:
    """`YYYY`, `YYYY-Qn`, `YYYY-MM`, or two of one kind (days, months, years) joined by a slash in order."""
    if not isinstance(value, str):
        return False
    start, slash, end = value.partition("/")
    if not slash:
        return value in _YEARS or value in _MONTHS or _QUARTER.fullmatch(value) is not None
    kinds = (is_day, _is_month, _is_year)
    return start <= end and any(kind(start) and kind(end) for kind in kinds)


def _day(value: FieldValue, _: Surroundings | None = None) -> str:
    if not isinstance(value, str) or not is_day(value):
        raise NotInForm
    return value


def _month(value: FieldValue, _: Surroundings) -> str:
    # `is_day` and the cut in one: the month's set holds its year.
    if isinstance(value, str) and (day := value[4:]) in _DAYS and (month := value[:7]) in _MONTHS:
        if day == "-02-29" and value[:4] not in _LEAP_YEARS:
            raise NotInForm
        return month
    raise NotInForm


def _months(values: Sequence[Any]) -> list[FieldValue] | None:
    months, days = [value[:7] for value in values], [value[4:] for value in values]
    sound = _MONTHS.issuperset(months) and _DAYS.issuperset(days) and "-02-29" not in days
    return months if sound else None


def _instant(value: FieldValue, _: Surroundings | None = None) -> str:
    if not isinstance(value, str) or not is_instant(value):
        raise NotInForm
    return value


def _period(value: FieldValue, _: Surroundings | None = None) -> str:
    if not isinstance(value, str) or not is_period(value):
        raise NotInForm
    return value


def _ends(value: FieldValue, length: int) -> str:
    start, slash, end = _period(value).partition("/")
    if not slash and length == 7:
        return start
    start, end = start[:length], end[:length]
    return start if not slash or start == end else f"{start}/{end}"


def _is_years(value: FieldValue) -> bool:
    return isinstance(value, str) and len(value) in (4, 9) and is_period(value) and "-" not in value


def _age_band(value: FieldValue, surroundings: Surroundings) -> str:
    born, today = date.fromisoformat(_day(value)), surroundings.today
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if age < 0:
        raise NotInForm
    return [band for band, first in zip(AGE_BANDS, _FIRST_AGE, strict=True) if age >= first][-1]


def _shift_form(most: int) -> Form:
    def apply(value: FieldValue, surroundings: Surroundings) -> str:
        day = date.fromisoformat(_day(value))
        if surroundings.shift is None:
            raise NotInForm
        # 8 bytes modulo at most 1,998: the bias is below 2**-53.
        step = int.from_bytes(surroundings.shift[:8], "big") % (2 * most)
        moved = (day + timedelta(days=step - most if step < most else step - most + 1)).isoformat()
        return _day(moved)

    return Form(apply, is_day, all_in=all_known(is_day))


def _is_month(value: FieldValue) -> bool:
    return isinstance(value, str) and value in _MONTHS


def _is_year(value: FieldValue) -> bool:
    return isinstance(value, str) and value in _YEARS
