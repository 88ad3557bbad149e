"""十二问: the questions that an audit begins with, each with its number of the last week and the way to its entries.

Rules kept here: the numbers are the log's own roll-ups, the department's own for its auditor; a number and the page that it leads to ask
the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.roles import INSPECTORS
from gateway.console.visits import Visit
from gateway.console.volumes import Count
from gateway.domain.clock import SHANGHAI

DAYS = 7


@dataclass(frozen=True, slots=True)
class Canned:
    """A question. message: source text. page: the door that answers it. where: the filter, by the names of the entries page."""

    message: str
    page: str = "entries"
    where: Mapping[str, str] = field(default_factory=dict)

    def counts(self, one: Count) -> bool:
        """Whether a roll-up belongs to the answer."""
        return all(getattr(one, name) == word for name, word in self.where.items())


QUESTIONS = (
    Canned("Who looked at this child, and when?", "timelines"),
    Canned("What did this officer or system do?", "timelines"),
    Canned("Which department asked which, and how often?", "matrix"),
    Canned("What left, and to whom?", where={"outcome": "released"}),
    Canned("What was refused, and why?", where={"outcome": "denied"}),
    Canned("What came by the emergency door?", where={"door": "emergency"}),
    Canned("What came by the protective door?", where={"door": "protective"}),
    Canned("Which consents were withdrawn?", where={"kind": "consent.withdrawn"}),
    Canned("Who changed the rules?", where={"kind": "policy.changed"}),
    Canned("Whose identity was restored, and on whose word?", where={"kind": "reidentification"}),
    Canned("Who stopped what, and let it run again?", where={"kind": "kill_switch"}),
    Canned("What did the auditors themselves look at?", where={"kind": "audit.query"}),
)


@door("GET", "/questions", roles=INSPECTORS, does="Twelve questions", menu="audit")
async def questions(visit: Visit) -> Response:
    """The twelve, with the last week's numbers."""
    async with visit.house.database.read() as reading:
        counts = await visit.console.volumes.totalled(reading, visit.now, DAYS * 24, department=visit.department)
    begins = datetime.fromtimestamp(visit.now - (DAYS - 1) * 86_400, SHANGHAI).date().isoformat()
    asked = []
    for one in QUESTIONS:
        query = (
            "&".join(f"{name}={word}" for name, word in (*one.where.items(), ("begins", begins))) if one.where else ""
        )
        number = sum(each.count for each in counts if one.counts(each)) if one.where else None
        asked.append((one.message, visit.url(one.page) + (f"?{query}" if query else ""), number))
    return visit.page("questions.html", asked=asked, days=DAYS)
