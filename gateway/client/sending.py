"""`send`: ask how (send permit), reduce, seal, sign, hand in.

Rules kept here: nothing is sealed that the permit does not grant, and the sender is warned of prose first; what a rule denies for one child is left out of the envelope
and told; handing in carries an `Idempotency-Key`, so repeating it delivers once.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.naming import Subject, subjects_on_wire
from gateway.client.prose import warn_of_prose
from gateway.client.receipts import KeptReceipt, kept_receipt
from gateway.client.session import Session, Step
from gateway.domain.clock import SHANGHAI, Clock
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Envelope, FieldValue, Line, SealInfo, SealingKey
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Door
from gateway.errors import BadRequest
from gateway.release.reduce import Reducer
from gateway.release.wire import envelope_to_wire, obligation_from_wire, sealing_key_from_wire
from gateway.release.wire_reading import by_field, text
from keys.envelope import key_id, seal_line


@dataclass(frozen=True, slots=True)
class Outbound:
    """One record to send, in local form. region: six digits of the record's region. values: field -> local value, record
    ids included; the SDK reduces them to what the permit grants.
    """

    subject: Subject = field(repr=False)
    values: Mapping[str, FieldValue] = field(repr=False)
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Permitted:
    """A send permit. lines: line number -> grants. withheld: line number -> field -> code. denied: line number -> code."""

    permit: str
    recipient_key: SealingKey
    lines: Mapping[int, Mapping[str, Obligation]]
    withheld: Mapping[int, Mapping[str, str]]
    denied: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that the gateway has accepted. delivered: line numbers (from 1, in the order given). denied: line number ->
    code. withheld: line number -> field -> code for fields that were given and did not go.
    """

    delivery: str
    permit: str
    delivered: tuple[int, ...]
    denied: Mapping[int, str]
    withheld: Mapping[int, Mapping[str, str]]
    receipt: KeptReceipt = field(repr=False)


class NothingPermitted(AnswerRejected):
    """Every line was denied: there is no envelope to hand in. denied: line number -> code."""

    def __init__(self, denied: Mapping[int, str]) -> None:
        super().__init__("nothing_permitted")
        self.denied = denied


def send(
    session: Session,
    clock: Clock,
    definition: Exchange,
    *,
    purpose: str,
    recipient: Party,
    records: Sequence[Outbound],
    case: str | None,
    reason: str | None,
    door: Door,
    medical: bool,
    idempotency_key: str | None,
) -> Step[Sent]:
    """See `RunxinClient.send`."""
    subjects = yield from subjects_on_wire(session, [record.subject for record in records], assisted=False)
    permitted = yield from _permit(
        session, definition.id, purpose, recipient, subjects, case=case, reason=reason, door=door
    )
    if not permitted.lines:
        raise NothingPermitted(permitted.denied)
    lines: list[Line] = []
    withheld: dict[int, Mapping[str, str]] = {}
    today = clock.now().astimezone(SHANGHAI).date()
    for number, grants in sorted(permitted.lines.items()):
        record, subject = records[number - 1], subjects[number - 1]
        reduced = Reducer(definition, grants, medical=medical, today=today).reduce(record.values)
        kept_back = permitted.withheld[number]
        withheld[number] = {name: kept_back[name] for name in record.values if name in kept_back} | dict(
            reduced.withheld
        )
        warn_of_prose(definition, number, record.values, reduced.sealable, medical=medical)
        info = SealInfo(
            request=permitted.permit,
            line=number,
            exchange=definition.id,
            sender=session.configuration.party,
            recipient=recipient,
            recipient_kid=permitted.recipient_key.kid,
        )
        lines.append(
            seal_line(
                reduced.sealable,
                grants=grants,
                info=info,
                recipient=permitted.recipient_key,
                signer=session.configuration.signer,
                number=number,
                subject=subject["pseudonym"] if subject else None,
                references=reduced.references,
                region=record.region,
            )
        )
    envelope = Envelope(permitted.permit, definition.id, session.configuration.party, recipient, tuple(lines))
    answered = yield from session.post(
        "/v1/deliveries",
        {"envelope": envelope_to_wire(envelope)},
        repeatable=True,
        idempotency_key=idempotency_key or secrets.token_urlsafe(18),
    )
    delivery = answered.document.get("delivery")
    if not isinstance(delivery, str):
        raise AnswerRejected("answer_malformed")
    return Sent(
        delivery=delivery,
        permit=permitted.permit,
        delivered=tuple(line.number for line in lines),
        denied=permitted.denied,
        withheld=withheld,
        receipt=kept_receipt(answered),
    )


def _permit(
    session: Session,
    exchange: str,
    purpose: str,
    recipient: Party,
    subjects: Sequence[dict[str, Any] | None],
    *,
    case: str | None,
    reason: str | None,
    door: Door,
) -> Step[Permitted]:
    body: dict[str, Any] = {
        "exchange": exchange,
        "purpose": purpose,
        "door": str(door),
        "recipient": recipient.text,
        "lines": [
            {"line": number} | ({"subject": subject} if subject else {})
            for number, subject in enumerate(subjects, start=1)
        ],
    }
    body |= {name: value for name, value in (("case", case), ("reason", reason)) if value is not None}
    answered = yield from session.post("/v1/send-permits", body)
    try:
        return _read_permit(answered.document, recipient, len(subjects))
    except (BadRequest, KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnswerRejected("answer_malformed") from error


def _read_permit(document: Mapping[str, Any], recipient: Party, count: int) -> Permitted:
    key = sealing_key_from_wire(document["recipient_key"])
    if key.party != recipient or key.kid != key_id(key.suite, key.public_key):
        raise AnswerRejected("answer_other")
    lines: dict[int, Mapping[str, Obligation]] = {}
    withheld: dict[int, Mapping[str, str]] = {}
    denied: dict[int, str] = {}
    for name, line in document["lines"].items():
        number = int(name)
        if not 1 <= number <= count:
            raise AnswerRejected("answer_other")
        if "denied" in line:
            denied[number] = str(line["denied"])
        else:
            lines[number] = by_field(line["grants"], "grants", obligation_from_wire)
            withheld[number] = by_field(line["withheld"], "withheld", str)
    return Permitted(text(document["permit"], "permit"), key, lines, withheld, denied)
