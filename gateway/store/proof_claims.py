"""Single use of request proofs and client assertions: a `jti` is claimed by one insert and by nothing else.

Rules kept here: the claim stands in the transaction of the entry that it belongs to (or, where no entry is written, in one
of its own), so two workers never both accept a proof; a claim is kept longer than its proof could be accepted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from gateway.errors import NotAuthenticated
from gateway.store.database import Reading, Writing
from gateway.store.registry_tables import proof_jti

PROOF_MEMORY = 300
"""Seconds for which the claim of a request proof is kept; none is accepted for more than 180 s after it was first seen."""

ASSERTION_MEMORY = 600
"""The same for a client assertion: 300 s of life, 60 s of skew at either end."""


_USED = "SELECT 1 FROM proof_jti WHERE jti = ?"


async def proof_used(reading: Reading, proof_id: str) -> bool:
    """Whether this proof was already claimed: one read by primary key."""
    if reading.near is not None:
        # Every request asks this, and the driver answers at a tenth of what the statement machinery costs in CPU.
        return bool(await reading.near.near(lambda connection: connection.execute(_USED, (proof_id,)).fetchall()))
    found = await reading.connection.scalar(select(proof_jti.c.expires_at).where(proof_jti.c.jti == proof_id))
    return found is not None


async def claim(writing: Writing, proof_ids: Sequence[str], *, expires_at: int) -> frozenset[str]:
    """Claim proofs for one use each. Returns those already used, or standing twice in the list.

    expires_at: unix seconds until which the claims are kept.
    """
    replayed: set[str] = set()
    for proof_id in proof_ids:
        # RETURNING tells the same on every driver; the row count of an INSERT does not.
        if await writing.connection.scalar(_claiming(writing, proof_id, expires_at)) is None:
            replayed.add(proof_id)
    return frozenset(replayed)


async def consume_proof(writing: Writing, proof_id: str, expires_at: int) -> None:
    """Claim one request proof. Raises `NotAuthenticated("proof_replayed")`."""
    if await claim(writing, [proof_id], expires_at=expires_at):
        raise NotAuthenticated("proof_replayed")


async def forget_claims(writing: Writing, *, now: int) -> int:
    """Delete claims that have ended. now: unix seconds. Returns how many."""
    result = await writing.connection.execute(delete(proof_jti).where(proof_jti.c.expires_at < now))
    return result.rowcount


def _claiming(writing: Writing, proof_id: str, expires_at: int) -> Any:
    row = {"jti": proof_id, "expires_at": expires_at}
    if writing.connection.dialect.name == "sqlite":
        return sqlite.insert(proof_jti).values(**row).on_conflict_do_nothing().returning(proof_jti.c.jti)
    return postgresql.insert(proof_jti).values(**row).on_conflict_do_nothing().returning(proof_jti.c.jti)
