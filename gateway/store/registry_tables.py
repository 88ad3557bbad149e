"""Tables of the registry room: who takes part, with which keys, and which proofs were already used.

Rules kept here: public keys only; a person is known by staff number and organisation, never by a citizen's identity; a
`jti` exists once; `registry_version` grows with every change, so that a worker may trust its copy of the rest.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from gateway.store.database import metadata

registry_version = Table(
    "registry_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)

organisations = Table(
    "organisations",
    metadata,
    Column("code", String(18), primary_key=True),
    Column("name", Text, nullable=False),
    Column("region", String(12), nullable=False),
    Column("departments", Text, nullable=False),  # words of `Department`, joined by commas
    Column("medical", Boolean, nullable=False, default=False),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("organisation", String(18), nullable=False),
    Column("department", String(32), nullable=False),
    Column("region", String(12), nullable=False),
    Column("thumbprint", String(43), nullable=False, unique=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("enrolled_at", Integer, nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("thumbprint", String(43), primary_key=True),
    Column("person_id", String(64), nullable=False),
    Column("organisation", String(18), nullable=False),
    Column("department", String(32), nullable=False),
    Column("functions", Text, nullable=False),  # words joined by commas, as signed
    Column("public_key", LargeBinary, nullable=False),
    Column("statement", Text, nullable=False),  # the administrator's signed statement as received
    Column("enrolled_by", String(43), nullable=False),  # thumbprint of that administrator's key
    Column("valid_until", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("enrolled_at", Integer, nullable=False),
    Index("ix_people_of_organisation", "organisation", "department", "person_id"),
)

# Security keys (WebAuthn) that people vouched for with their own keys. `kid`: SHA-256 of the statement, base64url, so that a key vouched
# for again stands twice and what it signed before can still be checked. `credential`: the authenticator's id for the key. `person`:
# `<organisation>/<staff number>`, for finding only; who vouched, the statement says.
people_security_keys = Table(
    "people_security_keys",
    metadata,
    Column("kid", String(43), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("credential", LargeBinary, nullable=False, index=True),
    Column("statement", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("enrolled_at", Integer, nullable=False),
)

people_admins = Table(
    "people_admins",
    metadata,
    Column("thumbprint", String(43), primary_key=True),
    Column("admin_id", String(64), nullable=False),
    Column("organisation", String(18), nullable=False),
    Column("department", String(32), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("enabled", Boolean, nullable=False, default=True),
    Column("enrolled_at", Integer, nullable=False),
)

edges = Table(
    "edges",
    metadata,
    Column("department", String(32), primary_key=True),
    Column("region_prefix", String(12), primary_key=True),
    Column("organisation", String(18), nullable=False),
    Column("url", Text, nullable=False),
    Column("sender_kid", String(43), nullable=False),
    Column("sender_public_key", LargeBinary, nullable=False),
)

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("kid", String(16), primary_key=True),
    Column("organisation", String(18), nullable=False),
    Column("department", String(32), nullable=False),
    Column("suite", String(16), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("entry_index", Integer, nullable=True),
    Column("active", Boolean, nullable=False, default=True),
    Column("enrolled_at", Integer, nullable=False),
    UniqueConstraint("suite", "public_key"),
)

sender_keys = Table(
    "sender_keys",
    metadata,
    Column("kid", String(43), primary_key=True),
    Column("organisation", String(18), nullable=False),
    Column("department", String(32), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("entry_index", Integer, nullable=True),
    Column("active", Boolean, nullable=False, default=True),
    Column("enrolled_at", Integer, nullable=False),
)

proof_jti = Table(
    "proof_jti",
    metadata,
    Column("jti", String(200), primary_key=True),
    Column("expires_at", Integer, nullable=False, index=True),
    sqlite_with_rowid=False,
)

kill_switches = Table(
    "kill_switches",
    metadata,
    Column("kind", String(16), primary_key=True),  # exchange | client
    Column("target", String(64), primary_key=True),
    Column("thrown_at", Integer, nullable=False),
    Column("thrown_by", String(96), nullable=False),
)
