"""What `gateway/flows/policy_*.py` keep and read: rows of rules, documents, drafts, approvals, activations, past requests.

Rules kept here: rows come and go as plain texts, in the order of `COLUMNS`, and are judged elsewhere; nothing commits; a number or
an approval that exists already refuses the second writer, so two administrators cannot both be first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Row, Table, bindparam, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from gateway.domain.canonical import canonical
from gateway.errors import Denied
from gateway.store.database import Reading, Writing
from gateway.store.policy_tables import (
    policy_activations,
    policy_approvals,
    policy_asked,
    policy_changes,
    policy_documents,
    share_policy,
)
from gateway.store.prepared import Prepared

COLUMNS = tuple(column.name for column in share_policy.columns if column.name not in ("number", "digest"))
ASKED = ("sub", "dom", "obj", "act", "pur", "reg", "con")
_Value = TypeVar("_Value")
_TOGETHER = 400
"""Values in one statement: SQLite takes 999."""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One revision of a draft. base: number of the activation that it starts from. files: path to digest. rows: numbers of
    rules, in order. made_at: unix seconds. author: `<organisation>/<person>`.
    """

    change_id: str
    revision: int
    base: int
    version: str
    cases: str
    files: Mapping[str, str] = field(repr=False)
    rows: tuple[int, ...] = field(repr=False)
    author: str
    reason: str
    made_at: int
    closed: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A signed approval of one revision. signer: `<organisation>/<person>`."""

    change_id: str
    revision: int
    signer: str
    department: str
    made_at: int
    statement: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """From when on which revision decides. kind: seeded, activated or rolled_back. at, made_at: unix seconds."""

    number: int
    kind: str
    change_id: str
    revision: int
    version: str
    at: int
    made_at: int
    statements: tuple[str, ...] = field(repr=False)
    seal: bytes = field(repr=False, default=b"")


# --- rules and documents --------------------------------------------------------------------------------------------------


async def put_rows(writing: Writing, rows: Sequence[tuple[str, ...]]) -> tuple[int, ...]:
    """Enter rules that do not stand yet; the numbers of all, in their order."""
    digests = [hashlib.sha256(canonical(list(row))).digest() for row in rows]
    known = await _numbers(writing, digests)
    coming = {digest: row for digest, row in zip(digests, rows, strict=True) if digest not in known}
    if coming:
        values = [{"digest": digest, **dict(zip(COLUMNS, row, strict=True))} for digest, row in coming.items()]
        await writing.connection.execute(insert(share_policy), values)
        known |= await _numbers(writing, list(coming))
    return tuple(known[digest] for digest in digests)


async def rows_of(reading: Reading, numbers: Sequence[int]) -> list[tuple[str, ...]]:
    """The rules behind some numbers, in their order. `KeyError` where one is missing."""
    found: dict[int, tuple[str, ...]] = {}
    columns = [share_policy.c.number, *(share_policy.c[name] for name in COLUMNS)]
    for some in _parts(sorted(set(numbers))):
        rows = await reading.connection.execute(select(*columns).where(share_policy.c.number.in_(some)))
        found |= {row[0]: tuple(row[1:]) for row in rows}
    return [found[number] for number in numbers]


async def put_documents(writing: Writing, documents: Mapping[str, str]) -> None:
    """Enter documents by their digest; what stands already stays."""
    for digest, document in documents.items():
        await writing.connection.execute(
            _if_absent(writing, policy_documents, {"digest": digest, "document": document})
        )


async def documents_of(reading: Reading, digests: Iterable[str]) -> dict[str, str]:
    """The documents behind some digests."""
    found: dict[str, str] = {}
    for some in _parts(sorted(set(digests))):
        rows = await reading.connection.execute(
            select(policy_documents.c.digest, policy_documents.c.document).where(policy_documents.c.digest.in_(some))
        )
        found |= {row.digest: row.document for row in rows}
    return found


# --- drafts and approvals ---------------------------------------------------------------------------------------------------


async def add_change(writing: Writing, change: ChangeRow) -> None:
    """Enter a revision. `Denied("policy_stale")` where somebody else entered this revision first."""
    row = {
        "change_id": change.change_id,
        "revision": change.revision,
        "base": change.base,
        "version": change.version,
        "cases": change.cases,
        "files": canonical(dict(change.files)).decode("utf-8"),
        "rows": ",".join(map(str, change.rows)),
        "author": change.author,
        "reason": change.reason,
        "made_at": change.made_at,
        "closed": change.closed,
    }
    await _insert_once(writing, policy_changes, row, "policy_stale")


async def get_change(reading: Reading, change_id: str, revision: int | None = None) -> ChangeRow | None:
    """One revision of a draft, the newest where none is named; None where there is no such draft."""
    found = select(policy_changes).where(policy_changes.c.change_id == change_id)
    if revision is not None:
        found = found.where(policy_changes.c.revision == revision)
    row = (await reading.connection.execute(found.order_by(policy_changes.c.revision.desc()).limit(1))).first()
    return _change(row) if row is not None else None


async def list_changes(reading: Reading, limit: int = 100) -> list[ChangeRow]:
    """The newest revision of each draft, newest draft first."""
    newest = (
        select(policy_changes.c.change_id, func.max(policy_changes.c.revision).label("revision"))
        .group_by(policy_changes.c.change_id)
        .subquery()
    )
    joined = policy_changes.join(
        newest,
        (policy_changes.c.change_id == newest.c.change_id) & (policy_changes.c.revision == newest.c.revision),
    )
    rows = await reading.connection.execute(
        select(policy_changes)
        .select_from(joined)
        .order_by(policy_changes.c.made_at.desc(), policy_changes.c.change_id)
        .limit(limit)
    )
    return [_change(row) for row in rows]


async def add_approval(writing: Writing, approval: ApprovalRow) -> None:
    """Enter an approval. `Denied("approval_replayed")` where this person has signed this revision already."""
    row = {name: getattr(approval, name) for name in ApprovalRow.__slots__}
    await _insert_once(writing, policy_approvals, row, "approval_replayed")


async def approvals_of(reading: Reading, change_id: str, revision: int) -> list[ApprovalRow]:
    """The approvals of one revision, in the order in which they came."""
    rows = await reading.connection.execute(
        select(policy_approvals)
        .where(policy_approvals.c.change_id == change_id, policy_approvals.c.revision == revision)
        .order_by(policy_approvals.c.made_at, policy_approvals.c.signer)
    )
    return [
        ApprovalRow(row.change_id, row.revision, row.signer, row.department, row.made_at, row.statement) for row in rows
    ]


# --- activations --------------------------------------------------------------------------------------------------------------


async def add_activation(writing: Writing, activation: ActivationRow) -> None:
    """Enter the next activation. `Denied("policy_stale")` where somebody else was first."""
    row = {name: getattr(activation, name) for name in ActivationRow.__slots__}
    row["statements"] = json.dumps(activation.statements)
    await _insert_once(writing, policy_activations, row, "policy_stale")


async def list_activations(reading: Reading) -> list[ActivationRow]:
    """Every activation in the order of the numbers."""
    rows = await reading.connection.execute(select(policy_activations).order_by(policy_activations.c.number))
    return [
        ActivationRow(
            number=row.number,
            kind=row.kind,
            change_id=row.change_id,
            revision=row.revision,
            version=row.version,
            at=row.at,
            made_at=row.made_at,
            statements=tuple(json.loads(row.statements)),
            seal=row.seal,
        )
        for row in rows
    ]


_NEWEST = Prepared(lambda: select(func.max(policy_activations.c.number)))


async def newest_activation(reading: Reading) -> int:
    """The last number, 0 where nothing was ever activated: the one read that every worker makes again and again."""
    row = await _NEWEST.first(reading)
    return int(row[0]) if row is not None and row[0] is not None else 0


# --- what was asked -----------------------------------------------------------------------------------------------------------


async def count_asked(writing: Writing, day: str, asked: Mapping[tuple[str, ...], int]) -> None:
    """Add up how often each request was made on a day. The keys are in the order of `ASKED`."""
    for values, times in asked.items():
        row = {"day": day, **dict(zip(ASKED, values, strict=True)), "times": times}
        upsert = sqlite.insert if writing.connection.dialect.name == "sqlite" else postgresql.insert
        adding = upsert(policy_asked).values(**row)
        await writing.connection.execute(
            adding.on_conflict_do_update(
                index_elements=[policy_asked.c.day, *(policy_asked.c[name] for name in ASKED)],
                set_={"times": policy_asked.c.times + adding.excluded.times},
            )
        )


async def forget_asked(writing: Writing, before: str) -> None:
    """Drop the counts of the days before this one."""
    await writing.connection.execute(
        delete(policy_asked).where(policy_asked.c.day < bindparam("first")), {"first": before}
    )


async def list_asked(reading: Reading) -> list[tuple[tuple[str, ...], int]]:
    """What was asked on all days together; the values are in the order of `ASKED`."""
    columns = [policy_asked.c[name] for name in ASKED]
    rows = await reading.connection.execute(
        select(*columns, func.sum(policy_asked.c.times)).group_by(*columns).order_by(*columns)
    )
    return [(tuple(row[:-1]), int(row[-1])) for row in rows]


# --- small parts --------------------------------------------------------------------------------------------------------------


async def _numbers(reading: Reading, digests: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for some in _parts(digests):
        rows = await reading.connection.execute(
            select(share_policy.c.digest, share_policy.c.number).where(share_policy.c.digest.in_(some))
        )
        found |= {bytes(row.digest): row.number for row in rows}
    return found


def _change(row: Row[tuple[object, ...]]) -> ChangeRow:
    values = row._mapping
    return ChangeRow(
        change_id=values["change_id"],
        revision=values["revision"],
        base=values["base"],
        version=values["version"],
        cases=values["cases"],
        files=json.loads(values["files"]),
        rows=tuple(int(number) for number in values["rows"].split(",")),
        author=values["author"],
        reason=values["reason"],
        made_at=values["made_at"],
        closed=values["closed"],
    )


def _parts(values: Sequence[_Value]) -> Iterable[Sequence[_Value]]:
    return (values[start : start + _TOGETHER] for start in range(0, len(values), _TOGETHER))


async def _insert_once(writing: Writing, table: Table, row: Mapping[str, object], code: str) -> None:
    try:
        async with writing.connection.begin_nested():
            await writing.connection.execute(insert(table).values(**row))
    except IntegrityError as error:
        # The driver's text may repeat the row, so nothing of it goes on.
        raise Denied(code) from error


def _if_absent(writing: Writing, table: Table, row: Mapping[str, object]) -> sqlite.Insert | postgresql.Insert:
    if writing.connection.dialect.name == "sqlite":
        return sqlite.insert(table).values(**row).on_conflict_do_nothing()
    return postgresql.insert(table).values(**row).on_conflict_do_nothing()
