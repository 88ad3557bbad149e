"""Approvals and other statements that a person signs about something: checked where they are used, each time.

Rules kept here: an approval is a signature over the digest of what is approved, by an enrolled person in the function
`approver`; the subject approved is compared in its canonical form, so nobody approves one thing and uses it for another;
a retired key approves nothing any more. Who may approve whom is `gateway/consent`'s business.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.canonical import canonical
from gateway.domain.parties import Person
from gateway.errors import BadRequest, Denied
from gateway.identity.security_keys import asserted_subject, is_assertion
from gateway.identity.signed_subjects import (
    APPROVAL_TYPE,
    CONSENT_TYPE,
    REIDENTIFICATION_TYPE,
    by_person,
    require_author,
    subject_digest,
    subject_signed,
)
from gateway.identity.statements import Unsound, expired, object_claim, require_lifetime, require_members
from gateway.store.registry import Snapshot

__all__ = [
    "APPROVAL_TYPE",
    "CONSENT_TYPE",
    "LONGEST_APPROVAL",
    "REIDENTIFICATION_TYPE",
    "VerifiedApproval",
    "VerifiedConsent",
    "subject_digest",
    "subject_signed",
    "verify_approval",
    "verify_consent",
]

APPROVER = "approver"
LONGEST_APPROVAL = 30 * 86_400
"""Seconds for which an approval is good at most (网保条例 36: at most thirty days)."""
LONGEST_RECORDING = 7 * 86_400
"""Seconds within which an officer's recording of a consent has to reach the gateway at most."""

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


def verify_approval(
    text: str, *, snapshot: Snapshot, now: int, expected: Mapping[str, Any] | None = None
) -> VerifiedApproval:
    """Check an approval, made with the approver's own key or with a security key that the approver vouched for. expected: the
    subject that this use needs, compared canonically.

    Raises `Denied`: `approval_invalid`, `approver_unknown`, `approver_function`, `approval_expired`, `approval_subject`.
    """
    try:
        if is_assertion(text):
            signed = asserted_subject(text, longest=LONGEST_APPROVAL, snapshot=snapshot, now=now)
        else:
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


def verify_consent(text: str, *, snapshot: Snapshot, now: int) -> VerifiedConsent:
    """Check the statement by which an officer records a consent.

    Raises `BadRequest("statement_invalid")`; `Denied`: `recorder_unknown`, `statement_expired`.
    """
    try:
        enrolled, statement = by_person(text, typ=CONSENT_TYPE, snapshot=snapshot, now=now)
        claims = statement.claims
        require_members(claims, _CONSENT_CLAIMS)
        require_author(claims, enrolled.person)
        artefact = object_claim(claims, "artefact")
        canonical(artefact)
        expires = require_lifetime(claims, now=now, longest=LONGEST_RECORDING)
    except (Unsound, ValueError) as error:
        raise BadRequest("statement_invalid") from error
    if expired(expires, now):
        raise Denied("statement_expired")
    return VerifiedConsent(enrolled.person, artefact, int(claims["iat"]), expires, text)
