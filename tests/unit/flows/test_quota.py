"""The blind door's limits: quota, burst, grants, alarms. The quota is part of the cryptography."""

import asyncio

import pytest
from sqlalchemy import func, select

from gateway.client import statements
from gateway.client.errors import GatewayRefused
from gateway.domain.vocabulary import Department
from gateway.flows.evaluation_quota import BURST_SECONDS, LEAST_BURST, LEAST_QUOTA
from gateway.flows.upkeep import upkeep
from gateway.store.exchange_tables import door_alarms, evaluation_counts, evaluation_windows
from keys.group import hash_to_group
from keys.identifiers import issue
from tests.unit.flows.naming_world import b64, built, child, number_of

pytestmark = pytest.mark.anyio


def points(count, start=0):
    return [hash_to_group(f"{start + number}".encode()) for number in range(count)]


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path, edges=()) as made:
        yield made


async def refused(work):
    with pytest.raises(GatewayRefused) as caught:
        await work
    return caught.value


async def test_over_the_days_quota_it_answers_429_and_raises_one_alarm(world):
    async with world.client("ed", None) as client:
        for turn in range(LEAST_QUOTA // LEAST_BURST):
            assert len((await client.evaluate(points(LEAST_BURST, turn * LEAST_BURST)))[0]) == LEAST_BURST
            world.clock.step(BURST_SECONDS)
        for _ in range(3):
            error = await refused(client.evaluate(points(1)))
            assert (error.code, error.status) == ("quota", 429)
        answer = await world.posted(client, "/v1/pseudonyms/evaluate", {"points": ["A" * 43]})
        assert answer.json()["code"] == "point_invalid"
        world.clock.step(error.facts["retry_after"])
        await client.evaluate(points(1))
    alarms = await world.entries(kind="alarm")
    assert [(alarm["code"], alarm["outcome"]) for alarm in alarms] == [("quota", "denied")]
    assert len(await world.entries(kind="pseudonyms.evaluated", outcome="denied", code="quota")) == 3


async def test_a_refusal_says_when_to_come_back(world):
    async with world.client("ed", None) as client:
        body = {"points": [b64(point) for point in points(LEAST_BURST)]}
        assert (await world.posted(client, "/v1/pseudonyms/evaluate", body)).status_code == 200
        world.clock.step(100)
        late = await world.posted(client, "/v1/pseudonyms/evaluate", body)
        assert late.status_code == 429
        assert late.json()["code"] == "burst"
        left = BURST_SECONDS - world.clock.seconds % BURST_SECONDS
        assert late.headers["retry-after"] == str(left)
        world.clock.step(left)
        assert (await world.posted(client, "/v1/pseudonyms/evaluate", body)).status_code == 200


async def test_a_burst_waits_for_its_window_and_raises_its_own_alarm(world):
    async with world.client("ed", None) as client:
        await client.evaluate(points(LEAST_BURST))
        assert (await refused(client.evaluate(points(1)))).code == "burst"
        assert (await refused(client.evaluate(points(1)))).code == "burst"
    assert [alarm["code"] for alarm in await world.entries(kind="alarm")] == ["burst"]


async def test_a_refused_call_costs_nothing_of_the_quota(world):
    async with world.client("ed", None) as client:
        await client.evaluate(points(LEAST_BURST - 1))
        assert (await refused(client.evaluate(points(2)))).code == "burst"
        await client.evaluate(points(1))


async def test_another_party_is_not_slowed_by_it(world):
    async with world.client("ed", None) as one, world.client("he", None) as other:
        await one.evaluate(points(LEAST_BURST))
        assert (await refused(one.evaluate(points(1)))).code == "burst"
        await other.evaluate(points(LEAST_BURST))


async def test_calls_at_the_same_time_cannot_pass_the_limit_together(world):
    async with world.client("ed", None) as client:
        ended = await asyncio.gather(
            *(client.evaluate(points(50, turn * 50)) for turn in range(10)), return_exceptions=True
        )
    answered = [end for end in ended if not isinstance(end, Exception)]
    assert len(answered) == LEAST_BURST // 50
    assert {end.code for end in ended if isinstance(end, Exception)} == {"burst"}
    assert len(await world.entries(kind="alarm")) == 1


def grant_statements(world, register, **changes):
    subject = {
        **statements.enrolment_grant(party=world["ed"].party, size=register, until=world.clock.seconds + 3600),
        **changes,
    }
    return [world.approval("ed", person, subject) for person in ("boss", "chief")]


async def test_a_grant_carries_an_enrolment_and_nothing_beyond_its_size_or_end(world):
    async with world.client("ed", None) as client:
        grant = await client.enrolment_grant(grant_statements(world, 1200))
        await client.evaluate(points(1000), grant)
        assert (await refused(client.evaluate(points(201), grant))).code == "grant_unknown"
        await client.evaluate(points(200), grant)
        assert (await refused(client.evaluate(points(1), grant))).code == "grant_unknown"
        second = await client.enrolment_grant(grant_statements(world, 10))
        world.clock.step(3600)
        assert (await refused(client.evaluate(points(1), second))).code == "grant_unknown"


async def test_a_grant_is_for_its_party_alone(world):
    async with world.client("ed", None) as client, world.client("he", None) as other:
        grant = await client.enrolment_grant(grant_statements(world, 100))
        assert (await refused(other.evaluate(points(1), grant))).code == "grant_unknown"


async def test_a_grant_needs_two_people_of_the_party_who_signed_the_same(world):
    async with world.client("ed", None) as client:
        subject = statements.enrolment_grant(party=world["ed"].party, size=10, until=world.clock.seconds + 3600)
        boss, chief = (world.approval("ed", person, subject) for person in ("boss", "chief"))
        other_size = world.approval("ed", "chief", {**subject, "size": 11})
        stranger = world.approval("he", "boss", subject)
        for pair in ([boss, boss], [boss, other_size], [boss, stranger]):
            assert (await refused(client.enrolment_grant(pair))).code == "grant_invalid"
        for wrong in ({"until": world.clock.seconds + 90_000}, {"size": 0}, {"party": world["he"].party.text}):
            assert (await refused(client.enrolment_grant(grant_statements(world, 10, **wrong)))).code == "grant_invalid"
        await client.enrolment_grant([boss, chief])


async def test_a_large_register_has_a_quota_of_two_percent_a_day(world):
    async with world.client("ed", None) as client:
        grant = await client.enrolment_grant(grant_statements(world, 50_000))
        async with world.house.database.write() as writing:
            from gateway.store.exchanges import use_grant

            assert await use_grant(writing, grant, world["ed"].party.text, 50_000, world.clock.seconds)
        for turn in range(4):
            await client.evaluate(points(250, turn * 250))
            world.clock.step(BURST_SECONDS)
        assert (await refused(client.evaluate(points(1)))).code == "quota"


async def test_joining_names_by_identifiers_in_clear_counts_like_the_blind_door(world):
    """Its answer names a child, so it would otherwise be a door without a quota."""
    async with world.client("ed") as client:
        await client.evaluate(points(LEAST_BURST - 3))
        for number in (1, 2):
            code = "burst" if number == 2 else ""
            joining = client.join_names(number_of(issue(Department.EDUCATION)), number_of(child(number)), assisted=True)
            if code:
                assert (await refused(joining)).code == code
            else:
                await joining
    assert [alarm["code"] for alarm in await world.entries(kind="alarm")] == ["burst"]


async def test_upkeep_removes_counts_of_the_past_and_nothing_of_today(world):
    async def counted():
        async with world.house.database.read() as reading:
            tables = (evaluation_windows, door_alarms, evaluation_counts)
            return [
                (await reading.connection.execute(select(func.count()).select_from(table))).scalar() for table in tables
            ]

    async with world.client("ed", None) as client:
        await client.evaluate(points(LEAST_BURST))
        await refused(client.evaluate(points(1)))
        await upkeep(world.house)
        assert await counted() == [1, 1, 1]
        assert (await refused(client.evaluate(points(1)))).code == "burst"
    world.clock.step(86_400)
    await upkeep(world.house)
    assert await counted() == [0, 0, 1]
