"""Forms of dates, moments and periods (GB/T 7408 / ISO 8601), by day, month, year, age band or shift.

Rules kept here: a shifted date moves by one keyed number of days per child and purpose, never by zero, so that intervals
within one child's releases stay true and dates do not join releases of different purposes; an age is told as a band.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from gateway.domain.orders import FieldValue
from gateway.release.form import Form, NotInForm, Recognises, Surroundings

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH = re.compile(r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])", re.ASCII)
_YEAR = re.compile(r"(?:19|20)[0-9]{2}", re.ASCII)
_QUARTER = re.compile(r"(?:19|20)[0-9]{2}-Q[1-4]", re.ASCII)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|\+08:00)", re.ASCII)
_SHIFT = re.compile(r"date\.shift=([1-9][0-9]{0,2})", re.ASCII)

AGE_BANDS = ("0-7", "8-13", "14-15", "16-17", "18+")
_FIRST_AGE = (0, 8, 14, 16, 18)


def date_form(name: str) -> Form | None:
    """The form of a calendar day: "" (as it is), `date.month`, `date.year`, `date.age_band`, `date.shift=<days>`."""
    match name:
        case "":
            return Form(_day, is_day)
        case "date.month":
            return Form(lambda value, _: _day(value)[:7], _matches(_MONTH))
        case "date.year":
            return Form(lambda value, _: _day(value)[:4], _matches(_YEAR))
        case "date.age_band":
            return Form(_age_band, lambda value: isinstance(value, str) and value in AGE_BANDS)
    shift = _SHIFT.fullmatch(name)
    return _shift_form(int(shift[1])) if shift else None


def instant_form(name: str) -> Form | None:
    """The form of a moment: "" (as it is), `date.day`, `date.month`, `date.year`."""
    cut = {"date.day": 10, "date.month": 7, "date.year": 4}.get(name)
    if name == "":
        return Form(_instant, is_instant)
    if cut is None:
        return None
    recognises: dict[int, Recognises] = {10: is_day, 7: _matches(_MONTH), 4: _matches(_YEAR)}
    return Form(lambda value, _: _instant(value)[:cut], recognises[cut])


def period_form(name: str) -> Form | None:
    """The form of a period (year, quarter, month, or two days with a slash): "" , `date.month`, `date.year`."""
    match name:
        case "":
            return Form(_period, is_period)
        case "date.month":
            return Form(
                lambda value, _: _ends(value, 7), lambda value: is_period(value) and _DAY.match(str(value)) is None
            )
        case "date.year":
            return Form(lambda value, _: _ends(value, 4), _is_years)
    return None


def is_day(value: FieldValue) -> bool:
    """`YYYY-MM-DD` of a day that exists, 1900 to 2099."""
    if not isinstance(value, str) or _DAY.fullmatch(value) is None or not "1900" <= value[:4] <= "2099":
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


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
        return any(pattern.fullmatch(value) for pattern in (_YEAR, _QUARTER, _MONTH))
    kinds = (is_day, _matches(_MONTH), _matches(_YEAR))
    return start <= end and any(kind(start) and kind(end) for kind in kinds)


def _day(value: FieldValue, _: Surroundings | None = None) -> str:
    if not isinstance(value, str) or not is_day(value):
        raise NotInForm
    return value


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

    return Form(apply, is_day)


def _matches(pattern: re.Pattern[str]) -> _Matcher:
    return _Matcher(pattern)


class _Matcher:
    """A pattern as a recogniser: whole match of text."""

    __slots__ = ("_fullmatch",)

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._fullmatch = pattern.fullmatch

    def __call__(self, value: FieldValue) -> bool:
        return isinstance(value, str) and self._fullmatch(value) is not None
