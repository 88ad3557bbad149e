"""A rotation's steps over the network: two approvers of two departments for exactly this step, and an entry for each."""

import pytest

from gateway.client.errors import GatewayRefused
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from keys import text
from keys.rotation import Step, due
from tests.unit.flows.naming_world import built, child, number_of

pytestmark = pytest.mark.anyio
SCOPE = Scope.open(Department.HEALTH)


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path, edges=()) as made:
        yield made


def signed(world, step, epoch, *approvers, scope="open:health"):
    subject = {"kind": "rotation", "scope": scope, "step": str(step), "epoch": epoch}
    return [world.approval(name, person, subject) for name, person in approvers or (("ca", "boss"), ("he", "boss"))]


async def asked(world, approvals, name="he", person="worker"):
    async with world.client(name, person) as client:
        answer = await world.posted(client, "/v1/keys/rotations", {"approvals": approvals})
    return answer.status_code, answer.json()


async def test_every_step_by_the_api_with_its_entry(world):
    async with world.client("he", None) as machine:
        [old] = await machine.pseudonyms([number_of(child(1))])
        for step in Step:
            epoch = due(world.ring, SCOPE)[step]
            status, body = await asked(world, signed(world, step, epoch))
            assert (status, body) == (200, {"scope": "open:health", "step": str(step), "epoch": epoch})
            if step is Step.BEGIN:
                told = await machine.epochs()
                assert (told["open"].current, told["open"].accepted) == (1, (1, 2))
                [new] = await machine.convert([old])
                assert text.read(new, SCOPE).epoch == 2
        told = await machine.epochs()
        assert (told["open"].current, told["open"].accepted) == (2, (2,))
        [again] = await machine.pseudonyms([number_of(child(1))])
        assert again == new
    codes = [entry["code"] for entry in await world.entries(kind="key.event") if "rotation" in entry.get("code", "")]
    assert codes == [f"rotation_{step}" for step in Step]


@pytest.mark.parametrize(
    ("approvers", "code"),
    [
        ((("ca", "boss"), ("ca", "chief")), "approval_departments"),
        ((("ca", "boss"), ("ca", "boss")), "approval_departments"),
        ((("ca", "boss"), ("he", "worker")), "approver_function"),
    ],
)
async def test_a_step_without_two_departments_approvers_is_refused(world, approvers, code):
    status, body = await asked(world, signed(world, Step.PREPARE, 2, *approvers))
    assert (status, body["code"]) == (403, code)
    assert Step.PREPARE in due(world.ring, SCOPE)


async def test_the_officer_who_asks_does_not_approve(world):
    status, body = await asked(world, signed(world, Step.PREPARE, 2), person="boss")
    assert (status, body["code"]) == (403, "approval_self")


async def test_approvals_of_another_step_scope_or_epoch_do_not_serve(world):
    one, other = signed(world, Step.PREPARE, 2)
    _, other_scope = signed(world, Step.PREPARE, 2, scope="open:education")
    assert (await asked(world, [one, other_scope]))[1]["code"] == "approval_subject"
    assert (await asked(world, signed(world, Step.PREPARE, 3)))[1]["code"] == "rotation_order"
    assert (await asked(world, signed(world, Step.RETIRE, 1)))[1]["code"] == "rotation_order"
    assert (await asked(world, signed(world, Step.PREPARE, 2, scope="gateway")))[1]["code"] == "scope_unknown"
    assert (await asked(world, signed(world, Step.PREPARE, 2, scope="closed:health:X02")))[1]["code"] == "scope_unknown"
    assert (await asked(world, signed(world, "skip", 2)))[1]["code"] == "rotation_step"
    assert (await asked(world, [one, other]))[0] == 200
    # The same signatures a second time: the step is no longer due.
    assert (await asked(world, [one, other]))[1]["code"] == "rotation_order"


async def test_a_holder_converts_only_its_own_scopes(world):
    async with world.client("he", None) as health, world.client("yl", None) as league:
        [name] = await health.pseudonyms([number_of(child(1))])
        for exchange, code in ((None, "pseudonym_scope"), ("X13", "pseudonym_scope"), ("X02", "exchange_unknown")):
            with pytest.raises(GatewayRefused, match=code):
                await league.convert([name], exchange=exchange)
        with pytest.raises(GatewayRefused, match="pseudonym_epoch"):
            await health.convert([name], epoch=2)
        assert await health.convert([name]) == [name]


async def test_closed_scopes_rotate_and_convert_like_open_ones(world):
    name = world.named("yl", child(1), "X13")
    for step in (Step.PREPARE, Step.BEGIN):
        assert (await asked(world, signed(world, step, 2, scope="closed:youth_league:X13")))[0] == 200
    async with world.client("yl", None) as league:
        assert (await league.epochs())["X13"].accepted == (1, 2)
        [new] = await league.convert([name], exchange="X13", finished=True)
        assert await league.convert([new], exchange="X13", epoch=1) == [name]
