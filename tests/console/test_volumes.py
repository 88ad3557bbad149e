"""The console's numbers are the log's own, counted again entry by entry, on whichever day and hour they are asked for."""

import random
from collections import Counter

import pytest

from gateway.console.volumes import Volumes, between, by_hour
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.store.audit import get_entries
from tests.unit.audit.audit_world import HandClock, a_log, draft

pytestmark = pytest.mark.anyio
SPANS = (1, 5, 24, 47, 7 * 24, 30 * 24)


async def recounted(reading, now, hours):
    """(hour, facets) -> count of the entries of a span, from the entries themselves."""
    first = now // 3600 - hours + 1
    found = Counter()
    for row in await get_entries(reading, 0, 10**9):
        hour = int(row.entry_id[:14], 16) // 3_600_000_000
        if hour >= first:
            found[hour, row.facets] += 1
    return found


async def test_numbers_of_hours_and_sums_of_days_stay_the_logs_own_while_it_grows(tmp_path):
    draw, clock, volumes = random.Random(4), HandClock(), Volumes()
    async with a_log(tmp_path, clock=clock) as log:
        for _ in range(60):
            for _ in range(draw.randrange(4)):
                asker, giver = draw.sample(list(Department), 2)
                outcome = draw.choice([Outcome.RELEASED, Outcome.DENIED])
                await log.append(draft(b"c" * 32, requester=asker, provider=giver, outcome=outcome))
            clock.move(hours=draw.choice([0, 0, 1, 7, 30]))
            now = int(clock.now().timestamp())
            hours = draw.choice(SPANS)
            async with log.database.read() as reading:
                plain = await recounted(reading, now, hours)
                counted = await volumes.counted(reading, now, hours)
                summed = await volumes.totalled(reading, now, hours)
                own = await volumes.totalled(reading, now, hours, department=Department.HEALTH)
            assert {(one.hour, "|".join(one.words)): one.count for one in counted} == plain
            by_facets = Counter()
            for (_, facets), count in plain.items():
                by_facets[facets] += count
            assert {"|".join(one.words): one.count for one in summed} == by_facets
            assert sum(one.count for one in own) == sum(
                count for facets, count in by_facets.items() if "|health|" in facets
            )
        async with log.database.read() as reading:
            summed = await volumes.totalled(reading, now, 30 * 24)
            counted, plain = await volumes.counted(reading, now, 24), await recounted(reading, now, 24)
        assert len(summed) > 10, "a month of traffic between the departments"
        traffic = [one for one in summed if one.kind == EntryKind.QUERY]
        assert sum(cell.total() for cell in between(summed).values()) == sum(one.count for one in traffic)
        assert sum(c.total() for _, c in by_hour(counted, now, 24)) == sum(
            count for (_, facets), count in plain.items() if facets.startswith("query|")
        )


async def test_hours_that_are_over_are_not_read_twice(tmp_path, monkeypatch):
    from gateway.console import volumes as room

    asked = []

    async def watched(reading, first, last, *, read=room.rollups):
        asked.append(last - first + 1)
        return await read(reading, first, last)

    monkeypatch.setattr(room, "rollups", watched)
    clock, volumes = HandClock(), Volumes()
    async with a_log(tmp_path, clock=clock) as log:
        for _ in range(48):
            await log.append(draft(b"c" * 32))
            clock.move(hours=1)
        await log.append(draft(b"c" * 32))
        async with log.database.read() as reading:
            now = int(clock.now().timestamp())
            assert len(await volumes.counted(reading, now, 24)) == 24
            assert len(await volumes.counted(reading, now, 24)) == 24
    assert asked == [24, 1]
