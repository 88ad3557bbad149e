"""Keeping names in order: following a rotation, joining two names of one child, and the one view of a re-identification.

Rules kept here: converting may be repeated and joins nobody to anybody; a re-identification's answer is believed only under the
source's own signature, bound to this grant and to this party.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.naming import MOST_POINTS, Subject, subjects_on_wire
from gateway.client.opening import Record, open_lines
from gateway.client.senders import Senders
from gateway.client.session import Session, Step
from gateway.domain.parties import Party
from gateway.errors import BadRequest
from gateway.release.reidentification import EXCHANGE
from gateway.release.wire import line_from_wire
from gateway.release.wire_reading import party as read_party


@dataclass(frozen=True, slots=True)
class Epochs:
    """One scope's epochs. current: names children now. accepted: understood now, ascending."""

    current: int
    accepted: tuple[int, ...]

    @property
    def newest(self) -> int:
        """Where to convert to."""
        return self.accepted[-1]


def epochs(session: Session) -> Step[dict[str, Epochs]]:
    """The epochs of this department's scopes: `open`, or the exchange of a closed one."""
    answered = yield from session.get("/v1/pseudonyms/epochs")
    try:
        return {
            str(name): Epochs(int(told["current"]), tuple(sorted(int(epoch) for epoch in told["accepted"])))
            for name, told in answered.document["scopes"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnswerRejected("answer_malformed") from error


def convert(
    session: Session, pseudonyms: Sequence[str], *, exchange: str | None, epoch: int | None, finished: bool
) -> Step[list[str]]:
    """These pseudonyms in another epoch (None: the newest), in their order. finished: nothing is left to convert after these."""
    made: list[str] = []
    starts = range(0, len(pseudonyms), MOST_POINTS) if pseudonyms else (0,)
    for start in starts:
        part = list(pseudonyms[start : start + MOST_POINTS])
        body: dict[str, Any] = {"pseudonyms": part, "finished": finished and start + MOST_POINTS >= len(pseudonyms)}
        body |= {name: value for name, value in (("exchange", exchange), ("epoch", epoch)) if value is not None}
        answered = yield from session.post("/v1/pseudonyms/convert", body, repeatable=True)
        named = answered.document.get("pseudonyms")
        if not isinstance(named, list) or len(named) != len(part) or not all(isinstance(text, str) for text in named):
            raise AnswerRejected("answer_malformed")
        made.extend(named)
    return made


def join_names(
    session: Session, issued: Subject, identified: Subject, *, approvals: Sequence[str], assisted: bool
) -> Step[str]:
    """Say that the child with the issued identifier is the child with this one; the child's name from now on."""
    one, other = yield from subjects_on_wire(session, [issued, identified], assisted=assisted)
    body: dict[str, Any] = {"issued": one, "identified": other}
    if approvals:
        body["approvals"] = list(approvals)
    answered = yield from session.post("/v1/pseudonyms/aliases", body)
    name = answered.document.get("pseudonym")
    if not isinstance(name, str):
        raise AnswerRejected("answer_malformed")
    return name


def ask_reidentification(session: Session, request: str, approvals: Sequence[str]) -> Step[str]:
    """Hand in the signed request and both approvals; the grant, good for one view within fifteen minutes."""
    answered = yield from session.post("/v1/reidentifications", {"request": request, "approvals": list(approvals)})
    grant = answered.document.get("reidentification")
    if not isinstance(grant, str):
        raise AnswerRejected("answer_malformed")
    return grant


def view_reidentification(session: Session, senders: Senders, grant: str, source: Party) -> Step[Record]:
    """The one view: what the source's own register says of the child, sealed to this party. source: as it was asked for."""
    answered = yield from session.post("/v1/reidentifications/view", {"reidentification": grant})
    document: Mapping[str, Any] = answered.document
    try:
        line, sender = line_from_wire(document["line"]), read_party(document["source"], "source")
    except (BadRequest, KeyError) as error:
        raise AnswerRejected("answer_malformed") from error
    if sender != source:
        raise AnswerRejected("answer_other")
    (record,) = yield from open_lines(session, senders, (line,), request=grant, exchange=EXCHANGE, sender=source)
    return record
