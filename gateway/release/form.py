"""What a form is: how a value is brought into it, and how one recognises a value that is in it.

Rules kept here: `apply` and `recognises` stand side by side, and everything that `apply` gives is recognised; a value that
cannot be brought into the form raises `NotInForm`, which holds no value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

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


@dataclass(frozen=True, slots=True)
class Form:
    """One form of one type.

    scan: True where the form's language is wide enough to hide an identifier, so that the detectors must read the value.
    """

    apply: Apply
    recognises: Recognises
    scan: bool = False
