"""What the desk of a party still has to do: requests of X31 at their source, and notices that a guardian is owed.

Rules kept here: reading only; a list is of one party and has a limit and an order that does not depend on chance.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select

from gateway.store import basis_tables as t
from gateway.store.basis_lists import MOST, RightsFound
from gateway.store.database import Reading


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
