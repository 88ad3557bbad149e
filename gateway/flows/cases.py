"""个案 and 审批: opening and closing a case, and handing in the approver's signature that opens its records."""

from __future__ import annotations

from collections.abc import Callable

from gateway.consent import approvals as approvals_room
from gateway.consent import cases as cases_room
from gateway.consent import standings as standings_room
from gateway.consent.changes import Change
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child, Scope
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.account import Account, recorded
from gateway.flows.calendar_days import DAYS
from gateway.flows.change import Made, change, change_of_child
from gateway.flows.decide import party_named
from gateway.flows.house import House
from gateway.flows.policy_changes import By
from gateway.flows.query import Answer
from gateway.flows.requests import CaseRequest, SignedRequest
from gateway.identity.approvals import APPROVER, VerifiedApproval, verify_approval
from gateway.identity.in_person import signer_as_caller
from gateway.store.basis import CaseFound, case_of, record_of
from gateway.store.database import Reading


async def open_case(house: House, signed: SignedRequest, read: Callable[[bytes], CaseRequest]) -> Answer:
    """Open a case on a child. The answer holds the caller's own reference to it."""

    async def make(caller: Caller, child: Child, request: CaseRequest, _reading: Reading) -> Made:
        opened = cases_room.open_case(
            caller,
            child,
            exchanges=request.exchanges,
            parties=[party_named(house, text) for text in request.parties],
            region=request.region,
            age_band=request.age_band,
            now=house.clock.now(),
            days=DAYS,
            refer=house.ring_refer,
        )
        reference = own_reference(house, caller, "case", opened.record_id)
        return Made(opened, {"case": reference})

    return await change_of_child(house, signed, read, make, kind=EntryKind.CASE_OPENED)


async def close_case(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """Close a case where its state allows it."""

    async def make(caller: Caller, reference: str, reading: Reading) -> Made:
        case = await case_named(reference, caller.party.department, reading)
        if case is None:
            raise Denied("case_missing")
        closed = cases_room.close_case(caller, case, now=house.clock.now(), days=DAYS)
        return Made(closed, {"case": reference, "state": "closed"})

    return await change(house, signed, read, make, kind=EntryKind.CASE_CHANGED)


async def approve(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """Record an approver's signed statement. Whoever carries it in decides nothing; the signature does."""

    async def make(caller: Caller, statement: str, reading: Reading) -> Made:
        verified = verify_approval(statement, snapshot=house.registry.current, now=int(house.clock.now().timestamp()))
        made = await _meant(house, caller, verified, reading)
        return Made(made, {"approval": own_reference(house, caller, "approval", made.record_id)})

    return await change(house, signed, read, make, kind=EntryKind.APPROVAL, officer_required=False)


async def approve_in_person(house: House, statement: str, *, by: By) -> str:
    """Record an approver's signed statement that came in at the console; the approver's department's reference to it.

    Raises as `verify_approval` and as the rooms that know what it means.
    """
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        now = int(house.clock.now().timestamp())
        verified = verify_approval(statement, snapshot=house.registry.current, now=now)
        caller = signer_as_caller(verified.approver, statement, function=APPROVER, request_id=new_id("rq"))
        account = Account(EntryKind.APPROVAL, caller, "")
        account.references["carried_by"] = by.person
        async with recorded(house.log, account):
            made = await _meant(house, caller, verified, reading)
            account.adopt(made.draft)
    async with recorded(house.log, account):
        await house.log.append(account.draft(Outcome.DONE, code=made.draft.code), effect=made.effect)
    return own_reference(house, caller, "approval", made.record_id)


async def _meant(house: House, caller: Caller, verified: VerifiedApproval, reading: Reading) -> Change:
    """What a verified approval does, by its kind."""
    now = house.clock.now()
    claims = approvals_room.ApprovalClaims(
        approver=verified.approver, subject=verified.subject, digest=verified.digest, statement=verified.statement
    )
    if verified.subject.get("kind") == "limit":
        return approvals_room.record_limit(caller, claims, now=now, refer=house.ring_refer)
    if verified.subject.get("kind") == "standing":
        return standings_room.record_standing(caller, claims, now=now)
    reference = str(verified.subject.get("case", ""))
    case = await case_named(reference, verified.approver.party.department, reading)
    return approvals_room.record_approval(caller, claims, case, now=now, refer=house.ring_refer)


async def case_named(reference: str, holder: Department, reading: Reading) -> CaseFound | None:
    """The case behind a department's own reference; another department's leads nowhere."""
    case_id = await record_of(reading, "case", reference, str(holder))
    return await case_of(reading, case_id) if case_id else None


def own_reference(house: House, caller: Caller, kind: str, record_id: str) -> str:
    """What the caller's department calls a record of ours."""
    return house.ring.reference(Scope.open(caller.party.department), kind, record_id)
