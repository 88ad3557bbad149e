"""The 12355 vendor's webhook: verified, remembered, turned into a sending that the edge fills from the vendor's platform itself.

Rules kept here: a call is signed (adapters/base/webhooks.py); nothing of the body is believed but which client and which recipient;
values are read from the platform; a repeat sends once.

    POST /local/webhook  webhook-id, webhook-timestamp, webhook-signature
      {"type": "case.handover", "client": number, "recipient": "org/dept"}  -> 202 what the sending became
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from adapters.base.webhooks import MOST, Signed
from gateway.errors import BadRequest
from gateway.release import wire_reading as read

EVENTS: Mapping[str, tuple[str, str]] = {"case.handover": ("X18", "P02")}
"""Event type -> exchange and purpose."""


class Webhook:
    """Verifies the vendor's calls. secret: shared with the vendor."""

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._signed = Signed(secret, now)

    def sending(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The request for the local door that an event means; its key is the event's id, so that a repeat sends once.

        Raises `NotAuthenticated("local_unauthorised")`, `BadRequest("local_request_invalid")`.
        """
        number = self._signed.call_id(body, headers)
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
