"""Reads and writes of re-identifications that were asked for at the console and wait for others to sign.

Rules kept here: nothing commits; a request is kept once, a department signs it once; it becomes a grant once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select, update

from gateway.store.database import Reading, Writing
from gateway.store.exchange_tables import reidentification_approvals as approvals
from gateway.store.exchange_tables import reidentification_requests as requests


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A signed request. officer: `<organisation>/<person>`. granted: the grant, "" until then. Times: unix seconds."""

    request_id: str
    digest: str
    officer: str
    department: str
    statement: str = field(repr=False)
    granted: str
    made_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class SignedBy:
    """An approval of a request. signer: `<organisation>/<person>`."""

    request_id: str
    department: str
    signer: str
    statement: str = field(repr=False)
    made_at: int


async def put_request(writing: Writing, row: RequestRow) -> bool:
    """Keep a request; False if the same statement was handed in before."""
    known = await writing.connection.execute(select(requests.c.request_id).where(requests.c.digest == row.digest))
    if known.first() is not None:
        return False
    values = {name: getattr(row, name) for name in RequestRow.__slots__}
    await writing.connection.execute(insert(requests).values(**values))
    return True


async def find_request(reading: Reading, request_id: str) -> RequestRow | None:
    """One request."""
    rows = await reading.connection.execute(select(requests).where(requests.c.request_id == request_id))
    row = rows.first()
    return RequestRow(**row._mapping) if row else None


async def list_requests(reading: Reading, limit: int) -> list[RequestRow]:
    """The newest requests."""
    rows = await reading.connection.execute(select(requests).order_by(requests.c.made_at.desc()).limit(limit))
    return [RequestRow(**row._mapping) for row in rows]


async def note_grant(writing: Writing, request_id: str, granted: str) -> bool:
    """Note the grant that a request became; False if it became one before."""
    where = (requests.c.request_id == request_id) & (requests.c.granted == "")
    done = await writing.connection.execute(update(requests).where(where).values(granted=granted))
    return bool(done.rowcount == 1)


async def put_approval(writing: Writing, row: SignedBy) -> bool:
    """Keep an approval; False if its department has signed this request before."""
    where = (approvals.c.request_id == row.request_id) & (approvals.c.department == row.department)
    if (await writing.connection.execute(select(approvals.c.signer).where(where))).first() is not None:
        return False
    values = {name: getattr(row, name) for name in SignedBy.__slots__}
    await writing.connection.execute(insert(approvals).values(**values))
    return True


async def approvals_of(reading: Reading, request_ids: Sequence[str]) -> list[SignedBy]:
    """Who signed these requests, the first first."""
    query = select(approvals).where(approvals.c.request_id.in_(request_ids)).order_by(approvals.c.made_at)
    return [SignedBy(**row._mapping) for row in await reading.connection.execute(query)]


async def forget_requests(writing: Writing, before: int) -> None:
    """Remove what expired before a moment (unix seconds)."""
    old = select(requests.c.request_id).where(requests.c.expires_at < before)
    await writing.connection.execute(delete(approvals).where(approvals.c.request_id.in_(old)))
    await writing.connection.execute(delete(requests).where(requests.c.expires_at < before))
