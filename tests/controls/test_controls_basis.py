"""Controls of requirements 2.4 that the basis room proves alone. The name of a test begins with its control."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.consent import book, guardians, propagation, reviews, rights, uses
from gateway.consent.calendar import WorkingDays, latest_end
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import AgeBand, ConsentState, Door
from gateway.errors import BadRequest, Denied
from gateway.store.basis import micros
from gateway.store.basis_lists import accesses_of, overdue_reviews, owed_to, reads_between, reviews_of, rights_request
from tests.unit.consent.basis_world import (
    CA,
    CA_BUREAU,
    DAYS,
    ED,
    ED_BUREAU,
    HE_BUREAU,
    NOON,
    ONE,
    X02,
    X05,
    X09,
    X13,
    X20,
    X22,
    YL,
    YL_OFFICE,
    World,
    caller,
    child,
    person,
    release,
)

pytestmark = pytest.mark.anyio

SCHOOL, CARE = caller(ED_BUREAU, "wu"), caller(CA_BUREAU)


async def code_of(awaitable: object) -> str:
    with pytest.raises((Denied, BadRequest)) as refusal:
        await awaitable  # type: ignore[misc]
    return refusal.value.code


async def approved(world: World, about: object = ONE) -> str:
    case_id = await world.open_case(CARE, about)  # type: ignore[arg-type]
    await world.approve(CARE, case_id)
    return case_id


async def test_C02_a_purpose_other_than_the_exchanges_is_refused(world: World) -> None:
    case_id = await approved(world)
    assert await code_of(world.find(CARE, X02, case_id=case_id, purpose="P06")) == "purpose"
    assert (await world.find(CARE, X02, case_id=case_id)).con is ConsentState.STATUTORY


async def test_C05_consents_keep_the_version_of_the_rules_they_were_given_under(world: World) -> None:
    claims = world.consent(X05, CA, notice_version="children-rules-v1", recorder=person("wu", ED_BUREAU))
    from tests.unit.consent.basis_world import refer

    change = book.give(SCHOOL, ONE, claims, X05, now=NOON, days=DAYS, refer=refer)
    assert change.draft.detail["notice_version"] == "children-rules-v1"
    await world.do(change)
    async with world.database.write() as writing:
        assert await book.ask_anew(writing, replace(X05, purpose="P02"), NOON, days=DAYS) == 1
    assert await code_of(world.signal(SCHOOL)) == "consent_renewal"


async def test_C10_consent_is_separate_without_wildcard_or_bundle(world: World) -> None:
    assert await code_of(world.give(SCHOOL, X05, CA, recipients=["*"])) == "consent_wildcard"
    assert await code_of(world.give(SCHOOL, X05, CA, exchange=["X05", "X06"])) == "consent_form"
    both = replace(X13, consent={ED: X13.consent[YL], YL: X13.consent[YL]})
    await world.give(CARE, both, ED)
    assert await code_of(world.find(CARE, both, recipient=YL_OFFICE)) == "consent_recipient"


async def test_C11_guardians_consent_alone_stops_covering_l5_before_the_14th_birthday(world: World) -> None:
    # A child who turns 14 on 20 June 2026: the department, which knows, lets the consent end on 31 May.
    ends = latest_end(NOON.date(), (2026, 6))
    await world.give(SCHOOL, X05, CA, ends=ends.isoformat())
    world.clock.moment = datetime(2026, 5, 31, 23, 59, 59, tzinfo=SHANGHAI)
    assert (await world.signal(SCHOOL)).con is ConsentState.GRANTED
    for moment in (datetime(2026, 6, 1, tzinfo=SHANGHAI), datetime(2026, 6, 20, tzinfo=SHANGHAI)):
        world.clock.moment = moment
        assert await code_of(world.signal(SCHOOL)) == "consent_expired"
    await world.give(SCHOOL, X05, CA, age_band="14-15", child_grant="not_asked")
    assert await code_of(world.signal(SCHOOL)) == "child_consent_missing"
    await world.give(SCHOOL, X05, CA, age_band="14-15", grantor="child", relation="01", guardian="")
    assert (await world.signal(SCHOOL)).age_band is AgeBand.A14_15


async def test_C11_below_14_a_child_consents_to_nothing_alone(world: World) -> None:
    assert await code_of(world.give(SCHOOL, X05, CA, grantor="child", guardian="")) == "grantor_age"


async def test_C12_childs_view_is_recorded_from_8_and_an_objection_is_held_for_a_human(world: World) -> None:
    assert await code_of(world.give(SCHOOL, X05, CA, child_grant="not_asked")) == "child_view_missing"
    await world.give(SCHOOL, X05, CA, child_grant="not_asked", age_band="0-7")
    await world.give(SCHOOL, X05, CA, child_grant="objects")
    assert await code_of(world.signal(SCHOOL)) == "child_objects"
    async with world.database.read() as reading:
        assert [task.kind for task in await reviews_of(reading, ED_BUREAU.text)] == ["objection"]


async def test_C13_withdrawal_blocks_the_next_call_and_reaches_every_recipient(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    await release(world, await world.signal(SCHOOL))
    world.clock.move(seconds=1)
    await world.withdraw(SCHOOL, X05)
    assert await code_of(world.signal(SCHOOL)) == "consent_withdrawn"
    async with world.database.read() as reading:
        (owed,) = await owed_to(reading, CA_BUREAU.text)
        late = DAYS.due(world.clock.now(), 1) + timedelta(seconds=1)
        assert await propagation.overdue(reading, late) == [owed]
    await world.do(propagation.answer(CARE, owed, now=world.clock.now()))
    async with world.database.read() as reading:
        assert await propagation.overdue(reading, late) == []


async def test_C14_refusal_leaves_base_services_and_is_respected_for_90_days(world: World) -> None:
    await world.do(book.refuse(SCHOOL, ONE, X05, [CA], now=world.clock.now()))
    case_id = await approved(world)
    assert (await world.find(CARE, X02, case_id=case_id)).con is ConsentState.STATUTORY
    assert await code_of(world.give(SCHOOL, X05, CA)) == "consent_asked_again"
    world.clock.move(days=90)
    await world.give(SCHOOL, X05, CA)


async def test_C15_statutory_flow_owes_a_notice_with_its_recipient_and_law(world: World, tmp_path: Path) -> None:
    draft = await release(world, await world.find(CARE, X02, case_id=await approved(world)))
    assert draft is not None
    rows = sqlite3.connect(tmp_path / "basis.db").execute("SELECT recipient, citations, state FROM notices").fetchall()
    assert rows == [(CA_BUREAU.text, "未成年人保护法 第九十六条", "owed")]


async def test_C16_protective_flow_leaves_no_notice_and_no_line_for_a_guardian(world: World, tmp_path: Path) -> None:
    basis = await world.find(SCHOOL, X20, recipient=CA_BUREAU, door=Door.PROTECTIVE)
    await release(world, basis)
    refusal = uses.refused(basis.recognised, basis.ask, provider=ED, code="no_rule", now=NOON)
    async with world.database.write() as writing:
        await refusal(writing)
    stored = sqlite3.connect(tmp_path / "basis.db")
    assert stored.execute("SELECT count(*) FROM accesses").fetchone() == (0,)
    assert stored.execute("SELECT count(*) FROM notices").fetchone() == (0,)
    async with world.database.read() as reading:
        page = await guardians.page(reading, ONE, exchanges={}, purposes={})
        untouched = await guardians.page(reading, child(99), exchanges={}, purposes={})
        (task,) = await reviews_of(reading, ED_BUREAU.text)
    assert page == untouched
    closed = reviews.close_review(caller(ED_BUREAU, "head"), task, "justified", now=world.clock.now())
    assert closed.draft.protective


async def test_C17_emergency_opens_only_where_listed_with_reason_notice_and_review(world: World) -> None:
    hospital = caller(HE_BUREAU, "he")
    refused = world.find(hospital, X09, recipient=ED_BUREAU, door=Door.EMERGENCY, reason="self_harm_risk")
    assert await code_of(refused) == "door_closed"
    assert await code_of(world.signal(SCHOOL, door=Door.EMERGENCY)) == "reason_missing"
    basis = await world.signal(SCHOOL, door=Door.EMERGENCY, reason="self_harm_risk")
    assert basis.until - NOON <= timedelta(hours=72)
    draft = await release(world, basis)
    assert draft is not None and {"notice", "review"} <= set(draft.detail)
    due = datetime(2026, 3, 12, tzinfo=SHANGHAI)  # the end of the next working day, 11 March
    async with world.database.read() as reading:
        assert await overdue_reviews(reading, micros(due)) == []
        (late,) = await overdue_reviews(reading, micros(due) + 1)
    assert late.review_id == draft.detail["review"]


async def test_C18_revoked_guardian_cannot_consent_and_standing_consents_are_flagged(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    await world.do(book.revoke_guardian(CARE, ONE, "ca:guardian-1", now=world.clock.now()))
    assert await code_of(world.give(SCHOOL, X05, CA)) == "guardian_revoked"
    assert await code_of(world.signal(SCHOOL)) == "consent_suspended"


async def test_C18_civil_affairs_as_guardian_needs_two_approvers(world: World) -> None:
    assert await code_of(world.give(CARE, X13, YL, grantor="civil_affairs_guardian")) == "guardian_two_approvers"


async def test_C19_changed_fields_recipients_or_purpose_ask_anew(world: World) -> None:
    more = replace(X05, fields={**X05.fields, "c": replace(X05.fields["a"], name="c")})
    wider = replace(X05, consent={**X05.consent, YL: X05.consent[CA]})
    for number, changed in enumerate((more, wider, replace(X05, purpose="P02"))):
        about = child(100 + number)
        await world.give(SCHOOL, X05, CA, about)
        async with world.database.write() as writing:
            assert await book.ask_anew(writing, changed, world.clock.now(), days=DAYS) == 1
        assert await code_of(world.signal(SCHOOL, about)) == "consent_renewal"


async def test_C20_fields_outside_the_consent_are_not_covered(world: World) -> None:
    await world.give(SCHOOL, X05, CA, fields=["a"])
    assert (await world.signal(SCHOOL)).consent_fields == {"a"}
    assert await code_of(world.signal(SCHOOL, fields=("b",))) == "consent_fields"


async def test_C30_read_needs_an_approval_by_another_person(world: World) -> None:
    case_id = await world.open_case(CARE)
    assert await code_of(world.find(CARE, X02, case_id=case_id)) == "approval_missing"
    own = world.approval(case_id, approver=person("zhou", CA_BUREAU, "approver"))
    assert await code_of(world.approve(CARE, case_id, own)) == "approval_self"
    await world.approve(CARE, case_id)
    basis = await world.find(CARE, X02, case_id=case_id)
    assert dict(basis.references)["approval"].startswith("ap-")
    world.clock.move(days=30)
    assert await code_of(world.find(CARE, X02, case_id=case_id)) == "approval_expired"


async def test_C30_monthly_list_names_the_approval_of_every_read(world: World) -> None:
    case_id = await approved(world)
    approvals = set()
    for _ in range(5):
        basis = await world.find(CARE, X02, case_id=case_id)
        approvals.add(dict(basis.references)["approval"])
        await release(world, basis)
        world.clock.move(days=5)
    begins = micros(datetime(2026, 3, 1, tzinfo=SHANGHAI))
    ends = micros(datetime(2026, 4, 1, tzinfo=SHANGHAI))
    async with world.database.read() as reading:
        listed = await reads_between(reading, begins, ends, ["X02", "X22"])
    assert len(listed) == 5
    assert {approval for _, _, _, approval in listed} == approvals and "" not in approvals


async def test_C36_251st_health_record_in_24_hours_is_held(world: World) -> None:
    await world.give(caller(HE_BUREAU, "he"), X22, CA)
    case_id = await approved(world)
    basis = await world.find(CARE, X22, case_id=case_id)
    async with world.database.write() as writing:
        for _ in range(250):
            await uses.owe(writing, basis, now=NOON, days=DAYS, limits=world.limits, request="rq")
    assert await code_of(world.find(CARE, X22, case_id=case_id)) == "fuse_blown"
    assert await code_of(release(world, basis)) == "fuse_blown"
    assert (await world.find(CARE, X02, case_id=case_id)).con is ConsentState.STATUTORY


async def test_C37_query_needs_an_open_case_that_concerns_this_child(world: World) -> None:
    case_id = await approved(world)
    assert await code_of(world.find(CARE, X02)) == "case_missing"
    assert await code_of(world.find(CARE, X02, child(7), case_id=case_id)) == "case_other_child"
    await world.advance(CARE, case_id, "close")
    assert await code_of(world.find(CARE, X02, case_id=case_id)) == "case_closed"


async def test_C48_disclosure_history_names_who_what_when_purpose_and_basis(world: World) -> None:
    case_id = await approved(world)
    for _ in range(3):
        await release(world, await world.find(CARE, X02, case_id=case_id))
        world.clock.move(minutes=1)
    async with world.database.read() as reading:
        rows = await accesses_of(reading, ONE.key)
        page = await guardians.page(reading, ONE, exchanges={"X02": X02}, purposes={"P14": "摸排建档"})
    assert [(row.requester, row.fields, row.purpose) for row in rows] == [(CA_BUREAU.text, "a", "P14")] * 3
    assert len({row.at for row in rows}) == 3
    assert all("未成年人保护法" in line.basis for line in page.accesses)


def test_C52_deadlines_skip_holidays_and_count_make_up_days() -> None:
    days = WorkingDays.load()
    asked = datetime(2025, 9, 30, 10, tzinfo=SHANGHAI)
    # 国庆 and 中秋: 1-8 October are off, Saturday 11 October is worked.
    assert days.due(asked, 1) == datetime(2025, 10, 10, tzinfo=SHANGHAI)
    assert days.due(asked, 3) == datetime(2025, 10, 12, tzinfo=SHANGHAI)
    assert days.due(asked, 10) == datetime(2025, 10, 22, tzinfo=SHANGHAI)
    assert days.due(asked, 20) == datetime(2025, 11, 5, tzinfo=SHANGHAI)


async def asked_right(world: World, right: rights.Right) -> str:
    await world.give(SCHOOL, X05, CA)
    await release(world, await world.signal(SCHOOL))
    change = rights.ask_right(SCHOOL, ONE, right, exchange="X05", source=ED_BUREAU, now=world.clock.now(), days=DAYS)
    await world.do(change)
    return change.record_id


async def test_C55_correction_reaches_everybody_who_received_the_wrong_value(world: World) -> None:
    request_id = await asked_right(world, "correct")
    async with world.database.read() as reading:
        asked = await rights_request(reading, request_id)
    assert asked is not None and asked.due == micros(DAYS.due(NOON, rights.DAYS))
    await world.do(rights.grant_right(SCHOOL, asked, now=world.clock.now(), days=DAYS))
    async with world.database.read() as reading:
        assert [owed.kind for owed in await owed_to(reading, CA_BUREAU.text)] == ["correct"]


async def test_C57_refusal_without_a_written_reason_is_impossible(world: World) -> None:
    request_id = await asked_right(world, "copy")
    async with world.database.read() as reading:
        asked = await rights_request(reading, request_id)
    assert asked is not None
    with pytest.raises(BadRequest, match="right_reason_missing"):
        rights.refuse_right(SCHOOL, asked, " ")
    await world.do(rights.refuse_right(SCHOOL, asked, "精神卫生法第四十七条"))


async def test_C58_restriction_holds_at_once_and_missing_receipts_are_overdue(world: World) -> None:
    request_id = await asked_right(world, "restrict")
    assert await code_of(world.signal(SCHOOL)) == "restricted"
    async with world.database.read() as reading:
        asked = await rights_request(reading, request_id)
    assert asked is not None
    await world.do(rights.grant_right(SCHOOL, asked, now=world.clock.now(), days=DAYS))
    async with world.database.read() as reading:
        late = DAYS.due(NOON, rights.PROPAGATION_DAYS) + timedelta(seconds=1)
        assert [owed.party for owed in await propagation.overdue(reading, late)] == [CA_BUREAU.text]
