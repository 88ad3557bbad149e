"""Opening what others sealed for us: signature, binding, digests, ciphertexts, in this order.

Rules kept here: the binding is what this side itself knows (request or permit, line, exchange, who sent, who receives), not
what the line says of itself; the signing key is a trusted one; one line that fails spoils the whole answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.client.errors import AnswerRejected
from gateway.client.senders import Senders
from gateway.client.session import Session, Step
from gateway.domain.orders import FieldValue, Line, SealInfo
from gateway.domain.parties import Party
from gateway.errors import BadRequest
from keys.envelope import SealingPair, open_line


@dataclass(frozen=True, slots=True)
class Record:
    """One opened record. subject: pseudonym text in this party's scope, None where it is about nobody. references: record
    ids in this party's form. values: field -> value in the form that the permit ordered.
    """

    line: int
    subject: str | None = field(repr=False)
    references: Mapping[str, str] = field(repr=False)
    values: Mapping[str, FieldValue] = field(repr=False)


def open_lines(
    session: Session, senders: Senders, lines: tuple[Line, ...], *, request: str, exchange: str, sender: Party
) -> Step[tuple[Record, ...]]:
    """Open every line. request: id of the request, or the send permit.

    Raises `AnswerRejected`: `seal_invalid`, `sealing_key_missing`, and what `Senders.key_of` raises.
    """
    records = []
    for line in lines:
        if line.sealing is None:
            raise AnswerRejected("seal_invalid")
        key = yield from senders.key_of(sender, line.sealing.sender_kid)
        pair = _pair(session, line.sealing.info.recipient_kid)
        expected = SealInfo(
            request=request,
            line=line.number,
            exchange=exchange,
            sender=sender,
            recipient=session.configuration.party,
            recipient_kid=pair.kid,
        )
        try:
            values = open_line(line, pair=pair, sender_key=key, expected=expected)
        except BadRequest as error:
            raise AnswerRejected("seal_invalid") from error
        records.append(Record(line.number, line.subject, line.references, values))
    return tuple(records)


def require_labels(labels: object, *, exchange: str, purpose: str) -> dict[str, str]:
    """The labels, if they say what this is, for what, until when, and that it may not be passed on.

    Raises `AnswerRejected`: `labels_missing`, `answer_other`.
    """
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise AnswerRejected("labels_missing")
    if not labels.get("until") or labels.get("onward") != "no":
        raise AnswerRejected("labels_missing")
    if labels.get("exchange") != exchange or labels.get("purpose") != purpose:
        raise AnswerRejected("answer_other")
    return labels


def _pair(session: Session, kid: str) -> SealingPair:
    for pair in session.configuration.sealing:
        if pair.kid == kid:
            return pair
    raise AnswerRejected("sealing_key_missing")
