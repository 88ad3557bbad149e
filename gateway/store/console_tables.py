"""Tables of the console: accounts, who signs in to them, their sessions, findings, matters for review, and long work that may be left and found again.

Rules kept here: a password stands as an Argon2 hash, a one-time-code secret sealed under a key outside this database, a session
as the digest of its token; a finding names an entry by its index and never a child.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from gateway.store.database import metadata

# `department`: of auditors and policy owners, "" otherwise. `last_step`: the last accepted time step of the one-time code.
# `demo`: signs in without a second factor, in demo mode and from loopback only.
console_accounts = Table(
    "console_accounts",
    metadata,
    Column("account", String(40), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("role", String(24), nullable=False),
    Column("department", String(32), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("code_secret", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("locked_until", Integer, nullable=False, default=0),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("demo", Boolean, nullable=False, default=False),
    Column("created", Integer, nullable=False),
    Index("ix_console_accounts_person", "person"),
)

# Security keys: the public half only. `signs`: the authenticator's own count, by which a copied key is noticed.
console_security_keys = Table(
    "console_security_keys",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("account", String(40), nullable=False, index=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("signs", BigInteger, nullable=False),
    Column("label", String(60), nullable=False),
    Column("added", Integer, nullable=False),
)

# Which subject of the OpenID Connect provider signs in as which account. `subject_digest`: keyed, so that the table names nobody.
console_openid_bindings = Table(
    "console_openid_bindings",
    metadata,
    Column("subject_digest", LargeBinary(32), primary_key=True),
    Column("account", String(40), nullable=False, unique=True),
    Column("issuer", Text, nullable=False),
    Column("bound", Integer, nullable=False),
    sqlite_with_rowid=False,
)

console_sessions = Table(
    "console_sessions",
    metadata,
    Column("token_digest", LargeBinary(32), primary_key=True),
    Column("account", String(40), nullable=False, index=True),
    Column("started", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# kind: verification | export | review. state: running | done | failed. `worker`: the process that does it; when that has ended while
# the row still says running, the work was interrupted.
console_works = Table(
    "console_works",
    metadata,
    Column("work_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("account", String(40), nullable=False),
    Column("department", String(32), nullable=False),
    Column("worker", String(32), nullable=False),
    Column("state", String(12), nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("code", String(40), nullable=False),
    Column("place", BigInteger, nullable=False),
    Column("started", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    Index("ix_console_works_kind", "kind", "started"),
)

# state: open | answered | closed. `against`: the department that must answer, "" for the operator.
console_findings = Table(
    "console_findings",
    metadata,
    Column("finding_id", String(32), primary_key=True),
    Column("entry", BigInteger, nullable=False),
    Column("severity", String(8), nullable=False),
    Column("against", String(32), nullable=False),
    Column("department", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("opened", Integer, nullable=False),
    Column("opened_by", String(40), nullable=False),
    Column("answered_by", String(40), nullable=False),
    Column("closed_by", String(40), nullable=False),
    Column("changed", Integer, nullable=False),
    Index("ix_console_findings_state", "state", "changed"),
)

# What the anomaly rules put before an auditor. `entry`: the first of the `entries` that belong together; `more` their indexes.
# `figures`: JSON of the numbers in the rule's sentence. state: waiting | explained | finding. No child and no person stands here.
console_matters = Table(
    "console_matters",
    metadata,
    Column("matter_id", String(64), primary_key=True),
    Column("rule", String(32), nullable=False),
    Column("entry", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("more", Text, nullable=False),
    Column("figures", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("requester", String(32), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("state", String(12), nullable=False),
    Column("note", Text, nullable=False),
    Column("decided_by", String(40), nullable=False),
    Column("changed", Integer, nullable=False),
    Index("ix_console_matters_state", "state", "score", "entry"),
)
