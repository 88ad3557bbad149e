"""Numbers from the log's hourly roll-ups: volumes, exchange health, the department-to-department matrix.

Rules kept here: roll-ups count words of skeletons, so nothing here can be about a child; sums are made here and nowhere else, so
that two pages never differ.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.store.audit import get_head, rollups
from gateway.store.console import totals
from gateway.store.database import Reading

DAY_HOURS = 24
_HOUR_US = 3_600 * 1_000_000
_HOURS_KEPT, _DAYS_KEPT = 3 * DAY_HOURS, 370
TRAFFIC = frozenset(
    {EntryKind.QUERY, EntryKind.SEND_PERMIT, EntryKind.ACCEPTED, EntryKind.DELIVERED, EntryKind.RECALLED}
)


# What crosses from one department to another: an answer, or an envelope handed out. Handing in has one department only.
CROSSING = frozenset({EntryKind.QUERY, EntryKind.DELIVERED, EntryKind.RECALLED})


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries of one hour share their words. hour: hours since 1970 UTC. words: as the log's facets order them."""

    hour: int
    words: tuple[str, ...]
    count: int

    @property
    def kind(self) -> str:
        """An `EntryKind`."""
        return self.words[0]

    @property
    def exchange(self) -> str:
        """Its id, "" where there is none; the same for the words below."""
        return self.words[1]

    @property
    def door(self) -> str:
        """A `Door`."""
        return self.words[2]

    @property
    def purpose(self) -> str:
        """P01 …"""
        return self.words[3]

    @property
    def outcome(self) -> str:
        """An `Outcome`."""
        return self.words[4]

    @property
    def requester(self) -> str:
        """Who asked or receives, a `Department`."""
        return self.words[5]

    @property
    def provider(self) -> str:
        """Who provides, a `Department`."""
        return self.words[6]

    @property
    def code(self) -> str:
        """The code of a refusal or fault."""
        return self.words[7]

    @property
    def traffic(self) -> bool:
        """Whether it counts data exchange, and not the house's own work."""
        return self.words[0] in TRAFFIC


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


class Volumes:
    """Reads the roll-ups of the last hours. What is over is read once: the log's time never goes back, so the numbers of an hour before
    its last entry's are final; they are kept by the hour for days, and by the day for a year.
    """

    def __init__(self) -> None:
        self._hours: OrderedDict[int, tuple[Count, ...]] = OrderedDict()
        self._days: OrderedDict[int, tuple[Count, ...]] = OrderedDict()

    async def counted(
        self, reading: Reading, now: int, hours: int, *, department: Department | None = None
    ) -> list[Count]:
        """The roll-ups of the last hours. department: only what it asked for or provided."""
        last = now // 3600
        found = await self._read(reading, last - hours + 1, last)
        return [one for one in found if department is None or department in (one.requester, one.provider)]

    async def totalled(
        self, reading: Reading, now: int, hours: int, *, department: Department | None = None
    ) -> list[Count]:
        """The same added up over all hours; `hour` is that of the last one."""
        last = now // 3600
        first = last - hours + 1
        over = await _first_open_hour(reading)
        begins, ends = -(-first // DAY_HOURS), min(last + 1, over) // DAY_HOURS  # days that are over and all within
        if begins >= ends:
            return _added(await self._read(reading, first, last), last, department)
        found = await self._read(reading, first, begins * DAY_HOURS - 1)
        for day in range(begins, ends):
            if day not in self._days:
                _keep(self._days, day, await _day(reading, day), _DAYS_KEPT)
            found += self._days[day]
        found += await self._read(reading, ends * DAY_HOURS, last)
        return _added(found, last, department)

    async def _read(self, reading: Reading, first: int, last: int) -> list[Count]:
        """Every roll-up of a range of hours, both ends included, in their order."""
        over = await _first_open_hour(reading)
        wanted = [hour for hour in range(first, last + 1) if hour not in self._hours]
        read: dict[int, list[Count]] = {hour: [] for hour in wanted}
        if wanted:
            for hour, facets, count in await rollups(reading, wanted[0], wanted[-1]):
                if hour in read:
                    read[hour].append(_count(hour, facets, count))
        found: list[Count] = []
        for hour in range(first, last + 1):
            found += self._hours[hour] if hour in self._hours else read[hour]
        for hour in wanted:
            if hour < over:
                _keep(self._hours, hour, tuple(read[hour]), _HOURS_KEPT)
        return found


async def _first_open_hour(reading: Reading) -> int:
    """The hour of the log's last entry: entries may still come into this one and none before. 0 for an empty log."""
    head = await get_head(reading)
    return head.time_us // _HOUR_US if head else 0


async def _day(reading: Reading, day: int) -> tuple[Count, ...]:
    last = (day + 1) * DAY_HOURS - 1
    return tuple(_count(last, facets, count) for facets, count in await totals(reading, day * DAY_HOURS, last))


def _keep(kept: OrderedDict[int, tuple[Count, ...]], place: int, counts: tuple[Count, ...], most: int) -> None:
    kept[place] = counts
    while len(kept) > most:
        kept.popitem(last=False)


def _added(counts: Iterable[Count], last: int, department: Department | None) -> list[Count]:
    sums: dict[tuple[str, ...], int] = {}
    for one in counts:
        if department is None or department in (one.requester, one.provider):
            sums[one.words] = sums.get(one.words, 0) + one.count
    return [Count(last, words, count) for words, count in sums.items()]


def _count(hour: int, facets: str, count: int) -> Count:
    return Count(hour, _words(facets), count)


@lru_cache(maxsize=10_000)
def _words(facets: str) -> tuple[str, ...]:
    """The words of facets, one object for all hours that hold them."""
    return tuple(facets.split("|"))


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
