"""Re-identification at the console: an officer's signed request waits until two people of two other departments have signed it.

 ask      the officer's own signature over what is asked and why; kept for a day at most
 approve  an approver's signature over the same; one a department
 look     grant and view of `reidentify.py` in one: the answer comes sealed to the officer's organisation and leaves once

Rules kept here: whoever carries a signature decides nothing; nobody hands in a request in another's name; each step is an entry in the
child's own history, also one that is refused; the gateway learns nothing that it does not learn at the machine door.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.ids import new_id
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows import reidentify
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.policy_changes import By
from gateway.flows.requests import ReidentificationRequest
from gateway.identity.approvals import verify_approval
from gateway.identity.in_person import signer_as_caller
from gateway.identity.reidentification import LONGEST_REQUEST, VerifiedRequest, verify_request
from gateway.store.database import Writing
from gateway.store.reidentification_requests import (
    RequestRow,
    SignedBy,
    approvals_of,
    find_request,
    list_requests,
    note_grant,
    put_approval,
    put_request,
)

NEEDED = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request as it stands. state: waiting, signed (both approvals are there), granted or expired."""

    row: RequestRow
    approvals: tuple[SignedBy, ...]
    state: str


async def ask(house: House, statement: str, *, by: By) -> str:
    """Keep a signed request; its id. `Denied`: request_other, reidentification_used and as `verify_request`; `BadRequest`,
    `ProviderFault("provider_unknown")` for a child or source that cannot be read.
    """
    now = int(house.clock.now().timestamp())
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        asked = verify_request(statement, snapshot=house.registry.current, now=now)
        require_in_person(asked, by)
        account = account_of(asked)
        async with recorded(house.log, account):
            account.references["statement"] = statement
            reidentify.require_own(asked, account)
            reidentify.source_named(house, asked.subject["source"])
            account.children = ((await reidentify.child_asked(house, account, asked, reading)).key,)
    row = RequestRow(
        request_id=new_id("rr"),
        digest=_digest(statement),
        officer=by.person,
        department=str(asked.officer.party.department),
        statement=statement,
        granted="",
        made_at=now,
        expires_at=now + LONGEST_REQUEST,
    )
    account.references["asked"] = row.request_id

    async def keep(writing: Writing) -> None:
        if not await put_request(writing, row):
            raise Denied("reidentification_used")

    async with recorded(house.log, account):
        await house.log.append(account.draft(Outcome.DONE, code="asked"), effect=keep)
    return row.request_id


async def approve(house: House, request_id: str, statement: str, *, by: By) -> None:
    """Keep an approver's signature over what was asked. by: who carries it.

    `Denied`: approval_self, approval_own_department, approval_replayed and as `verify_approval`,
    `verify_request`.
    """
    now = int(house.clock.now().timestamp())
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        row = _found(await find_request(reading, request_id))
        asked = verify_request(row.statement, snapshot=house.registry.current, now=now)
        account = account_of(asked)
        async with recorded(house.log, account):
            account.references.update({"asked": row.request_id, "approval": statement, "carried_by": by.person})
            account.children = ((await reidentify.child_asked(house, account, asked, reading)).key,)
            approval = verify_approval(statement, snapshot=house.registry.current, now=now, expected=asked.subject)
            reidentify.require_other(approval, asked)
    party = approval.approver.party
    signer = f"{party.organisation}/{approval.approver.person_id}"
    account.more_actors = (f"person:{signer}",)
    kept = SignedBy(row.request_id, str(party.department), signer, statement, now)

    async def keep(writing: Writing) -> None:
        if not await put_approval(writing, kept):
            raise Denied("approval_replayed")

    async with recorded(house.log, account):
        await house.log.append(account.draft(Outcome.DONE, code="approved"), effect=keep)


async def look(house: House, request_id: str, *, by: By) -> bytes:
    """Grant the view and spend it: the source's line, sealed to the officer's organisation, as `reidentify.view` answers it.

    Where the source failed, the same request looks again within the grant's fifteen minutes. Raises as `reidentify.grant` and
    `reidentify.view`.
    """
    now = int(house.clock.now().timestamp())
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        row = _found(await find_request(reading, request_id))
        asked = verify_request(row.statement, snapshot=house.registry.current, now=now)
        require_in_person(asked, by)
        account = account_of(asked)
        account.references["asked"] = row.request_id
        async with recorded(house.log, account):
            if row.granted:
                granted = await reidentify.grant_named(house, account, row.granted, reading)
            else:
                signed = tuple(one.statement for one in await approvals_of(reading, [request_id]))
                wanted = ReidentificationRequest(row.statement, signed[:NEEDED])
                granted = await reidentify.what_is_granted(house, account, wanted, reading)
    if not row.granted:

        async def note(writing: Writing) -> None:
            if not await note_grant(writing, row.request_id, granted.reidentification_id):
                raise Denied("reidentification_used")

        await reidentify.record_grant(house, account, granted, within=note)
        account.provider = reidentify.provider_of(house, granted)
    return (await reidentify.view_once(house, account, granted)).body


async def waiting(house: House, limit: int = 100) -> list[Waiting]:
    """The newest requests, as they stand."""
    async with house.database.read() as reading:
        rows = await list_requests(reading, limit)
        signed = await approvals_of(reading, [row.request_id for row in rows])
    now = int(house.clock.now().timestamp())
    return [_standing(row, [one for one in signed if one.request_id == row.request_id], now) for row in rows]


async def standing(house: House, request_id: str) -> tuple[Waiting, VerifiedRequest | None]:
    """One request, and what it asks while its signature and term hold. `BadRequest("not_found")`."""
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        row = _found(await find_request(reading, request_id))
        signed = await approvals_of(reading, [request_id])
    now = int(house.clock.now().timestamp())
    try:
        asked = verify_request(row.statement, snapshot=house.registry.current, now=now)
    except Denied:
        asked = None  # its term is over, or the officer's key was retired since
    return _standing(row, signed, now if asked is not None else row.expires_at), asked


def require_in_person(asked: VerifiedRequest, by: By) -> None:
    """Whoever signed the request is who hands it in and who looks. `Denied("request_other")`."""
    party = asked.officer.party
    if (f"{party.organisation}/{asked.officer.person_id}", party.department) != (by.person, by.department):
        raise Denied("request_other")


def account_of(asked: VerifiedRequest) -> Account:
    """The story of a request that its officer's own signature opened."""
    caller = signer_as_caller(asked.officer, asked.statement, function="", request_id=new_id("rq"))
    return Account(EntryKind.REIDENTIFICATION, caller, "")


def _standing(row: RequestRow, signed: Sequence[SignedBy], now: int) -> Waiting:
    if row.granted:
        state = "granted"
    elif now >= row.expires_at:
        state = "expired"
    else:
        state = "signed" if len(signed) >= NEEDED else "waiting"
    return Waiting(row, tuple(signed), state)


def _found(row: RequestRow | None) -> RequestRow:
    if row is None:
        raise BadRequest("not_found")
    return row


def _digest(statement: str) -> str:
    return hashlib.sha256(statement.encode()).hexdigest()
