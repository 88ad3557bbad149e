"""Tables of the audit log: head, entries, tags, tiles, history keys, roll-ups, epochs, cosigned checkpoints, holds, retention.

Rules kept here: `audit_entries.leaf` is the canonical bytes that the tree hashes and is never rebuilt from columns; `facets`
repeats words of the leaf for searching only; no row joins a tag to a child or an actor: whoever reads this store without
the root key cannot tell whose entry is whose.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
)

from gateway.store.database import metadata

_Big = BigInteger().with_variant(Integer, "sqlite")

# One row. `hashes`: the compact range (one 32-byte hash per set bit of size). `checkpoint`: the signed note over it.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", _Big, nullable=False),
    Column("hashes", LargeBinary, nullable=False),
    Column("time_us", _Big, nullable=False),
    Column("checkpoint", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

# `entry_id` begins with its time, so that its index grows at one end. `detail`: nonce, ciphertext, tag; NULL once erased.
# `hash`: the leaf hash, which names a changed entry before its tile is full. `hints`: four bytes per child, by which a holder of the child's key finds what it opens.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("idx", _Big, primary_key=True, autoincrement=False),
    Column("entry_id", String(32), nullable=False, unique=True),
    Column("facets", String(200), nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("hints", LargeBinary, nullable=False),
    Column("detail", LargeBinary),
)

audit_tags = Table(
    "audit_tags",
    metadata,
    Column("tag", LargeBinary(16), primary_key=True),
    Column("idx", _Big, nullable=False),
    sqlite_with_rowid=False,
)

# Level 0: full tiles only. Levels above grow hash by hash.
audit_tiles = Table(
    "audit_tiles",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", _Big, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
)

# `holder`: a child's gateway pseudonym, or a digest of an actor's name. `wrapped`: its keys under the bucket's key, which
# stands outside this database. `state`: sealed counters. `shares`: the two sealed halves of the second sequence's start.
audit_keys = Table(
    "audit_keys",
    metadata,
    Column("holder", LargeBinary(32), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("year", SmallInteger, nullable=False),
    Column("bucket", Integer, nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("shares", LargeBinary, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("frozen", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# The lines of a bulk entry's manifest (sorted tags, 16 bytes each).
audit_manifests = Table(
    "audit_manifests",
    metadata,
    Column("idx", _Big, primary_key=True, autoincrement=False),
    Column("lines", LargeBinary, nullable=False),
)

# `first_idx`, `last_idx`: the places in the log of the hour's first and last entry of these facets, so that rare entries are found
# without reading the hour. `facets` leads an index of its own for the same reason; a row joins it once, when the hour begins.
audit_rollups = Table(
    "audit_rollups",
    metadata,
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("facets", String(200), primary_key=True),
    Column("count", _Big, nullable=False),
    Column("first_idx", _Big, nullable=False),
    Column("last_idx", _Big, nullable=False),
    Index("ix_audit_rollups_facets", "facets", "hour"),
    sqlite_with_rowid=False,
)

# `lines`: head label and count label of every history, 64 bytes each, sorted.
audit_epochs = Table(
    "audit_epochs",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("idx", _Big, nullable=False),
    Column("covers", _Big, nullable=False),
    Column("lines", LargeBinary, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", _Big, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),
    Column("quorum", Boolean, nullable=False),
    Column("stored_at", Integer, nullable=False),
)

# A hold keeps a history from destruction: an open finding, a complaint, a court case.
audit_holds = Table(
    "audit_holds",
    metadata,
    Column("hold_id", String(40), primary_key=True),
    Column("holder", LargeBinary(32), nullable=False),
    Column("reason", String(40), nullable=False),
    Column("until", Integer, nullable=False),
)

# One row. `plan`: the dry run that waits for two signatures. Entries below `minimum` are pruned; `swept`: slices of tags done.
audit_retention = Table(
    "audit_retention",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("planned_at", Integer, nullable=False),
    Column("plan", Text, nullable=False),
    Column("minimum", _Big, nullable=False),
    Column("swept", Integer, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
