"""The blind door: a department sends r*H(id), the gateway multiplies by the department's own open-scope key.

Rules kept here: only the caller's own open scope is ever evaluated; the quota is part of the cryptography, because minors'
IDs can be counted through (2 % of the enrolled register a day, at least 500, beyond what a grant declares, and at most a
quarter of that, at least 250, within ten minutes); whoever runs into it raises an alarm, one a day; every evaluation is an
entry with its count, and no point is kept.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.audit.log import Effect
from gateway.domain.canonical import canonical
from gateway.domain.clock import SHANGHAI
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import EvaluateRequest, SignedRequest
from gateway.identity.approvals import verify_approval
from gateway.store.database import Writing
from gateway.store.exchanges import Grant, count_evaluations, enrolled_size, grant_made, put_grant, use_grant
from gateway.store.naming import count_burst, first_alarm, forget_ended

LEAST_QUOTA = 500
QUOTA_SHARE = 50  # one fiftieth of the register: 2 % a day
LEAST_BURST = 250
BURST_SHARE = 4  # a quarter of the day's quota
BURST_SECONDS = 600
GRANT_AT_MOST = timedelta(hours=24)
DAY = 86_400


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
    try:
        async with recorded(house.log, account):
            request = read(signed.body)
            account.references["points"] = len(request.points)
            if request.grant:
                account.references["grant"] = request.grant
            scope = Scope.open(caller.party.department)
            epoch = house.ring.current_epoch(scope)
            points = house.ring.evaluate(scope, request.points, epoch=epoch)
            body = canonical(
                {
                    "points": [base64.urlsafe_b64encode(point).decode().rstrip("=") for point in points],
                    "epoch": epoch,
                }
            )
            receipt = await house.log.append(
                account.draft(Outcome.DONE, answer=body),
                effect=within_limits(len(request.points), request.grant, caller.party.text, house.clock.now()),
                proof_id=account.proof_id,
            )
    except Denied as refused:
        if refused.code in ("quota", "burst"):
            await raise_alarm(house, caller, refused.code)
        raise
    return Answer(body, receipt)


def within_limits(count: int, grant: str | None, party: str, now: datetime) -> Effect:
    """Take the names from the grant, or count them against window and day, in the transaction of their entry."""

    async def take(writing: Writing) -> None:
        seconds = int(now.timestamp())
        if grant:
            if not await use_grant(writing, grant, party, count, seconds):
                raise Denied("grant_unknown")
            return
        quota = max(LEAST_QUOTA, await enrolled_size(writing, party) // QUOTA_SHARE)
        if not await count_evaluations(writing, party, _day(now), count, quota):
            raise Denied("quota", retry_after=_until_midnight(now))
        window, passed = divmod(seconds, BURST_SECONDS)
        if not await count_burst(writing, party, window, count, max(LEAST_BURST, quota // BURST_SHARE)):
            raise Denied("burst", retry_after=BURST_SECONDS - passed)

    return take


async def raise_alarm(house: House, caller: Caller, code: str) -> None:
    """One `alarm` entry per party, day and kind: somebody asks for more names than a department's day needs."""
    party, day = caller.party.text, _day(house.clock.now())
    draft = EntryDraft(
        kind=EntryKind.ALARM,
        outcome=Outcome.DENIED,
        code=code,
        requester=caller.party.department,
        actors=(f"client:{caller.client.client_id}",),
        detail={"party": party, "client": caller.client.client_id, "day": day},
    )

    async def once(writing: Writing) -> None:
        if not await first_alarm(writing, party, day, code):
            raise _Known

    with contextlib.suppress(_Known):
        await house.log.append(draft, effect=once)


async def forget_counts(writing: Writing, now: datetime) -> None:
    """Remove counts and alarms of the past, with the house's upkeep."""
    seconds = int(now.timestamp())
    await forget_ended(writing, now=seconds, today=_day(now), window=seconds // BURST_SECONDS)


class _Known(Exception):  # noqa: N818 (no error: it only ends a submission that has nothing to say)
    """The day has this alarm already."""


def _day(now: datetime) -> str:
    return now.astimezone(SHANGHAI).date().isoformat()


def _until_midnight(now: datetime) -> int:
    local = now.astimezone(SHANGHAI)
    passed = local.hour * 3600 + local.minute * 60 + local.second
    return DAY - passed


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
