"""个案调阅审批: an approver opens a case's records to one officer, for some exchanges and at most thirty days (网保条例 36).

Rules kept here: the signature decides and not who carries it; a case is named by the department's own reference, in the form and in no
address; that somebody else approves, of the officer's own organisation and a party to the case, the basis room requires.
"""

from __future__ import annotations

import re

from starlette.responses import Response

from gateway.client.statements import case_access
from gateway.console.doors import door
from gateway.console.pages.drafts import OWNERS, by
from gateway.console.refusals import Refused
from gateway.console.visits import Visit
from gateway.domain.canonical import canonical
from gateway.flows import cases as flow
from gateway.identity.approvals import subject_digest
from gateway.store.console import approvals_in_force

MOST_DAYS = 30
_DAY = 86_400
_REFERENCE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_STAFF = re.compile(r"[A-Za-z0-9_.-]{1,40}")


@door("GET", "/approvals", roles=OWNERS, does="Approvals of cases", menu="work")
async def approvals(visit: Visit) -> Response:
    """How many are in force, and the form of a new one."""
    return await _page(visit, done=False)


@door("POST", "/approvals/write", roles=OWNERS, does="Write an approval")
async def approval_write(visit: Visit) -> Response:
    """The approval as it has to be signed; nothing is kept yet."""
    case, officer = (visit.form.get(name, "").strip() for name in ("case", "officer"))
    exchanges = sorted(set(visit.form.get("exchanges", "").replace(",", " ").split()))
    days = visit.number(visit.form.get("days", ""))
    if not _REFERENCE.fullmatch(case) or not _STAFF.fullmatch(officer) or not days or days > MOST_DAYS:
        raise Refused("form_invalid")
    if not exchanges or any(one not in visit.house.catalogue.exchanges for one in exchanges):
        raise Refused("form_invalid")
    subject = case_access(
        case=case,
        officer_id=officer,
        organisation=visit.account.person.partition("/")[0],
        exchanges=exchanges,
        from_=visit.now,
        until=visit.now + days * _DAY,
    )
    return visit.page("approval_sign.html", subject=canonical(subject).decode(), digest=subject_digest(subject))


@door("POST", "/approvals", roles=OWNERS, does="Hand in an approval")
async def approval_hand_in(visit: Visit) -> Response:
    """Record what an approver signed."""
    statement = visit.statement
    await flow.approve_in_person(visit.house, statement, by=by(visit))
    return await _page(visit, done=True)


async def _page(visit: Visit, *, done: bool) -> Response:
    async with visit.house.database.read() as reading:
        counted = await approvals_in_force(reading, visit.now * 1_000_000)
    return visit.page("approvals.html", counted=counted, done=done, most=MOST_DAYS)
