"""Erasure, freezing and holds: what becomes of a history's keys while every proof stays valid.

Erasing destroys K, D and W of every generation: the rows go, the bucket keys that wrapped them are destroyed, and the survivors
of those buckets are wrapped again. The skeletons stay; nobody can say any more whose they were. Entries of the second
sequence cannot be found here: their details are sealed to two departments, which destroy their halves themselves.

Rules kept here: before the legal term has ended a history is frozen, not destroyed; a hold (finding, complaint, court case)
stops destruction; it happens inside an entry's transaction, under the head's lock, so no key is wrapped meanwhile under a
bucket that goes; the entry is its certificate and names no child.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from gateway.audit.batch import Asked
from gateway.audit.histories import tag
from gateway.audit.log import AuditLog
from gateway.domain.entries import EntryDraft, Receipt
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.audit import KeyRow
from gateway.store.database import Writing

_Moved = dict[int, list[bytes]]


async def erase(log: AuditLog, holder: bytes, entry: EntryDraft, *, now: int) -> Receipt:
    """Destroy a history for good. `entry`: the `erasure` entry, without children; its detail gets the certificate.

    Raises `BadRequest("history_unknown")`, `Denied("history_held")`. Cut short by a crash, it is finished by `settle` at the
    next start: the keys are gone from the moment at which the bucket file says so.
    """
    moved: _Moved = {}

    async def destroy(writing: Writing) -> EntryDraft:
        rows = await store.key_generations(writing, holder)
        if not rows:
            raise BadRequest("history_unknown")
        if await audit_keys.held(writing, holder, now):
            raise Denied("history_held")
        indexes = await _entries_of(writing, log, rows)
        moved.update(await _destroy_buckets(writing, log, holder, rows))
        await audit_keys.delete_keys(writing, holder)
        await audit_keys.delete_details(writing, indexes)
        digest = sha256(b"".join(row.wrapped for row in rows)).hexdigest()
        certificate = {"keys": digest, "generations": str(len(rows)), "entries": str(len(indexes))}
        return replace(entry, detail={**entry.detail, "certificate": certificate})

    receipt = await log.submit(Asked(entry, erases=(holder,)), effect=destroy)
    for bucket, survivors in moved.items():
        log.buckets.settle(bucket, survivors)
    return receipt


async def freeze(log: AuditLog, holder: bytes, entry: EntryDraft, *, frozen: bool = True) -> Receipt:
    """Before the legal term ends: keep, and refuse every reading (PIPL 47). Also undoes it."""

    async def change(writing: Writing) -> None:
        if not await audit_keys.set_frozen(writing, holder, frozen):
            raise BadRequest("history_unknown")

    return await log.submit(Asked(entry), effect=change)


async def settle(log: AuditLog) -> int:
    """Finish destructions that a crash cut short: give the database the survivors' new wrappings. Returns how many."""
    if not log.buckets.unsettled():
        return 0
    done = 0
    async with log.database.write() as writing:
        waiting: dict[int, list[KeyRow]] = defaultdict(list)
        for row in await store.all_keys(writing):
            waiting[row.bucket].append(row)
        settled: _Moved = {}
        for bucket, rows in waiting.items():
            pending = log.buckets.pending(bucket, [row.wrapped for row in rows])
            for row in rows:
                if row.wrapped in pending:
                    number, wrapped = pending[row.wrapped]
                    await audit_keys.rewrap_key(writing, row, number, wrapped)
                    settled.setdefault(bucket, []).append(row.wrapped)
                    done += 1
        # A crash before this commit leaves everything as it was, and is repeated.
    for bucket, survivors in settled.items():
        log.buckets.settle(bucket, survivors)
    return done


async def _entries_of(writing: Writing, log: AuditLog, rows: Sequence[KeyRow]) -> list[int]:
    indexes: set[int] = set()
    for row in rows:
        try:
            history = log.keeper.open(row)
        except GatewayFault:
            continue  # destroyed by an attempt that was cut short
        tags = [tag(history.tag_key, number) for number in range(1, history.count + 1)]
        indexes.update((await store.find_tags(writing, tags)).values())
    return sorted(indexes)


async def _destroy_buckets(writing: Writing, log: AuditLog, holder: bytes, rows: Sequence[KeyRow]) -> _Moved:
    moved: _Moved = {}
    for bucket in {row.bucket for row in rows}:
        others = [row for row in await audit_keys.keys_in_bucket(writing, bucket) if row.holder != holder]
        wrapped = [row.wrapped for row in others]
        try:
            number, fresh = log.buckets.destroy(bucket, wrapped)
        except GatewayFault as fault:
            if fault.code != "key_destroyed":
                raise
            continue  # already gone: an attempt that was cut short, whose survivors `settle` moves
        # A crash from here on: the key is gone; survivors open by their old wrappings until `settle` has moved them.
        for row, new in zip(others, fresh, strict=True):
            await audit_keys.rewrap_key(writing, row, number, new)
        moved[bucket] = wrapped
    for row in rows:
        log.keeper.forget(row.wrapped)
    return moved
