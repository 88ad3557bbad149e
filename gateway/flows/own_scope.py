"""Rotating the gateway's own scope, under which its store and its log know every child.

Nobody else holds these names, so nobody follows; but every row is filed under them. The step that changes the names (`advance`)
therefore renames all rows in the transaction of its entry, and wants the gateway stopped: a request that was recognised under
the old name would look for its child in vain.

Rules kept here: the rows, the note of their epoch and the entry commit together; the key follows, and where a crash came between,
the next start finishes it; a database and a ring of different epochs do not start, because every child would be a stranger.
Details that were sealed before keep the name of their time, which nothing leads from once its key is destroyed.
"""

from __future__ import annotations

from functools import cache

from gateway.audit.renaming import rename_histories
from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym
from gateway.errors import GatewayFault
from gateway.flows.house import House
from gateway.store.audit import get_head
from gateway.store.database import Database, Writing
from gateway.store.naming import newest_conversion, note_conversion
from gateway.store.renaming import rename_children
from keys import rotation as keys_rotation
from keys.ring import KeyRing
from keys.rotation import Step, due

OURSELVES = "gateway"
"""The party and client under which the gateway notes how far its own rows have followed."""


async def rename_rows(house: House, writing: Writing, epoch: int) -> None:
    """Give every row of the store and every history of the log the child's name in this epoch, and note the epoch."""
    ring, before = house.ring, house.ring.current_epoch(GATEWAY_SCOPE)

    @cache
    def renamed(point: bytes) -> bytes:
        return ring.convert([Pseudonym(GATEWAY_SCOPE, before, point)], epoch)[0].point

    await rename_children(writing, renamed)
    await rename_histories(writing, house.log.keeper, renamed)
    await _note(writing, epoch, renamed.cache_info().currsize, int(house.clock.now().timestamp()))


async def settle_own_scope(database: Database, ring: KeyRing, *, now: int) -> None:
    """At start: let the key follow rows that a crash left ahead of it. now: unix seconds.

    Raises `GatewayFault`: `log_step_back` (the rows are of an older epoch than the ring: an old backup of the database),
    `ring_refused` (the ring is of an older epoch than the rows: an old key folder).
    """
    current = ring.current_epoch(GATEWAY_SCOPE)
    async with database.read() as reading:
        filed = await newest_conversion(reading, OURSELVES, GATEWAY_SCOPE.name)
        head = await get_head(reading)
    if not filed and (head is None or not head.size) and current > 1:
        # A new database beside older keys: nothing is filed yet, so it begins in the present epoch.
        async with database.write() as writing:
            await _note(writing, current, 0, now)
        return
    filed = filed or 1
    if filed > current and due(ring, GATEWAY_SCOPE).get(Step.ADVANCE) == filed:
        keys_rotation.take(ring, GATEWAY_SCOPE, Step.ADVANCE, filed)
        return
    if filed != current:
        raise GatewayFault("log_step_back" if filed < current else "ring_refused", here=filed, seen=current)


async def _note(writing: Writing, epoch: int, renamed: int, now: int) -> None:
    await note_conversion(writing, OURSELVES, OURSELVES, GATEWAY_SCOPE.name, epoch, converted=renamed, finished=now)
