"""What an auditor asks of the log over the machine door: by word, by time, by actor; and each look is an entry."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import GATEWAY_SCOPE
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from tests.unit.flows.naming_world import built, child

pytestmark = pytest.mark.anyio
ENTRIES, ACTORS = "/v1/audit/entries", "/v1/audit/actors/history"


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path, edges=()) as made:
        whose = made.ring.derive(GATEWAY_SCOPE, child(1)).point
        for number in range(6):
            made.clock.moment += timedelta(hours=1)
            entry = EntryDraft(
                kind=EntryKind.QUERY,
                outcome=Outcome.DENIED if number % 3 == 0 else Outcome.RELEASED,
                code="rule_denied" if number % 3 == 0 else "",
                exchange="X02",
                door=Door.EMERGENCY if number == 5 else Door.NORMAL,
                purpose="P02" if number % 2 else "P01",
                requester=Department.HEALTH,
                provider=Department.EDUCATION,
                children=(whose,),
                actors=(f"client:clinic-{number % 2}",),
            )
            await made.house.log.append(entry)
        yield made


async def asked(world, path: str, **body) -> list[dict]:
    auditor = world.client("ca", "auditor")
    answer = await world.posted(auditor, path, body)
    assert answer.status_code == 200, answer.text
    assert "audit-receipt" in answer.headers
    return [json.loads(one["leaf"]) for one in answer.json()["entries"]]


WORDS = [
    ({"kind": "query"}, 6),
    ({"outcome": "denied"}, 2),
    ({"code": "rule_denied", "department": "health"}, 2),
    ({"purpose": "P02", "exchange": "X02"}, 3),
    ({"door": "emergency"}, 1),
    ({"provider": "education", "outcome": "released"}, 4),
]


async def test_auditor_filters_by_any_word_of_a_skeleton(world) -> None:
    names = {"department": "from", "provider": "to"}
    for words, count in WORDS:
        found = await asked(world, ENTRIES, **words)
        assert len(found) == count, words
        assert all(entry[names.get(word, word)] == value for entry in found for word, value in words.items())


async def test_auditor_asks_for_a_time_range_page_by_page(world) -> None:
    ends = world.clock.moment.astimezone(UTC)
    begins = ends - timedelta(hours=3)
    span = {"kind": "query", "since": begins.isoformat(), "until": ends.isoformat()}
    times = [datetime.fromtimestamp(one["t"] / 1e6, UTC) for one in await asked(world, ENTRIES, **span)]
    assert len(times) == 3
    assert all(begins <= one < ends for one in times)
    whole, after = [], -1
    while True:
        answer = await world.posted(world.client("ca", "auditor"), ENTRIES, {**span, "limit": 2, "after": after})
        page = answer.json()["entries"]
        if not page:
            break
        whole += [one["index"] for one in page]
        after = page[-1]["index"]
    assert len(whole) == 3
    assert whole == sorted(whole, reverse=True)


async def test_auditor_sees_all_that_an_actor_had_a_part_in_and_the_look_itself_is_an_entry(world) -> None:
    found = await asked(world, ACTORS, actor="client:clinic-1")
    assert [entry["kind"] for entry in found] == ["query"] * 3
    assert await asked(world, ACTORS, actor="client:nobody") == []
    assert len(await world.entries(kind="audit.query")) == 2


async def test_nobody_but_an_auditor_follows_an_actor(world) -> None:
    answer = await world.posted(world.client("ca", "worker"), ACTORS, {"actor": "client:clinic-1"})
    assert (answer.status_code, answer.json()["code"]) == (403, "auditor_only")


async def test_filter_of_another_form_is_refused(world) -> None:
    for body in ({"since": "2026-11-01T00:00:00"}, {"until": 5}, {"code": "%"}, {"door": "back"}):
        answer = await world.posted(world.client("ca", "auditor"), ENTRIES, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "body_invalid"), body
