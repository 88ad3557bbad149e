"""Step (1) of both stories: raw request in, `Caller` out.

Rules kept here: the body is authenticated as bytes before anybody parses it; checks run in one order (token, client,
proof, officer, replay), the cheapest stranger is refused first; a kill switch and a disabled person or client count from
the registry's next reading on, whatever was verified before; only the request proof costs a signature check per request.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.clock import Clock
from gateway.domain.ids import request_id
from gateway.domain.parties import Caller, Client, Officer
from gateway.errors import NotAuthenticated
from gateway.identity.client_assertions import require_enabled
from gateway.identity.headers import single
from gateway.identity.people import Officers
from gateway.identity.proofs import Proof, origin_of, seen_key, verify_proof
from gateway.identity.remembered import Remembered
from gateway.identity.statements import verify_key
from gateway.identity.tokens import AccessTokens, VerifiedToken
from gateway.store.database import Reading
from gateway.store.registry import Registry, Snapshot, proof_used
from keys.signing import SigningKey, VerifyKey


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Step (1) done. proof_id: to be claimed once, in the transaction that writes this request's entry."""

    caller: Caller
    proof_id: str


class Authenticator:
    """Authenticates requests; one per worker.

    issuer: the gateway's public URL; its origin and the path as received make the `htu` that a proof must name.
    token_key: signs access tokens. earlier_token_keys: still read while a rotation is under way. `tokens` is what the token
    endpoint issues from.
    """

    def __init__(
        self,
        *,
        issuer: str,
        registry: Registry,
        clock: Clock,
        token_key: SigningKey,
        earlier_token_keys: Sequence[VerifyKey] = (),
    ) -> None:
        self._origin = origin_of(issuer)
        self.tokens = AccessTokens(issuer=issuer, key=token_key, earlier=earlier_token_keys)
        self._registry = registry
        self._clock = clock
        self._officers = Officers(issuer=issuer)
        self._seen: Remembered[bool] = Remembered(200_000)

    async def authenticate(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        officer_required: bool,
        reading: Reading,
    ) -> Authenticated:
        """Who sent exactly these bytes.

        method: upper case. path: as received, without query. headers: names in lower case, or a case-insensitive
        mapping. officer_required: refuse where no officer stands behind the request.

        Raises `NotAuthenticated`: `token_missing`, `token_invalid`, `token_expired`, `client_unknown`, `client_disabled`,
        `proof_missing`, `proof_invalid`, `proof_expired`, `proof_body_mismatch`, `proof_replayed`, `officer_missing`,
        `officer_invalid`, `officer_expired`, `officer_key_unknown`, `officer_disabled`, `officer_function`.
        """
        now = int(self._clock.now().timestamp())
        snapshot = await self._registry.refresh(reading)
        token = self._token(headers, now)
        client = _client(token, snapshot)
        body_digest = hashlib.sha256(body).digest()
        proof_text = single(headers, "dpop")
        if proof_text is None:
            raise NotAuthenticated("proof_missing")
        proof = verify_proof(
            proof_text,
            key=verify_key(client.public_key),
            method=method,
            url=self._origin + path,
            body_digest=body_digest,
            token_digest=token.digest,
            now=now,
        )
        officer_text = single(headers, "officer-assertion")
        officer = self._officer(officer_text, client, snapshot, now, required=officer_required)
        await self._require_fresh(proof, reading, now)
        caller = Caller(
            client=client,
            officer=officer,
            region=client.region,
            body_digest=body_digest,
            evidence=(proof.text,) if officer_text is None else (proof.text, officer_text),
            request_id=request_id(proof.text),
        )
        return Authenticated(caller, proof.proof_id)

    def _token(self, headers: Mapping[str, str], now: int) -> VerifiedToken:
        authorization = single(headers, "authorization")
        if authorization is None:
            raise NotAuthenticated("token_missing")
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "dpop":
            raise NotAuthenticated("token_invalid")
        return self.tokens.read(text, now=now)

    def _officer(
        self, text: str | None, client: Client, snapshot: Snapshot, now: int, *, required: bool
    ) -> Officer | None:
        if text is not None:
            return self._officers.read(text, client=client, snapshot=snapshot, now=now)
        if required:
            raise NotAuthenticated("officer_missing")
        return None

    async def _require_fresh(self, proof: Proof, reading: Reading, now: int) -> None:
        # This worker's memory also covers requests that write no entry; the shared table covers the other workers.
        key = seen_key(proof.proof_id)
        if self._seen.get(key, now):
            raise NotAuthenticated("proof_replayed")
        self._seen.put(key, True, ends=proof.ends, now=now)
        if await proof_used(reading, proof.proof_id):
            raise NotAuthenticated("proof_replayed")


def _client(token: VerifiedToken, snapshot: Snapshot) -> Client:
    client = snapshot.clients.get(token.client_id)
    if client is None:
        raise NotAuthenticated("client_unknown")
    require_enabled(client, snapshot)
    # A token outlives its client's key only until here.
    if not hmac.compare_digest(token.key_thumbprint.encode(), client.thumbprint.encode()):
        raise NotAuthenticated("token_invalid")
    return client
