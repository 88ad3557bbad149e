"""`ask`: one query, from an identifier to opened values and a receipt.

Rules kept here: an answer to another question is refused; nothing is given to the caller before labels, receipt, signatures
and seals are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.naming import Subject, subjects_on_wire
from gateway.client.opening import Record, open_lines, require_labels
from gateway.client.receipts import KeptReceipt, kept_receipt
from gateway.client.senders import Senders
from gateway.client.session import Session, Step
from gateway.domain.orders import Line
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Door
from gateway.errors import BadRequest
from gateway.release.wire import line_from_wire, party_from_wire
from gateway.release.wire_reading import MAX_LINES, listing, text


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one query, verified and opened.

    policy: the version that decided. labels: what travels with the data (purpose, expiry, ban on passing on). withheld:
    field -> code for those asked for and not given. receipt: see `check_receipt`.
    """

    request: str
    exchange: str
    purpose: str
    provider: Party
    policy: str
    labels: Mapping[str, str]
    records: tuple[Record, ...]
    withheld: Mapping[str, str]
    receipt: KeptReceipt = field(repr=False)

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the only record. `ValueError` where there is not exactly one."""
        (record,) = self.records
        return record.values


def ask(
    session: Session,
    senders: Senders,
    *,
    exchange: str,
    purpose: str,
    subject: Subject,
    case: str | None,
    fields: Sequence[str] | None,
    reason: str | None,
    door: Door,
    assisted: bool,
) -> Step[Answer]:
    """See `RunxinClient.ask`."""
    (named,) = yield from subjects_on_wire(session, [subject], assisted=assisted)
    body: dict[str, Any] = {"exchange": exchange, "purpose": purpose, "door": str(door)}
    optional = {"subject": named, "case": case, "fields": list(fields) if fields else None, "reason": reason}
    body |= {name: value for name, value in optional.items() if value is not None}
    answered = yield from session.post("/v1/query", body)
    document = answered.document
    receipt = kept_receipt(answered)
    labels = require_labels(document.get("labels"), exchange=exchange, purpose=purpose)
    if document.get("exchange") != exchange or document.get("purpose") != purpose:
        raise AnswerRejected("answer_other")
    try:
        request, policy = text(document.get("request"), "request"), text(document.get("policy"), "policy")
        if request != answered.request:
            # The lines are bound to it. An older answer is whole in itself, but it answers another request.
            raise AnswerRejected("answer_other")
        provider = party_from_wire(document.get("provider"))
        lines = listing(document.get("lines"), "lines", line_from_wire, limit=MAX_LINES)
    except BadRequest as error:
        raise AnswerRejected("answer_malformed") from error
    _require_same_child(lines, named)
    records = yield from open_lines(session, senders, lines, request=request, exchange=exchange, sender=provider)
    withheld = {str(name): str(code) for name, code in dict(document.get("withheld", {})).items()}
    return Answer(request, exchange, purpose, provider, policy, labels, records, withheld, receipt)


def _require_same_child(lines: tuple[Line, ...], named: Mapping[str, Any] | None) -> None:
    asked = (named or {}).get("pseudonym")
    for line in lines:
        if asked is None or line.subject is None:
            continue
        # Names of the same scope and epoch share everything before the separator; only those can be compared.
        if line.subject.rpartition("1")[0] == asked.rpartition("1")[0] and line.subject != asked:
            raise AnswerRejected("answer_other")
