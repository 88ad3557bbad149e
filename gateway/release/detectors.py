"""Finds identifier-like digits where none belong: identity numbers, student numbers, mobile numbers, bank cards.

Rules kept here: full-width digits, other scripts' digits, and single spaces, dots or hyphens between digits hide nothing;
an identity number needs no valid check digit to be found (a mistyped one is still one); the answer is a kind, never the text.
"""

from __future__ import annotations

import re
import unicodedata

from gateway.domain.orders import FieldValue
from gateway.release.numbers import is_birth_date, is_card_number, is_citizen_number

_RUN = re.compile(r"[0-9](?:[ .\-_/·,]?[0-9]){9,63}[ .\-_/·]?[Xx]?", re.ASCII)
_SEPARATORS = str.maketrans("", "", " .-_/·,")
_STUDENT = re.compile(r"[GLJglj][ .\-_]?[0-9](?:[ .\-_]?[0-9]){16}[ .\-_]?[0-9Xx]", re.ASCII)
_MOBILE = re.compile(r"(?:(?:00)?86)?1[3-9][0-9]{9}", re.ASCII)
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
# Characters that show nothing but would break a run of digits.
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")


def find(text: str) -> tuple[str, ...]:
    """Kinds found in `text`, each once: `id_number`, `student_number`, `phone`, `bank_card`."""
    if not text.isascii():
        text = _plain_digits(text)
    kinds: dict[str, None] = {}
    if _STUDENT.search(text):
        kinds["student_number"] = None
    for run in _RUN.finditer(text):
        kinds.update(dict.fromkeys(_kinds(run[0].translate(_SEPARATORS).upper())))
    return tuple(kinds)


def find_in(value: FieldValue) -> tuple[str, ...]:
    """As `find`, over a field's value; the items of a list are read one by one and together."""
    match value:
        case bool():
            return ()
        case int():
            return find(str(value))
        case str():
            return find(value)
        case _:
            return find(" | ".join(value)) or find("".join(value))


def _kinds(digits: str) -> list[str]:
    kinds = []
    if _holds_identity_number(digits):
        kinds.append("id_number")
    if _MOBILE.fullmatch(digits.rstrip("X")):
        kinds.append("phone")
    if is_card_number(digits):
        kinds.append("bank_card")
    return kinds


def _holds_identity_number(digits: str) -> bool:
    if len(digits) == 18 and digits[0] != "0" and is_birth_date(digits[6:14]):
        return True
    if len(digits) == 15 and digits[0] != "0" and is_birth_date("19" + digits[6:12]):
        return True
    # Inside a longer run only a number whose check digit holds counts.
    return any(is_citizen_number(digits[start : start + 18]) for start in range(len(digits) - 17))


def _plain_digits(text: str) -> str:
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return _OTHER_DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), folded)
