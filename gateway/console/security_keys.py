"""Security keys (WebAuthn level 2): an answer to our challenge that a page on another host cannot get.

Rules kept here: a challenge carries its purpose and its end under our own MAC and is good once; the host is that of the settings'
issuer and never what a request names; a key signs only after it has checked its holder; attestation is not asked for; a key
signs approvals only once its person has vouched for it (`gateway/identity/security_keys.py`).
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.console.accounts import Account, Signed, told
from gateway.console.refusals import Refused
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest
from gateway.flows.house import House
from gateway.identity import security_keys as vouching
from gateway.identity.security_keys import Vouched
from gateway.settings import Settings
from gateway.store import console as store
from gateway.store.console import SecurityKeyRow
from gateway.store.database import Writing

GOOD_SECONDS = 120
_NONCE, _END, _MAC = 16, 8, 32
_SELECTION = AuthenticatorSelectionCriteria(
    resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
)


def host(settings: Settings) -> str:
    """The relying party's id. `Refused("keys_need_name")` where the issuer is an address: browsers want a name."""
    name = urlsplit(settings.issuer).hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    raise Refused("keys_need_name")


async def registration_options(house: House, secret: bytes, settings: Settings, account: Account) -> str:
    """JSON for `navigator.credentials.create`."""
    async with house.database.read() as reading:
        known = await store.security_keys_of(reading, account.name)
    options = generate_registration_options(
        rp_id=host(settings),
        rp_name="Runxin",
        user_name=account.name,
        user_id=hmac.digest(secret, b"user|" + account.name.encode(), "sha256"),
        challenge=make_challenge(secret, f"register|{account.name}", _now(house)),
        authenticator_selection=_SELECTION,
        exclude_credentials=[PublicKeyCredentialDescriptor(row.credential_id) for row in known],
    )
    return options_to_json(options)


async def register(house: House, secret: bytes, settings: Settings, account: Account, answer: str, label: str) -> int:
    """Enter the key that answered; the entry's index. `Refused("key_refused")`."""
    challenge = require_challenge(secret, f"register|{account.name}", answer, _now(house))
    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=host(settings),
            expected_origin=settings.issuer,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError) as error:
        raise Refused("key_refused") from error
    row = SecurityKeyRow(
        made.credential_id, account.name, made.credential_public_key, made.sign_count, label[:60], _now(house)
    )

    async def effect(writing: Writing) -> None:
        if await store.find_security_key(writing, row.credential_id) is not None:
            raise Refused("key_refused")
        await store.put_security_key(writing, row)

    draft = told(account, EntryKind.SIGN_IN, Outcome.DONE, "security_key_added")
    return (await house.log.append(draft, effect=effect, proof_id=_proof_id(challenge))).index


async def remove(house: House, account: Account, credential_id: bytes) -> int:
    """Forget one of the own keys, which signs no approval any more either; the entry's index. `Refused("key_refused")`."""

    async def effect(writing: Writing) -> None:
        if not await store.drop_security_key(writing, account.name, credential_id):
            raise Refused("key_refused")
        await vouching.retire_security_key(writing, credential_id)

    draft = told(account, EntryKind.SIGN_IN, Outcome.DONE, "security_key_removed")
    return (await house.log.append(draft, effect=effect)).index


def vouching_subject(settings: Settings, row: SecurityKeyRow) -> dict[str, Any]:
    """What its person signs so that a key signs approvals. `Refused("keys_need_name")`."""
    return vouching.key_subject(
        label=row.label,
        credential=row.credential_id,
        key=row.public_key,
        host=host(settings),
        origin=settings.issuer,
    )


async def vouch(house: House, settings: Settings, account: Account, credential_id: bytes, statement: str) -> int:
    """Let one of the own keys sign approvals from now on; the entry's index.

    Raises `Refused("key_refused")` (not an own key), `BadRequest("statement_invalid")` (another key's, host's or person's), and as
    `read_vouching`.
    """
    now = _now(house)
    async with house.database.read() as reading:
        row = await store.find_security_key(reading, credential_id)
        snapshot = await house.registry.refresh(reading)
    if row is None or row.account != account.name:
        raise Refused("key_refused")
    found = vouching.read_vouching(statement, snapshot=snapshot, now=now)
    if found.signer != account.person or _subject(found) != vouching_subject(settings, row):
        raise BadRequest("statement_invalid")
    draft, effect = vouching.vouch(found, statement, by=account.actor, now=now)
    receipt = await house.log.append(draft, effect=effect)
    house.registry.forget()
    return receipt.index


def sign_in_options(secret: bytes, settings: Settings, now: int) -> str:
    """JSON for `navigator.credentials.get`. It names no account and no key, so nobody learns who has one."""
    options = generate_authentication_options(
        rp_id=host(settings),
        challenge=make_challenge(secret, "sign-in", now),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


async def check(house: House, secret: bytes, settings: Settings, answer: str) -> Signed | None:
    """What a key signed for signing in, checked; None where it does not hold."""
    try:
        challenge = require_challenge(secret, "sign-in", answer, _now(house))
        credential_id = base64url_to_bytes(json.loads(answer)["id"])
        async with house.database.read() as reading:
            row = await store.find_security_key(reading, credential_id)
        if row is None:
            return None
        found = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=host(settings),
            expected_origin=settings.issuer,
            credential_public_key=row.public_key,
            credential_current_sign_count=row.signs,
            require_user_verification=True,
        )
    except (Refused, WebAuthnException, ValueError, KeyError, TypeError):
        return None
    return Signed(row.account, row.credential_id, found.new_sign_count, _proof_id(challenge))


# --- challenges -------------------------------------------------------------------------------------------------------


def make_challenge(secret: bytes, purpose: str, now: int) -> bytes:
    """A fresh challenge for one purpose, good for two minutes from `now` (unix seconds)."""
    body = os.urandom(_NONCE) + (now + GOOD_SECONDS).to_bytes(_END, "big")
    return body + _mac(secret, purpose, body)


def require_challenge(secret: bytes, purpose: str, answer: str, now: int) -> bytes:
    """The challenge that an answer says it answers, if it is one of ours. `Refused("key_refused")`."""
    try:
        client_data = base64url_to_bytes(json.loads(answer)["response"]["clientDataJSON"])
        challenge: bytes = base64url_to_bytes(json.loads(client_data)["challenge"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refused("key_refused") from error
    body, mac = challenge[: _NONCE + _END], challenge[_NONCE + _END :]
    if len(mac) != _MAC or not hmac.compare_digest(mac, _mac(secret, purpose, body)):
        raise Refused("key_refused")
    if int.from_bytes(body[_NONCE:], "big") < now:
        raise Refused("key_refused")
    return challenge


def _mac(secret: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.digest(secret, b"runxin/console/challenge\x00" + purpose.encode() + b"\x00" + body, "sha256")


def _subject(found: Vouched) -> dict[str, Any]:
    return vouching.key_subject(
        label=found.label, credential=found.credential, key=found.key, host=found.host, origin=found.origin
    )


def _proof_id(challenge: bytes) -> str:
    return "webauthn:" + challenge[:_NONCE].hex()


def _now(house: House) -> int:
    return int(house.clock.now().timestamp())
