"""紧急复核: tasks that the emergency door and withdrawals leave behind, most urgent first, with who has to do them and until when.

Rules kept here: a task names its exchange and its party and never a child; it is closed by an officer of that party with a signature of
his own, at the department's own system, and not here.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.pages.parties import BOOK_READERS
from gateway.console.visits import Visit
from gateway.domain.vocabulary import Department
from gateway.store.console import open_reviews


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
