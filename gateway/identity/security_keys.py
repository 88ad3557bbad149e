"""Approvals made with a security key (WebAuthn level 2): the challenge is the digest of what is approved.

A person vouches for a security key with his or her own key, once; from then on an assertion of that security key is the person's
signature. Its text has the form of a compact JWS (`header.claims.assertion`): the claims are those of an approval, the challenge is
SHA-256 over the first two parts as they stand, and the third holds `authenticatorData`, `clientDataJSON` and `signature` as the
browser gave them, so that anybody who holds the statement of vouching can check it later.

Rules kept here: nobody but its person vouches for a security key, and only while the own key stands; what the statement does not say
(host, origin, public key) is taken from nowhere else; the holder was verified (`uv`); a closed list of algorithms; no assertion from
within another site's page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from webauthn import verify_authentication_response
from webauthn.helpers import decode_credential_public_key
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException

from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Person
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.identity.enrolment import key_commitment
from gateway.identity.signed_subjects import SECURITY_KEY_TYPE, SubjectSigned, read_subject, subject_signed
from gateway.identity.statements import Unsound, bytes_of, expired, object_of, parts_of, require, text_claim, text_of
from gateway.store.database import Writing
from gateway.store.registry import SecurityKey, Snapshot
from gateway.store.registry_changes import Effect, add_security_key, retire_security_key

ASSERTION_TYPE = "approval+webauthn"
ASSERTION_ALGORITHM = "webauthn"
KIND = "security-key"
LONGEST_VOUCHING = 366 * 86_400
"""Seconds for which a person vouches for a security key at most."""
ALGORITHMS = frozenset(
    {
        COSEAlgorithmIdentifier.ECDSA_SHA_256,
        COSEAlgorithmIdentifier.EDDSA,
        COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
    }
)

_HEADER = frozenset({"typ", "alg", "kid"})
_ASSERTION = frozenset({"authenticatorData", "clientDataJSON", "signature"})
_SUBJECT = frozenset({"kind", "label", "credential", "key", "host", "origin"})


@dataclass(frozen=True, slots=True)
class Vouched:
    """A security key that signs for a person. kid: SHA-256 of the statement that says so. credential: the authenticator's id. key:
    COSE public key. host: relying party id. until: unix seconds.
    """

    kid: str
    person: Person
    label: str
    credential: bytes
    key: bytes
    host: str
    origin: str
    until: int

    @property
    def signer(self) -> str:
        """`<organisation>/<staff number>`."""
        return f"{self.person.party.organisation}/{self.person.person_id}"

    @property
    def credential_text(self) -> str:
        """The authenticator's id as base64url, as WebAuthn's JSON forms have it."""
        return text_of(self.credential)


def key_subject(*, label: str, credential: bytes, key: bytes, host: str, origin: str) -> dict[str, Any]:
    """What a person signs to vouch for a security key."""
    found = {"kind": KIND, "label": label, "credential": text_of(credential), "key": text_of(key)}
    return {**found, "host": host, "origin": origin}


# --- vouching -----------------------------------------------------------------------------------------------------------------


def read_vouching(statement: str, *, snapshot: Snapshot, now: int) -> Vouched:
    """Check the statement by which a person vouches for a security key.

    Raises `BadRequest("statement_invalid")`; `Denied`: `approver_unknown` (no key of a person in force), `statement_expired`.
    """
    try:
        signed = subject_signed(statement, typ=SECURITY_KEY_TYPE, longest=LONGEST_VOUCHING, snapshot=snapshot, now=now)
        subject = signed.subject
        require(subject.keys() == _SUBJECT and subject["kind"] == KIND)
        host, origin = text_claim(subject, "host"), text_claim(subject, "origin")
        require(urlsplit(origin).hostname == host)
        found = Vouched(
            kid=_kid(statement),
            person=signed.author,
            label=text_claim(subject, "label", longest=60),
            credential=bytes_of(text_claim(subject, "credential", longest=1400)),
            key=bytes_of(text_claim(subject, "key", longest=1400)),
            host=host,
            origin=origin,
            until=signed.expires,
        )
        require(decode_credential_public_key(found.key).alg in ALGORITHMS)
    except (Unsound, WebAuthnException, ValueError, KeyError) as error:
        raise BadRequest("statement_invalid") from error
    if expired(signed.expires, now):
        raise Denied("statement_expired")
    return found


def vouch(found: Vouched, statement: str, *, by: str, now: int) -> tuple[EntryDraft, Effect]:
    """Enter a security key whose statement was read. by: who handed it in. The effect raises `BadRequest("person_key_taken")`."""
    person = found.person
    draft = EntryDraft(
        kind=EntryKind.KEY_EVENT,
        outcome=Outcome.DONE,
        code="security_key_vouched",
        requester=person.party.department,
        actors=(f"person:{found.signer}",),
        manifest_root=key_commitment(KIND, person.party, found.kid, found.key),
        detail={
            "person": person.person_id,
            "party": person.party.text,
            "key": found.kid,
            "by": by,
            "statement": statement,
        },
    )

    async def effect(writing: Writing) -> None:
        await add_security_key(writing, SecurityKey(found.kid, found.signer, found.credential, statement), now=now)

    return draft, effect


def standing_keys(snapshot: Snapshot, person: str, now: int) -> list[Vouched]:
    """The security keys that sign for a person now, by label. person: `<organisation>/<staff number>`."""
    found = []
    for key in snapshot.security_keys.values():
        if key.person != person or not key.enabled:
            continue
        try:
            one = read_vouching(key.statement, snapshot=snapshot, now=now)
        except (BadRequest, Denied):
            continue  # run out, or the person's own key was retired
        if one.signer == person:
            found.append(one)
    return sorted(found, key=lambda one: (one.label, one.kid))


# --- what a security key signed ---------------------------------------------------------------------------------------------------


def is_assertion(text: str) -> bool:
    """Whether a statement says that a security key made it; nothing is verified. Raises `Unsound`."""
    return object_of(parts_of(text)[0]).get("typ") == ASSERTION_TYPE


def asserted_subject(text: str, *, longest: int, snapshot: Snapshot, now: int) -> SubjectSigned:
    """What a person approved with a security key.

    Raises `Unsound`, `ValueError` (no canonical form), `Denied("approver_unknown")`: nobody in force vouched for the key.
    """
    header, claims, assertion = map(object_of, parts_of(text))
    require(header.keys() == _HEADER and header["typ"] == ASSERTION_TYPE and header["alg"] == ASSERTION_ALGORITHM)
    kid = text_claim(header, "kid", longest=43)
    known = snapshot.security_keys.get(kid)
    if known is None or not known.enabled:
        raise Denied("approver_unknown")
    try:
        found = read_vouching(known.statement, snapshot=snapshot, now=now)
    except (BadRequest, Denied) as error:
        raise Denied("approver_unknown") from error
    # The registry's key of a row is not what makes it this person's: the statement is.
    require(found.kid == kid)
    _require_asserted(assertion, text.rpartition(".")[0], found)
    return read_subject(claims, found.person, longest=longest, now=now)


def _require_asserted(assertion: Mapping[str, Any], signed: str, found: Vouched) -> None:
    """The assertion is that of this security key, over the digest of what is signed, its holder verified. Raises `Unsound`."""
    require(assertion.keys() == _ASSERTION)
    parts = {name: text_claim(assertion, name, longest=4096) for name in _ASSERTION}
    require(object_of(bytes_of(parts["clientDataJSON"])).get("crossOrigin") in (None, False))
    credential = {"id": found.credential_text, "rawId": found.credential_text, "type": "public-key", "response": parts}
    try:
        verify_authentication_response(
            credential=credential,
            expected_challenge=hashlib.sha256(signed.encode("ascii")).digest(),
            expected_rp_id=found.host,
            expected_origin=found.origin,
            credential_public_key=found.key,
            # An approval is verified wherever it is used, again and again; what it is good for once, its user says.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise Unsound from error


def _kid(statement: str) -> str:
    return text_of(hashlib.sha256(statement.encode("ascii")).digest())


__all__ = [
    "ASSERTION_ALGORITHM",
    "ASSERTION_TYPE",
    "Vouched",
    "asserted_subject",
    "is_assertion",
    "key_subject",
    "read_vouching",
    "retire_security_key",
    "standing_keys",
    "vouch",
]
