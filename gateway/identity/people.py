"""People: who enrols their keys, and how an officer stands behind a request.

Rules kept here: a person's key is enrolled only by a statement of the department's people administrator, for organisations
within that administrator's region; a client key, a person's key or an administrator's key never becomes a second
thing; an officer's assertion is good for one client key, one function and at most twelve hours; a key that was never
enrolled as a person's is `officer_key_unknown`, whoever else it belongs to.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from gateway.domain.parties import Client, Officer, Party, Person
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, Denied, NotAuthenticated
from gateway.identity.remembered import Remembered
from gateway.identity.statements import (
    SKEW,
    Unsound,
    expired,
    kid_of,
    object_claim,
    public_key_claim,
    require,
    require_lifetime,
    require_members,
    text_claim,
    verify,
    verify_key,
)
from gateway.store.registry import Enrolled, PeopleAdmin, Snapshot, region_prefix

OFFICER_TYPE = "officer+jwt"
PERSON_KEY_TYPE = "person-key+jwt"
LONGEST_SHIFT = 12 * 3600
"""Seconds for which an officer's assertion is good at most."""
LONGEST_KEY = 366 * 86_400
"""Seconds for which a person's key is enrolled at most."""

_OFFICER_CLAIMS = frozenset({"iss", "sub", "org", "dept", "function", "aud", "cnf", "iat", "exp"})
_KEY_CLAIMS = frozenset({"iss", "sub", "org", "dept", "functions", "jwk", "iat", "exp"})
_FUNCTION = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_PERSON_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)
_MOST_FUNCTIONS = 16


class Officers:
    """Reads officer assertions. issuer: the gateway's URL, the only audience. One per worker."""

    def __init__(self, *, issuer: str, remembered: int = 10_000) -> None:
        self._issuer = issuer
        self._remembered: Remembered[tuple[Officer, str]] = Remembered(remembered)

    def read(self, text: str, *, client: Client, snapshot: Snapshot, now: int) -> Officer:
        """The officer behind an assertion sent by `client`.

        Raises `NotAuthenticated`: `officer_invalid`, `officer_expired`, `officer_key_unknown`, `officer_disabled`,
        `officer_function`. What is remembered is the signature; the person's standing is asked of the registry each time.
        """
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        known = self._remembered.get(digest, now)
        if known is not None:
            officer, bound_to = known
            _require_standing(snapshot, officer, now)
        else:
            try:
                officer, bound_to, ends = self._verify(text, snapshot, now)
            except Unsound as error:
                raise NotAuthenticated("officer_invalid") from error
            if expired(ends, now):
                raise NotAuthenticated("officer_expired")
            _require_standing(snapshot, officer, now)
            self._remembered.put(digest, (officer, bound_to), ends=ends + SKEW, now=now)
        if officer.party != client.party or not hmac.compare_digest(bound_to, client.thumbprint):
            raise NotAuthenticated("officer_invalid")
        return officer

    def _verify(self, text: str, snapshot: Snapshot, now: int) -> tuple[Officer, str, int]:
        kid = kid_of(text, typ=OFFICER_TYPE)
        enrolled = snapshot.people.get(kid)
        if enrolled is None:
            raise NotAuthenticated("officer_key_unknown")
        person = enrolled.person
        claims = verify(text, typ=OFFICER_TYPE, key=verify_key(person.public_key)).claims
        require_members(claims, _OFFICER_CLAIMS)
        require(claims["iss"] == claims["sub"] == person.person_id and claims["aud"] == self._issuer)
        require(_party(claims) == person.party)
        officer = Officer(person.person_id, person.party, text_claim(claims, "function", longest=32), kid)
        bound_to = text_claim(object_claim(claims, "cnf"), "jkt", longest=43)
        require(bound_to.isascii())
        return officer, bound_to, require_lifetime(claims, now=now, longest=LONGEST_SHIFT)


def standing(snapshot: Snapshot, thumbprint: str, now: int) -> Enrolled | None:
    """The enrolment behind a key, if it is in force now: enabled, within its validity, its administrator still known."""
    enrolled = snapshot.people.get(thumbprint)
    return enrolled if enrolled is not None and _stands(enrolled, now) else None


def _stands(enrolled: Enrolled, now: int) -> bool:
    return enrolled.person.enabled and enrolled.valid_until > now


def read_person_key(text: str, *, snapshot: Snapshot, now: int) -> Enrolled:
    """A people administrator's statement about a person's key, checked; entering it is `enrolment.enrol_person`.

    Raises `BadRequest`: `statement_invalid`, `person_key_taken`; `Denied`: `people_admin_unknown` (also where a client's or
    an officer's key signed), `people_admin_scope`, `statement_expired`.
    """
    try:
        admin = _admin(kid_of(text, typ=PERSON_KEY_TYPE), snapshot)
        claims = verify(text, typ=PERSON_KEY_TYPE, key=verify_key(admin.public_key)).claims
        require_members(claims, _KEY_CLAIMS)
        require(claims["iss"] == admin.admin_id and _PERSON_ID.fullmatch(text_claim(claims, "sub")) is not None)
        party, key = _party(claims), public_key_claim(claims, "jwk")
        ends = require_lifetime(claims, now=now, longest=LONGEST_KEY)
        functions = _functions(claims)
    except Unsound as error:
        raise BadRequest("statement_invalid") from error
    if ends <= now:
        raise Denied("statement_expired")
    _require_scope(admin, party, snapshot)
    taken = (
        {client.thumbprint for client in snapshot.clients.values()} | snapshot.admins.keys() | snapshot.people.keys()
    )
    if key.thumbprint in taken:
        raise BadRequest("person_key_taken")
    person = Person(claims["sub"], party, functions, key.thumbprint, key.public)
    return Enrolled(person=person, valid_until=ends, enrolled_by=admin.thumbprint, statement=text)


def _admin(kid: str, snapshot: Snapshot) -> PeopleAdmin:
    admin = snapshot.admins.get(kid)
    if admin is None or not admin.enabled:
        raise Denied("people_admin_unknown")
    return admin


def _require_scope(admin: PeopleAdmin, party: Party, snapshot: Snapshot) -> None:
    home, organisation = (
        snapshot.organisations.get(admin.party.organisation),
        snapshot.organisations.get(party.organisation),
    )
    if (
        home is None
        or organisation is None
        or party.department is not admin.party.department
        or party.department not in organisation.departments
        or not organisation.region.startswith(region_prefix(home.region))
    ):
        raise Denied("people_admin_scope")


def _require_standing(snapshot: Snapshot, officer: Officer, now: int) -> None:
    enrolled = snapshot.people.get(officer.thumbprint)
    if enrolled is None:
        raise NotAuthenticated("officer_key_unknown")
    if not _stands(enrolled, now):
        raise NotAuthenticated("officer_disabled")
    if officer.function not in enrolled.person.functions:
        raise NotAuthenticated("officer_function")


def _party(claims: Mapping[str, Any]) -> Party:
    try:
        return Party(text_claim(claims, "org", longest=18), Department(text_claim(claims, "dept")))
    except ValueError as error:
        raise Unsound from error


def _functions(claims: Mapping[str, Any]) -> frozenset[str]:
    words = claims["functions"]
    require(isinstance(words, list) and 0 < len(words) <= _MOST_FUNCTIONS)
    require(all(isinstance(word, str) and _FUNCTION.fullmatch(word) for word in words))
    return frozenset(words)
