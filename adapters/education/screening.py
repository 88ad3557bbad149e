"""What the schools' screening vendor (心理测评) tells by webhook: the outcome of one screening of one pupil, kept at the edge.

Nothing is sent because a vendor calls. An outcome waits here until the school names the pupil at the local door; then an early warning
(X05) takes its values from it.

Rules kept here: the call is signed (adapters/base/webhooks.py); only the outcome is taken, and a call that brings answers to items is
refused whole (`scale_items_refused`); a repeated call changes nothing, and an older screening never replaces a newer one; no name and
no number of the pupil but the school's own record key.

    POST /local/screening  webhook-id, webhook-timestamp, webhook-signature
      {"type": "screening.completed", "pupil", "scale", "band", "urgency", "screened_on",
       "guardian_told": "1" | "0", "guardian_told_at"?, "contact"}   -> 202 {"kept": id}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters.base import values
from adapters.base.landed import Landed
from adapters.base.webhooks import MOST, Signed
from gateway.errors import BadRequest
from gateway.release import wire_reading as read
from gateway.release.floor import ITEM_NAMES

RESOURCE = "screenings"
"""The mapping's resource of outcomes. Key, region and birth date come from the platform's own records."""
COLUMNS: Mapping[str, str] = {
    "scale": "cplb",
    "band": "cpdj",
    "urgency": "jjcd",
    "screened_on": "cprq",
    "guardian_told": "jhrgt",
    "guardian_told_at": "gtsj",
    "contact": "lxdh",
}
"""Member of the call -> local column."""
_REQUIRED = frozenset({"type", "pupil", *COLUMNS}) - {"guardian_told_at"}
_LONGEST = 64


class Screenings:
    """The outcomes of one edge. store: a file of their own; secret: shared with the vendor."""

    def __init__(self, store: Path, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._landed = Landed(store)
        self._signed = Signed(secret, now)

    async def take(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Keep the outcome of a call. Raises `NotAuthenticated("local_unauthorised")`, `BadRequest` (`local_request_invalid`,
        `scale_items_refused`).
        """
        number = self._signed.call_id(body, headers)
        row = _outcome(body)
        name = f"{row[COLUMNS['screened_on']]}:{number}"
        digest = sha256(body).hexdigest()
        if not self._landed.known(name, digest):
            await self._landed.land(RESOURCE, name, digest, [row], "pupil")
        return {"kept": number}

    def rows(self, keys: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, str]]:
        """Record key -> those columns of its newest outcome; pupils without one are left out."""
        return {
            key: {name: row[name] for name in columns if name in row}
            for key, row in self._landed.read(RESOURCE, keys).items()
        }

    def close(self) -> None:
        """Close the store."""
        self._landed.close()


def _outcome(body: bytes) -> dict[str, str]:
    """The row of a call. Raises `BadRequest`: `local_request_invalid`, `scale_items_refused`."""
    try:
        event = read.read_json(body, limit=MOST)
    except BadRequest:
        raise BadRequest("local_request_invalid") from None
    if items := ITEM_NAMES & set(event):
        raise BadRequest("scale_items_refused", field=min(items))
    try:
        return _row(read.members(event, _REQUIRED, frozenset({"guardian_told_at"})))
    except (BadRequest, ValueError):
        raise BadRequest("local_request_invalid") from None


def _row(event: Mapping[str, Any]) -> dict[str, str]:
    if event["type"] != "screening.completed":
        raise ValueError("type")
    row = {"pupil": read.matched(event["pupil"], read.TOKEN, "pupil")}
    for member, column in COLUMNS.items():
        if member in event:
            row[column] = values.text(read.text(event[member], member, limit=_LONGEST))
    row[COLUMNS["screened_on"]] = values.day(row[COLUMNS["screened_on"]]).isoformat()
    return row
