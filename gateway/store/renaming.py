"""Every name of a child in the store given another form at once: for rotating the gateway's own scope.

Rules kept here: nothing commits; places are found as in `children.py`, by the shape of the schema, so a new table cannot be
forgotten; histories' keys are renamed by `gateway/audit/renaming.py`, because their counters are sealed to the name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update

from gateway.domain.canonical import canonical
from gateway.store.audit_tables import audit_holds, audit_keys
from gateway.store.children import child_tables
from gateway.store.database import Writing
from gateway.store.exchange_tables import aliases, outbox, send_permits

Renamed = Callable[[bytes], bytes]
"""The point by which a child is known from now on."""


async def rename_children(writing: Writing, renamed: Renamed) -> None:
    """Every record, alias, envelope's facts and send permit."""
    columns = [table.c.child for table in child_tables()]
    for column in (*columns, aliases.c.old, aliases.c.new):
        found = await writing.connection.execute(select(column).distinct().where(column.is_not(None)))
        pairs = [{"was": bytes(point), "now": renamed(bytes(point))} for (point,) in found.all()]
        await _change(writing, update(column.table).where(column == bindparam("was")).values({column: _NOW}), pairs)
    for key, document, rename in (
        (outbox.c.delivery_id, outbox.c.facts, _rename_facts),
        (send_permits.c.permit_id, send_permits.c.decision, _rename_decision),
    ):
        rows = (await writing.connection.execute(select(key, document))).all()
        told = [{"was": name, "now": canonical(rename(json.loads(bytes(data)), renamed))} for name, data in rows]
        await _change(writing, update(key.table).where(key == bindparam("was")).values({document: _NOW}), told)


async def rename_holders(writing: Writing, rows: Iterable[tuple[bytes, int, bytes, bytes]]) -> None:
    """(holder, generation, new holder, state sealed to it) of histories' keys."""
    here = (audit_keys.c.holder == bindparam("was"), audit_keys.c.generation == bindparam("number"))
    change = update(audit_keys).where(*here).values(holder=_NOW, state=bindparam("sealed"))
    await _change(writing, change, [dict(zip(("was", "number", "now", "sealed"), row, strict=True)) for row in rows])


async def rename_holds(writing: Writing, names_child: Callable[[bytes], bool], renamed: Renamed) -> None:
    """Whose histories are kept from destruction."""
    found = await writing.connection.execute(select(audit_holds.c.holder).distinct())
    pairs = [{"was": bytes(one), "now": renamed(bytes(one))} for (one,) in found.all() if names_child(bytes(one))]
    await _change(
        writing, update(audit_holds).where(audit_holds.c.holder == bindparam("was")).values(holder=_NOW), pairs
    )


_NOW: Any = bindparam("now")


async def _change(writing: Writing, statement: Any, parameters: Sequence[dict[str, Any]]) -> None:
    if parameters:
        await writing.connection.execute(statement, parameters)


def _rename_facts(facts: dict[str, Any], renamed: Renamed) -> dict[str, Any]:
    return {**facts, "children": {line: _digits(child, renamed) for line, child in facts["children"].items()}}


def _rename_decision(decision: dict[str, Any], renamed: Renamed) -> dict[str, Any]:
    lines = {number: {**line, "child": _digits(line["child"], renamed)} for number, line in decision["lines"].items()}
    return {**decision, "lines": lines}


def _digits(child: str, renamed: Renamed) -> str:
    return renamed(bytes.fromhex(child)).hex() if child else ""
