"""What the desk of a party still has to do (requests of X31, notices to guardians), and the standings of parties and people.

Rules kept here: a list has a limit and an order that does not depend on chance; a statement makes one standing, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, update

from gateway.store import basis_tables as t
from gateway.store.basis_lists import MOST, ReviewFound, RightsFound, overdue_reviews
from gateway.store.basis_writes import put
from gateway.store.database import Reading, Writing

ALARMED = "alarmed"


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


async def consents_to_another(
    reading: Reading, exchange: str, definition: str, states: Sequence[str], *, limit: int
) -> list[tuple[str, bytes, str]]:
    """(consent id, child, issuing party) of consents to another definition of the exchange than this, in one of these states."""
    column = t.consents.c
    query = select(column.consent_id, column.child, column.issuer).where(
        column.exchange == exchange, column.definition != definition, column.state.in_(states)
    )
    rows = await reading.connection.execute(query.order_by(column.consent_id).limit(limit))
    return [(row[0], bytes(row[1]), row[2]) for row in rows]


async def embargoes_ended(reading: Reading, now: int) -> list[tuple[str, str]]:
    """(embargo id, request) of embargoes whose time is over and whose holders were not asked yet."""
    column = t.embargoes.c
    query = select(column.embargo_id, column.request).where(column.state == "kept", column.ends <= now)
    rows = await reading.connection.execute(query.order_by(column.ends, column.embargo_id).limit(MOST))
    return [(row[0], row[1]) for row in rows]


async def shares_released(reading: Reading, embargo_id: str) -> int:
    """How many holders have released their share of an embargo."""
    column = t.reviews.c
    query = select(func.count()).where(
        column.kind == "embargo", column.record_id == embargo_id, column.outcome == "released"
    )
    return int((await reading.connection.execute(query)).scalar_one())


async def unalarmed_reviews(reading: Reading, now: int) -> list[ReviewFound]:
    """Open tasks past their time of which no alarm was raised yet."""
    return [review for review in await overdue_reviews(reading, now) if not review.note.endswith(ALARMED)]


async def mark_alarmed(writing: Writing, review: ReviewFound) -> bool:
    """Note that the alarm was raised; False if somebody else was faster or the task is closed."""
    column = t.reviews.c
    where = (column.review_id == review.review_id, column.state == "open", column.note == review.note)
    done = await writing.connection.execute(update(t.reviews).where(*where).values(note=f"{review.note} {ALARMED}"))
    return done.rowcount == 1


async def exchanges_told(reading: Reading, child: bytes) -> list[str]:
    """Exchanges under which somebody received data of this child."""
    column = t.accesses.c
    query = select(column.exchange).where(column.child == child, column.outcome == "released")
    return list((await reading.connection.execute(query.distinct().order_by(column.exchange))).scalars())
