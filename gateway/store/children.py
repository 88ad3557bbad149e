"""Every place in the store in which a child stands, as one list: for joining two names of one child.

Rules kept here: places are found by the shape of the schema (a column `child`), so a new table cannot be forgotten; nothing commits; JSON that names children is changed by their 64 hexadecimal digits, which stand for
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import LargeBinary, Table, delete, insert, select, update

from gateway.store.audit_tables import audit_keys
from gateway.store.database import Reading, Writing, metadata
from gateway.store.exchange_tables import aliases, outbox, send_permits
from gateway.store.exchanges import resolve_alias

_OPEN_STATES = ("waiting", "delivered")


def child_tables() -> Iterator[Table]:
    """Tables with a column `child` of 32 bytes, in the order of their names."""
    import gateway.store.schema  # noqa: F401  (registers every table on `metadata`)

    for name in sorted(metadata.tables):
        table = metadata.tables[name]
        if "child" in table.c and isinstance(table.c.child.type, LargeBinary):
            yield table


async def has_history(reading: Reading, child: bytes) -> bool:
    """Whether anything is known of a child: a record of any kind, or an entry of the log."""
    for table in child_tables():
        found = await reading.connection.execute(select(table.c.child).where(table.c.child == child).limit(1))
        if found.first() is not None:
            return True
    found = await reading.connection.execute(select(audit_keys.c.holder).where(audit_keys.c.holder == child).limit(1))
    return found.first() is not None


async def move_child(writing: Writing, old: bytes, new: bytes) -> int:
    """Give every record of `old` to `new`, also envelopes under way; returns how many rows moved. The log's histories stay where
    their entries are: both are read for the joined child (`earlier_names`).
    """
    moved = 0
    for table in child_tables():
        moved += await _move(writing, table, old, new)
    await _rewrite_json(writing, {old.hex(): new.hex()})
    return moved


async def join(writing: Writing, old: bytes, new: bytes, entry_id: str) -> None:
    """The alias row, after which `old` is `new` for every reader; what was joined to `old` before follows."""
    await writing.connection.execute(update(aliases).where(aliases.c.new == old).values(new=new))
    await writing.connection.execute(insert(aliases).values(old=old, new=new, entry_id=entry_id))


async def earlier_names(reading: Reading, child: bytes) -> list[bytes]:
    """The points by which a child was known before they were joined to this one, for reading its whole history."""
    rows = await reading.connection.execute(select(aliases.c.old).where(aliases.c.new == child).order_by(aliases.c.old))
    return [bytes(row.old) for row in rows]


async def every_name(reading: Reading, child: bytes) -> list[bytes]:
    """All points by which a child is or was known, the present one first; the same whichever of them is given."""
    present = await resolve_alias(reading, child)
    return [present, *await earlier_names(reading, present)]


async def joined_names(reading: Reading) -> list[tuple[bytes, bytes]]:
    """Every (earlier, present) name of one child."""
    rows = await reading.connection.execute(select(aliases.c.old, aliases.c.new).order_by(aliases.c.old))
    return [(bytes(old), bytes(new)) for old, new in rows]


async def _move(writing: Writing, table: Table, old: bytes, new: bytes) -> int:
    """Where the moved row would stand beside one of the same key, the one that is there stays."""
    key = [column for column in table.primary_key.columns if column.name != "child"]
    in_key = "child" in table.primary_key.columns
    rows = (await writing.connection.execute(select(table).where(table.c.child == old))).all()
    for row in rows:
        if in_key:
            same = [column == getattr(row, column.name) for column in key]
            taken = await writing.connection.execute(select(table.c.child).where(table.c.child == new, *same))
            if taken.first() is not None:
                await writing.connection.execute(delete(table).where(table.c.child == old, *same))
                continue
            await writing.connection.execute(update(table).where(table.c.child == old, *same).values(child=new))
    if not in_key:
        await writing.connection.execute(update(table).where(table.c.child == old).values(child=new))
    return len(rows)


async def _rewrite_json(writing: Writing, digits: Mapping[str, str]) -> None:
    """Children in the facts of envelopes under way and in send permits."""
    for table, key, document, where in (
        (outbox, outbox.c.delivery_id, outbox.c.facts, outbox.c.state.in_(_OPEN_STATES)),
        (send_permits, send_permits.c.permit_id, send_permits.c.decision, send_permits.c.used.is_(False)),
    ):
        rows = (await writing.connection.execute(select(key, document).where(where))).all()
        for name, data in rows:
            text = bytes(data).decode("utf-8")
            told = _renamed(text, digits)
            if told != text:
                await writing.connection.execute(
                    update(table).where(key == name).values({document.name: told.encode("utf-8")})
                )


def _renamed(text: str, digits: Mapping[str, str]) -> str:
    """Every quoted run of 64 hexadecimal digits that is a child's name, replaced."""
    parts = text.split('"')
    return '"'.join(digits.get(part, part) if len(part) == 64 else part for part in parts)
