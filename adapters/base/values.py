"""Local values read as catalogue values: text, dates, yes/no, codes, lists.

Rules kept here: nothing is guessed (an unreadable value is a `ValueError`, an unmapped code a `LookupError`); empty means absent;
control characters are refused; text keeps its characters, only its Unicode form is composed (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import Any

from gateway.domain.orders import FieldValue

MAX_TEXT = 4096

_DATE = re.compile(r"\d{4}(-\d{2}-\d{2}|\d{4})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_SHANGHAI = timezone(timedelta(hours=8))
_YES = {"1": "Y", "0": "N", "Y": "Y", "N": "N", "是": "Y", "否": "N", "true": "Y", "false": "N"}


Reader = Callable[[Any], FieldValue | None]
"""One local value -> the catalogue's, None where there is none. Raises `ValueError`, `TypeError` or `LookupError`."""


def reader(*, form: str, codes: Mapping[str, str] | None, split: str | None) -> Reader:
    """What reads the values of one field. form: one of `FORMS`, for values that are neither coded nor split."""
    if split is not None:
        return partial(_listed, codes, split)
    if codes is not None:
        return partial(_coded, codes)
    return _OF_FORM[form]


def text(value: Any) -> str:
    """A value as composed, trimmed text of at most 4,096 characters. `ValueError` on control characters or on structures."""
    if type(value) is str and value.isascii() and value.isprintable() and len(value) <= MAX_TEXT:
        # Most of what comes: already composed, and without control characters.
        return value.strip()
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str) or len(value) > MAX_TEXT or _CONTROL.search(value):
        raise ValueError("no text")
    return unicodedata.normalize("NFC", value).strip()


def day(value: Any) -> date:
    """A date from a date, `YYYY-MM-DD` or `YYYYMMDD`. `ValueError` otherwise."""
    if type(value) is str and value.isdigit():
        # Most of what comes; of digits only, no other form is a date to Python either.
        return date.fromisoformat(value)
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    plain = text(value)
    if not _DATE.fullmatch(plain):
        raise ValueError("no date")
    return date.fromisoformat(plain)


def _instant(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(text(value))
    if moment.tzinfo is None:
        # Departmental systems write local time.
        moment = moment.replace(tzinfo=_SHANGHAI)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("no integer")  # noqa: TRY004 - one error for one unreadable value
    return int(value)


def _dated(value: Any) -> str | None:
    # As `_in_form` would, in two calls and not three: an answer has hundreds of days, and few of anything else.
    return None if value is None or value == "" else day(value).isoformat()


def _yes_no(value: Any) -> str:
    return _YES[text(value)]


def _in_form(of_form: Callable[[Any], FieldValue], value: Any) -> FieldValue | None:
    return None if value is None or value == "" else of_form(value)


def _coded(codes: Mapping[str, str], value: Any) -> str | None:
    return None if value is None or value == "" else codes[text(value)] or None


def _listed(codes: Mapping[str, str] | None, split: str, value: Any) -> list[str] | None:
    if value is None or value == "":
        return None
    parts = [part for raw in text(value).split(split) if (part := raw.strip())]
    return parts if codes is None else [code for part in parts if (code := codes[part])]


_OF_FORM: Mapping[str, Reader] = {
    "text": partial(_in_form, text),
    "date": _dated,
    "instant": partial(_in_form, _instant),
    "integer": partial(_in_form, _integer),
    "yes_no": partial(_in_form, _yes_no),
}
FORMS = tuple(_OF_FORM)
