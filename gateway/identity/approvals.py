"""Approvals and other statements that a person signs about something: checked where they are used, each time.

Rules kept here: an approval is a signature over the digest of what is approved, by an enrolled person in the function
`approver`; the subject approved is compared in its canonical form, so nobody approves one thing and uses it for another;
a retired key approves nothing any more. Who may approve whom is `gateway/consent`'s business.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.canonical import canonical
from gateway.domain.parties import Person
from gateway.errors import BadRequest, Denied
from gateway.identity.people import standing
from gateway.identity.statements import (
    Statement,
    Unsound,
    expired,
    kid_of,
    object_claim,
    require,
    require_lifetime,
    require_members,
    text_claim,
    verify,
    verify_key,
)
from gateway.store.registry import Enrolled, Snapshot

APPROVAL_TYPE = "approval+jwt"
CONSENT_TYPE = "consent+jwt"
REIDENTIFICATION_TYPE = "reidentification+jwt"
APPROVER = "approver"
LONGEST_APPROVAL = 30 * 86_400
"""Seconds for which an approval is good at most (网保条例 36: at most thirty days)."""
LONGEST_RECORDING = 7 * 86_400
"""Seconds within which an officer's recording of a consent has to reach the gateway at most."""

_SUBJECT_CLAIMS = frozenset({"iss", "org", "dept", "digest", "subject", "iat", "exp"})
_CONSENT_CLAIMS = frozenset({"iss", "org", "dept", "artefact", "iat", "exp"})


@dataclass(frozen=True, slots=True)
class VerifiedApproval:
    """An approval whose signature, digest and term hold now. subject: what was approved. digest: SHA-256 hex of its
    canonical form. issued, expires: unix seconds. statement: as received.
    """

    approver: Person
    subject: Mapping[str, Any]
    digest: str
    issued: int
    expires: int
    statement: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedConsent:
    """A consent artefact whose recording officer signed it. artefact: everything of the consent but the child. issued, expires:
    unix seconds.
    """

    recorder: Person
    artefact: Mapping[str, Any] = field(repr=False)
    issued: int
    expires: int
    statement: str = field(repr=False)


def subject_digest(subject: Mapping[str, Any]) -> str:
    """SHA-256 hex of the canonical JSON of what is approved. `ValueError` where it has no canonical form."""
    return hashlib.sha256(canonical(dict(subject))).hexdigest()


def verify_approval(
    text: str, *, snapshot: Snapshot, now: int, expected: Mapping[str, Any] | None = None
) -> VerifiedApproval:
    """Check an approval. expected: the subject that this use needs, compared canonically.

    Raises `Denied`: `approval_invalid`, `approver_unknown`, `approver_function`, `approval_expired`, `approval_subject`.
    """
    try:
        signed = subject_signed(text, typ=APPROVAL_TYPE, longest=LONGEST_APPROVAL, snapshot=snapshot, now=now)
    except (Unsound, ValueError) as error:
        raise Denied("approval_invalid") from error
    if APPROVER not in signed.author.functions:
        raise Denied("approver_function")
    if expired(signed.expires, now):
        raise Denied("approval_expired")
    if expected is not None and not hmac.compare_digest(signed.digest, subject_digest(expected)):
        raise Denied("approval_subject")
    return VerifiedApproval(signed.author, signed.subject, signed.digest, signed.issued, signed.expires, text)


@dataclass(frozen=True, slots=True)
class SubjectSigned:
    """What a person signed about a subject; its term, and what it may be used for, the caller judges."""

    author: Person
    subject: dict[str, Any] = field(repr=False)
    digest: str
    issued: int
    expires: int


def subject_signed(text: str, *, typ: str, longest: int, snapshot: Snapshot, now: int) -> SubjectSigned:
    """Read a statement whose digest is over its subject's canonical form. longest: seconds of its term at most.

    Raises `Unsound`, `ValueError` (no canonical form), `Denied`: the code of an author who is not enrolled.
    """
    enrolled, statement = _by_person(text, typ=typ, snapshot=snapshot, now=now)
    claims = statement.claims
    require_members(claims, _SUBJECT_CLAIMS)
    _require_author(claims, enrolled)
    subject = object_claim(claims, "subject")
    digest = text_claim(claims, "digest", longest=64)
    expires = require_lifetime(claims, now=now, longest=longest)
    require(digest.isascii() and hmac.compare_digest(digest, subject_digest(subject)))
    return SubjectSigned(enrolled.person, subject, digest, int(claims["iat"]), expires)


def verify_consent(text: str, *, snapshot: Snapshot, now: int) -> VerifiedConsent:
    """Check the statement by which an officer records a consent.

    Raises `BadRequest("statement_invalid")`; `Denied`: `recorder_unknown`, `statement_expired`.
    """
    try:
        enrolled, statement = _by_person(text, typ=CONSENT_TYPE, snapshot=snapshot, now=now)
        claims = statement.claims
        require_members(claims, _CONSENT_CLAIMS)
        _require_author(claims, enrolled)
        artefact = object_claim(claims, "artefact")
        canonical(artefact)
        expires = require_lifetime(claims, now=now, longest=LONGEST_RECORDING)
    except (Unsound, ValueError) as error:
        raise BadRequest("statement_invalid") from error
    if expired(expires, now):
        raise Denied("statement_expired")
    return VerifiedConsent(enrolled.person, artefact, int(claims["iat"]), expires, text)


_UNKNOWN = {
    APPROVAL_TYPE: "approver_unknown",
    CONSENT_TYPE: "recorder_unknown",
    REIDENTIFICATION_TYPE: "requester_unknown",
}


def _by_person(text: str, *, typ: str, snapshot: Snapshot, now: int) -> tuple[Enrolled, Statement]:
    enrolled = standing(snapshot, kid_of(text, typ=typ), now)
    if enrolled is None:
        raise Denied(_UNKNOWN[typ])
    return enrolled, verify(text, typ=typ, key=verify_key(enrolled.person.public_key))


def _require_author(claims: Mapping[str, Any], enrolled: Enrolled) -> None:
    person = enrolled.person
    if (claims["iss"], claims["org"], claims["dept"]) != (
        person.person_id,
        person.party.organisation,
        str(person.party.department),
    ):
        raise Unsound
