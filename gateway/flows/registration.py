"""Entering organisations, clients, people administrators, edges and public keys: by the local command line, from a site file.

Rules kept here: a site file holds public keys only; what is already entered the same way is left alone, so a file may be
applied again after it grew; every change is an entry; nobody registers over the network.
"""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Client, Organisation, Party
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import BadRequest
from gateway.flows.house import House
from gateway.identity.enrolment import announce_sealing_key, announce_sender_key, enrol_client
from gateway.store.database import Writing
from gateway.store.registry import PeopleAdmin, Snapshot, region_prefix
from gateway.store.registry_changes import Effect, add_people_admin, note_key_entry, put_edge, put_organisation
from keys.sealing_keys import sealing_key
from keys.signing import VerifyKey

BY = "local command line"
SECTIONS = ("organisations", "clients", "people_admins", "sender_keys", "sealing_keys", "edges")


@dataclass(frozen=True, slots=True)
class Step:
    """One change. kid: the announced key whose entry index is to be remembered."""

    draft: EntryDraft
    effect: Effect
    kid: str = ""


async def register(house: House, site: Path, told: Callable[[str], None] = lambda _text: None) -> int:
    """Apply a site file. told: hears a line per change. Returns how many changes were made.

    Raises `BadRequest("site_file")` (fact `section`) for a file that is not of the form.
    """
    try:
        document = tomllib.loads(site.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadRequest("site_file", section="file") from error
    if set(document) - set(SECTIONS):
        raise BadRequest("site_file", section=min(set(document) - set(SECTIONS)))
    made = 0
    for section in SECTIONS:
        for row in document.get(section, []):
            # Read anew for each row: a later row may rest on an earlier one.
            async with house.database.read() as reading:
                house.registry.forget()
                snapshot = await house.registry.refresh(reading)
            try:
                step = _STEPS[section](row, snapshot, int(house.clock.now().timestamp()))
            except (KeyError, ValueError, TypeError) as error:
                raise BadRequest("site_file", section=section) from error
            if step is None:
                continue
            receipt = await house.log.append(step.draft, effect=step.effect)
            if step.kid:
                async with house.database.write() as writing:
                    await note_key_entry(writing, step.kid, receipt.index)
            made += 1
            told(f"{section}: {step.draft.code or step.draft.kind} (entry {receipt.index})")
    house.registry.forget()
    return made


def _event(code: str, **detail: str) -> EntryDraft:
    return EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, code=code, detail={"by": BY, **detail})


def _organisation(row: dict[str, Any], snapshot: Snapshot, _now: int) -> Step | None:
    organisation = Organisation(
        code=row["code"],
        name=row["name"],
        region=row["region"],
        departments=frozenset(Department(name) for name in row["departments"]),
        medical=bool(row.get("medical", False)),
    )
    if snapshot.organisations.get(organisation.code) == organisation:
        return None

    async def effect(writing: Writing) -> None:
        await put_organisation(writing, organisation)

    return Step(_event("organisation", organisation=organisation.code, region=organisation.region), effect)


def _client(row: dict[str, Any], snapshot: Snapshot, now: int) -> Step | None:
    party = read_party(row["party"])
    key = public_key(row["key"])
    client = Client(
        client_id=row["id"],
        party=party,
        region=row.get("region") or snapshot.organisations[party.organisation].region,
        thumbprint=key.thumbprint,
        public_key=key.public,
    )
    if client.client_id in snapshot.clients:
        return None
    return Step(*enrol_client(client, by=BY, now=now))


def _people_admin(row: dict[str, Any], snapshot: Snapshot, now: int) -> Step | None:
    key = public_key(row["key"])
    admin = PeopleAdmin(row["id"], read_party(row["party"]), key.thumbprint, key.public)
    if key.thumbprint in snapshot.admins:
        return None

    async def effect(writing: Writing) -> None:
        await add_people_admin(writing, admin, now=now)

    return Step(_event("people_admin", administrator=admin.admin_id, party=admin.party.text), effect)


def _sender_key(row: dict[str, Any], snapshot: Snapshot, now: int) -> Step | None:
    key = public_key(row["key"])
    if key.thumbprint in snapshot.sender_keys:
        return None
    return Step(*announce_sender_key(read_party(row["party"]), key, by=BY, now=now), kid=key.thumbprint)


def _sealing_key(row: dict[str, Any], snapshot: Snapshot, now: int) -> Step | None:
    party = read_party(row["party"])
    key = sealing_key(party, row.get("suite", "x25519"), unbase64(row["key"]))
    if snapshot.sealing_keys.get(party) == key:
        return None
    return Step(*announce_sealing_key(key, by=BY, now=now), kid=key.kid)


def _edge(row: dict[str, Any], snapshot: Snapshot, _now: int) -> Step | None:
    party, prefix, key = read_party(row["party"]), region_prefix(row["region"]), public_key(row["sender_key"])
    for edge in snapshot.edges:
        known = (edge.party, edge.region_prefix, edge.url, edge.sender_kid)
        if known == (party, prefix, row["url"], key.thumbprint):
            return None

    async def effect(writing: Writing) -> None:
        await put_edge(writing, party, prefix, row["url"], sender_kid=key.thumbprint, sender_key=key.public)

    return Step(_event("edge", party=party.text, region=prefix), effect)


_STEPS: dict[str, Callable[[dict[str, Any], Snapshot, int], Step | None]] = {
    "organisations": _organisation,
    "clients": _client,
    "people_admins": _people_admin,
    "sender_keys": _sender_key,
    "sealing_keys": _sealing_key,
    "edges": _edge,
}


def read_party(text: str) -> Party:
    """`<organisation>/<department>`."""
    code, _, department = text.partition("/")
    return Party(code, Department(department))


def public_key(text: str) -> VerifyKey:
    """An Ed25519 public key, base64url of its 32 bytes (the `x` of its JWK)."""
    return VerifyKey(unbase64(text))


def unbase64(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
