"""What was asked of late, counted by day, for the replay of a draft.

Rules kept here: a count names role, department, exchange, action, purpose, region and state of the basis, never a child, a caller or
a time of day; it is no record of anything (the log is), so no entry tells of it; it lives ninety days.
"""

from __future__ import annotations

from gateway.flows.house import House
from gateway.store import policy as store

DAYS = 90


async def keep_asked(house: House) -> None:
    """Add what this worker was asked to the counts of the day, and drop days past."""
    asked = house.book.take_asked()
    if not asked:
        return
    today = house.clock.now().date()
    first = today.fromordinal(today.toordinal() - DAYS)
    async with house.database.write() as writing:
        await store.count_asked(writing, today.isoformat(), asked)
        await store.forget_asked(writing, first.isoformat())
