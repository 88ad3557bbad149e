"""kill -9 under load: nothing acknowledged is lost, nothing forks, and the log goes on."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.store import audit as store
from gateway.store.database import Database
from tests.unit.audit.audit_world import a_log, draft, make_log, url

pytestmark = pytest.mark.anyio


def spawn(directory: Path, database_url: str, in_flight: int = 16, entries: int | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.appender", str(directory), database_url, str(in_flight)]
    if entries is not None:
        command.append(str(entries))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def acknowledged(output: str) -> dict[int, str]:
    """Whole lines only: a torn last line was not an acknowledgement that anybody could read."""
    lines = output.rpartition("\n")[0].split("\n")
    pairs = [line.split(" ") for line in lines if line and line != "ready"]
    return {int(index): digest for index, digest in pairs}


async def _require_kept(database: Database, told: dict[int, str]) -> None:
    async with database.read() as reading:
        for start in range(0, max(told, default=-1) + 1, 2000):
            rows = await store.get_entries(reading, start, start + 2000)
            for row in rows:
                expected = told.pop(row.index, None)
                assert expected in (None, hashlib.sha256(row.leaf).hexdigest())
    assert told == {}


async def _kill(directory: Path, times: int) -> None:
    database_url = url(directory)
    async with a_log(directory):
        pass
    told: dict[int, str] = {}
    for _ in range(times):
        process = spawn(directory, database_url)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.02, 0.4))
        process.kill()
        heard = acknowledged(process.stdout.read())
        process.wait()
        assert not heard.keys() & told.keys(), "one index was given twice"
        told |= heard
        database = Database(database_url)
        log = make_log(directory, database)
        await log.start()
        assert (await log.verify()).entries > max(told, default=-1)
        await log.append(draft())
        await log.close()
        await _require_kept(database, dict(told))
        await database.close()
    assert told


@pytest.mark.timeout(200)
async def test_ten_kills_lose_nothing_acknowledged(tmp_path) -> None:
    await _kill(tmp_path, 10)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_hundred_kills_lose_nothing_acknowledged(tmp_path) -> None:
    await _kill(tmp_path, 100)


@pytest.mark.timeout(120)
async def test_two_writers_share_one_log_without_a_fork(tmp_path) -> None:
    async with a_log(tmp_path):
        pass
    pair = [spawn(tmp_path, url(tmp_path), 8, 300) for _ in range(2)]
    told = [acknowledged(process.communicate(timeout=100)[0]) for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert told[0].keys() & told[1].keys() == set()
    assert told[0].keys() | told[1].keys() == set(range(600))
    database = Database(url(tmp_path))
    log = make_log(tmp_path, database)
    await log.start()
    assert (await log.verify()).entries == 600
    await log.close()
    await _require_kept(database, told[0] | told[1])
    await database.close()
