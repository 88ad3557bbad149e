"""Statements about a subject: a person's signature over the digest of its canonical form.

Rules kept here: the author is the enrolled person whose key signed, and says so; the digest is over the subject that stands beside
it; whose term is how long, and what the statement may be used for, its reader judges.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.canonical import canonical
from gateway.domain.parties import Person
from gateway.errors import Denied
from gateway.identity.people import standing
from gateway.identity.statements import (
    Statement,
    Unsound,
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
SECURITY_KEY_TYPE = "security-key+jwt"

_SUBJECT_CLAIMS = frozenset({"iss", "org", "dept", "digest", "subject", "iat", "exp"})
_UNKNOWN = {
    APPROVAL_TYPE: "approver_unknown",
    CONSENT_TYPE: "recorder_unknown",
    REIDENTIFICATION_TYPE: "requester_unknown",
    SECURITY_KEY_TYPE: "approver_unknown",
}


@dataclass(frozen=True, slots=True)
class SubjectSigned:
    """What a person signed about a subject; its term, and what it may be used for, the caller judges."""

    author: Person
    subject: dict[str, Any] = field(repr=False)
    digest: str
    issued: int
    expires: int


def subject_digest(subject: Mapping[str, Any]) -> str:
    """SHA-256 hex of the canonical JSON of what is approved. `ValueError` where it has no canonical form."""
    return hashlib.sha256(canonical(dict(subject))).hexdigest()


def subject_signed(text: str, *, typ: str, longest: int, snapshot: Snapshot, now: int) -> SubjectSigned:
    """Read a statement whose digest is over its subject's canonical form. longest: seconds of its term at most.

    Raises `Unsound`, `ValueError` (no canonical form), `Denied`: the code of an author who is not enrolled.
    """
    enrolled, statement = by_person(text, typ=typ, snapshot=snapshot, now=now)
    return read_subject(statement.claims, enrolled.person, longest=longest, now=now)


def read_subject(claims: Mapping[str, Any], author: Person, *, longest: int, now: int) -> SubjectSigned:
    """The subject in claims whose signature was verified as the author's. Raises as `subject_signed`."""
    require_members(claims, _SUBJECT_CLAIMS)
    require_author(claims, author)
    subject = object_claim(claims, "subject")
    digest = text_claim(claims, "digest", longest=64)
    expires = require_lifetime(claims, now=now, longest=longest)
    require(digest.isascii() and hmac.compare_digest(digest, subject_digest(subject)))
    return SubjectSigned(author, subject, digest, int(claims["iat"]), expires)


def by_person(text: str, *, typ: str, snapshot: Snapshot, now: int) -> tuple[Enrolled, Statement]:
    """The person whose own key made a statement, and the statement. Raises `Unsound`, `Denied`: nobody stands behind it."""
    enrolled = standing(snapshot, kid_of(text, typ=typ), now)
    if enrolled is None:
        raise Denied(_UNKNOWN[typ])
    return enrolled, verify(text, typ=typ, key=verify_key(enrolled.person.public_key))


def require_author(claims: Mapping[str, Any], person: Person) -> None:
    """The claims name this person, in this party. Raises `Unsound`."""
    named = (claims["iss"], claims["org"], claims["dept"])
    if named != (person.person_id, person.party.organisation, str(person.party.department)):
        raise Unsound
