"""The inbox: take, open, acknowledge.

Rules kept here: taking and acknowledging may be repeated (delivery is at least once); an envelope is for this party and of the
exchange and purpose that its labels name, or it is refused; opening it needs a trusted sender's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.opening import Record, open_lines, require_labels
from gateway.client.senders import Senders
from gateway.client.session import Session, Step
from gateway.domain.orders import Envelope
from gateway.domain.parties import Party
from gateway.errors import BadRequest
from gateway.release.wire import envelope_from_wire
from gateway.release.wire_reading import text, whole

LONGEST_WAIT = 25
"""Seconds for which one long poll waits at most."""


@dataclass(frozen=True, slots=True)
class Received:
    """An envelope handed out to this party, still sealed. entry: index of its `delivered` entry in the log."""

    delivery: str
    purpose: str
    door: str
    labels: Mapping[str, str]
    envelope: Envelope = field(repr=False)
    entry: int

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        return self.envelope.exchange

    @property
    def sender(self) -> Party:
        """Who sent it."""
        return self.envelope.sender


def take(session: Session, *, wait: int, limit: int) -> Step[tuple[Received, ...]]:
    """Take waiting envelopes. wait: seconds of long poll. Raises `AnswerRejected` where one is not ours."""
    answered = yield from session.post(
        "/v1/inbox/take", {"wait": wait, "limit": limit}, repeatable=True, longer=float(wait)
    )
    items = answered.document.get("envelopes")
    if not isinstance(items, list):
        raise AnswerRejected("answer_malformed")
    return tuple(_received(item, session.configuration.party) for item in items)


def open_received(session: Session, senders: Senders, received: Received) -> Step[tuple[Record, ...]]:
    """Verify and open every record of an envelope."""
    envelope = received.envelope
    return (
        yield from open_lines(
            session,
            senders,
            envelope.lines,
            request=envelope.permit,
            exchange=envelope.exchange,
            sender=envelope.sender,
        )
    )


def acknowledge(session: Session, delivery: str, *, status: str, code: str) -> Step[None]:
    """Tell the gateway that the envelope is `stored`, or `rejected` and why."""
    body = {"delivery": delivery, "status": status} | ({"code": code} if code else {})
    yield from session.post("/v1/inbox/acknowledge", body, repeatable=True)


def _received(item: Any, party: Party) -> Received:
    try:
        envelope = envelope_from_wire(item["envelope"])
        purpose = text(item["purpose"], "purpose")
        entry = whole(item["receipt"]["index"], "receipt", low=0, high=2**53)
        delivery, door = text(item["delivery"], "delivery"), text(item["door"], "door")
    except (BadRequest, KeyError, TypeError) as error:
        raise AnswerRejected("answer_malformed") from error
    if envelope.recipient != party:
        raise AnswerRejected("answer_other")
    labels = require_labels(item.get("labels"), exchange=envelope.exchange, purpose=purpose)
    return Received(delivery, purpose, door, labels, envelope, entry)
