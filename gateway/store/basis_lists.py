"""Reads of the basis room beyond the one of `basis.py`: reviews, lists of accesses, who holds what, what is overdue.

Rules kept here: reading only; every list has a limit and an order that does not depend on chance.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from gateway.store import basis_tables as t
from gateway.store.basis import AccessRow
from gateway.store.database import Reading
from gateway.store.prepared import Prepared

MOST = 1_000


@dataclass(frozen=True, slots=True)
class ReviewFound:
    """A review task as stored; age_band: of the consent that an objection is about, "" otherwise."""

    review_id: str
    kind: str
    child: bytes | None = field(repr=False)
    exchange: str
    record_id: str
    officer: str
    party: str
    note: str
    opened: int
    due: int
    state: str
    age_band: str = ""


@dataclass(frozen=True, slots=True)
class Owed:
    """Word that a party is owed; see `basis_tables.propagations`."""

    propagation_id: str
    party: str
    kind: str
    record_id: str
    child: bytes = field(repr=False)
    exchange: str
    opened: int
    due: int


@dataclass(frozen=True, slots=True)
class RightsFound:
    """A request of X31 as stored; source: the party whose register it concerns."""

    request_id: str
    kind: str
    child: bytes = field(repr=False)
    exchange: str
    source: str
    opened: int
    due: int
    state: str
    reason: str


_REVIEW = [t.reviews.c[name] for name in list(ReviewFound.__slots__)[:-1]]
_RIGHTS = [t.rights_requests.c[name] for name in RightsFound.__slots__]
_OWED = [t.propagations.c[name] for name in Owed.__slots__]


async def load_review(reading: Reading, review_id: str) -> ReviewFound | None:
    """One task, with the age band where it is about an objection."""
    band = func.coalesce(t.consents.c.age_band, "")
    joined = t.reviews.outerjoin(t.consents, t.consents.c.consent_id == t.reviews.c.record_id)
    query = select(*_REVIEW, band).select_from(joined).where(t.reviews.c.review_id == review_id)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else ReviewFound(*row)


async def consent_of(reading: Reading, consent_id: str) -> tuple[bytes, str] | None:
    """(child, exchange) of a consent, None where there is none."""
    column = t.consents.c
    query = select(column.child, column.exchange).where(column.consent_id == consent_id)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else (bytes(row.child), str(row.exchange))


async def reviews_of(reading: Reading, party: str) -> list[ReviewFound]:
    """Open tasks of a party, most urgent first."""
    column = t.reviews.c
    query = select(*_REVIEW).where(column.party == party, column.state == "open")
    rows = await reading.connection.execute(query.order_by(column.due, column.review_id).limit(MOST))
    return [ReviewFound(*row) for row in rows]


async def overdue_reviews(reading: Reading, now: int) -> list[ReviewFound]:
    """Open tasks past their time: the alarm of C17."""
    column = t.reviews.c
    query = select(*_REVIEW).where(column.state == "open", column.due < now)
    rows = await reading.connection.execute(query.order_by(column.due, column.review_id).limit(MOST))
    return [ReviewFound(*row) for row in rows]


async def revoked_guardian(reading: Reading, child: bytes, guardian: str) -> bool:
    """Whether this guardian's authority over this child has ended."""
    column = t.guardian_revocations.c
    query = select(column.revoked).where(column.child == child, column.guardian == guardian)
    return (await reading.connection.execute(query)).first() is not None


async def refusal_until(
    reading: Reading, child: bytes, exchange: str, recipients: Collection[str], now: int
) -> int | None:
    """Until when (µs) a refusal for any of these recipients is still respected, None if there is none."""
    column = t.consent_refusals.c
    query = select(func.max(column.until)).where(
        column.child == child,
        column.exchange == exchange,
        column.recipient.in_([str(name) for name in recipients]),
        column.until > now,
    )
    until = (await reading.connection.execute(query)).scalar_one_or_none()
    return None if until is None else int(until)


async def holders_of(reading: Reading, child: bytes, exchange: str) -> list[str]:
    """Parties that received data of this child under this exchange."""
    column = t.accesses.c
    query = select(column.requester).where(
        column.child == child, column.exchange == exchange, column.outcome == "released"
    )
    rows = await reading.connection.execute(query.distinct().order_by(column.requester))
    return list(rows.scalars())


async def accesses_of(reading: Reading, child: bytes, *, limit: int = MOST) -> list[AccessRow]:
    """A child's list of accesses, newest first."""
    column = t.accesses.c
    query = select(*(column[name] for name in AccessRow._fields)).where(column.child == child)
    rows = await reading.connection.execute(query.order_by(column.at.desc(), column.access_id).limit(limit))
    return [AccessRow(bytes(row[0]), *row[1:]) for row in rows]


async def reads_between(
    reading: Reading, begins: int, ends: int, exchanges: Collection[str]
) -> list[tuple[int, str, str, str]]:
    """The list of a month's reads by officers (网保条例 36): (at, exchange, requester, approval id), oldest first.

    begins, ends: µs, half open. exchanges: ids of those that are queries. A missing approval stands there as "".
    """
    column = t.accesses.c
    query = select(column.at, column.exchange, column.requester, column.approval_id).where(
        column.at >= begins,
        column.at < ends,
        column.outcome == "released",
        column.exchange.in_(sorted(exchanges)),
    )
    rows = await reading.connection.execute(query.order_by(column.at, column.access_id))
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def owed_to(reading: Reading, party: str) -> list[Owed]:
    """What a party must still act on, oldest first."""
    column = t.propagations.c
    query = select(*_OWED).where(column.party == party, column.state == "owed")
    rows = await reading.connection.execute(query.order_by(column.due, column.propagation_id).limit(MOST))
    return [Owed(*row) for row in rows]


async def overdue_words(reading: Reading, now: int) -> list[Owed]:
    """What was not answered in time."""
    column = t.propagations.c
    query = select(*_OWED).where(column.state == "owed", column.due < now)
    rows = await reading.connection.execute(query.order_by(column.due, column.propagation_id).limit(MOST))
    return [Owed(*row) for row in rows]


def _notice() -> Select[Any]:
    column = t.notices.c
    return select(column.notice_id, column.state).where(
        column.child == bindparam("child"),
        column.exchange == bindparam("exchange"),
        column.recipient == bindparam("recipient"),
        column.door == "normal",
    )


_NOTICE = Prepared(_notice)


async def notice_open(reading: Reading, child: bytes, exchange: str, recipient: str) -> str | None:
    """A notice of the normal door that this child's guardian is owed or was given for this exchange and recipient."""
    rows = await _NOTICE.rows(reading, child=child, exchange=exchange, recipient=recipient)
    return next((str(notice) for notice, state in rows if state in ("owed", "given")), None)


async def overdue_notices(reading: Reading, now: int) -> list[str]:
    """Ids of notices past their time."""
    column = t.notices.c
    query = select(column.notice_id).where(column.state == "owed", column.due < now)
    return list((await reading.connection.execute(query.order_by(column.due).limit(MOST))).scalars())


async def case_counts(reading: Reading, month: str) -> dict[tuple[str, str], int]:
    """(region, counter) -> count of one month `YYYY-MM`: X28's numbers."""
    column = t.case_counters.c
    rows = await reading.connection.execute(
        select(column.region, column.counter, column.count).where(column.month == month)
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def rights_request(reading: Reading, request_id: str) -> RightsFound | None:
    """One request."""
    query = select(*_RIGHTS).where(t.rights_requests.c.request_id == request_id)
    row = (await reading.connection.execute(query)).one_or_none()
    return None if row is None else RightsFound(*row)


async def overdue_rights(reading: Reading, now: int) -> list[RightsFound]:
    """Requests that nobody answered in time."""
    column = t.rights_requests.c
    query = select(*_RIGHTS).where(column.state == "open", column.due < now)
    rows = await reading.connection.execute(query.order_by(column.due, column.request_id).limit(MOST))
    return [RightsFound(*row) for row in rows]


async def children_with_cases(reading: Reading, closed: Collection[str], since: int) -> frozenset[bytes]:
    """Every child with an open case, or with one that was closed at or after a moment (microseconds since 1970 UTC)."""
    column = t.cases.c
    query = select(column.child).distinct()
    query = query.where(column.state.not_in(sorted(closed)) | (column.changed >= since))
    return frozenset(bytes(child) for child in (await reading.connection.execute(query)).scalars())
