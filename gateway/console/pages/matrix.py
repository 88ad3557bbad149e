"""部门往来矩阵: who asked whom how often, each cell a way down to its entries."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS
from gateway.console.visits import Visit
from gateway.console.volumes import between
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import Department

SPANS = {"1": 24, "7": 7 * 24, "30": 30 * 24}


@door("GET", "/matrix", roles=INSPECTORS, does="Departments' matrix", menu="audit")
async def matrix(visit: Visit) -> Response:
    """The five departments by each other."""
    days = visit.query("days") or "7"
    if days not in SPANS:
        raise Refused("form_invalid")
    async with visit.house.database.read() as reading:
        counts = between(
            await visit.console.volumes.totalled(reading, visit.now, SPANS[days], department=visit.department)
        )
    await visit.look("matrix", days=int(days))
    largest = max((counter.total() for counter in counts.values()), default=1)
    first = datetime.fromtimestamp(visit.now - (int(days) - 1) * 86_400, SHANGHAI).date().isoformat()
    return visit.page(
        "matrix.html",
        days=days,
        begins=first,
        spans=list(SPANS),
        departments=list(Department),
        cells={pair: (counter, _heat(counter, largest)) for pair, counter in counts.items()},
        own=str(visit.department or ""),
    )


def _heat(counter: Counter[str], largest: int) -> int:
    share = counter.total() / largest
    return 3 if share > 2 / 3 else 2 if share > 1 / 3 else 1
