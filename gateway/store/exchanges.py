"""Reads and writes of exchanges under way. Plain rows in, plain rows out; the flows give them meaning.

Rules kept here: nothing commits; a delivery changes state only from the state that the caller names, so two workers never
hand out the same envelope in the same minute; destroying an envelope sets its bytes to NULL in the same statement that
changes its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from gateway.store.database import Reading, Writing
from gateway.store.exchange_tables import (
    aliases,
    enrolment_grants,
    evaluation_counts,
    idempotency,
    outbox,
    send_permits,
)
from gateway.store.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Delivery:
    """One outbox row. `facts`: canonical JSON that the hand-out needs to check the basis again."""

    delivery_id: str
    sender: str
    sender_client: str
    recipient: str
    exchange: str
    purpose: str
    door: str
    state: str
    envelope: bytes | None = dataclass_field(repr=False)
    facts: bytes = dataclass_field(repr=False)
    created_at: int
    expires_at: int
    claimed_until: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an idempotency key remembers: digests and ids, never a body."""

    request_digest: bytes
    status: int
    answer_id: str
    entry_id: str


@dataclass(frozen=True, slots=True)
class Grant:
    """An enrolment grant: how many points a party may have evaluated beyond its ordinary quota, and until when."""

    grant_id: str
    party: str
    size: int
    used: int
    until: int


# --- send permits -----------------------------------------------------------------------------------------------


async def put_send_permit(writing: Writing, permit_id: str, client_id: str, decision: bytes, expires_at: int) -> None:
    """Keep a decision for its five minutes."""
    await writing.connection.execute(
        insert(send_permits).values(
            permit_id=permit_id, client_id=client_id, decision=decision, expires_at=expires_at, used=False
        )
    )


async def get_send_permit(reading: Reading, permit_id: str) -> tuple[str, bytes, int, bool] | None:
    """(client id, decision, expires at, used) or None."""
    row = (
        await reading.connection.execute(
            select(
                send_permits.c.client_id, send_permits.c.decision, send_permits.c.expires_at, send_permits.c.used
            ).where(send_permits.c.permit_id == permit_id)
        )
    ).first()
    return (row.client_id, row.decision, row.expires_at, row.used) if row else None


async def use_send_permit(writing: Writing, permit_id: str) -> bool:
    """Mark it used; False if somebody else already did."""
    result = await writing.connection.execute(
        update(send_permits)
        .where(send_permits.c.permit_id == permit_id, send_permits.c.used.is_(False))
        .values(used=True)
    )
    return result.rowcount == 1


# --- outbox -----------------------------------------------------------------------------------------------------


async def put_delivery(writing: Writing, delivery: Delivery) -> None:
    """Put an envelope into the outbox, in the transaction of its `accepted` entry."""
    await writing.connection.execute(
        insert(outbox).values(**{name: getattr(delivery, name) for name in Delivery.__slots__})
    )


async def waiting(reading: Reading, recipient: str, now: int, limit: int) -> list[Delivery]:
    """The oldest envelopes for a recipient that nobody holds: waiting, or handed out and not acknowledged in time."""
    rows = await reading.connection.execute(
        select(outbox)
        .where(
            outbox.c.recipient == recipient,
            or_(outbox.c.state == "waiting", outbox.c.state == "delivered"),
            outbox.c.claimed_until <= now,
        )
        .order_by(outbox.c.created_at, outbox.c.delivery_id)
        .limit(limit)
    )
    return [Delivery(**row._mapping) for row in rows]


async def get_delivery(reading: Reading, delivery_id: str) -> Delivery | None:
    """One outbox row."""
    row = (await reading.connection.execute(select(outbox).where(outbox.c.delivery_id == delivery_id))).first()
    return Delivery(**row._mapping) if row else None


async def sent_by(reading: Reading, client_id: str, limit: int) -> list[Delivery]:
    """A sender's latest deliveries, newest first."""
    rows = await reading.connection.execute(
        select(outbox).where(outbox.c.sender_client == client_id).order_by(outbox.c.created_at.desc()).limit(limit)
    )
    return [Delivery(**row._mapping) for row in rows]


async def claim(writing: Writing, delivery_id: str, now: int, until: int) -> bool:
    """Hand an envelope out: `delivered`, held by its taker until `until`. False if another taker was faster."""
    result = await writing.connection.execute(
        update(outbox)
        .where(
            outbox.c.delivery_id == delivery_id,
            or_(outbox.c.state == "waiting", outbox.c.state == "delivered"),
            outbox.c.claimed_until <= now,
        )
        .values(state="delivered", claimed_until=until)
    )
    return result.rowcount == 1


async def finish(writing: Writing, delivery_id: str, state: str, *, expected: tuple[str, ...]) -> bool:
    """Move to a final state and destroy the envelope. False if the row was in none of the expected states."""
    result = await writing.connection.execute(
        update(outbox)
        .where(outbox.c.delivery_id == delivery_id, outbox.c.state.in_(expected))
        .values(state=state, envelope=None)
    )
    return result.rowcount == 1


async def overdue(reading: Reading, now: int, limit: int) -> list[Delivery]:
    """Envelopes past their 72 hours."""
    rows = await reading.connection.execute(
        select(outbox).where(outbox.c.expires_at <= now, outbox.c.envelope.is_not(None)).limit(limit)
    )
    return [Delivery(**row._mapping) for row in rows]


# --- idempotency ------------------------------------------------------------------------------------------------


async def remembered(reading: Reading, key_digest: bytes) -> Remembered | None:
    """What this idempotency key already led to."""
    row = (await reading.connection.execute(select(idempotency).where(idempotency.c.key_digest == key_digest))).first()
    return Remembered(row.request_digest, row.status, row.answer_id, row.entry_id) if row else None


async def remember(writing: Writing, key_digest: bytes, what: Remembered, now: int) -> None:
    """Remember it, in the transaction of the entry."""
    await writing.connection.execute(
        insert(idempotency).values(
            key_digest=key_digest,
            request_digest=what.request_digest,
            status=what.status,
            answer_id=what.answer_id,
            entry_id=what.entry_id,
            created_at=now,
        )
    )


# --- the blind door ---------------------------------------------------------------------------------------------


async def put_grant(writing: Writing, grant: Grant, statements: bytes) -> None:
    """Keep a grant with the two signed approvals that carry it."""
    await writing.connection.execute(
        insert(enrolment_grants).values(
            grant_id=grant.grant_id,
            party=grant.party,
            size=grant.size,
            used=grant.used,
            until=grant.until,
            statements=statements,
        )
    )


async def grant_made(reading: Reading, party: str, size: int, until: int) -> bool:
    """Whether a grant of this size and end was already made for a party."""
    column = enrolment_grants.c
    found = await reading.connection.execute(
        select(column.grant_id).where(column.party == party, column.size == size, column.until == until).limit(1)
    )
    return found.first() is not None


async def use_grant(writing: Writing, grant_id: str, party: str, points: int, now: int) -> bool:
    """Take `points` from a grant; False if it is not this party's, has ended, or has not that many left."""
    result = await writing.connection.execute(
        update(enrolment_grants)
        .where(
            enrolment_grants.c.grant_id == grant_id,
            enrolment_grants.c.party == party,
            enrolment_grants.c.until > now,
            enrolment_grants.c.used + points <= enrolment_grants.c.size,
        )
        .values(used=enrolment_grants.c.used + points)
    )
    return result.rowcount == 1


async def enrolled_size(reading: Reading, party: str) -> int:
    """How many points a party has had evaluated under its grants: the size of its enrolled register."""
    return int(
        (
            await reading.connection.execute(
                select(func.coalesce(func.sum(enrolment_grants.c.used), 0)).where(enrolment_grants.c.party == party)
            )
        ).scalar_one()
    )


async def count_evaluations(writing: Writing, party: str, day: str, points: int, quota: int) -> bool:
    """Add to the day's count unless the quota would be passed; False if it would."""
    used = (
        await writing.connection.execute(
            select(evaluation_counts.c.used).where(evaluation_counts.c.party == party, evaluation_counts.c.day == day)
        )
    ).scalar_one_or_none()
    if (used or 0) + points > quota:
        return False
    if used is None:
        await writing.connection.execute(insert(evaluation_counts).values(party=party, day=day, used=points))
    else:
        await writing.connection.execute(
            update(evaluation_counts)
            .where(evaluation_counts.c.party == party, evaluation_counts.c.day == day)
            .values(used=used + points)
        )
    return True


# --- aliases ----------------------------------------------------------------------------------------------------


_ALIAS = Prepared(lambda: select(aliases.c.new).where(aliases.c.old == bindparam("point")))


async def resolve_alias(reading: Reading, point: bytes) -> bytes:
    """The child's present gateway pseudonym: the alias row's, or the same."""
    row = await _ALIAS.first(reading, point=point)
    return bytes(row[0]) if row is not None else point


async def put_alias(writing: Writing, old: bytes, new: bytes, entry_id: str) -> None:
    """Join two pseudonyms of one child (an issued identifier and the ID that came later)."""
    await writing.connection.execute(insert(aliases).values(old=old, new=new, entry_id=entry_id))


async def forget_expired(writing: Writing, now: int) -> None:
    """Remove permits past their time and idempotency rows older than a week."""
    await writing.connection.execute(delete(send_permits).where(send_permits.c.expires_at < now - 3600))
    await writing.connection.execute(delete(idempotency).where(idempotency.c.created_at < now - 7 * 86400))
