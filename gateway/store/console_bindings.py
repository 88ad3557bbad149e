"""Reads and writes of the bindings between accounts and subjects of the OpenID Connect provider.

Rules kept here: nothing commits; a binding is made and undone as the effect of its entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select

from gateway.store.console_tables import console_openid_bindings as table
from gateway.store.database import Reading, Writing


@dataclass(frozen=True, slots=True)
class BindingRow:
    """Whose account a subject is; see `console_tables.console_openid_bindings`."""

    subject_digest: bytes = field(repr=False)
    account: str
    issuer: str
    bound: int


async def find_binding(reading: Reading, subject_digest: bytes) -> BindingRow | None:
    """The binding of a subject."""
    rows = await reading.connection.execute(_all().where(table.c.subject_digest == subject_digest))
    row = rows.one_or_none()
    return None if row is None else BindingRow(*row)


async def binding_of(reading: Reading, account: str) -> BindingRow | None:
    """The binding of an account."""
    row = (await reading.connection.execute(_all().where(table.c.account == account))).one_or_none()
    return None if row is None else BindingRow(*row)


async def all_bindings(reading: Reading) -> list[BindingRow]:
    """Every binding, by account."""
    return [BindingRow(*row) for row in await reading.connection.execute(_all().order_by(table.c.account))]


async def put_binding(writing: Writing, row: BindingRow) -> None:
    """Enter a binding; the caller has looked that both sides are free."""
    values = {name: getattr(row, name) for name in BindingRow.__slots__}
    await writing.connection.execute(insert(table).values(**values))


async def drop_binding(writing: Writing, account: str) -> bool:
    """Undo the binding of an account; False where it has none."""
    done = await writing.connection.execute(delete(table).where(table.c.account == account))
    return bool(done.rowcount == 1)


def _all() -> Any:
    return select(*(table.c[name] for name in BindingRow.__slots__))
