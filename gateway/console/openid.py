"""Sign-in by OpenID Connect at the console: whom a provider's subject is here, and the session that begins.

Rules kept here: an account is bound to a subject by an administrator beforehand and never by the sign-in itself; role, department and
person are the account's, whatever a token says; the subject stands as a keyed digest only; an attempt is sealed in the browser that
began it and good once; whatever does not hold, the visitor hears one sentence.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from gateway.console import sessions
from gateway.console.accounts import Account, named, told
from gateway.console.refusals import Refused
from gateway.console.sessions import digest, new_token
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.flows.house import House
from gateway.identity.openid import (
    Attempt,
    OpenIdUnsound,
    Provider,
    authorization_url,
    code_in,
    end_session_url,
    packed,
    read_id_token,
    unpacked,
)
from gateway.identity.openid_provider import OpenIdClient, OpenIdUnavailable
from gateway.observe import log
from gateway.settings import Settings
from gateway.store import console as store
from gateway.store import console_bindings as bindings
from gateway.store.console import SessionRow
from gateway.store.console_bindings import BindingRow
from gateway.store.database import Writing
from keys.aead import aead_open, aead_seal

GOOD_SECONDS = 280
"""Seconds from leaving for the provider to coming back: shorter than the claim that makes an attempt good once is kept."""
BACK = "/console/sign-in/openid/back"
COOKIE = "runxin-openid"
_COOKIE = b"runxin/console/openid-attempt"


def client_of(settings: Settings) -> OpenIdClient | None:
    """The way to the provider that the settings name; None where they name none."""
    if not settings.openid_issuer:
        return None
    return OpenIdClient(
        settings.openid_issuer,
        settings.openid_client_id,
        secret=settings.openid_client_secret.get_secret_value(),
        authority=settings.openid_ca,
    )


# --- bindings ---------------------------------------------------------------------------------------------------------------------


async def bind(house: House, secret: bytes, issuer: str, subject: str, name: str, *, by: str) -> int:
    """Bind an account to a provider's subject; the entry's index.

    Raises `Refused`: form_invalid, account_unknown, openid_bound (the account or the subject has a binding already).
    """
    if not 0 < len(subject) <= 255 or not subject.isprintable():
        raise Refused("form_invalid")
    account = await named(house, name)
    row = BindingRow(subject_digest(secret, issuer, subject), name, issuer, _now(house))

    async def effect(writing: Writing) -> None:
        taken = await bindings.find_binding(writing, row.subject_digest)
        if taken is not None or await bindings.binding_of(writing, name) is not None:
            raise Refused("openid_bound")
        await bindings.put_binding(writing, row)

    draft = told(account, EntryKind.ROLE_CHANGED, Outcome.DONE, "openid_bound", by=by, issuer=issuer)
    return (await house.log.append(draft, effect=effect)).index


async def unbind(house: House, name: str, *, by: str) -> int:
    """Undo an account's binding; its sessions end. The entry's index. Raises `Refused`: account_unknown, openid_unbound."""
    account = await named(house, name)

    async def effect(writing: Writing) -> None:
        if not await bindings.drop_binding(writing, name):
            raise Refused("openid_unbound")
        await store.end_sessions_of(writing, name)

    draft = told(account, EntryKind.ROLE_CHANGED, Outcome.DONE, "openid_unbound", by=by)
    return (await house.log.append(draft, effect=effect)).index


def subject_digest(secret: bytes, issuer: str, subject: str) -> bytes:
    """What the database keeps of a subject."""
    key = hmac.digest(secret, b"runxin/console/openid-subject\x00" + issuer.encode(), "sha256")
    return hmac.digest(key, subject.encode("utf-8", "surrogatepass"), "sha256")


# --- one sign-in ------------------------------------------------------------------------------------------------------------------


async def begin(client: OpenIdClient, settings: Settings, now: int) -> tuple[str, Attempt]:
    """(where the browser is sent, the attempt to seal into its cookie). `Refused("openid_unavailable")`."""
    attempt = Attempt.begin(client.issuer, now + GOOD_SECONDS)
    provider = await _provider(client)
    redirect = redirect_uri(settings)
    url = authorization_url(provider, attempt, client_id=client.client_id, redirect=redirect, acr=settings.openid_acr)
    return url, attempt


async def finish(
    house: House,
    secret: bytes,
    client: OpenIdClient,
    settings: Settings,
    cookie: str,
    answer: Sequence[tuple[str, str]],
    *,
    demo_allowed: bool,
) -> tuple[Account, str]:
    """What the provider sent back, checked; the account and a fresh session token.

    Raises `Refused`: `openid_refused` whatever was wrong, `openid_unavailable`; `NotAuthenticated("proof_replayed")`.
    """
    now = _now(house)
    attempt = unseal(secret, cookie)
    provider = await _provider(client)
    try:
        code = code_in(answer, attempt, provider, now=now)
        token, key = await client.id_token(code, attempt, redirect_uri(settings))
        subject = read_id_token(
            token, key, attempt, client_id=client.client_id, now=_now(house), acr=settings.openid_acr
        )
    except OpenIdUnsound as error:
        raise _refused(error.why) from error
    except OpenIdUnavailable as error:
        raise Refused("openid_unavailable") from error
    return await _enter(house, subject_digest(secret, client.issuer, subject), attempt, demo_allowed=demo_allowed)


async def end_session(client: OpenIdClient, settings: Settings) -> str:
    """Where the browser ends the provider's own session. Raises `Refused`: openid_unavailable, openid_no_sign_out."""
    provider = await _provider(client)
    try:
        return end_session_url(provider, client_id=client.client_id, back=f"{settings.issuer}/console/sign-in")
    except OpenIdUnsound as error:
        raise Refused("openid_no_sign_out") from error


async def _enter(house: House, subject: bytes, attempt: Attempt, *, demo_allowed: bool) -> tuple[Account, str]:
    async with house.database.read() as reading:
        binding = await bindings.find_binding(reading, subject)
        row = await store.find_account(reading, binding.account) if binding else None
    if row is None:
        raise _refused("unbound")
    account, token, now = Account.of(row), new_token(), _now(house)
    # A lock after wrong passwords guards the password; it must not keep out whom the provider knows.
    if not row.enabled or (row.demo and not demo_allowed):
        why = "demo_only" if row.enabled else "disabled"
        await house.log.append(
            told(account, EntryKind.SIGN_IN, Outcome.DENIED, "sign_in_refused", why=why, how="openid")
        )
        raise _refused(why)

    async def effect(writing: Writing) -> None:
        # Looked at again where it counts: an administrator may have undone either in the meantime.
        bound, current = await bindings.find_binding(writing, subject), await store.find_account(writing, account.name)
        if bound is None or bound.account != account.name or current is None or not current.enabled:
            raise _refused("unbound")
        await store.put_session(writing, SessionRow(digest(token), account.name, now, now))

    draft = told(account, EntryKind.SIGN_IN, Outcome.DONE, "signed_in", how="openid")
    proof = f"openid:{hashlib.sha256(attempt.state.encode()).hexdigest()}"
    await house.log.append(draft, effect=effect, proof_id=proof)
    return account, token


async def _provider(client: OpenIdClient) -> Provider:
    try:
        return await client.provider()
    except (OpenIdUnavailable, OpenIdUnsound) as error:
        why = error.why if isinstance(error, OpenIdUnsound) else "no_answer"
        log.warning("openid provider", why=why)
        raise Refused("openid_unavailable") from error


def _refused(why: str) -> Refused:
    log.warning("openid sign-in refused", why=why)
    return Refused("openid_refused")


# --- the browser's cookie -----------------------------------------------------------------------------------------------------------


def redirect_uri(settings: Settings) -> str:
    """Where the provider sends the browser back to: ours, whatever host a request names."""
    return settings.issuer + BACK


def keep(request: Request, response: Response, secret: bytes, attempt: Attempt) -> None:
    """Seal an attempt into the browser's cookie. Lax: the browser comes back from another site."""
    sealed = urlsafe_b64encode(aead_seal(_key(secret), packed(attempt), _COOKIE)).decode()
    sessions.give(request, response, sealed, name=COOKIE, seconds=GOOD_SECONDS, samesite="lax")


def drop(request: Request, response: Response) -> None:
    """Let the browser forget its attempt."""
    sessions.take(request, response, name=COOKIE, samesite="lax")


def unseal(secret: bytes, cookie: str) -> Attempt:
    """The attempt that this browser began. `Refused("openid_refused")`."""
    try:
        return unpacked(aead_open(_key(secret), urlsafe_b64decode(cookie), _COOKIE))
    except Exception as error:
        # Whatever somebody put there, it was not sealed here.
        raise _refused("cookie") from error


def _key(secret: bytes) -> bytes:
    """A key of its own: anybody may begin an attempt, and so have as many sealed as there are."""
    return hmac.digest(secret, _COOKIE, "sha256")


def _now(house: House) -> int:
    return int(house.clock.now().timestamp())
