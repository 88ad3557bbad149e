"""Tables of the basis room: cases, consents, approvals, holds, reviews, notices, accesses and what follows from them.

Rules kept here: a child stands as the 32 bytes of the gateway's own pseudonym and as nothing else; no column can hold a
birth date (an age band and the last moment of a month are all there is); every moment is an integer of microseconds since
1970 UTC, so that one comparison means the same on SQLite and PostgreSQL. Tables that `find` reads are clustered by the key
that it reads by (`WITHOUT ROWID` on SQLite), because the check runs on every call.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from gateway.store.database import metadata

# Lists of short words (exchange ids, parties, field names) are one text, separated by single spaces: they are read whole,
# never searched by the database, and a row is one read.

cases = Table(
    "cases",
    metadata,
    Column("case_id", String(32), primary_key=True),
    Column("child", LargeBinary(32), nullable=False),
    Column("opener", String(64), nullable=False),
    Column("parties", Text, nullable=False),
    Column("exchanges", Text, nullable=False),
    Column("region", String(12), nullable=False),
    Column("age_band", String(8)),
    Column("state", String(24), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("due", BigInteger),
    Index("ix_cases_child", "child"),
    sqlite_with_rowid=False,
)

case_parties = Table(
    "case_parties",
    metadata,
    Column("party", String(64), primary_key=True),
    Column("case_id", String(32), primary_key=True),
    sqlite_with_rowid=False,
)

# Aggregates only: 监测数→转介数→接诊数→随访完成数 of X28, by county and month.
case_counters = Table(
    "case_counters",
    metadata,
    Column("region", String(6), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("counter", String(24), primary_key=True),
    Column("count", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# What a department calls a record of ours. `holder` is the department or outside body to which the reference was given.
record_references = Table(
    "record_references",
    metadata,
    Column("reference", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("record_id", String(32), nullable=False),
    Column("holder", String(32), nullable=False),
    Column("scope", String(64), nullable=False),
    Index("ix_record_references_record", "kind", "record_id"),
    sqlite_with_rowid=False,
)

consents = Table(
    "consents",
    metadata,
    Column("child", LargeBinary(32), primary_key=True),
    Column("exchange", String(8), primary_key=True),
    Column("consent_id", String(32), primary_key=True),
    Column("purpose", String(8), nullable=False),
    Column("recipients", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("age_band", String(8), nullable=False),
    Column("grantor", String(24), nullable=False),
    Column("relation", String(8), nullable=False),
    Column("guardian", String(64), nullable=False),
    Column("child_grant", String(12), nullable=False),
    Column("method", String(24), nullable=False),
    Column("given", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("notice_version", String(64), nullable=False),
    Column("definition", String(71), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("evidence_digest", String(64), nullable=False),
    Column("statement_digest", String(64), nullable=False, unique=True),
    Index("ix_consents_consent_id", "consent_id", unique=True),
    Index("ix_consents_exchange", "exchange"),
    sqlite_with_rowid=False,
)

# A one-time link by which guardian or child answers (`consent/links.py`). The code itself is nowhere: who reads this table cannot answer.
# `statement` is the officer's signed offer, kept until it is answered or its time is over.
consent_links = Table(
    "consent_links",
    metadata,
    Column("code_digest", String(64), primary_key=True),
    Column("link_id", String(32), nullable=False, unique=True),
    Column("child", LargeBinary(32), nullable=False),
    Column("exchange", String(8), nullable=False),
    Column("party", String(64), nullable=False),
    Column("client", String(64), nullable=False),
    Column("officer", String(32), nullable=False),
    Column("function", String(32), nullable=False),
    Column("statement", Text, nullable=False),
    Column("statement_digest", String(64), nullable=False, unique=True),
    Column("opened", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("answered", BigInteger),
    Column("consent", String(32), nullable=False),
    Index("ix_consent_links_party", "party", "opened"),
    sqlite_with_rowid=False,
)

consent_refusals = Table(
    "consent_refusals",
    metadata,
    Column("child", LargeBinary(32), primary_key=True),
    Column("exchange", String(8), primary_key=True),
    Column("recipient", String(24), primary_key=True),
    Column("refused", BigInteger, primary_key=True),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A guardian is an opaque word of the department that checked the relation; it names nobody here.
guardian_revocations = Table(
    "guardian_revocations",
    metadata,
    Column("child", LargeBinary(32), primary_key=True),
    Column("guardian", String(64), primary_key=True),
    Column("revoked", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# `subject` is a case id, or `emergency:<day>` / `fuse:<day>` for a second approver's word on a limit.
approvals = Table(
    "approvals",
    metadata,
    Column("subject", String(32), primary_key=True),
    Column("officer", String(96), primary_key=True),
    Column("approval_id", String(32), primary_key=True),
    Column("approver", String(96), nullable=False),
    Column("approver_key", String(64), nullable=False),
    Column("exchanges", Text, nullable=False),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("statement", Text, nullable=False),
    Column("statement_digest", String(64), nullable=False, unique=True),
    Index("ix_approvals_approval_id", "approval_id", unique=True),
    sqlite_with_rowid=False,
)

# Restriction of processing (PIPL 47, 未保法 72): exchange "*" is every exchange but the protective ones.
holds = Table(
    "holds",
    metadata,
    Column("child", LargeBinary(32), primary_key=True),
    Column("exchange", String(8), primary_key=True),
    Column("hold_id", String(32), primary_key=True),
    Column("reason", String(24), nullable=False),
    Column("opened", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

emergency_uses = Table(
    "emergency_uses",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("actor", String(104), primary_key=True),
    Column("child", LargeBinary(32), primary_key=True),
    Column("uses", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Records seen per officer, client or department and hour.
fuse_uses = Table(
    "fuse_uses",
    metadata,
    Column("actor", String(104), primary_key=True),
    Column("hour", Integer, primary_key=True),
    Column("records", Integer, nullable=False),
    sqlite_with_rowid=False,
)

reviews = Table(
    "reviews",
    metadata,
    Column("review_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("child", LargeBinary(32)),
    Column("exchange", String(8), nullable=False),
    Column("record_id", String(64), nullable=False),
    Column("officer", String(96), nullable=False),
    Column("party", String(64), nullable=False),
    Column("note", String(32), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("outcome", String(24), nullable=False),
    Column("closed", BigInteger),
    Column("closed_by", String(96), nullable=False),
    Index("ix_reviews_officer", "officer", "kind", "state", "due"),
    Index("ix_reviews_party", "party", "state", "due"),
    sqlite_with_rowid=False,
)

notices = Table(
    "notices",
    metadata,
    Column("child", LargeBinary(32), primary_key=True),
    Column("exchange", String(8), primary_key=True),
    Column("recipient", String(64), primary_key=True),
    Column("notice_id", String(32), primary_key=True),
    Column("door", String(12), nullable=False),
    Column("citations", Text, nullable=False),
    Column("owed", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("given", BigInteger),
    Index("ix_notices_notice_id", "notice_id", unique=True),
    Index("ix_notices_state", "state", "due"),
    sqlite_with_rowid=False,
)

# The guardian's list. Protective exchanges are never written here, so no code that reads it can show one.
accesses = Table(
    "accesses",
    metadata,
    Column("child", LargeBinary(32), primary_key=True),
    Column("at", BigInteger, primary_key=True),
    Column("access_id", String(32), primary_key=True),
    Column("exchange", String(8), nullable=False),
    Column("purpose", String(8), nullable=False),
    Column("door", String(12), nullable=False),
    Column("requester", String(64), nullable=False),
    Column("provider", String(24), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("code", String(32), nullable=False),
    Column("fields", Text, nullable=False),
    Column("approval_id", String(32), nullable=False),
    Index("ix_accesses_at", "at"),
    sqlite_with_rowid=False,
)

# Who must still hear of a withdrawal (X30), a correction, a deletion or a restriction (X31), and who has answered.
propagations = Table(
    "propagations",
    metadata,
    Column("propagation_id", String(32), primary_key=True),
    Column("party", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("record_id", String(32), nullable=False),
    Column("child", LargeBinary(32), nullable=False),
    Column("exchange", String(8), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("answered", BigInteger),
    Index("ix_propagations_state", "state", "due"),
    sqlite_with_rowid=False,
)

rights_requests = Table(
    "rights_requests",
    metadata,
    Column("request_id", String(32), primary_key=True),
    Column("kind", String(12), nullable=False),
    Column("child", LargeBinary(32), nullable=False),
    Column("exchange", String(8), nullable=False),
    Column("source", String(64), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", String(400), nullable=False),
    Index("ix_rights_requests_source", "source", "state", "due"),
    sqlite_with_rowid=False,
)

# Dated facts about who receives and who looks: activity (C62), contract (C60), clearance (C38), training (C39, C67).
# `subject` is a party, or `person:<organisation>/<person>`.
standings = Table(
    "standings",
    metadata,
    Column("subject", String(104), primary_key=True),
    Column("kind", String(12), primary_key=True),
    Column("standing_id", String(32), primary_key=True),
    Column("exchanges", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("certified", BigInteger),
    Column("approver", String(96), nullable=False),
    Column("statement", Text, nullable=False),
    Column("statement_digest", String(64), nullable=False, unique=True),
    Index("ix_standings_ends", "kind", "ends"),
    sqlite_with_rowid=False,
)

# How long a protective use stays hidden from the guardian, and who has released it since. It names no child: `request` leads to
# the encrypted detail of the entry, and to nobody for a thief of the store.
embargoes = Table(
    "embargoes",
    metadata,
    Column("embargo_id", String(32), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Index("ix_embargoes_state", "state", "ends"),
    sqlite_with_rowid=False,
)
