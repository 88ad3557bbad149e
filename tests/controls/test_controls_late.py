"""Controls of what is left undone: tasks to ask anew, alarms, and embargoes that end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.consent import book, embargo, reviews, uses
from gateway.domain.vocabulary import Door, EntryKind
from gateway.errors import Denied, ProgrammingError
from gateway.store.basis import micros
from gateway.store.basis_desk import embargoes_ended, shares_released, unalarmed_reviews
from gateway.store.basis_lists import reviews_of
from tests.unit.consent.basis_world import (
    CA,
    CA_BUREAU,
    DAYS,
    ED_BUREAU,
    HE_BUREAU,
    NOON,
    X05,
    X20,
    World,
    caller,
)

pytestmark = pytest.mark.anyio
SCHOOL, CARE, HOSPITAL = caller(ED_BUREAU, "wu"), caller(CA_BUREAU), caller(HE_BUREAU, "he")


async def left_owing(world: World, **ask: object) -> dict[str, str]:
    basis = await world.find(SCHOOL, **ask)  # type: ignore[arg-type]
    async with world.database.write() as writing:
        return await uses.owe(writing, basis, now=world.clock.now(), days=DAYS, limits=world.limits, request="rq-7")


async def test_C05_a_change_of_scope_leaves_a_task_to_ask_anew_with_whoever_recorded_it(world: World) -> None:
    await world.give(SCHOOL, X05, CA, notice_version="children-rules-v1")
    wider = replace(X05, fields={**X05.fields, "c": replace(X05.fields["a"], name="c")})
    async with world.database.write() as writing:
        assert await book.ask_anew(writing, wider, NOON, days=DAYS) == 1
    async with world.database.read() as reading:
        (task,) = await reviews_of(reading, ED_BUREAU.text)
        assert await reviews_of(reading, CA_BUREAU.text) == []
    assert (task.kind, task.exchange, task.due) == ("renewal", "X05", micros(DAYS.due(NOON, 10)))
    later = await world.give(SCHOOL, wider, CA, notice_version="children-rules-v2")
    assert later
    await world.do(reviews.close_review(caller(ED_BUREAU, "head"), task, "justified", now=NOON))
    async with world.database.read() as reading:
        assert await reviews_of(reading, ED_BUREAU.text) == []


async def test_C17_an_overdue_review_raises_one_alarm(world: World) -> None:
    await left_owing(world, what=X05, recipient=CA_BUREAU, door=Door.EMERGENCY, reason="violence")
    due = DAYS.due(NOON, 1)
    async with world.database.read() as reading:
        assert await unalarmed_reviews(reading, micros(due)) == []
        (late,) = await unalarmed_reviews(reading, micros(due) + 1)
    told = reviews.alarm(late, now=due)
    assert (told.draft.kind, told.draft.code) == (EntryKind.ALARM, "review_overdue")
    await world.do(told)
    async with world.database.read() as reading:
        assert await unalarmed_reviews(reading, micros(due) + 1) == []
    with pytest.raises(Denied, match="review_closed"):
        await world.do(told)


async def test_C16_an_embargo_ends_only_when_both_holders_release_their_shares(world: World) -> None:
    await left_owing(world, what=X20, recipient=CA_BUREAU, door=Door.PROTECTIVE)
    ends = NOON + embargo.TERM
    async with world.database.read() as reading:
        assert await embargoes_ended(reading, micros(ends) - 1) == []
        [(ended, request)] = await embargoes_ended(reading, micros(ends))
    assert request == "rq-7"
    with pytest.raises(ProgrammingError):
        embargo.ask_holders(ended, [CA_BUREAU], now=ends, days=DAYS)
    asked = embargo.ask_holders(ended, [CA_BUREAU, HE_BUREAU], now=ends, days=DAYS)
    assert asked.draft.protective and asked.draft.children == ()
    await world.do(asked)
    with pytest.raises(Denied, match="embargo_asked"):
        await world.do(asked)
    async with world.database.read() as reading:
        first = next(task for task in await reviews_of(reading, CA_BUREAU.text) if task.kind == "embargo")
        second = next(task for task in await reviews_of(reading, HE_BUREAU.text) if task.kind == "embargo")
    assert first.child is None
    with pytest.raises(Denied, match="review_party"):
        embargo.release(SCHOOL, first, now=ends)
    with pytest.raises(Denied, match="embargo_share"):
        reviews.close_review(CARE, first, "justified", now=ends)
    await world.do(embargo.release(CARE, first, now=ends))
    async with world.database.read() as reading:
        assert await shares_released(reading, ended) == 1
        # One of two is not enough, and the other's silence is an alarm.
        late = await unalarmed_reviews(reading, micros(DAYS.due(ends, 10)) + 1)
    alarms = [reviews.alarm(task, now=ends) for task in late if task.kind == "embargo"]
    assert len(alarms) == 1 and alarms[0].draft.protective
    await world.do(embargo.release(HOSPITAL, second, now=ends + timedelta(days=1)))
    async with world.database.read() as reading:
        assert await shares_released(reading, ended) == 2
        assert await embargoes_ended(reading, micros(ends + timedelta(days=99))) == []
