"""Reads and writes of names: bursts and alarms at the blind door, conversions, re-identifications.

Rules kept here: nothing commits; a count is raised only where it stays within its limit; a state changes only from the state
that the caller names, so that one view is one view.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import delete, func, insert, select, update

from gateway.store.database import Reading, Writing
from gateway.store.exchange_tables import conversions, door_alarms, evaluation_windows, outbox, reidentifications
from gateway.store.reidentification_requests import forget_requests

# --- the blind door -----------------------------------------------------------------------------------------------------


async def count_burst(writing: Writing, party: str, window: int, points: int, limit: int) -> bool:
    """Add to a window's count unless the limit would be passed; False if it would."""
    table = evaluation_windows
    await writing.connection.execute(delete(table).where(table.c.party == party, table.c.window < window))
    used = (
        await writing.connection.execute(
            select(table.c.used).where(table.c.party == party, table.c.window == window).with_for_update()
        )
    ).scalar_one_or_none()
    if (used or 0) + points > limit:
        return False
    if used is None:
        await writing.connection.execute(insert(table).values(party=party, window=window, used=points))
    else:
        await writing.connection.execute(
            update(table).where(table.c.party == party, table.c.window == window).values(used=used + points)
        )
    return True


async def first_alarm(writing: Writing, party: str, day: str, code: str) -> bool:
    """Note an alarm; False if this party had the same one on the same day."""
    table = door_alarms
    known = (
        await writing.connection.execute(
            select(table.c.party).where(table.c.party == party, table.c.day == day, table.c.code == code)
        )
    ).first()
    if known is not None:
        return False
    await writing.connection.execute(insert(table).values(party=party, day=day, code=code))
    return True


async def forget_ended(writing: Writing, *, now: int, today: str, window: int) -> None:
    """Remove what nobody asks for any more: windows that ended, alarms of days before, re-identifications whose signed request has
    long expired (until then its digest keeps it from being granted twice). now: unix seconds; today, window: as counted at the door.
    """
    await writing.connection.execute(delete(evaluation_windows).where(evaluation_windows.c.window < window))
    await writing.connection.execute(delete(door_alarms).where(door_alarms.c.day < today))
    await writing.connection.execute(delete(reidentifications).where(reidentifications.c.expires_at < now - 2 * 86_400))
    await forget_requests(writing, now - 2 * 86_400)


# --- conversions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conversion:
    """How far one client has followed. finished: unix seconds, 0 while under way."""

    party: str
    client: str
    scope: str
    epoch: int
    converted: int
    finished: int


async def note_conversion(
    writing: Writing, party: str, client: str, scope: str, epoch: int, *, converted: int, finished: int
) -> None:
    """Add a batch to what a client has converted; finished: unix seconds if this was its last, else 0."""
    table = conversions
    here = (table.c.party == party, table.c.client == client, table.c.scope == scope, table.c.epoch == epoch)
    before = (await writing.connection.execute(select(table.c.converted).where(*here))).scalar_one_or_none()
    if before is None:
        values = {"party": party, "client": client, "scope": scope, "epoch": epoch}
        await writing.connection.execute(insert(table).values(**values, converted=converted, finished=finished))
    else:
        await writing.connection.execute(
            update(table).where(*here).values(converted=before + converted, finished=finished)
        )


async def conversions_to(reading: Reading, scope: str, epoch: int) -> list[Conversion]:
    """Who has followed a scope to an epoch, and how far."""
    table = conversions
    rows = await reading.connection.execute(
        select(table).where(table.c.scope == scope, table.c.epoch == epoch).order_by(table.c.party, table.c.client)
    )
    return [Conversion(**row._mapping) for row in rows]


async def newest_conversion(reading: Reading, party: str, scope: str) -> int:
    """The newest epoch of a scope to which a party has followed whole; 0 if there is none."""
    table = conversions
    found = await reading.connection.execute(
        select(func.max(table.c.epoch)).where(table.c.party == party, table.c.scope == scope, table.c.finished > 0)
    )
    return int(found.scalar() or 0)


# --- re-identifications -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reidentification:
    """One granted re-identification. request: canonical JSON of what was approved. child: the gateway's own pseudonym."""

    reidentification_id: str
    digest: str
    client_id: str
    officer: str
    request: bytes = field(repr=False)
    child: bytes = field(repr=False)
    state: str
    expires_at: int


async def put_reidentification(writing: Writing, what: Reidentification) -> bool:
    """Keep a grant; False if the same request was granted before."""
    table = reidentifications
    known = (
        await writing.connection.execute(select(table.c.digest).where(table.c.digest == what.digest))
    ).scalar_one_or_none()
    if known is not None:
        return False
    await writing.connection.execute(
        insert(table).values(**{name: getattr(what, name) for name in Reidentification.__slots__})
    )
    return True


async def get_reidentification(reading: Reading, reidentification_id: str) -> Reidentification | None:
    """One grant, whatever became of it."""
    table = reidentifications
    row = (
        await reading.connection.execute(select(table).where(table.c.reidentification_id == reidentification_id))
    ).first()
    return Reidentification(**row._mapping) if row else None


async def move_reidentification(writing: Writing, reidentification_id: str, before: str, after: str) -> bool:
    """Change its state; False if it was in another than `before`."""
    table = reidentifications
    result = await writing.connection.execute(
        update(table)
        .where(table.c.reidentification_id == reidentification_id, table.c.state == before)
        .values(state=after)
    )
    return result.rowcount == 1


# --- envelopes under way -------------------------------------------------------------------------------------------------------


async def waiting_envelopes(reading: Reading) -> list[tuple[str, str, str, bytes]]:
    """(delivery id, exchange, recipient, envelope) of every envelope that is still held."""
    rows = await reading.connection.execute(
        select(outbox.c.delivery_id, outbox.c.exchange, outbox.c.recipient, outbox.c.envelope).where(
            outbox.c.envelope.is_not(None)
        )
    )
    return [(row.delivery_id, row.exchange, row.recipient, bytes(row.envelope)) for row in rows]


async def readdress_waiting(writing: Writing, delivery_id: str, envelope: bytes) -> None:
    """Replace a held envelope's bytes by the same envelope under other pseudonyms."""
    await writing.connection.execute(
        update(outbox)
        .where(outbox.c.delivery_id == delivery_id, outbox.c.envelope.is_not(None))
        .values(envelope=envelope)
    )
