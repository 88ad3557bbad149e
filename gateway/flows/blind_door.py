"""The blind door: a department sends r*H(id), the gateway multiplies by the department's own open-scope key.

Rules kept here: only the caller's own open scope is ever evaluated; every point is taken from the party's quota or from an
enrolment grant (`evaluation_quota.py`); every evaluation is an entry with its count, and no point is kept.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta

from gateway.domain.canonical import canonical
from gateway.domain.ids import new_id
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.account import Account, recorded
from gateway.flows.evaluation_quota import Tally
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import EvaluateRequest, SignedRequest
from gateway.identity.approvals import verify_approval
from gateway.store.database import Writing
from gateway.store.exchanges import Grant, grant_made, put_grant

GRANT_AT_MOST = timedelta(hours=24)


async def evaluate(house: House, signed: SignedRequest, read: Callable[[bytes], EvaluateRequest]) -> Answer:
    """Evaluate blinded points under the caller's open scope.

    `Denied`: quota, burst (both with `retry_after`, seconds), grant_unknown; `BadRequest`: point_invalid.
    """
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    caller = authenticated.caller
    account = Account(EntryKind.EVALUATION, caller, authenticated.proof_id)
    async with recorded(house.log, account):
        request = read(signed.body)
        account.references["points"] = len(request.points)
        if request.grant:
            account.references["grant"] = request.grant
        scope = Scope.open(caller.party.department)
        epoch = house.ring.current_epoch(scope)
        points = house.ring.evaluate(scope, request.points, epoch=epoch)
        account.tally = Tally(caller, house.clock, names=len(points), grant=request.grant)
        body = canonical(
            {
                "points": [base64.urlsafe_b64encode(point).decode().rstrip("=") for point in points],
                "epoch": epoch,
            }
        )
        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=account.effect(), proof_id=account.proof_id
        )
    return Answer(body, receipt)


async def grant(house: House, signed: SignedRequest, read: Callable[[bytes], tuple[str, ...]]) -> Answer:
    """An enrolment grant: two approvers of the caller's own party signed the same register size and end (24 h)."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=False, reading=reading
        )
    caller = authenticated.caller
    account = Account(EntryKind.GRANT, caller, authenticated.proof_id)
    async with recorded(house.log, account):
        statements = read(signed.body)
        now = house.clock.now()
        approvals = [
            verify_approval(text, snapshot=house.registry.current, now=int(now.timestamp())) for text in statements
        ]
        subject = approvals[0].subject
        persons = {(approval.approver.party.organisation, approval.approver.person_id) for approval in approvals}
        until = subject.get("until")
        if (
            len(persons) != len(approvals)
            or any(approval.subject != subject for approval in approvals)
            or any(approval.approver.party != caller.party for approval in approvals)
            or set(subject) != {"kind", "party", "size", "until"}
            or subject["kind"] != "enrolment-grant"
            or subject["party"] != caller.party.text
            or not isinstance(subject["size"], int)
            or not 1 <= subject["size"] <= 10_000_000
            or not isinstance(until, int)
            or not now.timestamp() < until <= (now + GRANT_AT_MOST).timestamp()
        ):
            raise Denied("grant_invalid")
        made = Grant(new_id("gr"), caller.party.text, subject["size"], 0, until)
        account.references.update({"grant": made.grant_id, "size": made.size, "approvals": list(statements)})
        body = canonical({"grant": made.grant_id, "size": made.size, "until": made.until})

        async def keep(writing: Writing) -> None:
            # The signed subject is the grant's identity: carried in twice, it would double the register's size.
            if await grant_made(writing, made.party, made.size, made.until):
                raise Denied("approval_replayed")
            await put_grant(writing, made, json.dumps(statements).encode())

        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=keep, proof_id=account.proof_id
        )
    return Answer(body, receipt)
