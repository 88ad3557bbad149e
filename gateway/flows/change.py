"""The common way of a change: authenticate, read, let the room that knows make it, record it with its effect.

Rules kept here: the effect runs in the transaction of its entry, so nothing changes without its record; the answer's bytes are
digested in the entry; a refused change is an entry as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.consent.changes import Change
from gateway.domain.canonical import canonical
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.recognise import recognise
from gateway.flows.requests import SignedRequest, SubjectRequest
from gateway.store.database import Reading


class AboutChild(Protocol):
    """A request that says whom it is about."""

    @property
    def subject(self) -> SubjectRequest:
        """The child, by pseudonym or by identifier."""
        ...


Request = TypeVar("Request")
RequestAboutChild = TypeVar("RequestAboutChild", bound=AboutChild)


@dataclass(frozen=True, slots=True)
class Made:
    """A change ready to be recorded, and what the caller hears of it (references of its own scope only)."""

    change: Change
    answer: dict[str, str]


async def change(
    house: House,
    signed: SignedRequest,
    read: Callable[[bytes], Request],
    make: Callable[[Caller, Request, Reading], Awaitable[Made]],
    *,
    kind: EntryKind,
    officer_required: bool = True,
) -> Answer:
    """Make one change for an authenticated caller. Raises what `make` and the effect raise, after recording it."""

    async def made(account: Account, request: Request, reading: Reading) -> Made:
        return await make(account.caller, request, reading)

    return await _change(house, signed, read, made, kind, officer_required=officer_required)


async def change_of_child(
    house: House,
    signed: SignedRequest,
    read: Callable[[bytes], RequestAboutChild],
    make: Callable[[Caller, Child, RequestAboutChild, Reading], Awaitable[Made]],
    *,
    kind: EntryKind,
) -> Answer:
    """`change`, for an officer's request about one child, who is recognised (and, named in clear, counted) first."""

    async def made(account: Account, request: RequestAboutChild, reading: Reading) -> Made:
        recognised = await recognise(house, account, None, request.subject, reading)
        if not isinstance(recognised.subject, Child):
            raise BadRequest("subject_missing")
        return await make(account.caller, recognised.subject, request, reading)

    return await _change(house, signed, read, made, kind, officer_required=True)


async def _change(
    house: House,
    signed: SignedRequest,
    read: Callable[[bytes], Request],
    make: Callable[[Account, Request, Reading], Awaitable[Made]],
    kind: EntryKind,
    *,
    officer_required: bool,
) -> Answer:
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=officer_required, reading=reading
        )
        account = Account(kind, authenticated.caller, authenticated.proof_id)
        async with recorded(house.log, account):
            made = await make(account, read(signed.body), reading)
            account.adopt(made.change.draft)
    async with recorded(house.log, account):
        body = canonical(made.answer)
        receipt = await house.log.append(
            account.draft(Outcome.DONE, code=made.change.draft.code, answer=body),
            effect=account.effect(made.change.effect),
            proof_id=account.proof_id,
        )
    return Answer(body, receipt)
