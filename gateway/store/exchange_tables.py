"""Tables of exchanges under way: send permits, the outbox, idempotency, enrolment grants, evaluation counts, aliases.

Rules kept here: an envelope is ciphertext with pseudonyms of the recipient's scope and lives at most 72 hours; nothing here
holds an identifier or a body; children stand as gateway pseudonyms (32 bytes).
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table

from gateway.store.database import metadata

send_permits = Table(
    "send_permits",
    metadata,
    Column("permit_id", String(40), primary_key=True),
    Column("client_id", String(80), nullable=False),
    Column("decision", LargeBinary, nullable=False),
    Column("expires_at", Integer, nullable=False),
    Column("used", Boolean, nullable=False, default=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("delivery_id", String(40), primary_key=True),
    Column("sender", String(60), nullable=False),
    Column("sender_client", String(80), nullable=False),
    Column("recipient", String(60), nullable=False),
    Column("exchange", String(8), nullable=False),
    Column("purpose", String(8), nullable=False),
    Column("door", String(12), nullable=False),
    Column("state", String(12), nullable=False),
    Column("envelope", LargeBinary),
    Column("facts", LargeBinary, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
    Column("claimed_until", Integer, nullable=False, default=0),
    Index("ix_outbox_recipient_state", "recipient", "state", "created_at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_digest", LargeBinary, primary_key=True),
    Column("request_digest", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer_id", String(40), nullable=False),
    Column("entry_id", String(40), nullable=False),
    Column("created_at", Integer, nullable=False),
)

enrolment_grants = Table(
    "enrolment_grants",
    metadata,
    Column("grant_id", String(40), primary_key=True),
    Column("party", String(60), nullable=False),
    Column("size", Integer, nullable=False),
    Column("used", Integer, nullable=False, default=0),
    Column("until", Integer, nullable=False),
    Column("statements", LargeBinary, nullable=False),
)

evaluation_counts = Table(
    "evaluation_counts",
    metadata,
    Column("party", String(60), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("used", Integer, nullable=False, default=0),
)

aliases = Table(
    "aliases",
    metadata,
    Column("old", LargeBinary(32), primary_key=True),
    Column("new", LargeBinary(32), nullable=False),
    Column("entry_id", String(40), nullable=False),
)
