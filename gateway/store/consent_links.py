"""One-time links by which guardians answer: reads and writes of `basis_tables.consent_links`.

Rules kept here: a link is found by the digest of its code, of which the store has no other trace; a row changes state once; the signed
offer is wiped as soon as nobody can answer it any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from gateway.store.basis_lists import MOST
from gateway.store.basis_tables import consent_links
from gateway.store.basis_writes import put, settle
from gateway.store.database import Reading, Writing


@dataclass(frozen=True, slots=True)
class LinkFound:
    """A link as stored. client, officer, function: who handed it over; ends: µs; consent: id of what came of it, "" before."""

    link_id: str
    child: bytes = field(repr=False)
    exchange: str
    party: str
    client: str
    officer: str
    function: str
    statement: str = field(repr=False)
    ends: int
    state: str
    consent: str


_LINK = [consent_links.c[name] for name in LinkFound.__slots__]


async def add_link(writing: Writing, row: Mapping[str, Any]) -> bool:
    """A link; False if its code or its statement has one already."""
    return await put(writing, consent_links, row)


async def link_by_code(reading: Reading, code_digest: str) -> LinkFound | None:
    """The link of a code, None where there is none."""
    query = select(*_LINK).where(consent_links.c.code_digest == code_digest)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else LinkFound(*row)


async def link_by_id(reading: Reading, link_id: str) -> LinkFound | None:
    """One link, None where there is none."""
    row = (await reading.connection.execute(select(*_LINK).where(consent_links.c.link_id == link_id))).one_or_none()
    return None if row is None else LinkFound(*row)


async def links_of(reading: Reading, party: str) -> list[LinkFound]:
    """Links that this party handed over, newest first."""
    column = consent_links.c
    query = select(*_LINK).where(column.party == party).order_by(column.opened.desc(), column.link_id).limit(MOST)
    return [LinkFound(*row) for row in await reading.connection.execute(query)]


async def settle_link(writing: Writing, link_id: str, *, before: str, state: str, at: int, consent: str = "") -> bool:
    """End a link that is still in `before`, and wipe its offer; False if somebody was faster. at: µs."""
    row = {"state": state, "answered": at, "consent": consent, "statement": ""}
    return await settle(writing, consent_links, key={"link_id": link_id}, before=before, row=row)


async def wipe_ended_offers(writing: Writing, now: int) -> int:
    """Wipe the offers of links whose time is over; how many. now: µs."""
    column = consent_links.c
    where = (column.ends <= now, column.statement != "")
    done = await writing.connection.execute(update(consent_links).where(*where).values(statement=""))
    return int(done.rowcount)
