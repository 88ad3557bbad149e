"""The world itself: one question is asked and answered through every door, so that the tests built on it mean something."""

import pytest

from tests.unit.flows.naming_world import built, child, number_of

pytestmark = pytest.mark.anyio


async def test_a_question_is_answered_from_the_register_and_leaves_its_entry(tmp_path):
    async with built(tmp_path) as world:
        edge = world.edges["ed"]
        edge.register.rows["S0001"] = number_of(child(1))
        async with world.client("ed", None) as machine:
            done = await edge.source.enrol(machine.evaluate, None)
        assert done.enrolled == 1
        async with world.client("ca") as client:
            case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(child(1)))
            answer = await client.ask("X02", "P14", identifier=number_of(child(1)), case=case)
        assert answer.values["grade"] == "02"
        assert [entry["outcome"] for entry in await world.entries(kind="query")] == ["released"]
