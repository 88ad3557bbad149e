"""Entries by filter, at a cost that follows what is found and not the log's length.

The hourly roll-ups say in which hours entries of these words were written, so only those hours are read, the newest first; where no hour
holds any, nothing is read at all.

Rules kept here: the answer is that of `audit/reading.page` for the same question, entry for entry.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.audit.reading import Question, Shown, page
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
    found: list[Shown] = []
    for hour in await matching_hours(reading, question.pattern, first, last):
        begins, ends = hour * HOUR_US, (hour + 1) * HOUR_US
        until = ends if question.until_us is None else min(ends, question.until_us)
        asked = replace(question, from_us=max(begins, question.from_us), until_us=until, limit=limit - len(found))
        found += await page(reading, asked)
        if len(found) >= limit:
            break
    return found
