"""`POST /oauth/token`: client credentials (RFC 6749, 4.4) with private_key_jwt and a DPoP proof.

Rules kept here: every signature is checked before the database is asked to write anything, so strangers cannot hold its
write lock; assertion and proof are claimed together, once; errors say as little as those of any other request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from gateway.domain.clock import Clock
from gateway.errors import BadRequest, NotAuthenticated
from gateway.identity.client_assertions import verify_assertion
from gateway.identity.headers import single
from gateway.identity.proofs import origin_of, verify_proof
from gateway.identity.statements import verify_key
from gateway.identity.tokens import LIFETIME, AccessTokens
from gateway.store.database import Database
from gateway.store.proof_claims import ASSERTION_MEMORY, claim
from gateway.store.registry import Registry

ASSERTION_KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_FORM = 20_000
_FORM = frozenset({"grant_type", "client_assertion_type", "client_assertion"})


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the endpoint answers. expires_in: seconds. client_id: for the caller's own counters, not in the body."""

    access_token: str = field(repr=False)
    expires_in: int
    client_id: str

    @property
    def body(self) -> dict[str, str | int]:
        """The JSON body (RFC 6749, 5.1; RFC 9449, 5)."""
        return {"access_token": self.access_token, "token_type": "DPoP", "expires_in": self.expires_in}


class TokenEndpoint:
    """Answers token requests. It opens a write transaction of its own, only to claim the two `jti`: no entry is written
    before a client has asked for something.
    """

    def __init__(
        self, *, issuer: str, tokens: AccessTokens, registry: Registry, database: Database, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._origin = origin_of(issuer)
        self._tokens = tokens
        self._registry = registry
        self._database = database
        self._clock = clock

    async def issue(self, *, path: str, headers: Mapping[str, str], body: bytes) -> TokenAnswer:
        """A token for whoever signed the form and the proof.

        path: as received, without query. headers: names in lower case. Raises `BadRequest("token_request_invalid")`;
        `NotAuthenticated`: the codes of `client_assertions` and `proofs`, `proof_missing`, `assertion_replayed`,
        `proof_replayed`.
        """
        assertion = _assertion_in(headers, body)
        now = int(self._clock.now().timestamp())
        async with self._database.read() as reading:
            snapshot = await self._registry.refresh(reading)
        asserted = verify_assertion(assertion, issuer=self._issuer, snapshot=snapshot, now=now)
        proof_text = single(headers, "dpop")
        if proof_text is None:
            raise NotAuthenticated("proof_missing")
        proof = verify_proof(
            proof_text,
            key=verify_key(asserted.client.public_key),
            method="POST",
            url=self._origin + path,
            body_digest=hashlib.sha256(body).digest(),
            token_digest=None,
            now=now,
        )
        async with self._database.write() as writing:
            replayed = await claim(writing, [asserted.assertion_id, proof.proof_id], expires_at=now + ASSERTION_MEMORY)
        # Whatever was not used before is used up now, also where the other one was replayed.
        if asserted.assertion_id in replayed:
            raise NotAuthenticated("assertion_replayed")
        if replayed:
            raise NotAuthenticated("proof_replayed")
        client = asserted.client
        return TokenAnswer(self._tokens.issue(client, now=now), LIFETIME, client.client_id)


def _assertion_in(headers: Mapping[str, str], body: bytes) -> str:
    kind = (single(headers, "content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or len(body) > LONGEST_FORM:
        raise BadRequest("token_request_invalid")
    try:
        pairs = parse_qsl(body.decode("ascii"), strict_parsing=True, max_num_fields=8, keep_blank_values=True)
    except ValueError as error:
        raise BadRequest("token_request_invalid") from error
    form = dict(pairs)
    if len(form) != len(pairs) or form.keys() != _FORM:
        raise BadRequest("token_request_invalid")
    if form["grant_type"] != "client_credentials" or form["client_assertion_type"] != ASSERTION_KIND:
        raise BadRequest("token_request_invalid")
    return form["client_assertion"]
