"""Local values read as catalogue values: text, dates, yes/no, codes, lists.

Rules kept here: nothing is guessed (an unreadable value is a `ValueError`, an unmapped code a `LookupError`); empty means absent;
control characters are refused; text keeps its characters, only its Unicode form is composed (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from gateway.domain.orders import FieldValue

FORMS = ("text", "date", "instant", "integer", "yes_no")
MAX_TEXT = 4096

_DATE = re.compile(r"\d{4}(-\d{2}-\d{2}|\d{4})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_SHANGHAI = timezone(timedelta(hours=8))
_YES = {"1": "Y", "0": "N", "Y": "Y", "N": "N", "是": "Y", "否": "N", "true": "Y", "false": "N"}


def convert(value: Any, *, form: str, codes: Mapping[str, str] | None, split: str | None) -> FieldValue | None:
    """The catalogue's value of a local one, None where there is none. Raises `ValueError` or `LookupError`."""
    if value is None or value == "":
        return None
    if split is not None:
        parts = [p.strip() for p in text(value).split(split)]
        return [c for p in parts if p and (c := _coded(p, codes))]
    if codes is not None:
        return _coded(text(value), codes) or None
    match form:
        case "date":
            return day(value).isoformat()
        case "instant":
            return _instant(value)
        case "integer":
            return _integer(value)
        case "yes_no":
            return _YES[text(value)]
        case _:
            return text(value)


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


def _coded(value: str, codes: Mapping[str, str] | None) -> str:
    return value if codes is None else codes[value]
