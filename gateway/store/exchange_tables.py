"""Tables of exchanges under way: send permits, the outbox, idempotency; and of names: grants, evaluation counts, alarms,
aliases, conversions, re-identifications.

Rules kept here: an envelope is ciphertext with pseudonyms of the recipient's scope and lives at most 72 hours; nothing here
holds an identifier or a body; children stand as gateway pseudonyms (32 bytes).
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

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

# window: number of the ten-minute window since 1970. Rows of ended windows are removed with the day's upkeep.
evaluation_windows = Table(
    "evaluation_windows",
    metadata,
    Column("party", String(60), primary_key=True),
    Column("window", Integer, primary_key=True, autoincrement=False),
    Column("used", Integer, nullable=False),
)

# Which alarms were raised already, so that a day has one of each kind per party and not one per refused call.
door_alarms = Table(
    "door_alarms",
    metadata,
    Column("party", String(60), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("code", String(24), primary_key=True),
)

aliases = Table(
    "aliases",
    metadata,
    Column("old", LargeBinary(32), primary_key=True),
    Column("new", LargeBinary(32), nullable=False),
    Column("entry_id", String(40), nullable=False),
)

# How far a party's holders have followed a rotation. scope: `Scope.name`; finished: unix seconds, 0 while under way.
conversions = Table(
    "conversions",
    metadata,
    Column("party", String(60), primary_key=True),
    Column("client", String(80), primary_key=True),
    Column("scope", String(64), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("converted", Integer, nullable=False),
    Column("finished", Integer, nullable=False),
)

# A granted re-identification. request: canonical JSON of what was signed and approved; state: granted, viewing, viewed.
# digest: SHA-256 of the request, so that one set of approvals serves once.
reidentifications = Table(
    "reidentifications",
    metadata,
    Column("reidentification_id", String(40), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("client_id", String(80), nullable=False),
    Column("officer", String(96), nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("child", LargeBinary(32), nullable=False),
    Column("state", String(12), nullable=False),
    Column("expires_at", Integer, nullable=False),
)

# What an officer signed at the console and others have still to sign. digest: SHA-256 of the statement. granted: the grant that it
# became, "" until then. The child stands in the statement by the requester's own pseudonym only.
reidentification_requests = Table(
    "reidentification_requests",
    metadata,
    Column("request_id", String(40), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("officer", String(96), nullable=False),
    Column("department", String(32), nullable=False),
    Column("statement", Text, nullable=False),
    Column("granted", String(40), nullable=False),
    Column("made_at", Integer, nullable=False),
    Column("expires_at", Integer, nullable=False),
)

# One approval a department. signer: `<organisation>/<person>`.
reidentification_approvals = Table(
    "reidentification_approvals",
    metadata,
    Column("request_id", String(40), primary_key=True),
    Column("department", String(32), primary_key=True),
    Column("signer", String(96), nullable=False),
    Column("statement", Text, nullable=False),
    Column("made_at", Integer, nullable=False),
)
