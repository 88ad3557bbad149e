"""Changes of the registry that have to be recorded: each gives the entry's draft and the effect that enters the change in
the entry's own transaction.

Rules kept here: nobody and no key comes or goes without an entry; a public key that others shall trust is committed in the
skeleton (`manifest_root`), so that an inclusion proof of the entry proves the key; names and statements stay in the
encrypted detail.
"""

from __future__ import annotations

import hashlib

from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft
from gateway.domain.orders import SealingKey
from gateway.domain.parties import Client, Party
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.identity.people import read_person_key
from gateway.identity.statements import text_of
from gateway.store.database import Writing
from gateway.store.registry import Snapshot
from gateway.store.registry_changes import (
    Effect,
    add_client,
    add_person,
    add_sealing_key,
    add_sender_key,
    disable_person,
    enable_client,
    reset_switch,
    throw_switch,
)
from keys.signing import VerifyKey


def enrol_person(statement: str, *, snapshot: Snapshot, now: int) -> tuple[EntryDraft, Effect]:
    """Enrol a person's key by the administrator's statement. Raises as `people.read_person_key`; the effect raises
    `BadRequest("person_key_taken")`.
    """
    enrolled = read_person_key(statement, snapshot=snapshot, now=now)
    person = enrolled.person
    draft = EntryDraft(
        kind=EntryKind.PERSON_ENROLLED,
        outcome=Outcome.DONE,
        requester=person.party.department,
        actors=(f"person:{person.party.organisation}/{person.person_id}",),
        detail={
            "person": person.person_id,
            "party": person.party.text,
            "functions": sorted(person.functions),
            "key": person.thumbprint,
            "administrator_key": enrolled.enrolled_by,
            "statement": statement,
        },
    )

    async def effect(writing: Writing) -> None:
        await add_person(writing, enrolled, now=now)

    return draft, effect


def retire_person(thumbprint: str, *, snapshot: Snapshot, by: str) -> tuple[EntryDraft, Effect]:
    """Retire a person's key. by: who decided. The effect raises `BadRequest("person_unknown")`."""
    enrolled = snapshot.people.get(thumbprint)
    actors = (f"person:{enrolled.person.party.organisation}/{enrolled.person.person_id}",) if enrolled else ()
    draft = EntryDraft(
        kind=EntryKind.KEY_EVENT,
        outcome=Outcome.DONE,
        code="person_retired",
        actors=actors,
        detail={"key": thumbprint, "by": by},
    )

    async def effect(writing: Writing) -> None:
        await disable_person(writing, thumbprint)

    return draft, effect


def enrol_client(client: Client, *, by: str, now: int) -> tuple[EntryDraft, Effect]:
    """Enrol a client with its public key: by the local command line only. The effect raises `BadRequest("client_taken")`."""
    draft = EntryDraft(
        kind=EntryKind.CLIENT_ENROLLED,
        outcome=Outcome.DONE,
        requester=client.party.department,
        actors=(f"client:{client.client_id}",),
        manifest_root=key_commitment("client", client.party, client.thumbprint, client.public_key),
        detail={"client": client.client_id, "party": client.party.text, "key": client.thumbprint, "by": by},
    )

    async def effect(writing: Writing) -> None:
        await add_client(writing, client, now=now)

    return draft, effect


def admit_client(client_id: str, *, enabled: bool, by: str) -> tuple[EntryDraft, Effect]:
    """Let a client in again or keep it out. The effect raises `BadRequest("client_unknown")`."""
    draft = EntryDraft(
        kind=EntryKind.KEY_EVENT,
        outcome=Outcome.DONE,
        code="client_enabled" if enabled else "client_disabled",
        actors=(f"client:{client_id}",),
        detail={"client": client_id, "by": by},
    )

    async def effect(writing: Writing) -> None:
        await enable_client(writing, client_id, enabled=enabled)

    return draft, effect


def announce_sealing_key(key: SealingKey, *, by: str, now: int) -> tuple[EntryDraft, Effect]:
    """Enter a party's sealing key. The effect raises `BadRequest("key_taken")`."""
    draft = EntryDraft(
        kind=EntryKind.KEY_EVENT,
        outcome=Outcome.DONE,
        code="sealing_key",
        requester=key.party.department,
        manifest_root=key_commitment(f"sealing:{key.suite}", key.party, key.kid, key.public_key),
        detail={"party": key.party.text, "kid": key.kid, "suite": key.suite, "by": by},
    )

    async def effect(writing: Writing) -> None:
        await add_sealing_key(writing, key, now=now)

    return draft, effect


def announce_sender_key(party: Party, key: VerifyKey, *, by: str, now: int) -> tuple[EntryDraft, Effect]:
    """Enter a party's signing key. The effect raises `BadRequest("key_taken")`."""
    draft = EntryDraft(
        kind=EntryKind.KEY_EVENT,
        outcome=Outcome.DONE,
        code="sender_key",
        requester=party.department,
        manifest_root=key_commitment("sender", party, key.thumbprint, key.public),
        detail={"party": party.text, "kid": key.thumbprint, "by": by},
    )

    async def effect(writing: Writing) -> None:
        await add_sender_key(writing, party, kid=key.thumbprint, public_key=key.public, now=now)

    return draft, effect


def stop(kind: str, target: str, *, by: str, now: int) -> tuple[EntryDraft, Effect]:
    """Throw the kill switch of an `exchange` or a `client` (C59)."""
    draft = _switched("stopped", kind, target, by)

    async def effect(writing: Writing) -> None:
        await throw_switch(writing, kind, target, by=by, now=now)

    return draft, effect


def resume(kind: str, target: str, *, by: str) -> tuple[EntryDraft, Effect]:
    """Take a kill switch back."""
    draft = _switched("resumed", kind, target, by)

    async def effect(writing: Writing) -> None:
        await reset_switch(writing, kind, target)

    return draft, effect


def key_commitment(use: str, party: Party, kid: str, public_key: bytes) -> bytes:
    """SHA-256 of the canonical statement "this key is this party's, for this use": what the skeleton of the key's entry
    holds. use: `sender`, `client` or `sealing:<suite>`.
    """
    return hashlib.sha256(canonical({"key": text_of(public_key), "kid": kid, "party": party.text, "use": use})).digest()


def _switched(code: str, kind: str, target: str, by: str) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.KILL_SWITCH,
        outcome=Outcome.DONE,
        code=code,
        exchange=target if kind == "exchange" else "",
        actors=(f"client:{target}",) if kind == "client" else (),
        detail={"kind": kind, "target": target, "by": by},
    )
