"""The request that an officer signs in order to learn who a pseudonym is: read here, approved by others, answered elsewhere.

Rules kept here: as for approvals: one `typ`, the officer's own enrolled key, exactly these claims; the request has a term of a day
at most; what it asks for is compared in its canonical form, so nobody approves one request and uses it for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.parties import Person
from gateway.errors import Denied
from gateway.identity.approvals import REIDENTIFICATION_TYPE, subject_signed
from gateway.identity.statements import Unsound, expired, require
from gateway.store.registry import Snapshot

LONGEST_REQUEST = 86_400
"""Seconds within which two approvers have to sign and the request has to be handed in."""

_SUBJECT = frozenset({"kind", "officer", "party", "exchange", "pseudonym", "source", "reason"})


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """A request whose signature, digest and term hold now. subject: what was asked, all of it text. digest: SHA-256 hex."""

    officer: Person
    subject: Mapping[str, str] = field(repr=False)
    digest: str
    statement: str = field(repr=False)


def verify_request(text: str, *, snapshot: Snapshot, now: int) -> VerifiedRequest:
    """Check a request. Raises `Denied`: `request_invalid`, `request_expired`, `requester_unknown`."""
    try:
        signed = subject_signed(text, typ=REIDENTIFICATION_TYPE, longest=LONGEST_REQUEST, snapshot=snapshot, now=now)
        subject = signed.subject
        require(subject.keys() == _SUBJECT and all(isinstance(value, str) for value in subject.values()))
        require(subject["kind"] == "reidentification")
    except (Unsound, ValueError) as error:
        raise Denied("request_invalid") from error
    if expired(signed.expires, now):
        raise Denied("request_expired")
    return VerifiedRequest(signed.author, subject, signed.digest, text)
