"""What the desk of a party still has to do (requests of X31, notices to guardians), and the standings of parties and people.

Rules kept here: a list has a limit and an order that does not depend on chance; a statement makes one standing, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select, update

from gateway.store import basis_tables as t
from gateway.store.basis_lists import MOST, RightsFound
from gateway.store.basis_writes import put
from gateway.store.database import Reading, Writing


@dataclass(frozen=True, slots=True)
class NoticeFound:
    """A notice as stored. recipient: the party that received and has to tell the guardian; owed, due: µs."""

    notice_id: str
    child: bytes = field(repr=False)
    exchange: str
    recipient: str
    door: str
    citations: str
    owed: int
    due: int


async def rights_open_at(reading: Reading, source: str) -> list[RightsFound]:
    """Open requests that this party has to answer, most urgent first."""
    column = t.rights_requests.c
    query = select(*(column[name] for name in RightsFound.__slots__)).where(
        column.source == source, column.state == "open"
    )
    rows = await reading.connection.execute(query.order_by(column.due, column.request_id).limit(MOST))
    return [RightsFound(*row) for row in rows]


async def notices_owed_by(reading: Reading, recipient: str) -> list[NoticeFound]:
    """Notices that this party still owes, most urgent first."""
    column = t.notices.c
    query = select(*(column[name] for name in NoticeFound.__slots__)).where(
        column.recipient == recipient, column.state == "owed"
    )
    rows = await reading.connection.execute(query.order_by(column.due, column.notice_id).limit(MOST))
    return [NoticeFound(*row) for row in rows]


async def put_standing(writing: Writing, row: Mapping[str, Any]) -> bool:
    """A dated fact; False if its statement was recorded before."""
    return await put(writing, t.standings, row)


async def uncertified_contracts(reading: Reading, now: int) -> list[tuple[str, str]]:
    """(party, standing id) of contracts that have ended without a certificate of return or deletion: the alarm of C60."""
    column = t.standings.c
    query = select(column.subject, column.standing_id).where(
        column.kind == "contract", column.ends <= now, column.certified.is_(None)
    )
    rows = await reading.connection.execute(query.order_by(column.ends, column.standing_id).limit(MOST))
    return [(row[0], row[1]) for row in rows]


async def certify_contract(writing: Writing, standing_id: str, now: int) -> bool:
    """The certificate came; False if it came before, or there is no such contract."""
    column = t.standings.c
    where = (column.standing_id == standing_id, column.kind == "contract", column.certified.is_(None))
    done = await writing.connection.execute(update(t.standings).where(*where).values(certified=now))
    return done.rowcount == 1
