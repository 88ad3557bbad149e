"""What departments sign: request proofs, officer assertions, people's keys, approvals, consents. Makers only.

Rules kept here: one algorithm (EdDSA) and a `typ` for every kind, so that no statement can be taken for another; times are
whole unix seconds; whoever signs is named by the thumbprint of the key. The readers are in `gateway/identity`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jwt.api_jws import PyJWS

from gateway.domain.canonical import canonical
from gateway.domain.parties import Party
from keys.signing import SigningKey, VerifyKey

ASSERTION_KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
HOUR = 3600
DAY = 86_400

_JWS = PyJWS(algorithms=["EdDSA"])


def client_assertion(client_id: str, key: SigningKey, *, issuer: str, now: int) -> str:
    """RFC 7523 private_key_jwt, good once and for four minutes. now: unix seconds."""
    claims = {"iss": client_id, "sub": client_id, "aud": issuer, "jti": _jti(), "iat": now, "exp": now + 240}
    return sign(claims, typ="client-authentication+jwt", key=key)


def request_proof(key: SigningKey, *, method: str, url: str, body: bytes, token: str | None, now: int) -> str:
    """RFC 9449 DPoP proof that also carries the body's digest (RFC 9530 form).

    url: issuer origin + path, no query. token: the access token sent along, None at the token endpoint.
    """
    claims: dict[str, Any] = {
        "jti": _jti(),
        "htm": method,
        "htu": url,
        "iat": now,
        "content-digest": f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:",
    }
    if token is not None:
        claims["ath"] = _base64url(hashlib.sha256(token.encode("ascii")).digest())
    public = key.jwk()
    header = {"jwk": {member: public[member] for member in ("kty", "crv", "x")}}
    return sign(claims, typ="dpop+jwt", key=key, header=header)


def officer_assertion(
    person_id: str,
    party: Party,
    function: str,
    key: SigningKey,
    *,
    client_thumbprint: str,
    issuer: str,
    now: int,
    lifetime: int = 8 * HOUR,
) -> str:
    """An officer stands behind what one client sends, in one function. lifetime: seconds, at most twelve hours."""
    claims = {
        "iss": person_id,
        "sub": person_id,
        "org": party.organisation,
        "dept": str(party.department),
        "function": function,
        "aud": issuer,
        "cnf": {"jkt": client_thumbprint},
        "iat": now,
        "exp": now + lifetime,
    }
    return sign(claims, typ="officer+jwt", key=key)


def person_key_statement(
    admin_id: str,
    admin_key: SigningKey,
    *,
    person_id: str,
    party: Party,
    functions: Iterable[str],
    person_key: VerifyKey,
    now: int,
    lifetime: int = 365 * DAY,
) -> str:
    """A people administrator enrols a person's key. lifetime: seconds, at most 366 days."""
    public = person_key.jwk()
    claims = {
        "iss": admin_id,
        "sub": person_id,
        "org": party.organisation,
        "dept": str(party.department),
        "functions": sorted(functions),
        "jwk": {member: public[member] for member in ("kty", "crv", "x")},
        "iat": now,
        "exp": now + lifetime,
    }
    return sign(claims, typ="person-key+jwt", key=admin_key)


def approval(
    approver_id: str, party: Party, key: SigningKey, *, subject: Mapping[str, Any], now: int, lifetime: int = 30 * DAY
) -> str:
    """An approver's signature over the digest of what is approved. lifetime: seconds, at most thirty days.

    subject: restricted JSON, see `case_access` and `enrolment_grant`.
    """
    return sign(_about(subject, approver_id, party, now=now, lifetime=lifetime), typ="approval+jwt", key=key)


def security_key_statement(
    person_id: str,
    party: Party,
    key: SigningKey,
    *,
    subject: Mapping[str, Any],
    now: int,
    lifetime: int = 365 * DAY,
) -> str:
    """A person vouches for a security key (WebAuthn), which signs approvals from then on. lifetime: seconds, at most 366 days.

    subject: kind `security-key`, label, credential and key (base64url), host and origin; the console shows it.
    """
    return sign(_about(subject, person_id, party, now=now, lifetime=lifetime), typ="security-key+jwt", key=key)


def case_access(
    *, case: str, officer_id: str, organisation: str, exchanges: Sequence[str], from_: int, until: int
) -> dict[str, Any]:
    """What an approver approves to let an officer open a case's records (网保条例 36). from_, until: unix seconds, at most
    thirty days apart. case: the reference in the approver's department's form.
    """
    return {
        "kind": "case-access",
        "case": case,
        "officer": officer_id,
        "organisation": organisation,
        "exchanges": sorted(exchanges),
        "from": from_,
        "until": until,
    }


def enrolment_grant(*, party: Party, size: int, until: int) -> dict[str, Any]:
    """What two approvers approve to let a department enrol its register through the blind door. size: children.
    until: unix seconds.
    """
    return {"kind": "enrolment-grant", "party": party.text, "size": size, "until": until}


def consent_statement(
    recorder_id: str, party: Party, key: SigningKey, *, artefact: Mapping[str, Any], now: int, lifetime: int = DAY
) -> str:
    """The officer who recorded a consent signs its artefact: everything of the consent but the child.

    artefact: restricted JSON. lifetime: seconds within which it must reach the gateway, at most seven days.
    """
    claims = {
        "iss": recorder_id,
        "org": party.organisation,
        "dept": str(party.department),
        "artefact": dict(artefact),
        "iat": now,
        "exp": now + lifetime,
    }
    return sign(claims, typ="consent+jwt", key=key)


def reidentification(
    *, officer_id: str, party: Party, pseudonym: str, source: Party, reason: str, exchange: str = ""
) -> dict[str, Any]:
    """What an officer asks and two approvers approve: who is this child? exchange: of the closed scope in which the pseudonym
    stands, empty for the open one. source: whose register shall answer.
    """
    return {
        "kind": "reidentification",
        "officer": officer_id,
        "party": party.text,
        "exchange": exchange,
        "pseudonym": pseudonym,
        "source": source.text,
        "reason": reason,
    }


def reidentification_request(
    officer_id: str, party: Party, key: SigningKey, *, subject: Mapping[str, Any], now: int, lifetime: int = DAY
) -> str:
    """The officer's signature over what is asked (`reidentification`). lifetime: seconds, at most a day."""
    return sign(_about(subject, officer_id, party, now=now, lifetime=lifetime), typ="reidentification+jwt", key=key)


def _about(subject: Mapping[str, Any], author_id: str, party: Party, *, now: int, lifetime: int) -> dict[str, Any]:
    return {
        "iss": author_id,
        "org": party.organisation,
        "dept": str(party.department),
        "digest": hashlib.sha256(canonical(dict(subject))).hexdigest(),
        "subject": dict(subject),
        "iat": now,
        "exp": now + lifetime,
    }


def sign(claims: Mapping[str, Any], *, typ: str, key: SigningKey, header: Mapping[str, Any] | None = None) -> str:
    """A compact JWS (RFC 7515). header: members beside `typ` and `alg`; `kid` = thumbprint where none are given."""
    members = dict(header) if header is not None else {"kid": key.thumbprint}
    payload = json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()
    return _JWS.encode(payload, key.handle, algorithm="EdDSA", headers={"typ": typ, **members})


def _jti() -> str:
    return secrets.token_urlsafe(16)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
