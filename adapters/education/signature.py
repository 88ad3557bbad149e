"""App-key signatures as provincial platforms ask for them: HMAC-SHA256 over method, path, time, nonce and the body's digest.

Rules kept here: the secret is never shown or sent; each request has a fresh nonce; time is the wall clock in seconds.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class AppKey:
    """The department's account at its own platform."""

    name: str
    secret: bytes = field(repr=False)

    def headers(self, method: str, path: str, body: bytes, *, now: Callable[[], float] = time.time) -> dict[str, str]:
        """The four headers of one request."""
        stamp, nonce = str(int(now())), secrets.token_hex(12)
        text = "\n".join((method, path, stamp, nonce, sha256(body).hexdigest()))
        sign = hmac.digest(self.secret, text.encode(), "sha256").hex()
        return {"X-App-Key": self.name, "X-Timestamp": stamp, "X-Nonce": nonce, "X-Sign": sign}
