"""The keyed value that moves one child's dates for one purpose.

Rules kept here: HMAC-SHA-256 (RFC 2104) under a key that only the source holds; the child's local key and the purpose are
length-prefixed, so no two pairs give one message.
"""

from __future__ import annotations

import hashlib
import hmac


def shift_value(key: bytes, *, child: str, purpose: str) -> bytes:
    """32 bytes for one child and one purpose. key: at least 16 random bytes of the source. child: the source's own record key.

    Raises `ValueError` where the key is too short.
    """
    if len(key) < 16:
        raise ValueError("shift key too short")
    name, use = child.encode("utf-8"), purpose.encode("utf-8")
    message = b"runxin date shift v1" + len(name).to_bytes(4, "big") + name + use
    return hmac.new(key, message, hashlib.sha256).digest()
