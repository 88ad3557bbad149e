"""What a review reads out of the log: one child is one child, whatever it was called when somebody looked."""

import pytest

from gateway.client.errors import GatewayRefused
from gateway.console.accesses import Tie
from gateway.console.triage import _cases, gather
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import GATEWAY_SCOPE
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.flows.rotation import take_step
from gateway.store.audit import get_head
from keys.identifiers import issue
from keys.rotation import Step
from tests.unit.flows.naming_world import built, child, number_of

pytestmark = pytest.mark.anyio
CHILD = child(71)


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        edge = made.edges["ed"]
        edge.register.rows["S0071"] = number_of(CHILD)
        async with made.client("ed", None) as machine:
            await edge.source.enrol(machine.evaluate, None)
        yield made


async def gathered(world):
    async def nowhere(done, total):
        assert done <= total

    async with world.house.database.read() as reading:
        size = (await get_head(reading)).size
        found = await gather(reading, world.house.log.keeper, 0, size, nowhere)
        found.links += await _cases(reading, found.accesses)
    return found


def present_name(world):
    return world.ring.derive(GATEWAY_SCOPE, CHILD).point


async def looked(world, case, *, of=CHILD):
    async with world.client("ca") as client:
        await client.ask("X02", "P14", pseudonym=world.named("ca", of), case=case)


async def test_a_child_that_was_read_before_and_after_a_rotation_of_our_own_scope_is_one_child_by_its_present_name(
    world,
):
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], pseudonym=world.named("ca", CHILD))
    await looked(world, case)
    before = present_name(world)
    for step in Step:
        by = EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, detail={"by": "test"})
        await take_step(world.house, GATEWAY_SCOPE, step, by=by)
    await looked(world, case)
    assert present_name(world) != before
    found = await gathered(world)
    assert [access.child for access in found.accesses] == [present_name(world)] * 2
    assert {link.child for link in found.links if link.tie is Tie.CASE} == {present_name(world)}


async def test_a_child_that_was_read_under_an_issued_name_and_under_the_later_one_is_one_child(world):
    issued = issue(Department.CIVIL_AFFAIRS)
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], pseudonym=world.named("ca", issued))
        with pytest.raises(GatewayRefused, match="no_result"):
            await looked(world, case, of=issued)  # the school does not know the child by that name
        await client.join_names(number_of(issued), number_of(CHILD))
    await looked(world, case, of=issued)
    found = await gathered(world)
    assert [access.child for access in found.accesses] == [present_name(world)] * 2
    assert {link.child for link in found.links if link.tie is Tie.CASE} == {present_name(world)}
