"""Changes of the registry. Each runs inside a write transaction that somebody else opened: as the effect of an audit
entry, or in set-up by the local command line.

Rules kept here: nothing commits; every change moves `registry_version`; a key is never overwritten, it is retired beside
its successor, so that what it signed can still be checked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from gateway.domain.entries import EntryDraft
from gateway.domain.orders import SealingKey
from gateway.domain.parties import Client, Organisation, Party
from gateway.errors import BadRequest
from gateway.store.database import Writing
from gateway.store.registry import Enrolled, PeopleAdmin, SecurityKey
from gateway.store.registry_tables import (
    clients,
    edges,
    kill_switches,
    organisations,
    people,
    people_admins,
    people_security_keys,
    registry_version,
    sealing_keys,
    sender_keys,
)

Effect = Callable[[Writing], Awaitable[EntryDraft | None]]


async def put_organisation(writing: Writing, organisation: Organisation) -> None:
    """Enter an organisation or replace what was entered under its code."""
    await writing.connection.execute(delete(organisations).where(organisations.c.code == organisation.code))
    await writing.connection.execute(
        insert(organisations).values(
            code=organisation.code,
            name=organisation.name,
            region=organisation.region,
            departments=",".join(sorted(organisation.departments)),
            medical=organisation.medical,
        )
    )
    await _touch(writing)


async def add_client(writing: Writing, client: Client, *, now: int) -> None:
    """Enter a client. `BadRequest("client_taken")` where its id or key is already known."""
    row = {
        "client_id": client.client_id,
        "organisation": client.party.organisation,
        "department": str(client.party.department),
        "region": client.region,
        "thumbprint": client.thumbprint,
        "public_key": client.public_key,
        "enabled": client.enabled,
        "enrolled_at": now,
    }
    await _insert_once(writing, clients, row, "client_taken")
    await _touch(writing)


async def enable_client(writing: Writing, client_id: str, *, enabled: bool) -> None:
    """Let a client in or keep it out. `BadRequest("client_unknown")`."""
    result = await writing.connection.execute(
        update(clients).where(clients.c.client_id == client_id).values(enabled=enabled)
    )
    if result.rowcount != 1:
        raise BadRequest("client_unknown")
    await _touch(writing)


async def add_person(writing: Writing, enrolled: Enrolled, *, now: int) -> None:
    """Enter a person's key and retire the keys that the person had in this party.

    `BadRequest("person_key_taken")` where the key is already somebody's: a person's, an administrator's or a client's.
    """
    person = enrolled.person
    for table in (clients, people_admins):
        if await writing.connection.scalar(select(table.c.thumbprint).where(table.c.thumbprint == person.thumbprint)):
            raise BadRequest("person_key_taken")
    await writing.connection.execute(
        update(people)
        .where(
            people.c.person_id == person.person_id,
            people.c.organisation == person.party.organisation,
            people.c.department == str(person.party.department),
        )
        .values(enabled=False)
    )
    row = {
        "thumbprint": person.thumbprint,
        "person_id": person.person_id,
        "organisation": person.party.organisation,
        "department": str(person.party.department),
        "functions": ",".join(sorted(person.functions)),
        "public_key": person.public_key,
        "statement": enrolled.statement,
        "enrolled_by": enrolled.enrolled_by,
        "valid_until": enrolled.valid_until,
        "enabled": person.enabled,
        "enrolled_at": now,
    }
    await _insert_once(writing, people, row, "person_key_taken")
    await _touch(writing)


async def disable_person(writing: Writing, thumbprint: str) -> None:
    """Retire a person's key. `BadRequest("person_unknown")`."""
    result = await writing.connection.execute(
        update(people).where(people.c.thumbprint == thumbprint).values(enabled=False)
    )
    if result.rowcount != 1:
        raise BadRequest("person_unknown")
    await _touch(writing)


async def add_security_key(writing: Writing, key: SecurityKey, *, now: int) -> None:
    """Enter a security key that a person vouched for. `BadRequest("person_key_taken")` where this statement was entered before."""
    row = {
        "kid": key.kid,
        "person": key.person,
        "credential": key.credential,
        "statement": key.statement,
        "enabled": key.enabled,
        "enrolled_at": now,
    }
    await _insert_once(writing, people_security_keys, row, "person_key_taken")
    await _touch(writing)


async def retire_security_key(writing: Writing, credential: bytes) -> int:
    """Let a security key sign nothing any more. Returns how many statements vouched for it."""
    result = await writing.connection.execute(
        update(people_security_keys)
        .where(people_security_keys.c.credential == credential, people_security_keys.c.enabled)
        .values(enabled=False)
    )
    await _touch(writing)
    return result.rowcount


async def add_people_admin(writing: Writing, admin: PeopleAdmin, *, now: int) -> None:
    """Enter a people administrator: by the local command line only. `BadRequest("people_admin_taken")`."""
    row = {
        "thumbprint": admin.thumbprint,
        "admin_id": admin.admin_id,
        "organisation": admin.party.organisation,
        "department": str(admin.party.department),
        "public_key": admin.public_key,
        "enabled": admin.enabled,
        "enrolled_at": now,
    }
    await _insert_once(writing, people_admins, row, "people_admin_taken")
    await _touch(writing)


async def put_edge(
    writing: Writing, party: Party, prefix: str, url: str, *, sender_kid: str, sender_key: bytes
) -> None:
    """Enter the edge of a department for a region prefix, or replace it."""
    where = (edges.c.department == str(party.department)) & (edges.c.region_prefix == prefix)
    await writing.connection.execute(delete(edges).where(where))
    await writing.connection.execute(
        insert(edges).values(
            department=str(party.department),
            region_prefix=prefix,
            organisation=party.organisation,
            url=url,
            sender_kid=sender_kid,
            sender_public_key=sender_key,
        )
    )
    await _touch(writing)


async def add_sealing_key(writing: Writing, key: SealingKey, *, now: int) -> None:
    """Enter a party's sealing key and retire its earlier ones. `BadRequest("key_taken")`."""
    await _retire(writing, sealing_keys, key.party)
    row = {
        "kid": key.kid,
        "organisation": key.party.organisation,
        "department": str(key.party.department),
        "suite": key.suite,
        "public_key": key.public_key,
        "active": True,
        "enrolled_at": now,
    }
    await _insert_once(writing, sealing_keys, row, "key_taken")
    await _touch(writing)


async def add_sender_key(writing: Writing, party: Party, *, kid: str, public_key: bytes, now: int) -> None:
    """Enter a party's signing key and retire its earlier ones. `BadRequest("key_taken")`."""
    await _retire(writing, sender_keys, party)
    row = {
        "kid": kid,
        "organisation": party.organisation,
        "department": str(party.department),
        "public_key": public_key,
        "active": True,
        "enrolled_at": now,
    }
    await _insert_once(writing, sender_keys, row, "key_taken")
    await _touch(writing)


async def note_key_entry(writing: Writing, kid: str, index: int) -> None:
    """Remember which entry of the log announced this sealing or sender key."""
    for table in (sealing_keys, sender_keys):
        await writing.connection.execute(update(table).where(table.c.kid == kid).values(entry_index=index))
    await _touch(writing)


async def throw_switch(writing: Writing, kind: str, target: str, *, by: str, now: int) -> None:
    """Stop an exchange or a client (C59). kind: `exchange` or `client`. Throwing twice changes nothing."""
    row = {"kind": kind, "target": target, "thrown_at": now, "thrown_by": by}
    await writing.connection.execute(_insert_if_absent(writing, kill_switches, row))
    await _touch(writing)


async def reset_switch(writing: Writing, kind: str, target: str) -> None:
    """Let an exchange or a client run again."""
    where = (kill_switches.c.kind == kind) & (kill_switches.c.target == target)
    await writing.connection.execute(delete(kill_switches).where(where))
    await _touch(writing)


async def _retire(writing: Writing, table: Table, party: Party) -> None:
    await writing.connection.execute(
        update(table)
        .where(table.c.organisation == party.organisation, table.c.department == str(party.department))
        .values(active=False)
    )


async def _touch(writing: Writing) -> None:
    moved = await writing.connection.execute(
        update(registry_version).where(registry_version.c.id == 1).values(version=registry_version.c.version + 1)
    )
    if moved.rowcount == 0:
        await writing.connection.execute(insert(registry_version).values(id=1, version=1))


async def _insert_once(writing: Writing, table: Table, row: dict[str, object], code: str) -> None:
    try:
        async with writing.connection.begin_nested():
            await writing.connection.execute(insert(table).values(**row))
    except IntegrityError as error:
        # The driver's text may repeat the row, so nothing of it goes on.
        raise BadRequest(code) from error


def _insert_if_absent(writing: Writing, table: Table, row: dict[str, object]) -> sqlite.Insert | postgresql.Insert:
    if writing.connection.dialect.name == "sqlite":
        return sqlite.insert(table).values(**row).on_conflict_do_nothing()
    return postgresql.insert(table).values(**row).on_conflict_do_nothing()
