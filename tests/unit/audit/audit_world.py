"""A log in a folder of its own, and drafts to put into it."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gateway.store.schema  # noqa: F401
from gateway.audit.highwater import HighWater
from gateway.audit.log import AuditLog
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.proofs.notes import Signer
from gateway.store.database import Database
from keys.buckets import BucketFile
from keys.providers import LocalRootKey

ORIGIN = "log.example/audit/2026"
SIGNER = Signer.from_seed(ORIGIN, b"\x11" * 32)
ROOT = b"\x22" * 32
CHILD = bytes(range(32))
OTHER = bytes(range(32, 64))


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def move(self, **parts: float) -> None:
        self.at += timedelta(**parts)


def url(directory: Path) -> str:
    return f"sqlite+aiosqlite:///{directory}/gateway.db"


def make_log(directory: Path, database: Database, **options) -> AuditLog:
    return AuditLog(
        database,
        signer=options.pop("signer", SIGNER),
        buckets=options.pop("buckets", None) or BucketFile.open(directory / "buckets", LocalRootKey(ROOT)),
        high_water=HighWater(directory / "high-water"),
        **options,
    )


@asynccontextmanager
async def a_log(directory: Path, **options):
    database = Database(options.pop("url", url(directory)))
    await database.create_schema()
    log = make_log(directory, database, **options)
    await log.start()
    try:
        yield log
    finally:
        await log.close()
        await database.close()


def draft(*children: bytes, **changes) -> EntryDraft:
    values = {
        "kind": EntryKind.QUERY,
        "outcome": Outcome.RELEASED,
        "exchange": "X01",
        "door": Door.NORMAL,
        "purpose": "P01",
        "requester": Department.EDUCATION,
        "provider": Department.CIVIL_AFFAIRS,
        "policy_version": "sha256:" + "a" * 64,
        "children": children,
        "actors": ("client:edu-1", "person:330106-edu/17"),
        "request_digest": os.urandom(32),
        "request_salt": os.urandom(16),
        "answer_digest": os.urandom(32),
        "answer_salt": os.urandom(16),
        "detail": {"request": "r-1", "case": "case-clear-7"},
    }
    return EntryDraft(**(values | changes))
