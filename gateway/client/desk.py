"""What officers do around the exchanges: cases, approvals, consents, guardians' questions, enrolments, reviews.

Rules kept here: whatever a person decides goes as that person's own signature (see `statements`), this side only carries it;
records are named by the references of this department's own scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.client.errors import AnswerRejected
from gateway.client.naming import Subject, subjects_on_wire
from gateway.client.session import Session, Step
from gateway.domain.parties import Party
from gateway.domain.vocabulary import AgeBand


def open_case(
    session: Session,
    subject: Subject,
    *,
    exchanges: Sequence[str],
    parties: Sequence[Party],
    region: str,
    age_band: AgeBand | None,
    assisted: bool,
) -> Step[str]:
    """Open a case; its reference."""
    named = yield from _named(session, subject, assisted=assisted)
    body: dict[str, Any] = {
        "subject": named,
        "exchanges": list(exchanges),
        "parties": [party.text for party in parties],
        "region": region,
    }
    if age_band is not None:
        body["age_band"] = str(age_band)
    return (yield from _member(session, "/v1/cases", body, "case"))


def close_case(session: Session, case: str) -> Step[None]:
    """Close a case."""
    yield from session.post("/v1/cases/close", {"case": case})


def hand_in_approval(session: Session, approval: str) -> Step[str]:
    """Carry an approver's statement in; the approval's reference."""
    return (yield from _member(session, "/v1/cases/approvals", {"approval": approval}, "approval"))


def record_consent(session: Session, subject: Subject, statement: str, *, assisted: bool) -> Step[str]:
    """Record a consent: the child, and the officer's statement of everything else; the consent's reference."""
    named = yield from _named(session, subject, assisted=assisted)
    return (yield from _member(session, "/v1/consents", {"subject": named, "statement": statement}, "consent"))


def hand_over_link(session: Session, subject: Subject, offer: str, *, assisted: bool) -> Step[dict[str, Any]]:
    """Make a guardian's one-time link: `link`, `code`, `address`, `ends`. The code is told this once."""
    named = yield from _named(session, subject, assisted=assisted)
    answered = yield from session.post("/v1/consents/links", {"subject": named, "statement": offer})
    return answered.document


def links(session: Session) -> Step[list[dict[str, Any]]]:
    """One-time links of this department and what became of them."""
    answered = yield from session.get("/v1/consents/links")
    found = answered.document.get("links")
    if not isinstance(found, list):
        raise AnswerRejected("answer_malformed")
    return found


def cancel_link(session: Session, link: str) -> Step[None]:
    """Take a link back that nobody has answered."""
    yield from session.post("/v1/consents/links/cancel", {"link": link})


def withdraw_consent(session: Session, consent: str) -> Step[None]:
    """Withdraw a consent, at once."""
    yield from session.post("/v1/consents/withdraw", {"consent": consent})


def guardian_accesses(session: Session, subject: Subject, *, assisted: bool) -> Step[dict[str, Any]]:
    """Who saw what of this child: `sentence` and `accesses`."""
    named = yield from _named(session, subject, assisted=assisted)
    answered = yield from session.post("/v1/guardians/accesses", {"subject": named})
    return answered.document


def enrolment_grant(session: Session, approvals: Sequence[str]) -> Step[str]:
    """Hand in two approvers' statements about the register's size; the grant for `evaluate`."""
    return (yield from _member(session, "/v1/pseudonyms/grants", {"approvals": list(approvals)}, "grant"))


def enrol_person(session: Session, statement: str) -> Step[str]:
    """Carry in the people administrator's statement about a person's key; the key's thumbprint."""
    return (yield from _member(session, "/v1/people", {"statement": statement}, "key"))


def reviews(session: Session) -> Step[list[dict[str, Any]]]:
    """Reviews that wait for this department."""
    answered = yield from session.get("/v1/reviews")
    found = answered.document.get("reviews")
    if not isinstance(found, list):
        raise AnswerRejected("answer_malformed")
    return found


def close_review(session: Session, review: str, finding: str) -> Step[None]:
    """Close a review: `justified` or `unjustified`."""
    yield from session.post("/v1/reviews/close", {"review": review, "finding": finding})


def deliveries(session: Session) -> Step[list[dict[str, Any]]]:
    """What became of what this client sent: delivery, exchange, state, recipient."""
    answered = yield from session.get("/v1/deliveries")
    found = answered.document.get("deliveries")
    if not isinstance(found, list):
        raise AnswerRejected("answer_malformed")
    return found


def _named(session: Session, subject: Subject, *, assisted: bool) -> Step[dict[str, Any]]:
    (named,) = yield from subjects_on_wire(session, [subject], assisted=assisted)
    if named is None:
        raise ValueError("this call is about a child: name an identifier or a pseudonym")
    return named


def _member(session: Session, path: str, body: Mapping[str, Any], member: str) -> Step[str]:
    answered = yield from session.post(path, body)
    value = answered.document.get(member)
    if not isinstance(value, str):
        raise AnswerRejected("answer_malformed")
    return value
