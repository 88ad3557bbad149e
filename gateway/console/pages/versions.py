"""规则版本: which version decides, which decided before and why, what any two differ in, and the way back.

Rules kept here: a rollback leads only to what has decided before, on an approver's signature; what is compared is read from the
store and compiled anew.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from gateway.audit.reading import Question
from gateway.console.doors import door
from gateway.console.pages.catalogue import READERS
from gateway.console.pages.drafts import OWNERS, by, told_changes
from gateway.console.refusals import Refused
from gateway.console.searching import find
from gateway.console.visits import Visit
from gateway.console.works import DONE, RUNNING, Progress
from gateway.domain.canonical import canonical
from gateway.domain.vocabulary import EntryKind
from gateway.errors import Denied
from gateway.flows import policy_changes
from gateway.flows.policy_changes import Line
from gateway.identity.approvals import subject_digest
from gateway.store.console import WorkRow, works
from policies.book import build
from policies.diff import difference
from policies.mutants import score

MUTANTS = "mutants"


@door("GET", "/versions", roles=READERS, does="Versions", menu="policy")
async def versions(visit: Visit) -> Response:
    """The active version, the history, and what would have to be signed to go back."""
    snapshot = visit.house.book.snapshot
    lines = await policy_changes.history(visit.house)
    async with visit.house.database.read() as reading:
        entries = await find(reading, Question(kind=str(EntryKind.POLICY_CHANGED), limit=50))
    served = sum(each.state == "served" for each in snapshot.catalogue.exchanges.values())
    back = await _back(visit)
    return visit.page(
        "versions.html",
        snapshot=snapshot,
        lines=lines,
        numbers={str(line.activation.number): _named(visit, line) for line in lines},
        changes=entries,
        served=served,
        denies=sum(not rule.allows for rule in snapshot.rules),
        may_open=visit.may("entry"),
        back=back,
        score=await _measured(visit, lines),
        may_measure=visit.why_not("version_mutants"),
        why=visit.why_not("version_back", lambda: _require(back)),
    )


@door("POST", "/versions/mutants", roles=OWNERS, does="Measure the mutation score")
async def version_mutants(visit: Visit) -> Response:
    """Change each rule of the version that decides, one at a time and one way at a time: how many of these do the cases notice?"""
    deciding = next(line for line in await policy_changes.history(visit.house) if line.deciding).activation
    async with visit.house.database.read() as reading:
        edition = await visit.house.versions.edition(reading, deciding.change_id, deciding.revision)
    snapshot = edition.snapshot

    async def job(_work: str, progress: Progress) -> int:
        found = await asyncio.to_thread(score, snapshot.rules, snapshot.catalogue, edition.cases, build)
        await progress(found.caught, found.total)
        return deciding.number

    await visit.look("mutants", version=deciding.number)
    await visit.console.works.begin(visit, MUTANTS, job)
    return visit.go("versions")


@door("GET", "/versions/compare", roles=READERS, does="Two versions compared")
async def version_compare(visit: Visit) -> Response:
    """Every class of request that two versions answer differently."""
    lines = await policy_changes.history(visit.house)
    one, other = (_line(lines, visit.number(visit.query(name))) for name in ("before", "after"))
    async with visit.house.database.read() as reading:
        was, will = [
            await visit.house.versions.edition(reading, line.activation.change_id, line.activation.revision)
            for line in (one, other)
        ]
    found = difference(was.snapshot, will.snapshot)
    return visit.page(
        "compare.html", before=one, after=other, difference=found, changes=told_changes(visit, found.changes)
    )


@door("POST", "/versions/back", roles=OWNERS, does="Return to an earlier version")
async def version_back(visit: Visit) -> Response:
    """Hand in an approver's signature; the earlier version decides at once."""
    number = visit.number(visit.form.get("number", ""))
    statement = visit.statement
    step = await policy_changes.roll_back(visit.house, statement, by=by(visit), number=number)
    await policy_changes.carry_out(visit.house, step)
    return visit.go("versions")


async def _measured(visit: Visit, lines: list[Line]) -> WorkRow | None:
    """The newest score of the version that decides, or one that is being measured; None where it was not measured."""
    number = next((line.activation.number for line in lines if line.deciding), 0)
    async with visit.house.database.read() as reading:
        rows = await works(reading, MUTANTS)
    states = [(row, visit.console.works.state(row)) for row in rows]
    return next((row for row, state in states if state == RUNNING or (state == DONE and row.place == number)), None)


async def _back(visit: Visit) -> dict[str, object] | None:
    """Where a rollback leads (`number` of the query, or the version before) and what is signed for it; None where nowhere."""
    try:
        target, subject = await policy_changes.rollback_target(visit.house, visit.number(visit.query("number")))
    except Denied:
        return None
    text = canonical(dict(subject)).decode()
    return {"number": target.number, "version": target.version, "subject": text, "digest": subject_digest(subject)}


def _require(back: object) -> None:
    if back is None:
        raise Denied("policy_stale")


def _line(lines: list[Line], number: int | None) -> Line:
    found = next((line for line in lines if line.activation.number == number), None)
    if found is None:
        raise Refused("page_unknown")
    return found


def _named(visit: Visit, line: Line) -> str:
    return f"{line.activation.number} · {visit.tongue.time(line.activation.made_at)} · {line.change.reason[:40]}"
