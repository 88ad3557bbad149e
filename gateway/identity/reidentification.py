"""The request that an officer signs in order to learn who a pseudonym is: read here, approved by others, answered elsewhere.

Rules kept here: as for approvals: one `typ`, the officer's own enrolled key, exactly these claims; the request has a term of a day
at most; what it asks for is compared in its canonical form, so nobody approves one request and uses it for another.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.parties import Person
from gateway.errors import Denied
from gateway.identity.approvals import subject_digest
from gateway.identity.people import standing
from gateway.identity.statements import (
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
from gateway.store.registry import Snapshot

REIDENTIFICATION_TYPE = "reidentification+jwt"
LONGEST_REQUEST = 86_400
"""Seconds within which two approvers have to sign and the request has to be handed in."""

_CLAIMS = frozenset({"iss", "org", "dept", "digest", "subject", "iat", "exp"})
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
        enrolled = standing(snapshot, kid_of(text, typ=REIDENTIFICATION_TYPE), now)
        if enrolled is None:
            raise Denied("requester_unknown")
        claims = verify(text, typ=REIDENTIFICATION_TYPE, key=verify_key(enrolled.person.public_key)).claims
        require_members(claims, _CLAIMS)
        person = enrolled.person
        stated = (claims["iss"], claims["org"], claims["dept"])
        require(stated == (person.person_id, person.party.organisation, str(person.party.department)))
        subject: dict[str, Any] = object_claim(claims, "subject")
        digest = text_claim(claims, "digest", longest=64)
        expires = require_lifetime(claims, now=now, longest=LONGEST_REQUEST)
        require(digest.isascii() and hmac.compare_digest(digest, subject_digest(subject)))
        require(subject.keys() == _SUBJECT and all(isinstance(value, str) for value in subject.values()))
        require(subject["kind"] == "reidentification")
    except (Unsound, ValueError) as error:
        raise Denied("request_invalid") from error
    if expired(expires, now):
        raise Denied("request_expired")
    return VerifiedRequest(person, subject, digest, text)
