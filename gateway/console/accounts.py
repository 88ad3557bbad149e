"""Local accounts: made by the command line, proved by password and one-time code, changed by the security administrator.

Rules kept here: passwords are Argon2id; a one-time code is good once (RFC 6238, one step of tolerance); five failures lock an
account for 15 minutes; an unknown account costs the same time as a wrong password; every sign-in, refusal and change is an entry
in whose transaction it happens.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.console.refusals import Refused
from gateway.console.roles import Role, require_apart, require_place
from gateway.console.sessions import digest, new_token
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.flows.house import House
from gateway.store import console as store
from gateway.store.console import AccountRow, SessionRow
from gateway.store.database import Writing
from keys.buckets import aead_open, aead_seal

_Hashed = TypeVar("_Hashed")
FAILURES_AT_MOST = 5
LOCK_SECONDS = 15 * 60
STEP_SECONDS = 30
SHORTEST_PASSWORD = 12
_NAME = re.compile(r"[a-z][a-z0-9.-]{2,38}\Z")
_PERSON = re.compile(r"[0-9A-Z]{18}/[A-Za-z0-9-]{1,40}\Z")
_HASHER = PasswordHasher()
# Two at a time: each takes 64 MiB, and whoever floods the sign-in page must not fill the memory.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="argon2")
_NOBODY = _HASHER.hash(new_token())


@dataclass(frozen=True, slots=True)
class Account:
    """Who is at the console. person: `<organisation>/<staff number>`; department: None for administrators."""

    name: str
    person: str
    role: Role
    department: Department | None
    enabled: bool
    demo: bool

    @classmethod
    def of(cls, row: AccountRow) -> Account:
        """From its stored form."""
        department = Department(row.department) if row.department else None
        return cls(row.account, row.person, Role(row.role), department, row.enabled, row.demo)

    @property
    def actor(self) -> str:
        """The name under which the log keeps this account's history."""
        return f"account:{self.name}"


@dataclass(frozen=True, slots=True)
class Signed:
    """A security key's answer to a challenge, checked (`security_keys.py`). proof_id: claimed with the sign-in, so that it is
    good once.
    """

    account: str
    credential_id: bytes
    signs: int
    proof_id: str


@dataclass(frozen=True, slots=True)
class Made:
    """A new account's second factor, shown once. uri: for an authenticator app."""

    account: Account
    entry: int
    secret: str = field(repr=False)
    uri: str = field(repr=False)


def told(account: Account, kind: EntryKind, outcome: Outcome, code: str, **detail: Any) -> EntryDraft:
    """An entry about an account."""
    return EntryDraft(
        kind=kind,
        outcome=outcome,
        code=code,
        requester=account.department,
        actors=(account.actor,),
        detail={"account": account.name, "role": str(account.role), **detail},
    )


async def add(
    house: House,
    secret: bytes,
    name: str,
    *,
    person: str,
    role: Role,
    department: Department | None,
    password: str,
    by: str,
    demo: bool = False,
) -> Made:
    """Make an account. secret: the deployment's key that seals one-time-code secrets, 32 bytes.

    Raises `Refused` (form_invalid, password_weak, department_needed, roles_exclusive, account_taken).
    """
    if not _NAME.match(name) or not _PERSON.match(person):
        raise Refused("form_invalid")
    if len(password) < SHORTEST_PASSWORD:
        raise Refused("password_weak")
    require_place(role, department)
    code_secret = pyotp.random_base32()
    row = AccountRow(
        account=name,
        person=person,
        role=str(role),
        department=str(department or ""),
        password_hash=await _hashed(_HASHER.hash, password),
        code_secret=aead_seal(secret, code_secret.encode(), _binding(name)),
        last_step=0,
        failures=0,
        locked_until=0,
        enabled=True,
        demo=demo,
        created=_now(house),
    )
    account = Account.of(row)

    async def effect(writing: Writing) -> None:
        if await store.find_account(writing, name) is not None:
            raise Refused("account_taken")
        require_apart(role, _roles(await store.accounts_of(writing, person)))
        await store.put_account(writing, row)

    draft = told(account, EntryKind.ROLE_CHANGED, Outcome.DONE, "account_added", by=by)
    receipt = await house.log.append(draft, effect=effect)
    uri = pyotp.TOTP(code_secret).provisioning_uri(name=name, issuer_name="Runxin")
    return Made(account, receipt.index, code_secret, uri)


async def change_role(house: House, name: str, role: Role, department: Department | None, *, by: Account) -> int:
    """Give an account another role; its sessions end. The entry's index.

    Raises `Refused` (account_own, account_unknown, department_needed, roles_exclusive).
    """
    require_place(role, department)
    found = await _other(house, name, by)

    async def effect(writing: Writing) -> None:
        held = [row for row in await store.accounts_of(writing, found.person) if row.account != name]
        require_apart(role, _roles(held))
        await store.change_account(writing, name, role=str(role), department=str(department or ""))
        await store.end_sessions_of(writing, name)

    detail = {"by": by.name, "before": str(found.role), "after": str(role)}
    draft = told(found, EntryKind.ROLE_CHANGED, Outcome.DONE, "role_changed", **detail)
    return (await house.log.append(draft, effect=effect)).index


async def admit(house: House, name: str, *, enabled: bool, by: Account) -> int:
    """Let an account in again, unlocked, or keep it out; its sessions end. The entry's index. Raises as `change_role`."""
    found = await _other(house, name, by)

    async def effect(writing: Writing) -> None:
        if enabled:
            held = [row for row in await store.accounts_of(writing, found.person) if row.account != name]
            require_apart(found.role, _roles(held))
        await store.change_account(writing, name, enabled=enabled, failures=0, locked_until=0)
        await store.end_sessions_of(writing, name)

    code = "account_enabled" if enabled else "account_disabled"
    draft = told(found, EntryKind.ROLE_CHANGED, Outcome.DONE, code, by=by.name)
    return (await house.log.append(draft, effect=effect)).index


async def sign_in(
    house: House,
    secret: bytes,
    name: str,
    password: str,
    code: str,
    *,
    demo_allowed: bool,
    signed: Signed | None = None,
) -> tuple[Account, str]:
    """Check the password, and a one-time code or what a security key signed; the account and a fresh session token.

    demo_allowed: demo mode and a loopback peer. signed: a checked answer of a security key, None where there is none. Raises `Refused("sign_in_refused")` whatever was wrong.
    """
    now = _now(house)
    async with house.database.read() as reading:
        row = await store.find_account(reading, name)
    right = await _hashed(_password_right, row.password_hash if row else _NOBODY, password)
    if row is None:
        raise Refused("sign_in_refused")
    account = Account.of(row)
    why = _refusal(row, right=right, now=now, demo_allowed=demo_allowed)
    by_key = signed is not None and signed.account == name
    step = 0 if row.demo or by_key else _matching_step(secret, row, code, now)
    if not why and step is None:
        why = "code_wrong"
    token = new_token()
    if not why:

        async def begin(writing: Writing) -> None:
            if step and not await store.accept_step(writing, name, step):
                raise Refused("sign_in_refused")
            if by_key and signed is not None:
                await store.security_key_signed(writing, signed.credential_id, signed.signs)
            await store.change_account(writing, name, failures=0, locked_until=0)
            await store.put_session(writing, SessionRow(digest(token), name, now, now))

        how = "demo" if row.demo else "security_key" if by_key else "one_time_code"
        draft = told(account, EntryKind.SIGN_IN, Outcome.DONE, "signed_in", how=how)
        await house.log.append(draft, effect=begin, proof_id=signed.proof_id if by_key and signed else None)
        return account, token
    await _failed(house, account, row, why, now)
    raise Refused("sign_in_refused")


async def sign_out(house: House, account: Account, token: str) -> None:
    """End the session; an entry."""

    async def end(writing: Writing) -> None:
        await store.end_session(writing, digest(token))

    await house.log.append(told(account, EntryKind.SIGN_IN, Outcome.DONE, "signed_out"), effect=end)


async def _failed(house: House, account: Account, row: AccountRow, why: str, now: int) -> None:
    if why == "locked":
        return  # counted and recorded until it locked; more of the same would only fill the log

    async def count(writing: Writing) -> EntryDraft:
        # Counted where it is written, so that guesses side by side cannot share one failure.
        current = await store.find_account(writing, account.name)
        failures = (current or row).failures + 1
        lock = failures >= FAILURES_AT_MOST
        values = {"failures": 0, "locked_until": now + LOCK_SECONDS} if lock else {"failures": failures}
        await store.change_account(writing, account.name, **values)
        code = "account_locked" if lock else "sign_in_refused"
        return told(account, EntryKind.SIGN_IN, Outcome.DENIED, code, why=why)

    await house.log.append(told(account, EntryKind.SIGN_IN, Outcome.DENIED, "sign_in_refused", why=why), effect=count)


async def _other(house: House, name: str, by: Account) -> Account:
    if name == by.name:
        raise Refused("account_own")
    return await named(house, name)


async def named(house: House, name: str) -> Account:
    """An account. `Refused("account_unknown")`."""
    async with house.database.read() as reading:
        row = await store.find_account(reading, name)
    if row is None:
        raise Refused("account_unknown")
    return Account.of(row)


def _refusal(row: AccountRow, *, right: bool, now: int, demo_allowed: bool) -> str:
    if row.locked_until > now:
        return "locked"
    if not right:
        return "password_wrong"
    if not row.enabled:
        return "disabled"
    return "demo_only" if row.demo and not demo_allowed else ""


def _matching_step(secret: bytes, row: AccountRow, code: str, now: int) -> int | None:
    """The time step whose code this is, newest first; None if there is none."""
    totp = pyotp.TOTP(aead_open(secret, row.code_secret, _binding(row.account)).decode())
    steps = (now // STEP_SECONDS + shift for shift in (0, -1, 1))
    return next((step for step in steps if step > row.last_step and totp.verify(code, for_time=step * 30)), None)


async def _hashed(work: Callable[..., _Hashed], *given: str) -> _Hashed:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, partial(work, *given))


def _password_right(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _roles(rows: list[AccountRow]) -> list[Role]:
    return [Role(row.role) for row in rows if row.enabled]


def _binding(name: str) -> bytes:
    return b"runxin/console/one-time-code\x00" + name.encode()


def _now(house: House) -> int:
    return int(house.clock.now().timestamp())
