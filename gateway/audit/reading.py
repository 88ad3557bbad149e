"""The read side: pages of skeletons, histories of a child or an actor, opened details, epoch indexes.

Rules kept here: whoever calls this has recorded the look itself as an entry (`gateway/flows/inspections.py`); paging is by
index, never by offset; the second sequence cannot be read here, because the gateway has forgotten how it began.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.audit.batch import ESCROWED_DETAIL, PLAIN_DETAIL, Asked
from gateway.audit.entry import read_detail, read_skeleton
from gateway.audit.histories import (
    HINT_BYTES,
    LOG_HOLDER,
    History,
    Keeper,
    actor_holder,
    child_holder,
    count_label,
    head_label,
    hint,
    joint_key,
    second_step,
    second_tag,
    tags_until,
)
from gateway.audit.log import AuditLog
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.proofs.merkle import leaf_hash, root_of
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.audit import EntryRow, KeyRow
from gateway.store.audit_retention import minimum_index
from gateway.store.database import Reading, Writing
from keys.buckets import aead_open

_LINE = 64
_PADDED_TO = 64


@dataclass(frozen=True, slots=True)
class Question:
    """A filter. Empty words match all. from_us/until_us: microseconds since 1970 UTC, half-open. after: index of the last row
    of the page before, None for the first page.
    """

    kind: str = ""
    exchange: str = ""
    door: str = ""
    purpose: str = ""
    outcome: str = ""
    requester: str = ""
    provider: str = ""
    code: str = ""
    from_us: int = 0
    until_us: int | None = None
    after: int | None = None
    limit: int = 100

    @property
    def pattern(self) -> str:
        """The LIKE pattern over an entry's facets."""
        names = ("kind", "exchange", "door", "purpose", "outcome", "requester", "provider", "code")
        words = [getattr(self, name) for name in names]
        if not any(words):
            return "%"
        if any(mark in word for word in words for mark in "%|!"):
            raise BadRequest("filter_invalid")
        return "|".join(word.replace("_", "!_") or "%" for word in words)


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as an auditor sees it. detail: None unless it was opened."""

    index: int
    skeleton: dict[str, Any]
    leaf: bytes = field(repr=False)
    detail: dict[str, Any] | None = field(default=None, repr=False)


async def page(reading: Reading, question: Question) -> list[Shown]:
    """A page of entries, newest first."""
    head = await store.get_head(reading)
    size = head.size if head else 0
    start = await minimum_index(reading)
    if question.from_us:
        start = max(start, await store.first_at(reading, question.from_us, size))
    end = size if question.until_us is None else await store.first_at(reading, question.until_us, size)
    if question.after is not None:
        end = min(end, question.after)
    limit = max(1, min(question.limit, 1000))
    rows = await store.page(reading, pattern=question.pattern, start=start, end=end, limit=limit, newest_first=True)
    return [shown(row) for row in rows]


def shown(row: EntryRow, detail: dict[str, Any] | None = None) -> Shown:
    """A stored row as an auditor sees it."""
    return Shown(row.index, read_skeleton(row.leaf), row.leaf, detail)


async def child_history(reading: Reading, keeper: Keeper, point: bytes) -> list[EntryRow]:
    """Every ordinary entry about a child, oldest first: its tags are made again and looked up.

    Raises `GatewayFault("history_incomplete")` if one of its numbers is not in the log, `Denied("history_frozen")`.
    """
    return await _history(reading, keeper, child_holder(point))


async def actor_history(reading: Reading, keeper: Keeper, name: str) -> list[EntryRow]:
    """Every entry that an actor (`client:…`, `person:<org>/<id>`) had a part in, oldest first."""
    return await _history(reading, keeper, actor_holder(name))


async def second_history(reading: Reading, start: bytes) -> list[EntryRow]:
    """The protective entries of one generation, for the two departments that have joined their halves of S_0."""
    rows: list[EntryRow] = []
    state = start
    while found := await store.find_tags(reading, [second_tag(state)]):
        (index,) = found.values()
        rows += await store.get_entries(reading, index, index + 1)
        state = second_step(state)
    return rows


async def open_detail(reading: Reading, keeper: Keeper, row: EntryRow, known: Sequence[bytes] = ()) -> dict[str, Any]:
    """The detail of an entry, checked against its skeleton.

    known: holders that the caller believes it is about; without them every key is tried by its hint. Raises
    `BadRequest("detail_escrowed")` (needs two departments), `BadRequest("detail_destroyed")` (erased).
    """
    if row.detail is None:
        raise BadRequest("detail_destroyed")
    kind = row.detail[:1]
    if kind == ESCROWED_DETAIL:
        raise BadRequest("detail_escrowed")
    if kind != PLAIN_DETAIL:
        raise GatewayFault("log_entry_invalid", index=row.index)
    near = [key for holder in (*known, LOG_HOLDER) for key in await store.key_generations(reading, holder)]
    detail = detail_by(keeper, row, near)
    if detail is None:
        detail = detail_by(keeper, row, await store.all_keys(reading))
    if detail is None:
        raise BadRequest("detail_destroyed")
    return detail


def detail_by(keeper: Keeper, row: EntryRow, keys: Sequence[KeyRow]) -> dict[str, Any] | None:
    """The detail as these keys open it, checked against its skeleton; None where they do not, or where it is not a plain one."""
    if row.detail is None or row.detail[:1] != PLAIN_DETAIL:
        return None
    opened = _unsealed(keeper, row, row.detail[1:], keys)
    if opened is None:
        return None
    salted, whose = opened
    detail = read_detail(salted, read_skeleton(row.leaf))
    if "children" in detail:
        # As they are known now: the gateway's own scope may have been rotated since the detail was sealed.
        detail["children"] = [holder.hex() for holder in whose]
    return detail


async def opened_bytes(reading: Reading, keeper: Keeper, row: EntryRow, known: Sequence[bytes]) -> bytes:
    """Salt and JSON of a detail as committed, for an export."""
    if row.detail is None:
        raise BadRequest("detail_destroyed")
    keys = [key for holder in (*known, LOG_HOLDER) for key in await store.key_generations(reading, holder)]
    opened = _unsealed(keeper, row, row.detail[1:], keys)
    if opened is None:
        raise BadRequest("detail_destroyed")
    return opened[0]


def _unsealed(keeper: Keeper, row: EntryRow, sealed: bytes, keys: Sequence[KeyRow]) -> tuple[bytes, list[bytes]] | None:
    """Salt and JSON as these keys open them, and whose keys they are; None where they do not."""
    hints = [row.hints[at : at + HINT_BYTES] for at in range(0, len(row.hints), HINT_BYTES)]
    holders = _matching(keeper, keys, hints, sealed[:12])
    for chosen in itertools.islice(itertools.product(*holders), 64):
        try:
            salted = aead_open(joint_key(chosen), sealed, row.entry_id.encode())
        except GatewayFault:
            continue
        return salted, [holding[key] for holding, key in zip(holders, chosen, strict=True)]
    return None


async def write_index(log: AuditLog) -> Receipt:
    """Write the next epoch's index entry: the root over one line for every history, in both sequences.

    A line is head label | count label (64 bytes); lines are sorted and padded with random ones to a multiple of 64, so that
    neither order nor number tells much.
    """
    async with log.database.read() as reading:
        covers, rows = await store.all_current_keys(reading)
        last = await audit_keys.newest_epoch(reading)
    epoch = last[0] + 1 if last else 1
    lines = sorted(line for row in rows for line in index_lines(log.keeper.open(row), epoch))
    lines = sorted([*lines, *(os.urandom(_LINE) for _ in range(-len(lines) % _PADDED_TO))])
    draft = EntryDraft(
        kind=EntryKind.INDEX,
        outcome=Outcome.DONE,
        manifest_root=root_of([leaf_hash(line) for line in lines]),
    )

    async def keep(writing: Writing, index: int) -> None:
        await audit_keys.put_epoch(writing, epoch, index, covers, b"".join(lines))

    return await log.submit(Asked(draft, {"epoch": epoch, "covers": covers}), within=keep)


def index_lines(history: History, epoch: int) -> tuple[bytes, bytes]:
    """A history's two lines in an epoch's index, one per sequence."""
    ordinary = head_label(history.tag_key, epoch) + count_label(history.tag_key, epoch, history.count)
    return ordinary, head_label(history.second, epoch) + count_label(history.second, epoch, 0)


async def _history(reading: Reading, keeper: Keeper, holder: bytes) -> list[EntryRow]:
    entries: dict[int, EntryRow] = {}
    for row in await store.key_generations(reading, holder):
        if row.frozen:
            raise Denied("history_frozen")
        history = keeper.open(row)
        found = await store.tagged_entries(reading, tags_until(history.tag_key, history.count))
        if len(found) != history.count:
            raise GatewayFault("history_incomplete")
        entries |= {entry.index: entry for entry in found}
    return [entries[index] for index in sorted(entries)]


def _matching(keeper: Keeper, rows: Sequence[KeyRow], hints: Sequence[bytes], nonce: bytes) -> list[dict[bytes, bytes]]:
    """For each hint the detail keys that it may mean, and whose they are."""
    wanted = set(hints)
    found: dict[bytes, dict[bytes, bytes]] = {}
    for row in rows:
        if row.frozen:
            continue
        try:
            key = keeper.detail_key(row)
        except GatewayFault:
            continue  # destroyed with its bucket, its row not yet gone
        made = hint(key, nonce)
        if made in wanted:
            found.setdefault(made, {})[key] = row.holder
    return [found.get(one, {}) for one in hints]
