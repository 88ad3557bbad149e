"""What a child is called: from an identifier, through the blind door, to a pseudonym of the department's own open scope.

Rules kept here: the identifier never leaves this process on the blind door; on the assisted door it leaves only where the
caller says so; factors are fresh for every call.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.session import Session, Step
from gateway.domain.subjects import Pseudonym, Scope
from keys import text
from keys.blind import blind, unblind
from keys.identifiers import Identifier

MOST_POINTS = 2000
"""Points in one call."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a call is about: an identifier or a pseudonym's text; neither for exchanges about nobody."""

    identifier: Identifier | None = field(default=None, repr=False)
    pseudonym: str | None = field(default=None, repr=False)


def evaluate(session: Session, points: Sequence[bytes], grant: str | None) -> Step[tuple[list[bytes], int]]:
    """The blind door: the points multiplied by the department's key, and the epoch. At most `MOST_POINTS` a call."""
    body: dict[str, Any] = {"points": [_text(point) for point in points]}
    if grant:
        body["grant"] = grant
    answered = yield from session.post("/v1/pseudonyms/evaluate", body, repeatable=True)
    document = answered.document
    try:
        evaluated, epoch = [_point(item) for item in document["points"]], document["epoch"]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise AnswerRejected("answer_malformed") from error
    if len(evaluated) != len(points) or not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 1:
        raise AnswerRejected("answer_malformed")
    return evaluated, epoch


def pseudonyms(session: Session, identifiers: Sequence[Identifier], grant: str | None) -> Step[list[str]]:
    """The pseudonyms (text form) of these identifiers in the department's own open scope, in their order."""
    named: list[str] = []
    scope = Scope.open(session.configuration.party.department)
    for start in range(0, len(identifiers), MOST_POINTS):
        blinded = [blind(identifier) for identifier in identifiers[start : start + MOST_POINTS]]
        evaluated, epoch = yield from evaluate(session, [item.point for item in blinded], grant)
        for item, point in zip(blinded, evaluated, strict=True):
            named.append(text.write(Pseudonym(scope, epoch, unblind(point, item.unblinder))))
    return named


def subjects_on_wire(
    session: Session, subjects: Sequence[Subject], *, assisted: bool
) -> Step[list[dict[str, Any] | None]]:
    """The `subject` member of each: blinded and named first, unless `assisted`. None where it is about nobody."""
    hidden = [subject.identifier for subject in subjects if subject.identifier is not None]
    names = iter([]) if assisted or not hidden else iter((yield from pseudonyms(session, hidden, None)))
    made: list[dict[str, Any] | None] = []
    for subject in subjects:
        if subject.pseudonym is not None:
            made.append({"pseudonym": subject.pseudonym})
        elif subject.identifier is None:
            made.append(None)
        elif assisted:
            made.append({"identifier": _plain(subject.identifier)})
        else:
            made.append({"pseudonym": next(names)})
    return made


def _plain(identifier: Identifier) -> dict[str, str]:
    return {"kind": identifier.kind, "value": identifier.canonical.decode("ascii").partition(":")[2]}


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _point(item: str) -> bytes:
    return base64.b64decode(item + "=" * (-len(item) % 4), altchars=b"-_", validate=True)
