"""紧急复核: tasks that the emergency door and withdrawals leave behind, most urgent first, with who has to do them and until when.

Rules kept here: a task names its exchange and its party and never a child; it is closed by a person of that party with a signature of
his own, which decides, and not by whoever carries it here; nobody reviews himself; a look at a task is an entry.
"""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.pages.drafts import by
from gateway.console.pages.parties import BOOK_READERS
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.console.visits import Visit
from gateway.domain.canonical import canonical
from gateway.domain.vocabulary import Department
from gateway.errors import Denied
from gateway.flows import reviews as flow
from gateway.identity.approvals import subject_digest
from gateway.store.basis_lists import ReviewFound
from gateway.store.console import open_reviews

REVIEWERS = frozenset({Role.AUDITOR, Role.POLICY_OWNER})
FINDINGS = ("justified", "unjustified")


@door("GET", "/reviews", roles=BOOK_READERS, does="Reviews waiting", menu="work")
async def reviews(visit: Visit) -> Response:
    """Open tasks, of the own department for those who belong to one."""
    async with visit.house.database.read() as reading:
        rows = await open_reviews(reading, str(visit.department) if visit.department else None)
    shown = [
        (row, row.due < visit.now * 1_000_000, row.party.partition("/")[0], Department(row.party.partition("/")[2]))
        for row in rows
    ]
    return visit.page("reviews.html", rows=shown)


@door("GET", "/reviews/{review}", roles=BOOK_READERS, does="One review")
async def review_task(visit: Visit) -> Response:
    """A task, and the form by which a person of its party closes it."""
    task = await _own_task(visit)
    finding = visit.query("finding") or FINDINGS[0]
    if finding not in FINDINGS:
        raise Refused("form_invalid")
    await visit.look("review", review=task.review_id)
    subject = flow.conclusion(task, finding)
    return visit.page(
        "review_task.html",
        task=task,
        late=task.state == "open" and task.due < visit.now * 1_000_000,
        department=Department(task.party.partition("/")[2]),
        finding=finding,
        subject=canonical(subject).decode(),
        digest=subject_digest(subject),
        why=visit.why_not("review_conclude", partial(_open, task)),
    )


@door("POST", "/reviews/{review}/conclude", roles=REVIEWERS, does="Conclude a review")
async def review_conclude(visit: Visit) -> Response:
    """Hand in the reviewer's signature over the finding."""
    task = await _own_task(visit)
    finding = visit.chosen("finding", FINDINGS)
    statement = visit.statement
    await flow.conclude(
        visit.house,
        task.review_id,
        "justified" if finding == "justified" else "unjustified",
        statement,
        by=by(visit),
    )
    return visit.go("review_task", review=task.review_id)


def _open(task: ReviewFound) -> None:
    if task.state != "open":
        raise Denied("review_closed")
    if task.kind == "embargo":
        raise Denied("embargo_share")


async def _own_task(visit: Visit) -> ReviewFound:
    task = await flow.task_named(visit.house, visit.path("review"))
    if visit.department is not None and task.party.partition("/")[2] != visit.department:
        raise Refused("page_unknown")
    return task
