"""Signed calls of a vendor, by the Standard Webhooks specification: `v1,<base64 of HMAC-SHA256(secret, id.timestamp.body)>`.

Rules kept here: a call that is stale or wrongly signed is refused before anything of it is read; comparison takes constant time.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping

from gateway.errors import NotAuthenticated

TOLERANCE = 300
"""Seconds that a call may be older or newer than our clock."""
MOST = 16 * 1024


class Signed:
    """Verifies one vendor's calls. secret: shared with the vendor; an empty one lets nobody in."""

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now

    def call_id(self, body: bytes, headers: Mapping[str, str]) -> str:
        """The call's id, under which a repeat is known. Raises `NotAuthenticated("local_unauthorised")`."""
        number, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not self._secret or not self._holds(body, number, stamp, headers.get("webhook-signature", "")):
            raise NotAuthenticated("local_unauthorised")
        return number

    def _holds(self, body: bytes, number: str, stamp: str, given: str) -> bool:
        if not (number and number.isascii() and stamp.isascii() and stamp.isdigit()):
            return False
        if len(number) > 64 or len(stamp) > 12 or abs(self._now() - int(stamp)) > TOLERANCE:
            return False
        expected = signature(self._secret, number, stamp, body)
        # A vendor that is changing its secret sends two, parted by a space.
        return any(hmac.compare_digest(one.encode(), expected.encode()) for one in given.split(" ")[:4])


def signature(secret: bytes, number: str, stamp: str, body: bytes) -> str:
    """The signature of one call."""
    made = hmac.digest(secret, f"{number}.{stamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(made).decode("ascii")
