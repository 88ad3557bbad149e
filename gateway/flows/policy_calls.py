"""The change sets of `policy_changes` as signed calls: an officer of a department drafts, approves, activates and looks.

Rules kept here: only security administrators and approvers; a refused call is an entry too; what approves is the signature in the
body, not who carries it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.domain.canonical import canonical
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows import policy_changes
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.policy_changes import By, Standing, Step
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest
from policies.sources import Edit

FUNCTIONS = frozenset({"security_administrator", "approver"})
CLASSES_AT_MOST = 500
Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """`POST /v1/policy/drafts`. change: the draft to revise, "" to begin one."""

    edit: Edit = field(repr=False)
    reason: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class ApproveRequest:
    """`POST /v1/policy/drafts/approve`."""

    change: str
    approval: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ActivateRequest:
    """`POST /v1/policy/drafts/activate`. at: unix seconds, None for now."""

    change: str
    at: int | None = None


@dataclass(frozen=True, slots=True)
class RollbackRequest:
    """`POST /v1/policy/rollback`. number: an earlier activation, None for the version before."""

    approval: str = field(repr=False)
    number: int | None = None


async def draft(house: House, signed: SignedRequest, read: Callable[[bytes], DraftRequest]) -> Answer:
    """Begin a draft, or revise one."""

    async def make(by: By, asked: DraftRequest) -> Step:
        return await policy_changes.draft(house, asked.edit, reason=asked.reason, by=by, change_id=asked.change)

    return await _step(house, signed, read, make)


async def give_up(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """Close a draft for good."""

    async def make(by: By, change: str) -> Step:
        return await policy_changes.give_up(house, change, by=by)

    return await _step(house, signed, read, make)


async def approve(house: House, signed: SignedRequest, read: Callable[[bytes], ApproveRequest]) -> Answer:
    """Hand in an approval."""

    async def make(by: By, asked: ApproveRequest) -> Step:
        return await policy_changes.approve(house, asked.change, asked.approval, by=by)

    return await _step(house, signed, read, make)


async def activate(house: House, signed: SignedRequest, read: Callable[[bytes], ActivateRequest]) -> Answer:
    """Let a draft decide, now or from a moment on."""

    async def make(by: By, asked: ActivateRequest) -> Step:
        return await policy_changes.activate(house, asked.change, by=by, at=asked.at)

    return await _step(house, signed, read, make)


async def roll_back(house: House, signed: SignedRequest, read: Callable[[bytes], RollbackRequest]) -> Answer:
    """Return to a version that has decided before."""

    async def make(by: By, asked: RollbackRequest) -> Step:
        return await policy_changes.roll_back(house, asked.approval, by=by, number=asked.number)

    return await _step(house, signed, read, make)


async def look(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> bytes:
    """A draft with its review and what an approver signs."""
    return await _look(house, signed, lambda: _standing(house, read(signed.body)))


async def rollback_subject(house: House, signed: SignedRequest, read: Callable[[bytes], int | None]) -> bytes:
    """Where a rollback would lead, and what an approver signs for it."""

    async def found() -> dict[str, Any]:
        target, subject = await policy_changes.rollback_target(house, read(signed.body))
        return {"number": target.number, "version": target.version, "subject": subject}

    return await _look(house, signed, found)


async def versions(house: House, signed: SignedRequest) -> bytes:
    """Every activation and every draft, newest first."""

    async def found() -> dict[str, Any]:
        return {
            "versions": [
                {
                    "number": line.activation.number,
                    "version": line.activation.version,
                    "kind": line.activation.kind,
                    "at": line.activation.at,
                    "change": line.activation.change_id,
                    "state": "deciding" if line.deciding else "coming" if line.coming else "past",
                }
                for line in await policy_changes.history(house)
            ],
            "drafts": [
                {
                    "change": row.change_id,
                    "revision": row.revision,
                    "author": row.author,
                    "reason": row.reason,
                    "state": state,
                }
                for row, state in await policy_changes.list_drafts(house)
            ],
        }

    return await _look(house, signed, found)


# --- the common way -------------------------------------------------------------------------------------------------------


async def _step(
    house: House,
    signed: SignedRequest,
    read: Callable[[bytes], Asked],
    make: Callable[[By, Asked], Awaitable[Step]],
) -> Answer:
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
    account = Account(EntryKind.POLICY_CHANGED, authenticated.caller, authenticated.proof_id)
    async with recorded(house.log, account):
        step = await make(_by(authenticated.caller), read(signed.body))
        account.adopt(step.draft)
        account.policy_version = step.draft.policy_version
        body = canonical(dict(step.answer))
        receipt = await house.log.append(
            account.draft(Outcome.DONE, code=step.draft.code, answer=body),
            effect=step.effect,
            proof_id=account.proof_id,
        )
    await policy_changes.catch_up(house)
    return Answer(body, receipt)


async def _look(house: House, signed: SignedRequest, find: Callable[[], Awaitable[dict[str, Any]]]) -> bytes:
    """Rules are no secret among those who make them and hold nothing of a child, so a look leaves no entry; a refused one does."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
    account = Account(EntryKind.POLICY_CHANGED, authenticated.caller, authenticated.proof_id)
    async with recorded(house.log, account):
        _by(authenticated.caller)
        found = canonical(await find())
    await spend_proof(house, authenticated.proof_id)
    return found


def _by(caller: Caller) -> By:
    officer = caller.officer
    if officer is None or officer.function not in FUNCTIONS:
        raise Denied("policy_function")
    person = f"{officer.party.organisation}/{officer.person_id}"
    return By(person, caller.client.client_id, caller.party.department)


async def _standing(house: House, change: str) -> dict[str, Any]:
    found = await policy_changes.standing(house, change)
    return {
        "change": found.change.change_id,
        "revision": found.change.revision,
        "author": found.change.author,
        "reason": found.change.reason,
        "version": found.change.version,
        "state": found.state,
        "subject": dict(found.subject),
        "signed": [{"signer": each.signer, "department": each.department} for each in found.approvals],
        "missing": list(found.missing),
        "review": _review(found),
    }


def _review(found: Standing) -> dict[str, Any]:
    review = found.review
    if review is None:
        return {}
    difference = review.difference
    return {
        "sound": review.sound,
        "owners": sorted(review.owners),
        "findings": [
            {"severity": each.severity, "subject": each.subject, "code": each.code, "sentence": each.sentence}
            for each in review.findings
        ],
        "failing_cases": list(review.failing_cases),
        "breaches": [
            {"invariant": each.invariant, "subject": each.requests.subject, "exchange": each.requests.exchange}
            for each in review.breaches
        ],
        "complete": difference.complete,
        "classes": difference.size,
        "gained": difference.gained,
        "lost": difference.lost,
        "boxes": [rule.id for rule in difference.boxes],
        "changes": [
            {
                "exchange": each.requests.exchange,
                "subject": each.requests.subject,
                "fields": list(each.requests.fields),
                "actions": list(each.requests.actions),
                "purposes": list(each.requests.purposes),
                "region": each.requests.region,
                "without": list(each.requests.without),
                "states": list(each.requests.states),
                "since": each.requests.since,
                "until": each.requests.until,
                "before": each.before,
                "after": each.after,
            }
            for each in difference.changes[:CLASSES_AT_MOST]
        ],
        "replayed": review.replayed.decisions,
        "replay_gained": sum(times for _, times in review.replayed.gained),
        "replay_lost": sum(times for _, times in review.replayed.lost),
    }
