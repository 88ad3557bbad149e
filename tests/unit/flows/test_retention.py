"""Destroying what has ended: a dry run, two signatures of two departments, a certificate; and what keeps a child's history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.audit import reading as read
from gateway.client import statements
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import GATEWAY_SCOPE
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.flows import retention
from gateway.flows.upkeep import upkeep
from gateway.identity.enrolment import enrol_person
from gateway.store import audit as store
from keys.signing import SigningKey
from tests.unit.flows.naming_world import HOME, built, child

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path, edges=()) as made:
        yield made


def point(world, number: int) -> bytes:
    return world.ring.derive(GATEWAY_SCOPE, child(number)).point


async def entry_about(world, number: int) -> int:
    made = EntryDraft(kind=EntryKind.QUERY, outcome=Outcome.RELEASED, children=(point(world, number),))
    return (await world.house.log.append(made)).index


async def years_later(world, days: int = 4 * 366) -> None:
    """Time passes; nobody's key is good for years, so approvers are enrolled anew."""
    world.clock.moment += timedelta(days=days)
    async with world.house.database.read() as reading:
        snapshot = await world.house.registry.refresh(reading)
    for body in world.bodies.values():
        body.people["boss"] = SigningKey.generate()
        statement = statements.person_key_statement(
            f"{body.name}-admin",
            body.admin_key,
            person_id="boss",
            party=body.party,
            functions=("approver",),
            person_key=body.people["boss"].verify_key,
            now=world.clock.seconds,
        )
        draft, effect = enrol_person(statement, snapshot=snapshot, now=world.clock.seconds)
        await world.house.log.append(draft, effect=effect)
    world.house.registry.forget()


def signed(world, plan, *names: str) -> list[str]:
    return [world.approval(name, "boss", plan.subject) for name in names]


async def opens(world, index: int) -> bool:
    async with world.house.database.read() as reading:
        (row,) = await store.get_entries(reading, index, index + 1)
        try:
            await read.open_detail(reading, world.house.log.keeper, row)
        except BadRequest:
            return False
    return True


async def test_ended_year_goes_by_two_departments_and_every_step_is_an_entry(world) -> None:
    kept_index = await entry_about(world, 1)
    index = await entry_about(world, 2)
    hold, _ = await retention.hold(world.house, point(world, 1), "complaint", world.clock.seconds + 5 * 366 * 86_400)
    await years_later(world)
    planned, _ = await retention.plan(world.house)
    receipt, names = await retention.carry_out(world.house, planned, signed(world, planned, "ca", "wf"))
    assert (await opens(world, kept_index), await opens(world, index)) == (True, False)
    assert len(names) == 2
    await retention.release(world.house, hold, "withdrawn")
    again, _ = await retention.plan(world.house)
    await retention.carry_out(world.house, again, signed(world, again, "ed", "wf"))
    assert not await opens(world, kept_index)
    steps = [entry["code"] for entry in await world.entries(kind="retention")]
    assert steps == ["held", "planned", "released", "planned"]
    (first, _) = await world.entries(kind="erasure")
    assert first["index"] == receipt.index


async def test_nobody_destroys_alone_and_no_department_by_itself(world) -> None:
    index = await entry_about(world, 1)
    await years_later(world)
    planned, _ = await retention.plan(world.house)
    for names in ((), ("ca",), ("ca", "ca")):
        with pytest.raises(Denied, match="approval_departments"):
            await retention.carry_out(world.house, planned, signed(world, planned, *names))
    assert await opens(world, index)


async def test_approval_of_another_plan_is_no_approval_of_this_one(world) -> None:
    await entry_about(world, 1)
    await years_later(world)
    planned, _ = await retention.plan(world.house)
    other = replace(planned, generations=planned.generations + 1)
    statements = [*signed(world, planned, "ca"), *signed(world, other, "wf")]
    with pytest.raises(Denied, match="approval_subject"):
        await retention.carry_out(world.house, planned, statements)


async def test_open_case_keeps_a_childs_history_and_so_does_one_closed_within_the_term(world) -> None:
    client = world.client("ed")
    await client.open_case(identifier=child(1), exchanges=["X02"], parties=[world["ca"].party], region=HOME)
    index = await entry_about(world, 1)
    await years_later(world)
    with pytest.raises(Denied, match="history_held"):
        await retention.plan(world.house, point(world, 1))
    planned, _ = await retention.plan(world.house)
    assert planned.held == 1
    assert await opens(world, index)


async def test_childs_whole_history_goes_when_its_terms_have_ended_and_is_frozen_before(world) -> None:
    index = await entry_about(world, 1)
    with pytest.raises(Denied, match="history_term"):
        await retention.plan(world.house, point(world, 1))
    await retention.freeze(world.house, point(world, 1))
    async with world.house.database.read() as reading:
        with pytest.raises(Denied, match="history_frozen"):
            await read.child_history(reading, world.house.log.keeper, point(world, 1))
    await retention.freeze(world.house, point(world, 1), frozen=False)
    assert await opens(world, index)
    await years_later(world, 5 * 366)
    planned, _ = await retention.plan(world.house, point(world, 1))
    await retention.carry_out(world.house, planned, signed(world, planned, "ca", "wf"), point(world, 1))
    assert not await opens(world, index)


async def test_hold_needs_a_known_reason_and_an_end_and_only_a_known_one_is_released(world) -> None:
    for reason, days, code in (("because", 9, "hold_reason"), ("finding", 0, "hold_until")):
        with pytest.raises(BadRequest, match=code):
            await retention.hold(world.house, point(world, 1), reason, world.clock.seconds + days * 86_400)
    with pytest.raises(BadRequest, match="hold_unknown"):
        await retention.release(world.house, "hold-00", "why")
    assert await world.entries(kind="retention") == []


async def test_dry_run_begins_by_itself_and_its_plan_waits_for_two_departments(world) -> None:
    index = await entry_about(world, 1)
    house = replace(world.house, retention_every_days=1)
    assert await retention.dry_run(house) is None  # nothing has ended, and that is no entry
    assert await world.entries(kind="retention") == []
    await years_later(world)
    made = await retention.dry_run(house)
    assert made is not None
    assert await retention.waiting_plan(house) == made
    assert await retention.dry_run(house) is None  # not twice a day
    world.clock.moment += timedelta(days=1)
    assert await retention.dry_run(house) is None  # it is still true, so the same plan waits on
    assert [entry["code"] for entry in await world.entries(kind="retention")] == ["planned"]
    assert await opens(world, index)  # time alone destroys nothing
    with pytest.raises(Denied, match="approval_departments"):
        await retention.carry_out(house, made, signed(world, made, "ca"))
    await retention.carry_out(house, made, signed(world, made, "ca", "wf"))
    assert not await opens(world, index)
    assert await retention.waiting_plan(house) is None


async def test_plan_that_waits_is_replaced_when_something_keeps_a_history_meanwhile(world) -> None:
    await entry_about(world, 1)
    await entry_about(world, 2)
    house = replace(world.house, retention_every_days=30)
    await years_later(world)
    first = await retention.dry_run(house)
    await retention.hold(house, point(world, 1), "complaint", world.clock.seconds + 90 * 86_400)
    world.clock.moment += timedelta(days=29)
    assert await retention.dry_run(house) is None
    world.clock.moment += timedelta(days=1)
    second = await retention.dry_run(house)
    assert (second.generations, second.held) == (first.generations - 1, 1)
    assert await retention.waiting_plan(house) == second


async def test_upkeep_starts_the_dry_run_only_where_the_settings_say_so(world) -> None:
    await entry_about(world, 1)
    await years_later(world)
    await upkeep(world.house)
    assert await retention.waiting_plan(world.house) is None
    await upkeep(replace(world.house, retention_every_days=7))
    assert (await retention.waiting_plan(world.house)).generations > 0
