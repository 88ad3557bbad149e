"""复核: the open tasks of a department, and closing one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from datetime import UTC

from gateway.consent import embargo
from gateway.consent import reviews as reviews_room
from gateway.domain.canonical import canonical
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller, Party
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account, recorded
from gateway.flows.calendar_days import DAYS
from gateway.flows.change import Made, change
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.policy_changes import By
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest
from gateway.identity.approvals import APPROVER, verify_approval
from gateway.identity.in_person import signer_as_caller
from gateway.store.basis import micros, moment
from gateway.store.basis_desk import embargoes_ended, unalarmed_reviews
from gateway.store.basis_lists import ReviewFound, load_review
from gateway.store.database import Reading


async def waiting(house: House, signed: SignedRequest) -> bytes:
    """Open tasks of the caller's party, most urgent first. A task names no child."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        found = await reviews_room.open_reviews(reading, authenticated.caller.party.text)
    await spend_proof(house, authenticated.proof_id)
    return canonical(
        {
            "reviews": [
                {
                    "review": review.review_id,
                    "kind": review.kind,
                    "exchange": review.exchange,
                    "opened": moment(review.opened).astimezone(UTC).isoformat(),
                    "due": moment(review.due).astimezone(UTC).isoformat(),
                }
                for review in found
            ]
        }
    )


async def close(house: House, signed: SignedRequest, read: Callable[[bytes], tuple[str, str]]) -> Answer:
    """Close a task with a finding. Nobody reviews himself."""

    async def make(caller: Caller, request: tuple[str, str], reading: Reading) -> Made:
        name, finding = request
        review = await load_review(reading, name)
        if review is None:
            raise Denied("review_party")
        closed = reviews_room.close_review(
            caller, review, "justified" if finding == "justified" else "unjustified", now=house.clock.now()
        )
        return Made(closed, {"review": name, "state": "closed", "finding": finding})

    return await change(house, signed, read, make, kind=EntryKind.REVIEW_CLOSED)


def conclusion(review: ReviewFound, finding: str) -> dict[str, str]:
    """What a reviewer signs to close a task at the console."""
    return {"kind": "review", "review": review.review_id, "about": review.kind, "finding": finding}


async def task_named(house: House, review_id: str) -> ReviewFound:
    """One task, open or not. `BadRequest("not_found")`."""
    async with house.database.read() as reading:
        review = await load_review(reading, review_id)
    if review is None:
        raise BadRequest("not_found")
    return review


async def conclude(house: House, review_id: str, finding: reviews_room.Finding, statement: str, *, by: By) -> None:
    """Close a task by the reviewer's own signature over `conclusion`. Who carries it in decides nothing.

    Raises as `close_review` and `verify_approval`.
    """
    review, now = await task_named(house, review_id), house.clock.now()
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
    signed = verify_approval(
        statement, snapshot=house.registry.current, now=int(now.timestamp()), expected=conclusion(review, finding)
    )
    caller = signer_as_caller(signed.approver, statement, function=APPROVER, request_id=new_id("rq"))
    account = Account(EntryKind.REVIEW_CLOSED, caller, "")
    async with recorded(house.log, account):
        closed = reviews_room.close_review(caller, review, finding, now=now)
        account.adopt(closed.draft)
    account.references.update({"statement": statement, "carried_by": by.person})
    async with recorded(house.log, account):
        await house.log.append(account.draft(Outcome.DONE), effect=closed.effect)


async def alarm_overdue(house: House) -> int:
    """An alarm entry for every task that nobody did in time, once each. Returns how many."""
    now = house.clock.now()
    async with house.database.read() as reading:
        late = await unalarmed_reviews(reading, micros(now))
    raised = 0
    for review in late:
        told = reviews_room.alarm(review, now=now)
        # Another worker, or whoever closed it, may have been faster: then there is nothing to say.
        with contextlib.suppress(Denied):
            await house.log.append(told.draft, effect=told.effect)
            raised += 1
    return raised


async def ask_holders(house: House, holders: Collection[Party]) -> int:
    """Ask both holders of protective histories for their shares, for every embargo whose time is over. Returns how many."""
    now = house.clock.now()
    async with house.database.read() as reading:
        ended = await embargoes_ended(reading, micros(now))
    asked = 0
    for embargo_id, _request in ended:
        told = embargo.ask_holders(embargo_id, holders, now=now, days=DAYS)
        with contextlib.suppress(Denied):
            await house.log.append(told.draft, effect=told.effect)
            asked += 1
    return asked


async def release_share(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """A holder releases its share of an embargo."""

    async def make(caller: Caller, name: str, reading: Reading) -> Made:
        task = await load_review(reading, name)
        if task is None:
            raise Denied("review_party")
        released = embargo.release(caller, task, now=house.clock.now())
        return Made(released, {"review": name, "state": "released"})

    return await change(house, signed, read, make, kind=EntryKind.REVIEW_CLOSED)
