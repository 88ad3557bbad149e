"""Reviewing accesses: reads the last weeks of the log, ties each query to what explains it, and keeps what the rules put forward.

Whose entry is whose stands nowhere in the store. Each history counts its own entries, so its newest tags are made again, one after
the other, until one lies before the weeks that are reviewed: as many steps as there are entries, and no search.

Rules kept here: the review is an entry before it begins, and its result another; opened details stay in memory; what is kept is an
entry's index, the rule and its figures; a child is one child, whatever it was called when the entry was written (the gateway's own scope
is rotated, an issued identifier is joined to the later one); protective entries are not reviewed here, because nobody here can open them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.audit.entry import read_skeleton, tags_of
from gateway.audit.histories import Keeper, tag
from gateway.audit.reading import detail_by
from gateway.consent.states import CASE_CLOSED
from gateway.console.accesses import Access, Link, Tie
from gateway.console.anomalies import Matter, judge
from gateway.console.works import Progress
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import GatewayError, GatewayFault
from gateway.flows.calendar_days import DAYS
from gateway.flows.house import House
from gateway.store import audit as store
from gateway.store import console_matters
from gateway.store.audit import KeyRow
from gateway.store.children import joined_names
from gateway.store.console_matters import MatterRow
from gateway.store.database import Reading, Writing

WEEKS_SECONDS = 28 * 86_400
LINK_SECONDS = 30 * 86_400
BEFORE_VISIT_SECONDS = 7 * 86_400
RIPE_SECONDS = 2 * 86_400
_CHUNK, _PAUSE = 1000, 500
_MISSES = 4  # entries written while the review reads
_FOREVER = 2**62
# What a visit or a referral is in the catalogue: who hands it in and who takes it both have to do with the child.
VISITS = frozenset({"X06", "X12"})
REFERRALS = frozenset({"X05", "X08", "X09", "X10", "X18", "X19", "X20", "X23"})
HANDED = frozenset({EntryKind.ACCEPTED, EntryKind.DELIVERED})


@dataclass(slots=True)
class Gathered:
    """What the rules judge. providers: providing department by an access's index."""

    accesses: list[Access] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    providers: dict[int, str] = field(default_factory=dict)


async def review(house: House, draft: EntryDraft, progress: Progress) -> int:
    """Review the last four weeks; the index of the last entry that was looked at. Matters that are new wait in the queue.

    draft: the entry that tells of the result, in whose transaction the matters are kept.
    """
    now = int(house.clock.now().timestamp())
    async with house.database.read() as reading:
        since = await console_matters.last_review(reading)
        head = await store.get_head(reading)
        size = head.size if head else 0
        start = await store.first_at(reading, (now - WEEKS_SECONDS - LINK_SECONDS) * 1_000_000, size)
        gathered = await gather(reading, house.log.keeper, start, size, progress)
        gathered.links += await _cases(reading, gathered.accesses)
    recent = [access for access in gathered.accesses if access.at >= now - WEEKS_SECONDS]
    matters = await asyncio.to_thread(judge, recent, gathered.links, DAYS, now=now)
    fresh = [matter for matter in matters if matter.entries[-1].at >= since - RIPE_SECONDS]
    rows = [_row(matter, gathered.providers, now) for matter in fresh]

    async def keep(writing: Writing) -> None:
        await console_matters.put_matters(writing, rows)

    told = replace(draft, detail={**draft.detail, "accesses": len(recent), "matters": len(rows)})
    await house.log.append(told, effect=keep)
    await progress(size - start, size - start)
    return size - 1


async def gather(reading: Reading, keeper: Keeper, start: int, end: int, progress: Progress) -> Gathered:
    """Queries and hand-overs of an index range, with the children they are about."""
    wanted: dict[int, store.EntryRow] = {}
    places: dict[bytes, int] = {}
    total = end - start
    async for done, row, skeleton in _entries(reading, start, end):
        if done % _CHUNK == 0:
            await progress(done // 2, total)
        places.update(dict.fromkeys(tags_of(skeleton), row.index))
        if skeleton["kind"] == EntryKind.QUERY or (
            skeleton["kind"] in HANDED and skeleton.get("exchange") in VISITS | REFERRALS
        ):
            wanted[row.index] = row
    keys = await _keys(reading, keeper, places)
    present = dict(await joined_names(reading))
    found = Gathered()
    for number, (index, row) in enumerate(wanted.items()):
        detail = _opened(keeper, row, keys.get(index, ()))
        if detail is not None:
            children = [bytes.fromhex(child) for child in detail.get("children", ())]
            named = list(dict.fromkeys(present.get(child, child) for child in children))
            _take(found, index, read_skeleton(row.leaf), detail.get("facts", {}), named)
        if number % _PAUSE == 0:
            await asyncio.sleep(0)
    return found


async def _entries(reading: Reading, start: int, end: int) -> AsyncIterator[tuple[int, store.EntryRow, dict[str, Any]]]:
    for first in range(start, end, _CHUNK):
        for row in await store.get_entries(reading, first, min(first + _CHUNK, end)):
            yield row.index - start, row, read_skeleton(row.leaf)
        await asyncio.sleep(0)


async def _keys(reading: Reading, keeper: Keeper, places: Mapping[bytes, int]) -> dict[int, list[KeyRow]]:
    """Entry index -> the keys of every history with a tag in the range."""
    found: dict[int, list[KeyRow]] = {}
    for number, row in enumerate(await store.all_keys(reading)):
        if number % _PAUSE == 0:
            await asyncio.sleep(0)
        if row.frozen:
            continue
        try:
            history = keeper.open(row)
        except GatewayFault:
            continue  # destroyed with its bucket
        missed, count = 0, history.count
        while count and missed < _MISSES:
            index = places.get(tag(history.tag_key, count))
            count -= 1
            if index is None:
                missed += 1
                continue
            missed = 0
            found.setdefault(index, []).append(row)
    return found


def _opened(keeper: Keeper, row: store.EntryRow, keys: Sequence[KeyRow]) -> dict[str, Any] | None:
    """The detail, by the keys of the histories that the entry stands in; None where they do not open it."""
    try:
        return detail_by(keeper, row, keys)
    except GatewayError:
        return None  # it is not what its skeleton commits to: the verification's business


def _take(
    found: Gathered, index: int, skeleton: Mapping[str, Any], facts: Mapping[str, Any], children: Sequence[bytes]
) -> None:
    organisation, requester = facts.get("organisation"), skeleton.get("from")
    if not organisation or not requester:
        return
    at, exchange = int(skeleton["t"]) // 1_000_000, str(skeleton.get("exchange", ""))
    if skeleton["kind"] in HANDED:
        if skeleton["outcome"] not in (Outcome.RELEASED, Outcome.DONE):
            return
        tie = Tie.VISIT if exchange in VISITS else Tie.REFERRAL
        begins = at - (BEFORE_VISIT_SECONDS if tie is Tie.VISIT else 0)
        party = f"{organisation}/{requester}"
        found.links += [Link(tie, child, party, begins, at + LINK_SECONDS) for child in children]
        return
    found.providers[index] = str(skeleton.get("to", ""))
    # A query without a child reached nobody: it still counts as an attempt, each a stranger of its own.
    for child in children or [index.to_bytes(32, "big")]:
        found.accesses.append(
            Access(
                index=index,
                at=at,
                department=Department(requester),
                organisation=str(organisation),
                officer=str(facts.get("officer", "")),
                client=str(facts.get("client", "")),
                child=child,
                exchange=exchange,
                door=Door(skeleton.get("door") or Door.NORMAL),
                outcome=Outcome(skeleton["outcome"]),
                code=str(skeleton.get("code", "")),
            )
        )


async def _cases(reading: Reading, accesses: Iterable[Access]) -> list[Link]:
    rows = await console_matters.cases_about(reading, (access.child for access in accesses))
    return [
        Link(Tie.CASE, child, party, opened // 1_000_000, changed // 1_000_000 if state in CASE_CLOSED else _FOREVER)
        for child, parties, state, opened, changed in rows
        for party in parties
    ]


def _row(matter: Matter, providers: Mapping[int, str], now: int) -> MatterRow:
    first = matter.entries[0]
    return MatterRow(
        matter_id=matter.matter_id,
        rule=matter.rule.name,
        entry=first.index,
        entries=len(matter.entries),
        more=" ".join(str(access.index) for access in matter.entries[:100]),
        figures=json.dumps(dict(matter.figures), sort_keys=True),
        score=matter.score,
        at=first.at,
        requester=str(first.department),
        provider=providers.get(first.index, ""),
        state="waiting",
        note="",
        decided_by="",
        changed=now,
    )
