"""The 12355 vendor's webhook: verified, remembered, turned into a sending that the edge fills from the vendor's platform itself.

The signature is that of the Standard Webhooks specification: `v1,<base64 of HMAC-SHA256(secret, id.timestamp.body)>`.

Rules kept here: nothing of the body is believed but which client and which recipient; values are read from the platform; a
webhook that is stale, repeated or wrongly signed is refused by a code; comparison takes constant time.

    POST /local/webhook  webhook-id, webhook-timestamp, webhook-signature
      {"type": "case.handover", "client": number, "recipient": "org/dept"}  -> 202 what the sending became
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import BadRequest, NotAuthenticated
from gateway.release import wire_reading as read

TOLERANCE = 300
MOST = 16 * 1024
EVENTS: Mapping[str, tuple[str, str]] = {"case.handover": ("X18", "P02")}
"""Event type -> exchange and purpose."""


class Webhook:
    """Verifies the vendor's calls. secret: shared with the vendor."""

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._now = now

    def sending(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The request for the local door that an event means; its key is the event's id, so that a repeat sends once.

        Raises `NotAuthenticated("local_unauthorised")`, `BadRequest("local_request_invalid")`.
        """
        number, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not self._secret or not self._signed(body, number, stamp, headers.get("webhook-signature", "")):
            raise NotAuthenticated("local_unauthorised")
        try:
            event = read.members(
                read.read_json(body, limit=MOST),
                frozenset({"type", "client", "recipient"}),
                frozenset({"door", "reason"}),
            )
            exchange, purpose = EVENTS[event["type"]]
            client = read.matched(event["client"], read.TOKEN, "client")
            read.party(event["recipient"], "recipient")
        except (BadRequest, KeyError, TypeError):
            raise BadRequest("local_request_invalid") from None
        made: dict[str, Any] = {
            "exchange": exchange,
            "purpose": purpose,
            "door": event.get("door", "normal"),
            "recipient": event["recipient"],
            "key": f"webhook-{number}",
            "records": [{"record": client}],
        }
        return made | ({"reason": event["reason"]} if "reason" in event else {})

    def _signed(self, body: bytes, number: str, stamp: str, given: str) -> bool:
        if not (number and number.isascii() and stamp.isascii() and stamp.isdigit()):
            return False
        if len(number) > 64 or len(stamp) > 12 or abs(self._now() - int(stamp)) > TOLERANCE:
            return False
        expected = signature(self._secret, number, stamp, body)
        # A vendor that is changing its secret sends two, parted by a space.
        return any(hmac.compare_digest(one.encode(), expected.encode()) for one in given.split(" ")[:4])


def signature(secret: bytes, number: str, stamp: str, body: bytes) -> str:
    """The signature of one webhook call."""
    made = hmac.digest(secret, f"{number}.{stamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(made).decode("ascii")
