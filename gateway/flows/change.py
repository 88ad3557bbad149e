"""The common way of a change: authenticate, read, let the room that knows make it, record it with its effect.

Rules kept here: the effect runs in the transaction of its entry, so nothing changes without its record; the answer's bytes are
digested in the entry; a refused change is an entry as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.consent.changes import Change
from gateway.domain.canonical import canonical
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest
from gateway.store.database import Reading

Request = TypeVar("Request")


@dataclass(frozen=True, slots=True)
class Made:
    """A change ready to be recorded, and what the caller hears of it (references of its own scope only).

    assisted: whether the child was named by an identifier in the body.
    """

    change: Change
    answer: dict[str, str]
    assisted: bool = False


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
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=officer_required, reading=reading
        )
        account = Account(kind, authenticated.caller, authenticated.proof_id)
        async with recorded(house.log, account):
            made = await make(authenticated.caller, read(signed.body), reading)
            account.adopt(made.change.draft)
            account.assisted = made.assisted
    async with recorded(house.log, account):
        body = canonical(made.answer)
        receipt = await house.log.append(
            account.draft(Outcome.DONE, code=made.change.draft.code, answer=body),
            effect=made.change.effect,
            proof_id=account.proof_id,
        )
    return Answer(body, receipt)
