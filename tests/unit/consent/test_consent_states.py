"""The state machines as data, the drawings made of them, and cases that move along them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.consent import cases, states
from gateway.consent.calendar import WorkingDays
from gateway.domain.vocabulary import AgeBand
from gateway.errors import BadRequest, Denied
from gateway.store.basis import case_of, record_of
from gateway.store.basis_lists import case_counts
from tests.unit.consent.basis_world import CA_BUREAU, ED_BUREAU, HE_BUREAU, ONE, X02, World, caller

pytestmark = pytest.mark.anyio

GENERATED = Path(__file__).parents[3] / "docs" / "generated"
CARE = caller(CA_BUREAU)


@pytest.mark.parametrize(
    ("name", "text"), [("case-states.md", states.draw_cases()), ("consent-states.md", states.draw_consents())]
)
def test_drawings_are_what_the_machines_say(name: str, text: str) -> None:
    assert (GENERATED / name).read_text("utf-8") == text


def test_every_state_is_reached_and_every_open_state_can_end() -> None:
    reached, todo = set(), [states.CASE_START, *(a.to for a in states.CASE_SIDE_EXITS.values() if a.to != "=")]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += [arrow.to for arrow in states.CASE_ARROWS.get(state, {}).values()]
    assert reached == set(states.CASE_ARROWS) | states.CASE_CLOSED
    for state in states.CASE_ARROWS:
        assert "closed" in _reachable(state)


def _reachable(state: str) -> set[str]:
    seen, todo = set(), [state]
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += [arrow.to for arrow in states.CASE_ARROWS.get(current, {}).values()]
    return seen


def test_side_exits_lead_out_of_every_open_state_and_out_of_no_closed_one() -> None:
    for event, arrow in states.CASE_SIDE_EXITS.items():
        for state in states.CASE_ARROWS:
            assert states.next_case(state, event).to == (state if arrow.to == "=" else arrow.to)
        for state in states.CASE_CLOSED:
            with pytest.raises(Denied, match="case_closed"):
                states.next_case(state, event)


def test_withdrawn_used_and_refused_consents_never_come_back() -> None:
    for state in ("withdrawn", "used", "refused", "replaced"):
        assert not states.CONSENT_ARROWS[state]
        with pytest.raises(Denied, match="consent_event"):
            states.next_consent(state, "review_objection")


async def test_case_walks_from_signal_to_close_and_counts_each_step_once(world: World) -> None:
    case_id = await world.open_case(CARE)
    walk = (
        "contact_guardian", "consent", "refer", "accept", "miss", "accept", "see", "admit", "discharge", "pair",
        "follow_up", "follow_up", "review", "close",
    )  # fmt: skip
    await world.advance(CARE, case_id, *walk)
    async with world.database.read() as reading:
        case = await case_of(reading, case_id)
        counts = await case_counts(reading, "2026-03")
    assert case is not None and case.state == "closed"
    assert counts[("330106", "opened")] == 1
    assert counts[("330106", "accepted")] == 2
    assert counts[("330106", "follow_up")] == 2


async def test_arrow_that_the_state_does_not_have_is_refused(world: World) -> None:
    case_id = await world.open_case(CARE)
    with pytest.raises(Denied, match="case_event"):
        await world.advance(CARE, case_id, "discharge")


async def test_only_a_party_moves_a_case(world: World) -> None:
    case_id = await world.open_case(CARE)
    with pytest.raises(Denied, match="case_party"):
        await world.advance(caller(HE_BUREAU), case_id, "close")


async def test_second_of_two_writers_is_told_that_the_case_changed(world: World) -> None:
    case_id = await world.open_case(CARE)
    async with world.database.read() as reading:
        case = await case_of(reading, case_id)
    assert case is not None
    both = [
        cases.advance(CARE, case, event, now=world.clock.now(), days=WorkingDays.load())
        for event in ("contact_guardian", "close")
    ]
    results = await asyncio.gather(*(world.do(change) for change in both), return_exceptions=True)
    assert [str(result) for result in results if isinstance(result, Denied)] == ["case_changed"]


async def test_birthday_moves_the_band_and_not_the_state(world: World) -> None:
    case_id = await world.open_case(CARE)
    await world.approve(CARE, case_id)
    await world.advance(CARE, case_id, "contact_guardian", "turn_14")
    basis = await world.find(CARE, X02, case_id=case_id)
    assert basis.age_band is AgeBand.A14_15
    async with world.database.read() as reading:
        case = await case_of(reading, case_id)
    assert case is not None and case.state == "guardian_contacted"


async def test_case_is_known_to_each_department_by_a_reference_of_its_own(world: World) -> None:
    from gateway.domain.subjects import Scope
    from tests.unit.consent.basis_world import refer

    case_id = await world.open_case(CARE, parties=(ED_BUREAU,))
    names = {d: refer("case", case_id, Scope.open(d)) for d in (CA_BUREAU.department, ED_BUREAU.department)}
    assert len(set(names.values())) == 2
    async with world.database.read() as reading:
        for department, name in names.items():
            assert await record_of(reading, "case", name, str(department)) == case_id
        theirs = names[ED_BUREAU.department]
        assert await record_of(reading, "case", theirs, "civil_affairs") is None
        assert await record_of(reading, "consent", theirs, "education") is None
        assert await record_of(reading, "case", refer("case", case_id, Scope.open(HE_BUREAU.department))) is None


@pytest.mark.parametrize("other", [{"exchanges": ()}, {"exchanges": ("X2",)}, {"exchanges": ("*",)}])
async def test_case_without_named_exchanges_is_not_opened(world: World, other: dict[str, object]) -> None:
    with pytest.raises(BadRequest, match="case_form"):
        await world.open_case(CARE, ONE, **other)  # type: ignore[arg-type]
