"""Erasure and freezing: what becomes of a history's keys while every proof stays valid.

Erasing destroys K, D and W of generations: the rows go, the bucket keys that wrapped them are destroyed, and the survivors
of those buckets are wrapped again. The skeletons stay; nobody can say any more whose they were. Entries of the second
sequence cannot be found here: their details are sealed to two departments, which destroy their halves themselves.

Rules kept here: a hold (finding, complaint, court case) stops destruction; it happens inside an entry's transaction, under the
head's lock, so no key is wrapped meanwhile under a bucket that goes; a detail goes only with the key that sealed it; the entry
is its certificate and names no child. Whether a term has ended is `gateway/audit/retention.py`'s business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from gateway.audit.batch import Asked
from gateway.audit.histories import HINT_BYTES, History, hint, tags_until
from gateway.audit.log import AuditLog
from gateway.domain.entries import EntryDraft, Receipt
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.store import audit as store
from gateway.store import audit_keys, audit_retention
from gateway.store.audit import KeyRow
from gateway.store.children import every_name
from gateway.store.database import Writing

_Moved = dict[int, list[bytes]]
Choose = Callable[[Writing], Awaitable[Sequence[KeyRow]]]
"""Names the generations that go, under the head's lock; it raises where they must not."""


async def erase(log: AuditLog, holder: bytes, entry: EntryDraft, *, now: int) -> Receipt:
    """Destroy a history for good, under every name that the child ever had, whichever of them is given. `entry`: the `erasure`
    entry, without children; its detail gets the certificate.

    Raises `BadRequest("history_unknown")`; `Denied`: history_held, retention_changed (joined to another name meanwhile). Cut short by a crash, it is finished by `settle` at the
    next start: the keys are gone from the moment at which the bucket file says so.
    """
    async with log.database.read() as reading:
        names = await every_name(reading, holder)

    async def choose(writing: Writing) -> Sequence[KeyRow]:
        if await every_name(writing, holder) != names:
            raise Denied("retention_changed")
        rows = [row for name in names for row in await store.key_generations(writing, name)]
        if not rows:
            raise BadRequest("history_unknown")
        for name in names:
            if await audit_keys.held(writing, name, now):
                raise Denied("history_held")
        return rows

    return await destroy(log, choose, entry, whole=tuple(names))


async def destroy(
    log: AuditLog, choose: Choose, entry: EntryDraft, *, whole: tuple[bytes, ...] = (), minimum: int = 0
) -> Receipt:
    """Destroy the generations that `choose` names. whole: holders of which nothing is left. minimum: where the log begins from
    then on, 0 to leave that as it is. Raises what `choose` raises.

    The certificate: how many keys went, the digest over their wrapped forms, how many sealed details went with them. Where
    the log begins stands in clear, for whoever verifies.
    """
    moved: _Moved = {}

    async def effect(writing: Writing) -> EntryDraft:
        rows = await choose(writing)
        indexes = await _sealed_by(writing, log, rows)
        moved.update(await _destroy_buckets(writing, log, rows))
        await audit_keys.delete_generations(writing, rows)
        await audit_keys.delete_details(writing, indexes)
        digest = sha256(b"".join(row.wrapped for row in rows)).hexdigest()
        certificate = {"keys": digest, "generations": str(len(rows)), "entries": str(len(indexes))}
        if minimum:
            certificate["minimum_index"] = str(minimum)
        return replace(entry, detail={**entry.detail, "certificate": certificate})

    async def begin_later(writing: Writing, _index: int) -> None:
        await audit_retention.raise_minimum(writing, minimum)

    asked = Asked(entry, {"covers": minimum} if minimum else None, erases=whole)
    receipt = await log.submit(asked, effect=effect, within=begin_later if minimum else None)
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
        # Under the head's lock nobody is in the middle of a destruction.
        await store.open_batch(writing, proofs=(), proofs_until=0, holders=())
        listed = log.buckets.listed()
        waiting: dict[int, list[KeyRow]] = defaultdict(list)
        for row in await store.all_keys(writing):
            waiting[row.bucket].append(row)
        for bucket, rows in waiting.items():
            pending = log.buckets.pending(bucket, [row.wrapped for row in rows])
            for row in rows:
                if row.wrapped in pending:
                    number, wrapped = pending[row.wrapped]
                    await audit_keys.rewrap_key(writing, row, number, wrapped)
                    done += 1
        # A crash before this commit leaves everything as it was, and is repeated.
    # Whatever was listed under the lock is in the database now, from here or from the commit after which a crash came; or its
    # row has gone since. A crash from here on lists it once more, and this is repeated.
    log.buckets.forget(listed)
    return done


async def _sealed_by(writing: Writing, log: AuditLog, rows: Sequence[KeyRow]) -> list[int]:
    """The entries whose detail one of these keys helps to open. Those that an actor only had a part in stay."""
    indexes: set[int] = set()
    for row in rows:
        try:
            history = log.keeper.open(row)
        except GatewayFault:
            continue  # destroyed by an attempt that was cut short
        tags = tags_until(history.tag_key, history.count)
        found = sorted(set((await store.find_tags(writing, tags)).values()))
        entries = await store.get_entries_at(writing, found)
        indexes.update(entry.index for entry in entries if _helps_to_open(history, entry))
    return sorted(indexes)


def _helps_to_open(history: History, entry: store.EntryRow) -> bool:
    if entry.detail is None:
        return False
    mine = hint(history.detail_key, entry.detail[1:13])
    return mine in {entry.hints[at : at + HINT_BYTES] for at in range(0, len(entry.hints), HINT_BYTES)}


async def _destroy_buckets(writing: Writing, log: AuditLog, rows: Sequence[KeyRow]) -> _Moved:
    moved: _Moved = {}
    going = {(row.holder, row.generation) for row in rows}
    for bucket in sorted({row.bucket for row in rows}):
        inside = await audit_keys.keys_in_bucket(writing, bucket)
        others = [row for row in inside if (row.holder, row.generation) not in going]
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
