"""The one text form of an obligation, as it stands in orders, permits and envelopes.

Grammar (ASCII, no white space; RFC 5234 notation)::

    obligation = transform [ ":" form ] [ "+sealed" ]
    transform  = 1*24( %x61-7A / "_" )                ; a word of `Transform`
    form       = %x61-7A 0*63( ALPHA / DIGIT / "." / "_" / "=" / "-" )

Rules kept here: text that breaks the grammar is refused; a transform that follows the grammar but is not known reads as
`suppress`, so that an older edge withholds what it does not understand.
"""

from __future__ import annotations

import re

from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from gateway.errors import BadRequest

_TEXT = re.compile(
    r"(?P<transform>[a-z_]{1,24})(?::(?P<form>[a-z][A-Za-z0-9._=-]{0,63}))?(?P<sealed>\+sealed)?", re.ASCII
)
_KNOWN = {str(transform): transform for transform in Transform}


def parse(text: str) -> Obligation:
    """The obligation behind its text form.

    Raises `BadRequest("obligation_invalid")` where the grammar is broken. An unknown transform gives `suppress`.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadRequest("obligation_invalid")
    transform = _KNOWN.get(found["transform"])
    if transform is None:
        return Obligation(Transform.SUPPRESS, form="unknown", sealed=found["sealed"] is not None)
    return Obligation(transform, form=found["form"] or "", sealed=found["sealed"] is not None)


def write(obligation: Obligation) -> str:
    """The text form; `parse(write(x)) == x` for every obligation that `parse` can give.

    Raises `BadRequest("obligation_invalid")` for a form that the grammar cannot carry.
    """
    text = obligation.text
    if _TEXT.fullmatch(text) is None:
        raise BadRequest("obligation_invalid")
    return text
