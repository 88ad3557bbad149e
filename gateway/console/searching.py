"""Entries by filter, at a cost that follows what is found and not the log's length.

The hourly roll-ups say which words the log holds and in which hours, and where the first and the last entry of these words stand in each.
So hours are taken from the newest on, four and then always four times as many; entries that are one or two in their hour are fetched from
their places, and only hours that hold more of them are read through.

Rules kept here: the answer is that of `audit/reading.page` for the same question, entry for entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby

from gateway.audit.reading import Question, Shown, page, shown
from gateway.store import audit as store
from gateway.store.console import Places, facets_like, places_of
from gateway.store.database import Reading

HOUR_US = 3_600 * 1_000_000
_LONGEST = 1000
_FIRST_HOURS, _WIDER = 4, 4
_KNOWN_PLACES = 2  # the first and the last: what lies between them has to be read


async def find(reading: Reading, question: Question) -> list[Shown]:
    """A page of entries, newest first."""
    if question.pattern == "%":
        return await page(reading, question)
    facets = await facets_like(reading, question.pattern)
    head = await store.get_head(reading)
    if not facets or head is None:
        return []
    begins = await store.first_at(reading, question.from_us, head.size) if question.from_us else 0
    ends = head.size if question.until_us is None else await store.first_at(reading, question.until_us, head.size)
    ends = ends if question.after is None else min(ends, question.after)
    limit = max(1, min(question.limit, _LONGEST))
    found: list[store.EntryRow] = []
    waiting: list[int] = []  # places that are known, not yet fetched
    async for places in _hours(reading, facets, question.from_us // HOUR_US, head.time_us // HOUR_US):
        first = max(begins, min(one.first for one in places))
        end = min(ends, max(one.last for one in places) + 1)
        if all(one.entries <= _KNOWN_PLACES for one in places):
            known = {place for one in places for place in (one.first, one.last)}
            waiting += sorted((place for place in known if first <= place < end), reverse=True)
        elif first < end:
            found += await _fetched(reading, waiting)
            waiting = []
            found += await store.page(
                reading, pattern=question.pattern, start=first, end=end, limit=limit, newest_first=True
            )
        if len(found) + len(waiting) >= limit:
            break
    found += await _fetched(reading, waiting)
    return [shown(row) for row in found[:limit]]


async def _fetched(reading: Reading, places: Sequence[int]) -> list[store.EntryRow]:
    """The entries at these places, newest first."""
    return (await store.get_entries_at(reading, sorted(places)))[::-1]


async def _hours(reading: Reading, facets: Sequence[str], first: int, last: int) -> AsyncIterator[list[Places]]:
    """What each hour holds of these facets, the newest hour first; hours without any are left out."""
    hours = _FIRST_HOURS
    while last >= first:
        begins = max(first, last - hours + 1)
        for _, places in groupby(await places_of(reading, facets, begins, last), key=lambda one: one.hour):
            yield list(places)
        last, hours = begins - 1, hours * _WIDER
