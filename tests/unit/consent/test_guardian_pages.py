"""What guardians see, what they never see, and what departments owe them: lists, notices, rights."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.consent import guardians, notices, propagation, rights, uses
from gateway.domain.basis import Ask, Basis
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import Recognised
from gateway.domain.vocabulary import Action, Door, EntryKind, Outcome
from gateway.errors import BadRequest, Denied, ProgrammingError
from gateway.store.basis import AccessRow, micros, remember_accesses
from gateway.store.basis_lists import overdue_notices, overdue_rights, owed_to, rights_request
from tests.unit.consent.basis_world import (
    CA,
    CA_BUREAU,
    DAYS,
    ED,
    ED_BUREAU,
    HE_BUREAU,
    NOON,
    ONE,
    TWO,
    X02,
    X05,
    X20,
    World,
    caller,
    release,
)

pytestmark = pytest.mark.anyio

CARE, SCHOOL = caller(CA_BUREAU), caller(ED_BUREAU, "wu")
CATALOGUE = {item.id: item for item in (X02, X05, X20)}
PURPOSES = {"P14": "摸排建档", "P01": "监测发现", "P07": "保护与应急"}
DRAFT = EntryDraft(EntryKind.QUERY, Outcome.RELEASED, detail={"request": "rq-1"})


async def page(world: World, about: object = ONE) -> guardians.Page:
    async with world.database.read() as reading:
        return await guardians.page(reading, about, exchanges=CATALOGUE, purposes=PURPOSES)  # type: ignore[arg-type]


async def statutory(world: World, about: object = ONE) -> Basis:
    case_id = await world.open_case(CARE, about)  # type: ignore[arg-type]
    await world.approve(CARE, case_id)
    return await world.find(CARE, X02, about, case_id=case_id)  # type: ignore[arg-type]


async def test_release_stands_on_the_childs_page_in_plain_chinese(world: World) -> None:
    await release(world, await statutory(world))
    seen = await page(world)
    assert seen.sentence == guardians.SENTENCE
    (line,) = seen.accesses
    assert line.text == "2026年3月10日12时0分，民政部门为“摸排建档”向教育部门查询“事项X02”，已提供。"
    assert line.basis == "《未成年人保护法》第九十六条"
    assert "zhou" not in repr(line)


async def test_refusal_stands_on_the_page_too(world: World) -> None:
    ask = Ask(X02, "P14", Door.NORMAL, Action.QUERY, CA_BUREAU, ("a",))
    effect = uses.refused(Recognised(CARE, ONE), ask, provider=ED, code="case_missing", now=NOON)
    async with world.database.write() as writing:
        await effect(writing)
    (line,) = (await page(world)).accesses
    assert line.outcome == "未予提供"


async def test_page_of_a_child_holds_nothing_of_another(world: World) -> None:
    await release(world, await statutory(world, TWO))
    assert (await page(world)).accesses == ()


async def test_protective_use_leaves_the_page_exactly_as_it_was(world: World) -> None:
    await release(world, await statutory(world))
    before = await page(world)
    basis = await world.find(SCHOOL, X20, recipient=CA_BUREAU, door=Door.PROTECTIVE)
    await release(world, basis)
    effect = uses.refused(basis.recognised, basis.ask, provider=ED, code="no_rule", now=NOON)
    async with world.database.write() as writing:
        await effect(writing)
    assert await page(world) == before


async def test_protective_line_cannot_be_written_by_mistake(world: World) -> None:
    row = AccessRow(ONE.key, 1, "ax-1", "X20", "P07", "protective", CA_BUREAU.text, "education", "released", "", "")
    async with world.database.write() as writing:
        with pytest.raises(ProgrammingError):
            await remember_accesses(writing, [row])


async def test_statutory_release_owes_one_notice_per_recipient(world: World) -> None:
    basis = await statutory(world)
    first = await release(world, basis)
    assert first is not None and str(first.detail["notice"]).startswith("nt-")
    assert first.detail["request"] == "rq-1"
    assert await release(world, basis) is None


async def test_notice_is_given_once_and_late_ones_are_listed(world: World) -> None:
    draft = await release(world, await statutory(world))
    assert draft is not None
    notice_id = str(draft.detail["notice"])
    late = micros(DAYS.due(NOON, 20))
    async with world.database.read() as reading:
        assert await overdue_notices(reading, late) == []
        assert await overdue_notices(reading, late + 1) == [notice_id]
    given = notices.give_notice(CARE, ONE, notice_id, method="letter", now=world.clock.now())
    await world.do(given)
    async with world.database.read() as reading:
        assert await overdue_notices(reading, late + 1) == []
    with pytest.raises(Denied, match="notice_unknown"):
        await world.do(given)


async def test_emergency_owes_notice_and_review_by_the_next_working_day(world: World) -> None:
    basis = await world.signal(SCHOOL, door=Door.EMERGENCY, reason="violence")
    draft = await release(world, basis)
    assert draft is not None and {"notice", "review"} <= set(draft.detail)
    (line,) = (await page(world)).accesses
    assert line.text.endswith("教育部门为“监测发现”向民政部门发送“事项X05”，已提供（紧急情况，已安排事后复核）。")


async def received(world: World, right: rights.Right) -> str:
    await world.give(SCHOOL, X05, CA)
    await release(world, await world.signal(SCHOOL))
    asked = rights.ask_right(SCHOOL, ONE, right, exchange="X05", source=ED_BUREAU, now=world.clock.now(), days=DAYS)
    await world.do(asked)
    return asked.record_id


async def test_correction_reaches_who_received_the_value_and_is_receipted(world: World) -> None:
    request_id = await received(world, "correct")
    async with world.database.read() as reading:
        asked = await rights_request(reading, request_id)
    assert asked is not None
    with pytest.raises(Denied, match="right_source"):
        rights.grant_right(CARE, asked, now=world.clock.now(), days=DAYS)
    await world.do(rights.grant_right(SCHOOL, asked, now=world.clock.now(), days=DAYS))
    async with world.database.read() as reading:
        (owed,) = await owed_to(reading, CA_BUREAU.text)
        assert await owed_to(reading, HE_BUREAU.text) == []
    assert owed.kind == "correct"
    world.clock.moment = DAYS.due(NOON, rights.PROPAGATION_DAYS) + timedelta(seconds=1)
    async with world.database.read() as reading:
        assert await propagation.overdue(reading, world.clock.now()) == [owed]
    with pytest.raises(Denied, match="propagation_party"):
        propagation.answer(SCHOOL, owed, now=world.clock.now())
    answered = propagation.answer(CARE, owed, now=world.clock.now())
    await world.do(answered)
    async with world.database.read() as reading:
        assert await propagation.overdue(reading, world.clock.now()) == []
    with pytest.raises(Denied, match="propagation_answered"):
        await world.do(answered)


async def test_refusal_of_a_right_has_a_written_reason_and_one_end(world: World) -> None:
    request_id = await received(world, "delete")
    async with world.database.read() as reading:
        asked = await rights_request(reading, request_id)
        assert await overdue_rights(reading, micros(DAYS.due(NOON, rights.DAYS)) + 1) == [asked]
    assert asked is not None
    for reason in ("", "   ", "不行"):
        with pytest.raises(BadRequest, match="right_reason_missing"):
            rights.refuse_right(SCHOOL, asked, reason)
    await world.do(rights.refuse_right(SCHOOL, asked, "病历依法保存三十年"))
    with pytest.raises(Denied, match="right_closed"):
        await world.do(rights.grant_right(SCHOOL, asked, now=world.clock.now(), days=DAYS))


async def test_deletion_of_what_the_law_retains_becomes_a_restriction(world: World) -> None:
    request_id = await received(world, "delete")
    async with world.database.read() as reading:
        asked = await rights_request(reading, request_id)
    assert asked is not None
    assert (await world.signal(SCHOOL)).con == "granted"
    await world.do(rights.grant_right(SCHOOL, asked, now=world.clock.now(), days=DAYS, retained=True))
    with pytest.raises(Denied, match="restricted"):
        await world.signal(SCHOOL)
    async with world.database.read() as reading:
        (owed,) = await owed_to(reading, CA_BUREAU.text)
    assert owed.kind == "restrict"


async def test_right_that_the_law_does_not_know_is_refused(world: World) -> None:
    with pytest.raises(BadRequest, match="right_unknown"):
        rights.ask_right(SCHOOL, ONE, "publish", exchange="X05", source=ED_BUREAU, now=NOON, days=DAYS)  # type: ignore[arg-type]
