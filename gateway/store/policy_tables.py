"""Tables of policy: rules as typed rows, the documents beside them, drafts, approvals, and which version decides from when.

Rules kept here: every table is append-only (no row is ever updated or deleted, but for the counts of `policy_asked`, which
grow old); a rule stands once whatever number of versions hold it; a draft's edit is a new revision; nothing here is about a child.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, Text

from gateway.store.database import metadata

_Big = BigInteger().with_variant(Integer, "sqlite")

# `digest`: SHA-256 over the row's canonical text. The checks repeat the three rules that no row may break whoever wrote it.
share_policy = Table(
    "share_policy",
    metadata,
    Column("number", _Big, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("id", String(64), nullable=False),
    Column("eft", String(5), nullable=False),
    Column("sub", String(120), nullable=False),
    Column("dom", String(32), nullable=False),
    Column("obj", String(120), nullable=False),
    Column("fld", String(120), nullable=False),
    Column("act", String(16), nullable=False),
    Column("pur", String(120), nullable=False),
    Column("reg", String(12), nullable=False),
    Column("con", String(16), nullable=False),
    Column("nbf", String(20), nullable=False),
    Column("exp", String(20), nullable=False),
    Column("obl", String(120), nullable=False),
    Column("code", String(48), nullable=False),
    Column("owner", String(32), nullable=False),
    Column("legal", String(300), nullable=False),
    Column("reason", String(300), nullable=False),
    CheckConstraint("eft IN ('allow', 'deny')", name="effect"),
    CheckConstraint("nbf < exp", name="times"),
    CheckConstraint("sub <> '*' OR eft = 'deny'", name="wildcard"),
    CheckConstraint(
        "sub <> '' AND dom <> '' AND obj <> '' AND fld <> '' AND act <> '' AND pur <> '' AND reg <> '' AND con <> ''",
        name="no_empty_text",
    ),
)

# Model, catalogue and cases by SHA-256 hex of their bytes.
policy_documents = Table(
    "policy_documents",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("document", Text, nullable=False),
)

# `base`: number of the activation that it starts from, 0 for the first. `files`: canonical JSON, path to digest. `rows`: numbers
# of `share_policy` in their order. `closed`: given up; the last revision says so.
policy_changes = Table(
    "policy_changes",
    metadata,
    Column("change_id", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("base", Integer, nullable=False),
    Column("version", String(80), nullable=False),
    Column("cases", String(64), nullable=False),
    Column("files", Text, nullable=False),
    Column("rows", Text, nullable=False),
    Column("author", String(80), nullable=False),
    Column("reason", String(300), nullable=False),
    Column("made_at", _Big, nullable=False),
    Column("closed", Boolean, nullable=False, default=False),
)

# `signer`: `<organisation>/<person>`. `statement`: the signed approval as received.
policy_approvals = Table(
    "policy_approvals",
    metadata,
    Column("change_id", String(40), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("signer", String(80), primary_key=True),
    Column("department", String(32), nullable=False),
    Column("statement", Text, nullable=False),
    Column("made_at", _Big, nullable=False),
)

# `at`: unix seconds from which it decides. `statements`: JSON list of the approvals that it rests on. `seal`: HMAC of the gateway
# over this row and the seal before it, so that a row that the gateway did not write does not load.
policy_activations = Table(
    "policy_activations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("change_id", String(40), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", String(80), nullable=False),
    Column("at", _Big, nullable=False),
    Column("made_at", _Big, nullable=False),
    Column("statements", Text, nullable=False),
    Column("seal", LargeBinary(32), nullable=False),
)

# What was asked, by day and without a child: what a draft is replayed against.
policy_asked = Table(
    "policy_asked",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("sub", String(120), primary_key=True),
    Column("dom", String(32), primary_key=True),
    Column("obj", String(16), primary_key=True),
    Column("act", String(16), primary_key=True),
    Column("pur", String(32), primary_key=True),
    Column("reg", String(12), primary_key=True),
    Column("con", String(16), primary_key=True),
    Column("times", Integer, nullable=False),
    Index("ix_policy_asked_day", "day"),
)
