"""A change of the basis room: the entry that tells it and the effect that does it.

Rules kept here: no function of this room writes outside an effect; ids are random, so an id says nothing; every party of a
record gets a reference of its own scope and never the id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Caller, Party
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from gateway.store.basis_writes import GivenReference
from gateway.store.database import Writing

Effect = Callable[[Writing], Awaitable[EntryDraft | None]]
"""Runs inside the entry's transaction; may raise a `GatewayError` (nothing persists) or return a replaced draft."""

Refer = Callable[[str, str, Scope], str]
"""`refer(kind, record_id, scope)`: the reference that the holder of the scope knows the record by (`keys.ring`)."""


class Change(NamedTuple):
    """What a flow hands to `AuditLog.append`: `append(change.draft, effect=change.effect)`.

    record_id: the gateway's internal id of what the change makes or alters; callers get a reference, never this.
    """

    draft: EntryDraft
    effect: Effect
    record_id: str


def digest(value: object) -> str:
    """SHA-256 (hex) of the canonical JSON of a restricted value; what approvers sign over."""
    return hashlib.sha256(canonical(value)).hexdigest()


def statement_digest(statement: str) -> str:
    """SHA-256 (hex) of a signed statement as received: one statement makes one record, once."""
    return hashlib.sha256(statement.encode("ascii", "strict")).hexdigest()


def person_name(organisation: str, person_id: str) -> str:
    """`<organisation>/<person>`: one person has one name whatever department or function acts, so that nobody
    approves himself under another role.
    """
    return f"{organisation}/{person_id}"


def actors_of(caller: Caller) -> tuple[str, ...]:
    """The actors whose history an entry of this caller joins."""
    named = [f"client:{caller.client.client_id}"]
    if caller.officer:
        named.append(f"person:{person_name(caller.officer.party.organisation, caller.officer.person_id)}")
    return tuple(named)


def references_for(kind: str, record_id: str, departments: Iterable[Department], refer: Refer) -> list[GivenReference]:
    """One reference of the open scope of each department."""
    return [
        GivenReference(refer(kind, record_id, scope), kind, record_id, scope.holder, scope.name)
        for scope in map(Scope.open, sorted(set(departments)))
    ]


def departments_of(parties: Iterable[Party]) -> set[Department]:
    """The departments behind parties."""
    return {party.department for party in parties}
