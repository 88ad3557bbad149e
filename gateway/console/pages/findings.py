"""审计问题: opened by an auditor, answered by whoever must remedy it, closed by a retest.

Rules kept here: open -> answered -> closed, or back to open where the retest fails; who answered does not retest; a finding names
an entry and no person, and its text is read for identifiers before it is kept; each move is an entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.pages.review import FINDING, decide, own_matter
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS, Role
from gateway.console.tables import csv_answer
from gateway.console.visits import Visit
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.vocabulary import Department, EntryKind
from gateway.errors import BadRequest
from gateway.store import console as store
from gateway.store.audit import get_entries
from gateway.store.console import FindingRow
from gateway.store.database import Writing

OPEN, ANSWERED, CLOSED = "open", "answered", "closed"
MOVES: dict[str, tuple[str, ...]] = {OPEN: (ANSWERED,), ANSWERED: (CLOSED, OPEN), CLOSED: ()}
SEVERITIES = ("low", "medium", "high")
ANSWERERS = frozenset({Role.POLICY_OWNER, Role.SECURITY_ADMIN, Role.SYSTEM_ADMIN})
EVERY = INSPECTORS | ANSWERERS


@dataclass(frozen=True, slots=True)
class Offer:
    """A finding with the reasons why this visitor may not answer or retest it, "" where that is possible."""

    row: FindingRow
    no_answer: str
    no_retest: str


@door("GET", "/findings", roles=EVERY, does="Findings", menu="work")
async def findings(visit: Visit) -> Response:
    """The list. A department sees what it opened and what it must answer."""
    state = visit.query("state")
    if state and state not in MOVES:
        raise Refused("form_invalid")
    async with visit.house.database.read() as reading:
        department = str(visit.department) if visit.department else None
        rows = await store.findings(reading, state=state, department=department)
    return visit.page("findings.html", rows=rows, state=state, states=list(MOVES))


@door("GET", "/findings.csv", roles=EVERY, does="Findings as CSV")
async def findings_csv(visit: Visit) -> Response:
    """The same list as a file."""
    async with visit.house.database.read() as reading:
        rows = await store.findings(reading, department=str(visit.department) if visit.department else None)
    tongue = visit.tongue
    lines = (
        [
            row.finding_id,
            row.entry,
            row.state,
            row.severity,
            row.against,
            row.text,
            row.remedy,
            row.verdict,
            tongue.time(row.changed),
        ]
        for row in rows
    )
    heads = ("finding", "entry", "state", "severity", "against", "text", "remedy", "retest", "changed")
    return csv_answer("findings", heads, lines)


@door("GET", "/findings/new", roles=INSPECTORS, does="Form of a new finding")
async def finding_form(visit: Visit) -> Response:
    """The form, about an entry."""
    entry = visit.number(visit.query("entry"))
    matter = (await own_matter(visit, visit.query("matter"))).matter_id if visit.query("matter") else ""
    return visit.page(
        "finding_form.html",
        entry=entry,
        matter=matter,
        severities=SEVERITIES,
        departments=visit.tongue.words("department"),
    )


@door("POST", "/findings", roles=INSPECTORS, does="Open a finding")
async def finding_open(visit: Visit) -> Response:
    """Open a finding about an entry that the visitor may see."""
    from gateway.console.pages.entries import require_part

    index = visit.number(visit.form.get("entry", ""))
    async with visit.house.database.read() as reading:
        rows = await get_entries(reading, index, index + 1) if index is not None else []
    if not rows:
        raise BadRequest("entry_unknown")
    require_part(visit, rows[0])
    row = FindingRow(
        finding_id=new_id("fi"),
        entry=rows[0].index,
        severity=visit.chosen("severity", SEVERITIES),
        against=visit.chosen("against", Department, empty=True),
        department=str(visit.department or ""),
        text=visit.prose("text"),
        remedy="",
        verdict="",
        state=OPEN,
        opened=visit.now,
        opened_by=visit.account.name,
        answered_by="",
        closed_by="",
        changed=visit.now,
    )

    matter = await own_matter(visit, visit.form["matter"]) if visit.form.get("matter") else None

    async def effect(writing: Writing) -> None:
        await store.put_finding(writing, row)
        if matter is not None:
            await decide(visit, writing, matter, FINDING, row.finding_id)

    await visit.house.log.append(_draft(visit, row, "opened"), effect=effect)
    return visit.go("finding", finding=row.finding_id)


@door("GET", "/findings/{finding}", roles=EVERY, does="One finding")
async def finding(visit: Visit) -> Response:
    """A finding and its next step."""
    row = await _found(visit)
    offer = Offer(
        row,
        visit.why_not("finding_answer", lambda: require_answerable(visit, row)),
        visit.why_not("finding_close", lambda: require_retestable(visit, row)),
    )
    return visit.page("finding.html", offer=offer)


@door("POST", "/findings/{finding}/answer", roles=ANSWERERS, does="Answer a finding")
async def finding_answer(visit: Visit) -> Response:
    """Say what was done about it."""
    row = await _found(visit)
    require_answerable(visit, row)
    remedy = visit.prose("text")
    await _move(visit, row, OPEN, state=ANSWERED, remedy=remedy, answered_by=visit.account.name)
    return visit.go("finding", finding=row.finding_id)


@door("POST", "/findings/{finding}/retest", roles=INSPECTORS, does="Retest a finding")
async def finding_close(visit: Visit) -> Response:
    """Close it, or open it again."""
    row = await _found(visit)
    require_retestable(visit, row)
    verdict = visit.chosen("verdict", ("passed", "failed"))
    state = CLOSED if verdict == "passed" else OPEN
    await _move(
        visit,
        row,
        ANSWERED,
        state=state,
        verdict=visit.prose("text"),
        closed_by=visit.account.name if state == CLOSED else "",
    )
    return visit.go("finding", finding=row.finding_id)


def require_answerable(visit: Visit, row: FindingRow) -> None:
    """`Refused` (finding_closed, finding_answered, finding_foreign)."""
    if row.state == CLOSED:
        raise Refused("finding_closed")
    if row.state == ANSWERED:
        raise Refused("finding_answered")
    if str(visit.department or "") != row.against:
        raise Refused("finding_foreign")


def require_retestable(visit: Visit, row: FindingRow) -> None:
    """`Refused` (finding_closed, finding_open_first, finding_own_answer)."""
    if row.state == CLOSED:
        raise Refused("finding_closed")
    if row.state == OPEN:
        raise Refused("finding_open_first")
    if row.answered_by == visit.account.name:
        raise Refused("finding_own_answer")


async def _found(visit: Visit) -> FindingRow:
    async with visit.house.database.read() as reading:
        row = await store.find_finding(reading, visit.path("finding"))
    own = str(visit.department or "")
    if row is None or (visit.department is not None and own not in (row.department, row.against)):
        raise Refused("page_unknown")
    return row


async def _move(visit: Visit, row: FindingRow, before: str, **values: str) -> None:
    async def effect(writing: Writing) -> None:
        if not await store.move_finding(writing, row.finding_id, before, changed=visit.now, **values):
            raise Refused("finding_closed" if row.state == CLOSED else "finding_answered")

    await visit.house.log.append(_draft(visit, row, values["state"]), effect=effect)


def _draft(visit: Visit, row: FindingRow, step: str) -> EntryDraft:
    return visit.draft(
        "finding",
        kind=EntryKind.FINDING,
        code=f"finding_{step}",
        detail={"finding": row.finding_id, "about": row.entry, "severity": row.severity, "against": row.against},
    )
