"""What the recipients got: the recorded answers' lines, opened again with the recipients' own keys.

Rules kept here: an envelope is opened with the key of the body that took it and the sender's registered key, bound to the permit or
request that the log names; a line that does not open is an error, never a missing row.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.domain.orders import FieldValue, Line, SealInfo
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.release.wire import envelope_from_wire, line_from_wire
from keys.envelope import SealingPair, open_line
from keys.signing import VerifyKey
from tests.support.recorded import Call, unb64


@dataclass(frozen=True, slots=True)
class Opened:
    """One line. subject: the pseudonym as the recipient has it."""

    number: int
    subject: str | None = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    values: Mapping[str, FieldValue] = field(repr=False)

    @property
    def row(self) -> dict[str, Any]:
        """As a recipient would put it into a table."""
        return {"subject": self.subject, **self.references, **self.values}


@dataclass(frozen=True, slots=True)
class Handed:
    """An envelope as it was handed out. entry: index of its `delivered` entry. taker: the body."""

    delivery: str
    exchange: str
    permit: str
    sender: str
    taker: str
    entry: int
    lines: tuple[Opened, ...] = field(repr=False)


class Recipients:
    """The bodies with their sealing keys, and who may sign for whom."""

    def __init__(self, demo: Path) -> None:
        site = tomllib.loads((demo / "site.toml").read_text("utf-8"))
        self.party_of = {row["id"].rsplit("-", 1)[0]: row["party"] for row in site["clients"]}
        self.body_of = {party: body for body, party in self.party_of.items()}
        self._pairs = {body: SealingPair.load(demo / "bodies" / body / "sealing.json") for body in self.party_of}
        keys = [(row["party"], VerifyKey(unb64(row["key"]))) for row in site["sender_keys"]]
        self._senders = {(party, key.thumbprint): key for party, key in keys}

    def taken(self, call: Call) -> list[Handed]:
        """The envelopes of one answer of the inbox."""
        taker = call.client.rsplit("-", 1)[0]
        found = []
        for item in call.said["envelopes"]:
            envelope = envelope_from_wire(item["envelope"])
            assert envelope.recipient.text == self.party_of[taker]
            lines = tuple(
                self.open(line, taker, request=envelope.permit, exchange=envelope.exchange, sender=envelope.sender.text)
                for line in envelope.lines
            )
            found.append(
                Handed(
                    item["delivery"], envelope.exchange, envelope.permit, self.body_of[envelope.sender.text], taker,
                    item["receipt"]["index"], lines,
                )
            )  # fmt: skip
        return found

    def answered(self, call: Call) -> list[Opened]:
        """The lines of one answer to a question."""
        body = call.client.rsplit("-", 1)[0]
        said = call.said
        return [
            self.open(
                line_from_wire(line), body, request=said["request"], exchange=said["exchange"], sender=said["provider"]
            )
            for line in said["lines"]
        ]

    def open(self, line: Line, body: str, *, request: str, exchange: str, sender: str) -> Opened:
        """One line, with the body's key."""
        assert line.sealing is not None
        expected = SealInfo(
            request=request,
            line=line.number,
            exchange=exchange,
            sender=_party(sender),
            recipient=_party(self.party_of[body]),
            recipient_kid=self._pairs[body].kid,
        )
        key = self._senders[sender, line.sealing.sender_kid]
        values = open_line(line, pair=self._pairs[body], sender_key=key, expected=expected)
        return Opened(line.number, line.subject, dict(line.references), values)


def _party(text: str) -> Party:
    organisation, department = text.split("/")
    return Party(organisation, Department(department))
