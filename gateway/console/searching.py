"""Entries by filter, at a cost that follows what is found and not the log's length.

The hourly roll-ups say in which hours entries of these words were written, so only those hours are read, the newest first; where no hour
holds any, nothing is read at all.

Rules kept here: the answer is that of `audit/reading.page` for the same question, entry for entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.audit.reading import Question, Shown, page, shown
from gateway.store import audit as store
from gateway.store.console import matching_hours
from gateway.store.database import Reading

HOUR_US = 3_600 * 1_000_000
_LATEST = 10**9
_LONGEST = 1000


async def find(reading: Reading, question: Question) -> list[Shown]:
    """A page of entries, newest first."""
    if question.pattern == "%":
        return await page(reading, question)
    first, last = question.from_us // HOUR_US, _LATEST
    if question.until_us is not None:
        last = min(last, question.until_us // HOUR_US)
    if question.after is not None:
        rows = await store.get_entries(reading, question.after, question.after + 1)
        last = min(last, int(rows[0].entry_id[:14], 16) // HOUR_US) if rows else last
    limit = max(1, min(question.limit, _LONGEST))
    head = await store.get_head(reading)
    size = head.size if head else 0
    found: list[Shown] = []
    for begins, ends in _stretches(await matching_hours(reading, question.pattern, first, last)):
        until = ends if question.until_us is None else min(ends, question.until_us)
        start = await store.first_at(reading, max(begins, question.from_us), size)
        end = await store.first_at(reading, until, size)
        rows = await store.page(
            reading,
            pattern=question.pattern,
            start=start,
            end=end if question.after is None else min(end, question.after),
            limit=limit - len(found),
            newest_first=True,
        )
        found += [shown(row) for row in rows]
        if len(found) >= limit:
            break
    return found


def _stretches(hours: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Hours that follow each other as one stretch of time (microseconds, half-open), the newest first."""
    newest = oldest = None
    for hour in hours:
        if oldest is not None and newest is not None and hour != oldest - 1:
            yield oldest * HOUR_US, (newest + 1) * HOUR_US
            newest = None
        newest, oldest = hour if newest is None else newest, hour
    if oldest is not None and newest is not None:
        yield oldest * HOUR_US, (newest + 1) * HOUR_US
