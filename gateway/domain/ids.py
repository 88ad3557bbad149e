"""Random names for requests, permits, deliveries, entries: 128 bits, base32, lower case, with a two-letter kind.

Rules kept here: never derived from anything, never about a person, safe in a URL.
"""

from __future__ import annotations

import base64
import secrets


def new_id(kind: str) -> str:
    """A fresh id such as `rq-3k…` (kind, hyphen, 26 characters)."""
    return f"{kind}-{base64.b32encode(secrets.token_bytes(16)).decode().rstrip('=').lower()}"
