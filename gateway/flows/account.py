"""What a story has learnt about itself so far, so that its end, good or bad, becomes one entry.

Rules kept here: every end after authentication is recorded before anybody hears of it, a refusal and a fault as much as a
release; an entry that cannot be written turns the answer into `audit_unavailable` (no entry, no data); an unexpected
exception is recorded as `internal` (or, where the database failed, `store_unavailable`) and its text goes nowhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from gateway.audit.log import AuditLog, Effect
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault, NoResult, NotAuthenticated
from gateway.flows.evaluation_quota import LIMITS, Tally
from gateway.store.database import Writing


@dataclass(slots=True)
class Account:
    """Grows while the story goes on; `draft` freezes it.

    children: gateway pseudonyms. references: ids for the encrypted detail. on_refusal: what a refusal with a code writes
    beside its entry (the guardian's line), once it is known whom the request is about. tally: what it takes from the party's quota,
    whichever way it ends.
    """

    kind: EntryKind
    caller: Caller
    proof_id: str
    exchange: str = ""
    door: Door | None = None
    purpose: str = ""
    provider: Department | None = None
    policy_version: str = ""
    children: tuple[bytes, ...] = field(default=(), repr=False)
    assisted: bool = False
    sighted: bool = False
    references: dict[str, DetailValue] = field(default_factory=dict, repr=False)
    more_actors: tuple[str, ...] = ()
    on_refusal: Callable[[str], Effect] | None = field(default=None, repr=False)
    tally: Tally | None = field(default=None, repr=False)
    request_salt: bytes = field(default_factory=lambda: os.urandom(16), repr=False)

    def adopt(self, told: EntryDraft) -> None:
        """Take over what a room that makes a change tells about it; who asked, and how, stays the account's own."""
        self.kind = told.kind
        self.exchange = told.exchange or self.exchange
        # What is told of a protective use (its review) stays on the protective sequence, whatever door told it.
        self.door = Door.PROTECTIVE if told.protective else told.door or self.door
        self.purpose = told.purpose or self.purpose
        self.children = told.children or self.children
        self.more_actors = told.actors
        self.references.update(told.detail)

    @property
    def protective(self) -> bool:
        """Protective entries stand under a tag sequence of their own (DESIGN section 8)."""
        return self.door is Door.PROTECTIVE

    def effect(self, own: Effect | None = None) -> Effect | None:
        """What the entry's transaction does: the names are taken from the quota, then the story's own effect."""
        tally = self.tally
        if tally is None or not tally.names:
            return own

        async def both(writing: Writing) -> EntryDraft | None:
            await tally.take(writing)
            return await own(writing) if own is not None else None

        return both

    def draft(
        self, outcome: Outcome, *, code: str = "", answer: bytes | None = None, kind: EntryKind | None = None
    ) -> EntryDraft:
        """The entry. answer: the exact body bytes that will leave, digested under a fresh salt."""
        answer_salt = os.urandom(16) if answer is not None else b""
        caller = self.caller
        detail: dict[str, DetailValue] = {
            "request": caller.request_id,
            "request_salt": self.request_salt.hex(),
            "client": caller.client.client_id,
            "organisation": caller.party.organisation,
            "evidence": list(caller.evidence),
            **self.references,
        }
        if answer_salt:
            detail["answer_salt"] = answer_salt.hex()
        actors = [f"client:{caller.client.client_id}"]
        if caller.officer:
            detail["officer"] = caller.officer.person_id
            detail["function"] = caller.officer.function
            actors.append(f"person:{caller.officer.party.organisation}/{caller.officer.person_id}")
        return EntryDraft(
            kind=kind or self.kind,
            outcome=outcome,
            code=code,
            exchange=self.exchange,
            door=self.door,
            purpose=self.purpose,
            requester=caller.party.department,
            provider=self.provider,
            policy_version=self.policy_version,
            sighted=self.sighted,
            assisted=self.assisted,
            children=self.children,
            actors=tuple(dict.fromkeys((*actors, *self.more_actors))),
            protective=self.protective,
            request_digest=salted(self.request_salt, caller.body_digest),
            request_salt=self.request_salt,
            answer_digest=salted(answer_salt, hashlib.sha256(answer).digest()) if answer is not None else b"",
            answer_salt=answer_salt,
            detail=detail,
        )


def salted(salt: bytes, digest: bytes) -> bytes:
    """SHA-256(salt | digest): what the leaf holds instead of a digest that could be guessed."""
    return hashlib.sha256(salt + digest).digest()


def ending(error: GatewayError) -> Outcome:
    """How the entry names this error."""
    match error:
        case NoResult():
            return Outcome.NO_RESULT
        case Denied() | BadRequest():
            return Outcome.DENIED
        case _:
            return Outcome.FAULT


class recorded:  # noqa: N801 (reads as the block that it is: `async with recorded(log, account)`)
    """Inside this block every error becomes an entry before it reaches the caller.

    A class and no generator: each story passes here twice, and the loop keeps account of every asynchronous generator.
    """

    __slots__ = ("_account", "_log")

    def __init__(self, log: AuditLog, account: Account) -> None:
        self._log = log
        self._account = account

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # A replay found at the append is not told: nothing persisted, counted in the minute's roll-up.
        if error is None or not isinstance(error, Exception) or isinstance(error, NotAuthenticated):
            return
        account = self._account
        if not isinstance(error, GatewayError):
            # The text of an unexpected error may hold anything, so only its kind is kept.
            account.references["internal"] = type(error).__name__
            code = "store_unavailable" if is_outage(error) else "internal"
            await _refusal(self._log, account, Outcome.FAULT, code)
            raise GatewayFault(code, request=account.caller.request_id) from error
        if error.code == "audit_unavailable":
            return
        if isinstance(error, Denied) and error.rules:
            account.references["rules"] = list(error.rules)
        await _refusal(self._log, account, ending(error), error.code)


async def _refusal(log: AuditLog, account: Account, outcome: Outcome, code: str) -> None:
    proof_id = account.proof_id or None
    if outcome is Outcome.FAULT:
        await log.append(account.draft(outcome, code=code), proof_id=proof_id)
        return
    own = account.on_refusal(code) if account.on_refusal is not None else None
    try:
        await log.append(account.draft(outcome, code=code), effect=account.effect(own), proof_id=proof_id)
    except Denied as limit:
        # A refusal tells something about a child as well, so over the limit nobody hears which one it would have been; and a guess
        # that does not count begins no history.
        account.children = ()
        await log.append(account.draft(Outcome.DENIED, code=limit.code), proof_id=proof_id)
        if account.tally is not None and limit.code in LIMITS:
            await account.tally.alarm(log, limit.code)
        raise


_DRIVERS = frozenset({"sqlalchemy", "sqlite3", "aiosqlite", "psycopg", "psycopg_pool"})


def is_outage(error: BaseException) -> bool:
    """Whether an unexpected exception is the database's or the disk's, told by where its class comes from: only the store
    may import the drivers.
    """
    if isinstance(error, OSError):
        return True
    return any(cls.__module__.partition(".")[0] in _DRIVERS for cls in type(error).__mro__)
