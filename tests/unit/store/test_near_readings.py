"""SQLite readings: the quick ones stay where their caller stands, the long ones go to the driver's thread."""

import threading

import pytest

from gateway.store.database import Database

pytestmark = pytest.mark.anyio
SMALL = "SELECT 1 UNION ALL SELECT ?"
LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT count(*) FROM n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def database(tmp_path):
    opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'near.sqlite3'}")
    yield opened
    await opened.close()


def compilations(near):
    """How many parts of statements were compiled since: the authorizer is asked then and only then."""
    asked = []

    def note(*_):
        asked.append(threading.current_thread())
        return 0

    near._conn.set_authorizer(note)
    return asked


async def run(near, sql, *values):
    """Rows, and whether the loop's own thread fetched them."""
    threads = []

    def work(connection):
        threads.append(threading.current_thread())
        return connection.execute(sql, values).fetchall()

    return await near.near(work), threads[-1] is threading.current_thread()


async def test_a_small_reading_is_never_taken_for_long_however_often_it_runs(database):
    async with database.read() as reading:
        await run(reading.near, SMALL, 2)
        compiled = compilations(reading.near)
        for _ in range(20_000):
            rows, here = await run(reading.near, SMALL, 2)
            assert here
        assert rows == [(1,), (2,)]
        # The first run compiles it for the new authorizer; after that the compiled one serves.
        assert len(compiled) <= 10


async def test_a_long_reading_is_begun_again_in_the_thread_and_answers(database):
    async with database.read() as reading:
        for _ in range(3):
            rows, here = await run(reading.near, LONG)
            assert rows == [(100_000,)]
            assert not here
        rows, here = await run(reading.near, SMALL, 2)
        assert (rows, here) == ([(1,), (2,)], True)
