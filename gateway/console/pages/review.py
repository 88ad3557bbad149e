"""待复核: accesses that nothing explains, put forward by the anomaly rules, decided by an auditor.

Rules kept here: an auditor sees matters in which the own department asked or provided; a matter is decided once, with a reason or
by a finding, and each decision is an entry; a review reads the log, and is an entry before it begins.
"""

from __future__ import annotations

import json
from functools import partial

from starlette.responses import Response

from gateway.console import triage
from gateway.console.anomalies import rules
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS
from gateway.console.tables import csv_answer
from gateway.console.visits import Visit
from gateway.console.works import Progress
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.vocabulary import EntryKind
from gateway.errors import GatewayFault
from gateway.store import console as store
from gateway.store import console_matters
from gateway.store.console_matters import MatterRow
from gateway.store.database import Writing

WAITING, EXPLAINED, FINDING = "waiting", "explained", "finding"
STATES = (WAITING, EXPLAINED, FINDING)


@door("GET", "/review", roles=INSPECTORS, does="Accesses to review", menu="work")
async def review(visit: Visit) -> Response:
    """The queue, the gravest first, and how often each rule was right."""
    state, rule = visit.query("state") or WAITING, visit.query("rule")
    if state not in STATES or (rule and rule not in rules()):
        raise Refused("form_invalid")
    own = _own(visit)
    after = _after(visit)
    async with visit.house.database.read() as reading:
        rows = await console_matters.matters(reading, state=state, rule=rule, department=own, after=after)
        counts = await console_matters.matter_counts(reading, own)
        works = await store.works(reading, "review", limit=1)
    part = visit.request.headers.get("hx-request") == "true" and after is not None
    return visit.page(
        "_matter_rows.html" if part else "review.html",
        rows=rows,
        more=rows[-1] if len(rows) == console_matters.MOST else None,
        state=state,
        states=STATES,
        rule=rule,
        rules=rules(),
        counts=counts,
        work=(works[0], visit.console.works.state(works[0])) if works else None,
        tell=lambda row: told(visit, row),
        sentence_of=lambda code: visit.sentence(GatewayFault(code)),
    )


@door("GET", "/review.csv", roles=INSPECTORS, does="Accesses to review as CSV")
async def review_csv(visit: Visit) -> Response:
    """The gravest of a state as a file."""
    state = visit.query("state") or WAITING
    if state not in STATES:
        raise Refused("form_invalid")
    async with visit.house.database.read() as reading:
        rows = await console_matters.matters(reading, state=state, department=_own(visit))
    await visit.look("review.csv", shown=len(rows))
    heads = ("rule", "entry", "entries", "from", "to", "time", "why", "note", "decided by")
    lines = (
        [
            row.rule,
            row.entry,
            row.entries,
            row.requester,
            row.provider,
            visit.tongue.time(row.at),
            told(visit, row),
            row.note,
            row.decided_by,
        ]
        for row in rows
        if row.rule in rules()
    )
    return csv_answer("review", heads, lines)


@door("POST", "/review", roles=INSPECTORS, does="Review the last four weeks")
async def review_run(visit: Visit) -> Response:
    """Begin a review; it can be left and found again."""
    draft = visit.draft("review", code="accesses_reviewed")

    async def job(_work: str, progress: Progress) -> int:
        return await triage.review(visit.house, draft, progress)

    await visit.look("review")
    await visit.console.works.begin(visit, "review", job)
    return visit.go("review")


@door("GET", "/review/{matter}", roles=INSPECTORS, does="One access to review")
async def matter(visit: Visit) -> Response:
    """Why it was put forward, what would explain it, and its entries."""
    row = await found_matter(visit)
    rule = rules()[row.rule]
    await visit.look("matter", index=row.entry)
    return visit.page(
        "matter.html",
        row=row,
        rule=rule,
        told=told(visit, row),
        settled=rule.settled[visit.tongue.language],
        entries=[int(index) for index in row.more.split()],
        why=visit.why_not("matter_explain", partial(require_waiting, row)),
    )


@door("POST", "/review/{matter}/explain", roles=INSPECTORS, does="Explain an access")
async def matter_explain(visit: Visit) -> Response:
    """Settle the matter with a reason."""
    row = await found_matter(visit)
    require_waiting(row)
    note = visit.prose("reason")

    async def effect(writing: Writing) -> None:
        await decide(visit, writing, row, EXPLAINED, note)

    await visit.house.log.append(_draft(visit, row, note), effect=effect)
    return visit.go("review")


def told(visit: Visit, row: MatterRow) -> str:
    """The rule's sentence with the matter's figures."""
    return rules()[row.rule].sentences[visit.tongue.language].format(**json.loads(row.figures))


async def found_matter(visit: Visit) -> MatterRow:
    """The matter that the address names, if it is the visitor's; `Refused("page_unknown")`."""
    return await own_matter(visit, visit.path("matter"))


async def own_matter(visit: Visit, matter_id: str) -> MatterRow:
    """A matter in which the visitor's department asked or provided; `Refused("page_unknown")`."""
    async with visit.house.database.read() as reading:
        row = await console_matters.find_matter(reading, matter_id)
    if row is None or row.rule not in rules() or _own(visit) not in (None, row.requester, row.provider):
        raise Refused("page_unknown")
    return row


def require_waiting(row: MatterRow) -> None:
    """`Refused("matter_decided")`."""
    if row.state != WAITING:
        raise Refused("matter_decided")


async def decide(visit: Visit, writing: Writing, row: MatterRow, state: str, note: str) -> None:
    """Take the matter out of the queue; `Refused("matter_decided")` where somebody was faster."""
    values = {"state": state, "note": note, "decided_by": visit.account.name, "changed": visit.now}
    if not await console_matters.decide_matter(writing, row.matter_id, **values):
        raise Refused("matter_decided")


def _draft(visit: Visit, row: MatterRow, reason: str) -> EntryDraft:
    detail: dict[str, DetailValue] = {"matter": row.matter_id, "about": row.entry, "reason": reason}
    return visit.draft("matter", kind=EntryKind.FINDING, code="matter_explained", detail=detail)


def _own(visit: Visit) -> str | None:
    return str(visit.department) if visit.department else None


def _after(visit: Visit) -> tuple[int, int] | None:
    score, entry = visit.number(visit.query("score")), visit.number(visit.query("after"))
    return None if score is None or entry is None else (score, entry)
