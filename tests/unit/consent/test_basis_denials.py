"""Each way in which the law, a case, an approval or a wish says no, and that its opposite passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.consent import approvals, reviews, uses
from gateway.consent.changes import digest
from gateway.consent.doors import Limits, day_of
from gateway.domain.basis import Ask
from gateway.domain.parties import Party
from gateway.domain.subjects import NoChild, Recognised
from gateway.domain.vocabulary import Action, AgeBand, ConsentState, Door, Level
from gateway.errors import BadRequest, Denied, ProgrammingError
from gateway.store.basis_lists import load_review, reviews_of
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
    X13,
    X16,
    X20,
    X22,
    YL,
    YL_OFFICE,
    World,
    caller,
    person,
    refer,
)

pytestmark = pytest.mark.anyio

ASKER = caller(CA_BUREAU)
SCHOOL = caller(ED_BUREAU, "wu")


async def code_of(awaitable: object) -> str:
    with pytest.raises((Denied, BadRequest)) as refusal:
        await awaitable  # type: ignore[misc]
    return refusal.value.code


async def approved_case(world: World, **other: object) -> str:
    case_id = await world.open_case(ASKER, **other)  # type: ignore[arg-type]
    await world.approve(ASKER, case_id)
    return case_id


async def test_statutory_query_with_case_and_approval_is_covered(world: World) -> None:
    case_id = await approved_case(world)
    basis = await world.find(ASKER, X02, case_id=case_id)
    assert basis.con is ConsentState.STATUTORY
    assert basis.case_id == case_id and basis.case_region == "330106"
    assert basis.age_band is AgeBand.A8_13
    assert basis.consent_fields is None
    assert basis.until == NOON + timedelta(days=30)
    assert [kind for kind, _ in basis.references] == ["case", "approval"]


async def test_query_without_a_case_is_refused(world: World) -> None:
    assert await code_of(world.find(ASKER, X02)) == "case_missing"
    assert await code_of(world.find(ASKER, X02, case_id="unknown")) == "case_missing"


async def test_case_of_another_child_is_refused(world: World) -> None:
    case_id = await approved_case(world)
    assert await code_of(world.find(ASKER, X02, TWO, case_id=case_id)) == "case_other_child"


async def test_closed_case_is_refused(world: World) -> None:
    case_id = await approved_case(world)
    await world.advance(ASKER, case_id, "close")
    assert await code_of(world.find(ASKER, X02, case_id=case_id)) == "case_closed"


async def test_exchange_that_the_case_does_not_name_is_refused(world: World) -> None:
    case_id = await world.open_case(ASKER, exchanges=("X05",))
    assert await code_of(world.find(ASKER, X02, case_id=case_id)) == "case_exchange"


async def test_stranger_to_a_case_hears_only_that(world: World) -> None:
    case_id = await approved_case(world)
    other_bureau = caller(replace(CA_BUREAU, organisation="11330108MB1234567Z"))
    assert await code_of(world.find(other_bureau, X02, TWO, case_id=case_id)) == "case_party"
    await world.advance(ASKER, case_id, "close")
    assert await code_of(world.find(other_bureau, X02, case_id=case_id)) == "case_party"


async def test_query_without_an_officer_is_refused(world: World) -> None:
    case_id = await approved_case(world)
    assert await code_of(world.find(caller(CA_BUREAU, None), X02, case_id=case_id)) == "officer_missing"


async def test_query_without_an_approval_is_refused(world: World) -> None:
    case_id = await world.open_case(ASKER)
    assert await code_of(world.find(ASKER, X02, case_id=case_id)) == "approval_missing"


async def test_approval_is_for_one_officer_and_named_exchanges(world: World) -> None:
    case_id = await world.open_case(ASKER)
    await world.approve(ASKER, case_id, world.approval(case_id, exchanges=("X22",)))
    assert await code_of(world.find(ASKER, X02, case_id=case_id)) == "approval_missing"
    assert await code_of(world.find(caller(CA_BUREAU, "xu"), X22, case_id=case_id)) == "approval_missing"


async def test_approval_ends_with_its_last_second(world: World) -> None:
    case_id = await approved_case(world)
    world.clock.moment = NOON + timedelta(days=30) - timedelta(microseconds=1)
    assert (await world.find(ASKER, X02, case_id=case_id)).con is ConsentState.STATUTORY
    world.clock.move(microseconds=1)
    assert await code_of(world.find(ASKER, X02, case_id=case_id)) == "approval_expired"


async def test_approval_that_has_not_begun_opens_nothing(world: World) -> None:
    case_id = await world.open_case(ASKER)
    await world.approve(ASKER, case_id, world.approval(case_id, begins=NOON + timedelta(hours=1)))
    assert await code_of(world.find(ASKER, X02, case_id=case_id)) == "approval_missing"


async def test_approval_by_a_key_that_is_the_officers_own_is_refused_when_read(world: World) -> None:
    case_id = await approved_case(world)
    two_names_one_key = caller(CA_BUREAU, key=f"key-of-{CA_BUREAU.organisation}-lin")
    assert await code_of(world.find(two_names_one_key, X02, case_id=case_id)) == "approval_self"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"approver": person("zhou", CA_BUREAU, "approver")}, "approval_self"),
        ({"approver": person("zhou", Party(CA_BUREAU.organisation, ED), "approver")}, "approval_self"),
        ({"organisation": ED_BUREAU.organisation}, "approval_organisation"),
        ({"term": timedelta(days=30, seconds=1)}, "approval_term"),
        ({"term": timedelta(0)}, "approval_term"),
        ({"begins": NOON - timedelta(days=31)}, "approval_expired"),
        ({"exchanges": ("X02", "X09")}, "case_exchange"),
    ],
)
async def test_unlawful_approvals_are_not_recorded(world: World, change: dict[str, object], code: str) -> None:
    case_id = await world.open_case(ASKER, parties=(Party(CA_BUREAU.organisation, ED),))
    claims = world.approval(case_id, **change)  # type: ignore[arg-type]
    assert await code_of(world.approve(ASKER, case_id, claims)) == code


async def test_approval_of_something_else_than_was_signed_is_refused(world: World) -> None:
    case_id = await world.open_case(ASKER)
    claims = world.approval(case_id)
    altered = replace(claims, subject={**claims.subject, "officer": "someone"})
    assert await code_of(world.approve(ASKER, case_id, altered)) == "approval_digest"


async def test_approval_statement_is_recorded_once(world: World) -> None:
    case_id = await world.open_case(ASKER)
    claims = world.approval(case_id)
    await world.approve(ASKER, case_id, claims)
    assert await code_of(world.approve(ASKER, case_id, claims)) == "approval_replayed"


async def test_approver_outside_the_case_opens_nothing(world: World) -> None:
    case_id = await world.open_case(ASKER)
    stranger = person("lin", Party(CA_BUREAU.organisation, ED), "approver")
    assert await code_of(world.approve(ASKER, case_id, world.approval(case_id, approver=stranger))) == "case_party"


async def test_purpose_of_another_exchange_is_refused_before_any_read(world: World) -> None:
    await world.database.close()
    assert await code_of(world.find(ASKER, X02, purpose="P08")) == "purpose"


async def test_query_for_somebody_else_is_a_bug(world: World) -> None:
    with pytest.raises(ProgrammingError):
        await world.find(ASKER, X22, recipient=replace(CA_BUREAU, organisation="11330108MB1234567Z"))


async def test_only_a_provider_sends(world: World) -> None:
    assert await code_of(world.signal(caller(HE_BUREAU))) == "door_closed"


async def test_doors_that_the_consent_code_does_not_open_stay_closed(world: World) -> None:
    for what, door in ((X02, Door.EMERGENCY), (X02, Door.PROTECTIVE), (X22, Door.EMERGENCY)):
        assert await code_of(world.find(ASKER, what, door=door, reason="violence")) == "door_closed"
    assert await code_of(world.find(SCHOOL, X20, recipient=CA_BUREAU)) == "door_closed"
    assert await code_of(world.find(SCHOOL, X02, recipient=YL_OFFICE, action=Action.SUBMIT)) == "door_closed"


async def test_emergency_needs_a_reason_from_the_list(world: World) -> None:
    for reason in (None, "", "  "):
        assert await code_of(world.signal(SCHOOL, door=Door.EMERGENCY, reason=reason)) == "reason_missing"
    assert await code_of(world.signal(SCHOOL, door=Door.EMERGENCY, reason="because")) == "reason_unknown"
    basis = await world.signal(SCHOOL, door=Door.EMERGENCY, reason="self_harm_risk")
    assert basis.con is ConsentState.EMERGENCY
    assert basis.until == NOON + timedelta(hours=72)
    assert basis.duties == {"notify_guardian", "review"}


async def test_protective_door_asks_no_consent_and_notifies_nobody(world: World) -> None:
    basis = await world.find(SCHOOL, X20, recipient=CA_BUREAU, door=Door.PROTECTIVE)
    assert basis.con is ConsentState.PROTECTIVE
    assert basis.duties == {"review"}


async def use_emergency(world: World, by: object, number: int) -> None:
    from tests.unit.consent.basis_world import child

    basis = await world.signal(by, child(number), door=Door.EMERGENCY, reason="violence")  # type: ignore[arg-type]
    async with world.database.write() as writing:
        await uses.owe(writing, basis, now=world.clock.now(), days=DAYS, limits=world.limits, request="rq")


async def test_sixth_child_of_an_officer_needs_a_second_approver(world: World) -> None:
    for number in range(5):
        await use_emergency(world, SCHOOL, number)
    await use_emergency(world, SCHOOL, 4)  # the same child again counts once
    assert await code_of(use_emergency(world, SCHOOL, 5)) == "emergency_limit"
    await use_emergency(world, caller(ED_BUREAU, "qian"), 5)
    subject = {
        "kind": "limit",
        "limit": "emergency",
        "officer": "wu",
        "organisation": ED_BUREAU.organisation,
        "exchanges": ["X05"],
        "day": day_of(world.clock.now()),
    }
    approver = person("head", ED_BUREAU, "approver")
    claims = approvals.ApprovalClaims(approver, subject, digest(subject), "limit.statement.sig")
    await world.do(approvals.record_limit(SCHOOL, claims, now=world.clock.now(), refer=refer))
    await use_emergency(world, SCHOOL, 6)


async def test_twenty_first_child_of_a_client_needs_a_second_approver(world: World) -> None:
    for number in range(20):
        await use_emergency(world, caller(ED_BUREAU, f"officer{number // 4}"), number)
    assert await code_of(use_emergency(world, caller(ED_BUREAU, "officer9"), 20)) == "emergency_limit"


async def test_emergency_limit_starts_anew_at_midnight_in_shanghai(world: World) -> None:
    world.limits = Limits(emergency_children_per_officer=1)
    world.clock.moment = NOON.replace(hour=23, minute=59, second=59)
    await use_emergency(world, SCHOOL, 1)
    assert await code_of(use_emergency(world, SCHOOL, 2)) == "emergency_limit"
    world.clock.move(seconds=1)
    await use_emergency(world, SCHOOL, 2)


async def test_two_requests_that_were_both_let_in_cannot_pass_the_limit_together(world: World) -> None:
    world.limits = Limits(emergency_children_per_officer=1)
    first = await world.signal(SCHOOL, ONE, door=Door.EMERGENCY, reason="violence")
    second = await world.signal(SCHOOL, TWO, door=Door.EMERGENCY, reason="violence")
    async with world.database.write() as writing:
        await uses.owe(writing, first, now=NOON, days=DAYS, limits=world.limits, request="rq")
    with pytest.raises(Denied, match="emergency_limit"):
        async with world.database.write() as writing:
            await uses.owe(writing, second, now=NOON, days=DAYS, limits=world.limits, request="rq")


async def test_overdue_review_suspends_the_officers_emergency_door(world: World) -> None:
    await use_emergency(world, SCHOOL, 1)
    world.clock.moment = NOON.replace(hour=23, minute=59) + timedelta(days=1)
    await use_emergency(world, SCHOOL, 1)
    world.clock.move(minutes=2)
    assert await code_of(use_emergency(world, SCHOOL, 1)) == "emergency_suspended"
    await use_emergency(world, caller(ED_BUREAU, "qian"), 1)
    head = caller(ED_BUREAU, "head")
    async with world.database.read() as reading:
        open_ones = [task for task in await reviews_of(reading, ED_BUREAU.text) if task.officer.endswith("/wu")]
    for task in open_ones:
        with pytest.raises(Denied, match="review_self"):
            reviews.close_review(SCHOOL, task, "justified", now=world.clock.now())
        await world.do(reviews.close_review(head, task, "justified", now=world.clock.now()))
    await use_emergency(world, SCHOOL, 1)


async def test_hand_out_of_what_was_let_in_is_not_counted_again(world: World) -> None:
    world.limits = Limits(emergency_children_per_officer=1)
    await use_emergency(world, SCHOOL, 1)
    asked = {"door": Door.EMERGENCY, "reason": "violence"}
    assert await code_of(world.signal(SCHOOL, TWO, **asked)) == "emergency_limit"
    assert (await world.signal(SCHOOL, TWO, again=True, **asked)).con is ConsentState.EMERGENCY


async def test_withdrawal_leaves_the_emergency_door_open_and_goes_into_the_review(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    world.clock.move(seconds=1)
    await world.withdraw(SCHOOL, X05)
    basis = await world.signal(SCHOOL, door=Door.EMERGENCY, reason="violence")
    assert "withdrawn" in dict(basis.references)
    async with world.database.write() as writing:
        left = await uses.owe(writing, basis, now=world.clock.now(), days=DAYS, limits=Limits(), request="rq")
    async with world.database.read() as reading:
        task = await load_review(reading, left["review"])
    assert task is not None and task.note == "after_withdrawal"


async def test_restriction_stops_the_normal_door_only(world: World) -> None:
    from gateway.consent import rights

    await world.give(SCHOOL, X05, CA)
    asked = rights.ask_right(SCHOOL, ONE, "restrict", exchange="*", source=ED_BUREAU, now=world.clock.now(), days=DAYS)
    await world.do(asked)
    assert await code_of(world.signal(SCHOOL)) == "restricted"
    assert (await world.signal(SCHOOL, door=Door.EMERGENCY, reason="violence")).con is ConsentState.EMERGENCY
    assert (await world.find(SCHOOL, X20, recipient=CA_BUREAU, door=Door.PROTECTIVE)).con is ConsentState.PROTECTIVE


async def test_251st_health_record_of_a_person_is_held(world: World) -> None:
    await world.give(caller(HE_BUREAU, "he"), X22, CA)
    case_id = await approved_case(world)

    async def read_one() -> None:
        basis = await world.find(ASKER, X22, case_id=case_id)
        async with world.database.write() as writing:
            await uses.owe(writing, basis, now=world.clock.now(), days=DAYS, limits=world.limits, request="rq")

    for _ in range(250):
        await read_one()
    assert await code_of(read_one()) == "fuse_blown"
    world.clock.move(hours=25)
    await read_one()


async def test_directory_needs_no_child_and_a_record_does(world: World) -> None:
    async def about_nobody(what: object) -> object:
        ask = Ask(what, what.purpose, Door.NORMAL, Action.SUBMIT, CA_BUREAU, ("a",))  # type: ignore[attr-defined,arg-type]
        by = caller(YL_OFFICE) if what is X16 else SCHOOL
        async with world.database.read() as reading:
            return await world.finder.find(Recognised(by, NoChild()), ask, reading)

    assert (await about_nobody(X16)).con is ConsentState.NONE  # type: ignore[attr-defined]
    assert await code_of(about_nobody(replace(X05, level=Level.L4))) == "subject_missing"


async def test_consent_code_belongs_to_the_recipient(world: World) -> None:
    sender = caller(CA_BUREAU)
    assert (await world.find(sender, X13, recipient=ED_BUREAU)).con is ConsentState.STATUTORY
    assert await code_of(world.find(sender, X13, recipient=YL_OFFICE)) == "consent_none"
    await world.give(sender, X13, YL)
    assert (await world.find(sender, X13, recipient=YL_OFFICE)).con is ConsentState.GRANTED
