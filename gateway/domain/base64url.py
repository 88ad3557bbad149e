"""Base64url without padding (RFC 4648 section 5), in its one canonical spelling.

Rules kept here: what is no base64url, is padded, or leaves a bit set that carries no data, is refused (RFC 4648 3.5), so that
one value has one text.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

_TO_URL = bytes.maketrans(b"+/", b"-_")
# The signs of plain base64 become what no base64 has.
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/\xff\xff\xff")
# By how many characters stand beyond the last full group of four: their padding, and what the last of them may be.
_PADDING = (b"", b"", b"==", b"=")
_LAST = ("", "", "AQgw", "AEIMQUYcgkosw048")


def encode(data: bytes) -> str:
    """The text of these bytes."""
    return b2a_base64(data).translate(_TO_URL, b"=\n").decode("ascii")


def decode(text: str) -> bytes:
    """The bytes behind a text; `ValueError` if it is not the one text of any."""
    beyond = len(text) & 3
    if beyond and text[-1] not in _LAST[beyond]:
        raise ValueError("not canonical base64url")
    return a2b_base64(text.encode("ascii").translate(_FROM_URL) + _PADDING[beyond], strict_mode=True)
