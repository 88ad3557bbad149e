"""The form of a skeleton's bytes as one expression: what `write_skeleton` writes, and nothing that is not canonical.

Verifying a million entries by decoding and encoding each again takes half a minute; one match of this takes two seconds.

Rules kept here: whatever matches is canonical restricted JSON that `read_skeleton` accepts (held by a test over changed leaves);
what does not match is not therefore wrong: the caller decodes it, and the decoder decides.
"""

from __future__ import annotations

import re

_WORD = rb'"[A-Za-z0-9_.:\-]{0,80}"'
# 32 and 16 bytes in base64url without padding: the last character carries four and two bits, so it has few values.
_DIGEST = rb'"[A-Za-z0-9_\-]{42}[AEIMQUYcgkosw048]"'
_TAG = rb'"[A-Za-z0-9_\-]{21}[AQgw]"'
_COUNT = rb"(?:0|[1-9][0-9]{0,14})"

_FORM = re.compile(
    rb"\{"
    rb'(?:"answer":' + _DIGEST + rb",)?"
    rb'(?:"assisted":true,)?'
    rb'(?:"code":' + _WORD + rb",)?"
    rb'(?:"covers":' + _COUNT + rb",)?"
    rb'(?:"detail":' + _DIGEST + rb",)?"
    rb'(?:"door":' + _WORD + rb",)?"
    rb'(?:"epoch":' + _COUNT + rb",)?"
    rb'(?:"exchange":' + _WORD + rb",)?"
    rb'(?:"from":' + _WORD + rb",)?"
    rb'(?:"kind":' + _WORD + rb",)?"
    rb'(?:"manifest":' + _DIGEST + rb",)?"
    rb'(?:"outcome":' + _WORD + rb",)?"
    rb'(?:"policy":' + _WORD + rb",)?"
    rb'(?:"purpose":' + _WORD + rb",)?"
    rb'(?:"request":' + _DIGEST + rb",)?"
    rb'(?:"sighted":true,)?'
    rb'"t":([1-9][0-9]{0,15})'
    rb'(?:,"tags":\[' + _TAG + rb"(?:," + _TAG + rb")*\])?"
    rb'(?:,"to":' + _WORD + rb")?"
    rb',"v":1\}\Z'
)
_LIMIT = 2**53


def time_in(leaf: bytes) -> int | None:
    """The time of a skeleton of this form, microseconds since 1970 UTC; None where the bytes have to be decoded."""
    match = _FORM.match(leaf)
    if match is None:
        return None
    time_us = int(match[1])
    return time_us if time_us < _LIMIT else None
