"""Numbers from the log's hourly roll-ups: volumes, exchange health, the department-to-department matrix.

Rules kept here: roll-ups count words of skeletons, so nothing here can be about a child; sums are made here and nowhere else, so
that two pages never differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.store.audit import rollups
from gateway.store.console import totals
from gateway.store.database import Reading

TRAFFIC = frozenset(
    {EntryKind.QUERY, EntryKind.SEND_PERMIT, EntryKind.ACCEPTED, EntryKind.DELIVERED, EntryKind.RECALLED}
)


# What crosses from one department to another: an answer, or an envelope handed out. Handing in has one department only.
CROSSING = frozenset({EntryKind.QUERY, EntryKind.DELIVERED, EntryKind.RECALLED})


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries of one hour share their words. hour: hours since 1970 UTC."""

    hour: int
    kind: str
    exchange: str
    door: str
    purpose: str
    outcome: str
    requester: str
    provider: str
    code: str
    count: int

    @property
    def traffic(self) -> bool:
        """Whether it counts data exchange, and not the house's own work."""
        return self.kind in TRAFFIC


@dataclass(frozen=True, slots=True)
class Health:
    """One exchange's outcomes in a span of time."""

    exchange: str
    outcomes: Counter[str]

    @property
    def total(self) -> int:
        """Every outcome."""
        return self.outcomes.total()

    @property
    def state(self) -> str:
        """`fault` from one fault in twenty on, `quiet` without traffic, else `well`."""
        if not self.total:
            return "quiet"
        return "fault" if self.outcomes[Outcome.FAULT] * 20 >= self.total else "well"


async def counted(reading: Reading, now: int, hours: int, *, department: Department | None = None) -> list[Count]:
    """The roll-ups of the last hours. department: only what it asked for or provided."""
    last = now // 3600
    rows = await rollups(reading, last - hours + 1, last)
    found = [_count(hour, facets, count) for hour, facets, count in rows]
    return [one for one in found if department is None or department in (one.requester, one.provider)]


async def totalled(reading: Reading, now: int, hours: int, *, department: Department | None = None) -> list[Count]:
    """The same added up over all hours; `hour` is that of the last one."""
    last = now // 3600
    found = [_count(last, facets, count) for facets, count in await totals(reading, last - hours + 1, last)]
    return [one for one in found if department is None or department in (one.requester, one.provider)]


def _count(hour: int, facets: str, count: int) -> Count:
    kind, exchange, way, purpose, outcome, requester, provider, code = facets.split("|")
    return Count(hour, kind, exchange, way, purpose, outcome, requester, provider, code, count)


def by_hour(counts: Iterable[Count], now: int, hours: int) -> list[tuple[int, Counter[str]]]:
    """(hour, outcome -> count) of exchange traffic for each of the last hours, the oldest first, none left out."""
    last = now // 3600
    found: dict[int, Counter[str]] = {hour: Counter() for hour in range(last - hours + 1, last + 1)}
    for one in counts:
        if one.traffic and one.hour in found:
            found[one.hour][one.outcome] += one.count
    return sorted(found.items())


def health(counts: Iterable[Count], exchanges: Iterable[str]) -> list[Health]:
    """Each exchange's outcomes, also of those without any."""
    found = {exchange: Health(exchange, Counter()) for exchange in exchanges}
    for one in counts:
        if one.traffic and one.exchange in found:
            found[one.exchange].outcomes[one.outcome] += one.count
    return list(found.values())


def between(counts: Iterable[Count]) -> dict[tuple[str, str], Counter[str]]:
    """(asking or receiving department, providing department) -> outcome -> count of what crossed."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for one in counts:
        if one.kind in CROSSING and one.requester and one.provider:
            found.setdefault((one.requester, one.provider), Counter())[one.outcome] += one.count
    return found


def of_kind(counts: Iterable[Count], kind: EntryKind, outcome: Outcome | None = None) -> int:
    """How many entries of one kind."""
    return sum(one.count for one in counts if one.kind == kind and outcome in (None, one.outcome))
