"""What a form is: how a value is brought into it, and how one recognises a value that is in it.

Rules kept here: `apply` and `recognises` stand side by side, and everything that `apply` gives is recognised; what is done
or said of many values at once is what would be of each; a value that cannot be brought into the form raises `NotInForm`,
which holds no value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from gateway.domain.orders import FieldValue


class NotInForm(ValueError):  # noqa: N818 - a finding about a value, caught where the record is reduced
    """The source value is not of its field's type, or the form has nothing to show of it."""

    def __init__(self) -> None:
        super().__init__("value cannot be brought into its form")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What some forms need besides the value.

    today: the day on which ages are told. shift: keyed 32 bytes for this child and purpose (`shift.shift_value`), None where
    dates are not shifted. school_types: organisation code -> code of table `school_type`, from the source's own register.
    """

    today: date
    shift: bytes | None = field(default=None, repr=False)
    school_types: Mapping[str, str] = field(default_factory=dict)


Apply = Callable[[FieldValue, Surroundings], FieldValue]
Recognises = Callable[[FieldValue], bool]
RecognisesAll = Callable[[Sequence[Any]], bool]
"""Whether a form recognises every one of many values. A value of a wrong type gives False or raises `TypeError`."""

ApplyAll = Callable[[Sequence[Any]], Sequence[FieldValue] | None]
"""Many values in a form, in their order; None, `TypeError` or `AttributeError` where they must be looked at one by one."""

_ROOM = 4096


@dataclass(frozen=True, slots=True)
class Form:
    """One form of one type.

    scan: True where the form's language is wide enough to hide an identifier, so that the detectors must read the value.
    all_in, apply_all: `recognises` and `apply` for many values at once (one at least), where there is a quicker way than
    asking one by one.
    """

    apply: Apply
    recognises: Recognises
    scan: bool = False
    all_in: RecognisesAll | None = None
    apply_all: ApplyAll | None = None

    def recognises_all(self, values: Sequence[Any]) -> bool:
        """Whether every value is in the form. Raises `TypeError` for some values of a wrong type, which are in no form."""
        return self.all_in(values) if self.all_in is not None else all(map(self.recognises, values))


def unchanged(all_in: RecognisesAll) -> ApplyAll:
    """The quick way of a form that leaves a value as it is once it is recognised."""
    return lambda values: values if all_in(values) else None


def all_match(pattern: re.Pattern[str]) -> RecognisesAll:
    """`pattern.fullmatch` of many texts in one match over their lines. The pattern must match no line break."""
    lines = re.compile(rf"(?:{pattern.pattern})(?:\n(?:{pattern.pattern}))*+", pattern.flags)

    def all_in(values: Sequence[Any]) -> bool:
        text = "\n".join(values)  # what is no text raises TypeError, as documented
        # A value with a line break of its own would read as two.
        return text.count("\n") == len(values) - 1 and lines.fullmatch(text) is not None

    return all_in


def all_known(recognises: Recognises, *, room: int = _ROOM) -> RecognisesAll:
    """`recognises` of many values, asked once per distinct text, for forms of few texts (months, counties, surnames).

    Only texts found in form are kept, at most `room` of them, so that nothing out of form stays in memory.
    """
    known: set[FieldValue] = set()

    def all_in(values: Sequence[Any]) -> bool:
        return known.issuperset(values) or all(map(learn, values))

    def learn(value: FieldValue) -> bool:
        if not recognises(value):
            return False
        if len(known) < room:
            known.add(value)
        return True

    return all_in
