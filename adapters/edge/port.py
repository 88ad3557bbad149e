"""What the edge needs of the gateway, as a port: the blind door, the inbox, sending. `sdk.py` fills it with the SDK.

Rules kept here: envelopes arrive opened and verified, or with the code of why they cannot be; sendings leave as catalogue values, which
the SDK reduces and seals under the send permit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.orders import Acknowledgement, FieldValue
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Door


@dataclass(frozen=True, slots=True)
class ReceivedLine:
    """One opened line."""

    number: int
    subject: str | None = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    values: Mapping[str, FieldValue] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Received:
    """An envelope from the inbox. refused: code of why it could not be opened, empty when it was; later: whether it may open once a
    key is pinned or loaded, so that it is not rejected.
    """

    delivery: str
    exchange: str
    purpose: str
    sender: Party
    labels: Mapping[str, str]
    lines: tuple[ReceivedLine, ...]
    refused: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class SendingLine:
    """One record to send: pseudonym of the sender's own open scope, catalogue values (record ids among them), region."""

    subject: str | None = field(repr=False)
    values: Mapping[str, FieldValue] = field(repr=False)
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """A delivery as the departmental system asks for it. key: its idempotency key."""

    exchange: str
    purpose: str
    door: Door
    recipient: Party
    lines: tuple[SendingLine, ...]
    key: str
    case: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a sending. delivery, receipt (the `Audit-Receipt` header): empty when every line was denied. denied: line
    number -> code.
    """

    delivery: str
    receipt: str
    denied: Mapping[int, str]


class GatewayPort(Protocol):
    """The gateway as an edge uses it."""

    async def evaluate(self, points: Sequence[bytes], grant: str | None) -> tuple[Sequence[bytes], int]:
        """The blind door."""
        ...

    async def epochs(self) -> tuple[int, ...]:
        """The epochs of the department's open scope that are understood now, ascending."""
        ...

    async def convert(self, pseudonyms: Sequence[str], epoch: int, *, finished: bool) -> Sequence[str]:
        """Pseudonyms of the open scope in another accepted epoch. finished: none is left after these."""
        ...

    def inbox(self, *, wait: int, limit: int) -> AsyncIterator[Received]:
        """Envelopes for this party until a poll of `wait` seconds brings none; an unacknowledged one may come again."""
        ...

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Tell the gateway what became of an envelope."""
        ...

    async def send(self, sending: Sending) -> Sent:
        """Ask for a send permit, reduce, seal, hand in."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
