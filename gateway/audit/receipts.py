"""Receipts with proofs, made on demand: an entry, its inclusion path, and a checkpoint that covers it.

Rules kept here: a proof is computed from tiles and checked before it is handed out; the salts are not in it, because they are
in the requester's own receipt and in the sealed detail only.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.entry import read_skeleton
from gateway.audit.tree import span_hashes
from gateway.domain.entries import Receipt
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs.checkpoints import parse_checkpoint
from gateway.proofs.merkle import consistency_spans, inclusion_spans, leaf_hash, verify_inclusion
from gateway.proofs.notes import parse_note
from gateway.proofs.tlogproof import TlogProof
from gateway.store import audit as store
from gateway.store.audit_retention import minimum_index
from gateway.store.database import Reading


async def make_receipt(reading: Reading, index: int) -> Receipt:
    """The receipt of one entry, against the newest cosigned checkpoint that covers it, else the newest of all.

    Raises `BadRequest`: `entry_unknown`, `entry_pruned`; `GatewayFault("log_entry_invalid")` if the stored entry is not the one in
    the tree.
    """
    head = await store.get_head(reading)
    if head is None or not 0 <= index < head.size:
        raise BadRequest("entry_unknown")
    if index < await minimum_index(reading):
        raise BadRequest("entry_pruned")
    rows = await store.get_entries(reading, index, index + 1)
    if not rows:
        raise GatewayFault("log_entry_invalid", index=index)
    row = rows[0]
    witnessed = await store.newest_cosigned(reading)
    note, state = head.checkpoint, "logged"
    if witnessed is not None and witnessed[0] > index:
        note, state = witnessed[1], "witnessed"
    checkpoint = parse_checkpoint(parse_note(note).text)
    path = await span_hashes(reading, inclusion_spans(index, checkpoint.size), head.size)
    try:
        verify_inclusion(leaf_hash(row.leaf), index, checkpoint.size, path, checkpoint.root)
    except BadRequest:
        raise GatewayFault("log_entry_invalid", index=index) from None
    return Receipt(
        origin=checkpoint.origin,
        index=index,
        size=checkpoint.size,
        entry_id=row.entry_id,
        time_us=int(read_skeleton(row.leaf)["t"]),
        leaf=row.leaf,
        proof=TlogProof(index, tuple(path), note).encode(),
        state=state,
    )


async def consistency(reading: Reading, old: int, new: int) -> Sequence[bytes]:
    """The proof that the log of `old` entries is a prefix of the log of `new`; `BadRequest("entry_unknown")`."""
    head = await store.get_head(reading)
    if head is None or not 0 <= old <= new <= head.size:
        raise BadRequest("entry_unknown")
    return await span_hashes(reading, consistency_spans(old, new), head.size)
