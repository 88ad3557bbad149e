"""The blind door: a department sends r*H(id), the gateway multiplies by the department's own open-scope key.

Rules kept here: only the caller's own open scope is ever evaluated; the quota is part of the cryptography, because minors'
IDs can be counted through (2 % of the enrolled register a day, at least 500, beyond what a grant declares); every
evaluation is an entry with its count, and no point is kept.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta

from gateway.domain.canonical import canonical
from gateway.domain.clock import SHANGHAI
from gateway.domain.ids import new_id
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import EvaluateRequest, SignedRequest
from gateway.identity.approvals import verify_approval
from gateway.store.database import Writing
from gateway.store.exchanges import Grant, count_evaluations, enrolled_size, put_grant, use_grant

LEAST_QUOTA = 500
QUOTA_SHARE = 50  # one fiftieth of the register: 2 % a day
GRANT_AT_MOST = timedelta(hours=24)


async def evaluate(house: House, signed: SignedRequest, read: Callable[[bytes], EvaluateRequest]) -> Answer:
    """Evaluate blinded points under the caller's open scope. `Denied`: quota, grant_unknown; `BadRequest`: point_invalid."""
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
        points = house.ring.evaluate(scope, request.points)
        body = canonical(
            {
                "points": [base64.urlsafe_b64encode(point).decode().rstrip("=") for point in points],
                "epoch": house.ring.current_epoch(scope),
            }
        )
        now = house.clock.now()

        async def within_quota(writing: Writing) -> None:
            party, count = caller.party.text, len(request.points)
            if request.grant:
                if not await use_grant(writing, request.grant, party, count, int(now.timestamp())):
                    raise Denied("grant_unknown")
                return
            quota = max(LEAST_QUOTA, await enrolled_size(writing, party) // QUOTA_SHARE)
            day = now.astimezone(SHANGHAI).date().isoformat()
            if not await count_evaluations(writing, party, day, count, quota):
                raise Denied("quota")

        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=within_quota, proof_id=account.proof_id
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
            await put_grant(writing, made, json.dumps(statements).encode())

        receipt = await house.log.append(
            account.draft(Outcome.DONE, answer=body), effect=keep, proof_id=account.proof_id
        )
    return Answer(body, receipt)
