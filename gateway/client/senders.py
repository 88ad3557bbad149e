"""Whose signature a record has to bear: senders' keys, pinned by hand or proved by the log.

Rules kept here: a key that only the gateway vouches for is not trusted; a key proved by the log under the pinned log key is
pinned from then on, and a party's key changes only to one that the log proves as well; keys are told apart by thumbprint.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from gateway.client.configuration import Configuration
from gateway.client.errors import AnswerRejected
from gateway.client.receipts import base64url, fetch_proof, prove
from gateway.client.session import Session, Step
from gateway.domain.canonical import canonical
from gateway.domain.parties import Party
from gateway.errors import BadRequest
from keys.signing import VerifyKey


class Senders:
    """The senders' keys that one client trusts."""

    def __init__(self, session: Session) -> None:
        configuration: Configuration = session.configuration
        self._session = session
        self._log_vkey = configuration.log_vkey
        self._pinned = dict(configuration.senders)

    def key_of(self, party: Party, kid: str) -> Step[VerifyKey]:
        """The key with this thumbprint, if it is the party's and trusted.

        Raises `AnswerRejected`: `sender_changed` (pinned for somebody else), `sender_unpinned` (not pinned, and no log key to
        prove it by), `sender_unproved` (the log does not hold it).
        """
        known = self._pinned.get(kid)
        if known is not None:
            if known[0] != party:
                raise AnswerRejected("sender_changed")
            return known[1]
        if self._log_vkey is None:
            raise AnswerRejected("sender_unpinned")
        key = yield from self._proved(party, kid, self._log_vkey)
        self._pinned[kid] = (party, key)
        return key

    def _proved(self, party: Party, kid: str, log_vkey: str) -> Step[VerifyKey]:
        answered = yield from self._session.get(f"/v1/keys/senders/{kid}")
        key, index = _announced(answered.document, kid)
        proof = yield from fetch_proof(self._session, index)
        skeleton = prove(proof, log_vkey=log_vkey).skeleton
        stated = base64url(key_commitment("sender", party, kid, key.public))
        held = str(skeleton.get("manifest", ""))
        if skeleton.get("code") != "sender_key" or not hmac.compare_digest(held.encode(), stated.encode()):
            raise AnswerRejected("sender_unproved")
        return key


def key_commitment(use: str, party: Party, kid: str, public_key: bytes) -> bytes:
    """What the skeleton of a key's entry holds: SHA-256 of the canonical statement "this key is this party's, for this
    use". use: `sender`, `client` or `sealing:<suite>`.
    """
    statement = {"key": base64url(public_key), "kid": kid, "party": party.text, "use": use}
    return hashlib.sha256(canonical(statement)).digest()


def _announced(document: dict[str, Any], kid: str) -> tuple[VerifyKey, int]:
    index = document.get("entry")
    try:
        key = VerifyKey.from_jwk(document["jwk"])
    except (BadRequest, KeyError, AttributeError, TypeError) as error:
        raise AnswerRejected("answer_malformed") from error
    if key.thumbprint != kid or not isinstance(index, int):
        raise AnswerRejected("sender_unproved")
    return key, index
