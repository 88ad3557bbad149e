"""Histories filed under other names: for rotating the gateway's own scope, under which the log knows every child.

Rules kept here: K, D, W and every counter stay as they are, so tags, proofs and details stay valid; only the name goes, and the
counters are sealed to the new one; an actor's histories are not touched; a generation that an erasure has destroyed is nobody's
any more, and its row goes.
"""

from __future__ import annotations

from gateway.audit.histories import Keeper, names_child
from gateway.errors import GatewayFault
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.audit import KeyRow
from gateway.store.database import Writing
from gateway.store.renaming import Renamed, rename_holders, rename_holds


async def rename_histories(writing: Writing, keeper: Keeper, renamed: Renamed) -> int:
    """Give every child's histories and holds the child's new name; returns how many generations moved.

    Runs under the head's lock. Raises `GatewayFault("unseal_failed")` if a row was changed outside.
    """
    moved: list[tuple[bytes, int, bytes, bytes]] = []
    gone: list[KeyRow] = []
    for row in await store.all_keys(writing):
        if not names_child(row.holder):
            continue
        try:
            history = keeper.open(row)
        except GatewayFault as fault:
            if fault.code != "key_destroyed":
                raise
            gone.append(row)
            continue
        history.row = row._replace(holder=renamed(row.holder))
        sealed = history.sealed_row()
        moved.append((row.holder, row.generation, sealed.holder, sealed.state))
    await audit_keys.delete_generations(writing, gone)
    await rename_holders(writing, moved)
    await rename_holds(writing, names_child, renamed)
    return len(moved)
