"""每周抽样: accesses drawn at random each week, so that nobody can know beforehand which will be looked at.

The seed is the first checkpoint that the witnesses signed after the week's end; draw i is SHA-256(seed | i), its first eight bytes taken
modulo the number of the week's entries. Whoever holds the log draws the same sample.

Rules kept here: nothing is stored, so nothing can be chosen; without a witnessed checkpoint the root at the week's end is the seed, and
the page says that the operator could have foreseen it; each drawn sample is an entry before it is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response

from gateway.audit.reading import Shown, shown
from gateway.audit.tree import root_at
from gateway.console import telling
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS
from gateway.console.visits import Visit
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import EntryKind
from gateway.proofs.checkpoints import read_checkpoint
from gateway.store import audit as store
from gateway.store.console import first_witnessed
from gateway.store.database import Reading

SIZE, DRAWS, CHUNK = 60, 3000, 100
WEEKS_BACK = 52
ACCESSES = frozenset({EntryKind.QUERY, EntryKind.DELIVERED})


@dataclass(frozen=True, slots=True)
class Week:
    """The entries of a week, `begins <= index < ends`, and what seeds its sample. witnessed: whether witnesses signed it."""

    first_day: datetime
    begins: int
    ends: int
    seed: bytes
    size: int
    witnessed: bool

    def draws(self) -> Iterator[int]:
        """Indexes in the order of the draw; one may come twice."""
        for number in range(DRAWS):
            digest = hashlib.sha256(self.seed + number.to_bytes(4, "big")).digest()
            yield self.begins + int.from_bytes(digest[:8], "big") % (self.ends - self.begins)


@door("GET", "/sample", roles=INSPECTORS, does="Weekly sample", menu="audit")
async def sample(visit: Visit) -> Response:
    """The sample of a week that has ended; `weeks` ago, 1 for the last one."""
    weeks = visit.number(visit.query("weeks")) or 1
    if weeks > WEEKS_BACK:
        raise Refused("form_invalid")
    async with visit.house.database.read() as reading:
        week = await week_of(reading, visit.now, weeks)
        rows = await drawn(visit, reading, week) if week.begins < week.ends else []
    await visit.look("sample", weeks=weeks, shown=len(rows))
    return visit.page(
        "sample.html",
        week=week,
        weeks=weeks,
        last_day=week.first_day + timedelta(days=6),
        rows=rows,
        wanted=SIZE,
        at_most=100 * (1 - 0.05 ** (1 / len(rows))) if rows else 0.0,
        tell=lambda row: telling.sentence(visit.tongue, row.skeleton, visit.house.catalogue.exchanges),
    )


async def week_of(reading: Reading, now: int, weeks: int) -> Week:
    """The week (Monday to Sunday, Asia/Shanghai) that many weeks ago. now: unix seconds."""
    today = datetime.fromtimestamp(now, SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday() + 7 * weeks)
    head = await store.get_head(reading)
    size = head.size if head else 0
    begins, ends = [
        await store.first_at(reading, int(day.timestamp()) * 1_000_000, size)
        for day in (monday, monday + timedelta(days=7))
    ]
    note = await first_witnessed(reading, ends)
    if note is not None:
        point = read_checkpoint(note)
        return Week(monday, begins, ends, point.root, point.size, True)
    root = await root_at(reading, ends, size) if ends else b""
    return Week(monday, begins, ends, root, ends, False)


async def drawn(visit: Visit, reading: Reading, week: Week) -> list[Shown]:
    """The week's sample: the first accesses drawn in which the visitor's department asked or provided."""
    found: dict[int, Shown] = {}
    own, draws = visit.department, list(dict.fromkeys(week.draws()))
    for at in range(0, len(draws), CHUNK):
        some = draws[at : at + CHUNK]
        rows = {row.index: row for row in await store.get_entries_at(reading, some)}
        for index in some:
            if rows[index].facets.partition("|")[0] not in ACCESSES:
                continue
            entry = shown(rows[index])
            if own is None or own in (entry.skeleton.get("from"), entry.skeleton.get("to")):
                found[index] = entry
                if len(found) == SIZE:
                    return list(found.values())
    return list(found.values())
