"""Giving, refusing, objecting, withdrawing: what covers a call afterwards and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.consent import artefact, book, reviews, uses
from gateway.consent.approvals import ApprovalClaims
from gateway.consent.changes import digest, statement_digest
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import AgeBand, ConsentState
from gateway.errors import BadRequest, Denied
from gateway.store.basis_lists import load_review, owed_to, reviews_of
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
    X17,
    YL,
    YL_OFFICE,
    World,
    caller,
    person,
    refer,
)

pytestmark = pytest.mark.anyio

SCHOOL = caller(ED_BUREAU, "wu")
CARE = caller(CA_BUREAU, "zhou")


async def code_of(awaitable: object) -> str:
    with pytest.raises((Denied, BadRequest)) as refusal:
        await awaitable  # type: ignore[misc]
    return refusal.value.code


async def test_consent_covers_what_it_names_until_its_last_moment(world: World) -> None:
    await world.give(SCHOOL, X05, CA, fields=["a"], ends="2026-03-31")
    basis = await world.signal(SCHOOL)
    assert basis.con is ConsentState.GRANTED
    assert basis.consent_fields == {"a"}
    assert basis.age_band is AgeBand.A8_13
    assert basis.until == datetime(2026, 4, 1, 0, 0, tzinfo=SHANGHAI)
    world.clock.moment = datetime(2026, 3, 31, 23, 59, 59, 999999, tzinfo=SHANGHAI)
    assert (await world.signal(SCHOOL)).con is ConsentState.GRANTED
    world.clock.move(microseconds=1)
    assert await code_of(world.signal(SCHOOL)) == "consent_expired"


async def test_without_consent_nothing_is_covered(world: World) -> None:
    assert await code_of(world.signal(SCHOOL)) == "consent_none"


async def test_withdrawn_consent_refuses_from_the_commit_on(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    await world.signal(SCHOOL)
    await world.withdraw(SCHOOL, X05)
    assert await code_of(world.signal(SCHOOL)) == "consent_withdrawn"


async def test_withdrawal_beats_every_consent_given_before_it(world: World) -> None:
    first = await world.give(SCHOOL, X05, CA)
    await world.give(SCHOOL, X05, CA)
    world.clock.move(seconds=5)
    await world.withdraw(SCHOOL, X05, consent_id=first)
    assert await code_of(world.signal(SCHOOL)) == "consent_withdrawn"
    world.clock.move(seconds=5)
    await world.give(SCHOOL, X05, CA)
    assert (await world.signal(SCHOOL)).con is ConsentState.GRANTED


async def test_backdated_consent_does_not_undo_a_withdrawal(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    world.clock.move(hours=1)
    await world.withdraw(SCHOOL, X05)
    await world.give(SCHOOL, X05, CA, given=int((NOON - timedelta(days=1)).timestamp()))
    assert await code_of(world.signal(SCHOOL)) == "consent_withdrawn"


async def test_overlapping_consents_cover_only_what_all_of_them_name(world: World) -> None:
    await world.give(SCHOOL, X05, CA, fields=["a", "b"])
    await world.give(SCHOOL, X05, CA, fields=["b"], ends="2026-03-31")
    basis = await world.signal(SCHOOL)
    assert basis.consent_fields == {"b"}
    assert basis.until == datetime(2026, 4, 1, 0, 0, tzinfo=SHANGHAI)
    assert await code_of(world.signal(SCHOOL, fields=("a",))) == "consent_fields"


async def test_recipient_that_is_not_named_is_not_covered(world: World) -> None:
    sender = caller(CA_BUREAU)
    both = replace(X13, consent={ED: X13.consent[YL], YL: X13.consent[YL]})
    await world.give(sender, both, ED)
    assert await code_of(world.find(sender, both, recipient=YL_OFFICE)) == "consent_recipient"


@pytest.mark.parametrize("band", ["14-15", "16-17"])
async def test_band_of_14_and_above_needs_the_childs_own_word(world: World, band: str) -> None:
    await world.give(SCHOOL, X05, CA, age_band=band, child_grant="not_asked")
    assert await code_of(world.signal(SCHOOL)) == "child_consent_missing"
    await world.give(SCHOOL, X05, CA, age_band=band, grantor="child", relation="01", guardian="")
    assert (await world.signal(SCHOOL)).con is ConsentState.GRANTED


async def test_childs_word_alone_does_not_cover_l5(world: World) -> None:
    await world.give(SCHOOL, X05, CA, age_band="14-15", grantor="child", relation="01", guardian="")
    assert await code_of(world.signal(SCHOOL)) == "guardian_consent_missing"


async def test_case_that_knows_an_older_band_asks_for_the_childs_word(world: World) -> None:
    await world.give(SCHOOL, X05, CA, child_grant="granted", age_band="0-7")
    case_id = await world.open_case(SCHOOL, band=AgeBand.A14_15)
    basis = await world.signal(SCHOOL, case_id=case_id)
    assert basis.age_band is AgeBand.A14_15
    world.clock.move(seconds=1)
    await world.withdraw(SCHOOL, X05)
    world.clock.move(seconds=1)
    await world.give(SCHOOL, X05, CA, child_grant="not_asked", age_band="0-7")
    assert await code_of(world.signal(SCHOOL, case_id=case_id)) == "child_consent_missing"
    assert (await world.signal(SCHOOL)).age_band is AgeBand.A0_7


async def test_objection_holds_an_l5_flow_and_opens_a_review(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    await world.give(SCHOOL, X05, CA, child_grant="objects")
    assert await code_of(world.signal(SCHOOL)) == "child_objects"
    async with world.database.read() as reading:
        (task,) = await reviews_of(reading, ED_BUREAU.text)
        task = await load_review(reading, task.review_id)
    assert task is not None and task.kind == "objection"
    head = caller(ED_BUREAU, "head")
    await world.do(reviews.close_review(head, task, "unjustified", now=world.clock.now()))
    assert (await world.signal(SCHOOL)).con is ConsentState.GRANTED


async def test_objection_that_is_respected_refuses(world: World) -> None:
    await world.give(SCHOOL, X05, CA, child_grant="objects")
    async with world.database.read() as reading:
        (task,) = await reviews_of(reading, ED_BUREAU.text)
    await world.do(reviews.close_review(caller(ED_BUREAU, "head"), task, "justified", now=world.clock.now()))
    assert await code_of(world.signal(SCHOOL)) == "consent_refused"


async def test_nobody_overrules_a_child_of_14(world: World) -> None:
    await world.give(SCHOOL, X05, CA, child_grant="objects", age_band="14-15")
    async with world.database.read() as reading:
        (task,) = await reviews_of(reading, ED_BUREAU.text)
        loaded = await load_review(reading, task.review_id)
    assert loaded is not None
    with pytest.raises(Denied, match="child_decides"):
        reviews.close_review(caller(ED_BUREAU, "head"), loaded, "unjustified", now=world.clock.now())


async def test_review_is_closed_once(world: World) -> None:
    await world.give(SCHOOL, X05, CA, child_grant="objects")
    async with world.database.read() as reading:
        (task,) = await reviews_of(reading, ED_BUREAU.text)
    change = reviews.close_review(caller(ED_BUREAU, "head"), task, "justified", now=world.clock.now())
    await world.do(change)
    assert await code_of(world.do(change)) == "review_closed"


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"recipients": ["*"]}, "consent_wildcard"),
        ({"recipients": "*"}, "consent_wildcard"),
        ({"fields": ["*"]}, "consent_wildcard"),
        ({"exchange": "*"}, "consent_wildcard"),
        ({"purpose": "*"}, "consent_wildcard"),
        ({"exchange": ["X05", "X08"]}, "consent_form"),
        ({"birth_date": "2015-05-05"}, "consent_form"),
        ({"recipients": []}, "consent_form"),
        ({"recipients": ["police"]}, "consent_form"),
        ({"fields": ["a", "a"]}, "consent_form"),
        ({"given": True}, "consent_form"),
        ({"ends": "2026-13-31"}, "consent_form"),
        ({"age_band": "10"}, "consent_form"),
        ({"fields": ["a", "zzz"]}, "consent_scope"),
        ({"purpose": "P02"}, "consent_scope"),
        ({"exchange": "X09"}, "consent_scope"),
        ({"recipients": ["civil_affairs", "health"]}, "consent_scope"),
        ({"ends": "2026-12-30"}, "consent_term"),
        ({"ends": "2027-03-31"}, "consent_term"),
        ({"ends": "2026-02-28"}, "consent_term"),
        ({"given": int((NOON + timedelta(minutes=2)).timestamp())}, "consent_stale"),
        ({"given": int((NOON - timedelta(days=31)).timestamp())}, "consent_stale"),
        ({"guardian": ""}, "guardian_unnamed"),
        ({"grantor": "child", "guardian": ""}, "grantor_age"),
        ({"child_grant": "not_asked"}, "child_view_missing"),
        ({"grantor": "civil_affairs_guardian"}, "guardian_two_approvers"),
    ],
)
async def test_unlawful_consents_are_not_recorded(world: World, other: dict[str, object], code: str) -> None:
    assert await code_of(world.give(SCHOOL, X05, CA, **other)) == code
    assert await code_of(world.signal(SCHOOL)) == "consent_none"


async def test_consent_is_not_asked_for_what_the_law_settles(world: World) -> None:
    assert await code_of(world.give(CARE, X02, CA)) == "consent_not_needed"


async def test_recorder_of_another_party_records_nothing(world: World) -> None:
    claims = world.consent(X05, CA, recorder=person("wu", HE_BUREAU))
    with pytest.raises(Denied, match="consent_recorder"):
        book.give(SCHOOL, ONE, claims, X05, now=NOON, days=DAYS, refer=refer)


async def test_statement_makes_one_consent_once(world: World) -> None:
    claims = world.consent(X05, CA)
    await world.do(book.give(SCHOOL, ONE, claims, X05, now=NOON, days=DAYS, refer=refer))
    replay = book.give(SCHOOL, ONE, claims, X05, now=NOON, days=DAYS, refer=refer)
    assert await code_of(world.do(replay)) == "consent_replayed"


async def test_refusal_is_respected_for_90_days_unless_they_come_themselves(world: World) -> None:
    await world.do(book.refuse(SCHOOL, ONE, X05, [CA], now=world.clock.now()))
    world.clock.move(days=90, microseconds=-1)
    assert await code_of(world.give(SCHOOL, X05, CA)) == "consent_asked_again"
    await world.give(SCHOOL, X05, CA, method="own_initiative")
    world.clock.move(microseconds=1)
    await world.give(SCHOOL, X05, CA)


async def test_refusal_for_one_exchange_leaves_the_others(world: World) -> None:
    await world.do(book.refuse(SCHOOL, ONE, X05, [CA], now=world.clock.now()))
    await world.give(caller(HE_BUREAU, "he"), X09, ED)


async def test_withdrawing_nothing_is_refused(world: World) -> None:
    assert await code_of(world.withdraw(SCHOOL, X05)) == "consent_none"


async def test_withdrawal_tells_everybody_who_received_data(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    basis = await world.signal(SCHOOL)
    row = uses.access_row(
        basis.recognised, basis.ask, provider=ED, outcome=uses.Outcome.RELEASED, fields=["a"], now=NOON
    )
    assert row is not None
    async with world.database.write() as writing:
        await uses.remember_accesses(writing, [row])
    world.clock.move(minutes=1)
    await world.withdraw(SCHOOL, X05)
    async with world.database.read() as reading:
        (owed,) = await owed_to(reading, CA_BUREAU.text)
    assert owed.kind == "withdrawal" and owed.exchange == "X05"


async def test_one_time_consent_is_used_up(world: World) -> None:
    sender = caller(CA_BUREAU)
    await world.give(sender, X17, YL)
    basis = await world.find(sender, X17, recipient=YL_OFFICE)

    async def use() -> None:
        async with world.database.write() as writing:
            await uses.owe(writing, basis, now=NOON, days=DAYS, limits=world.limits, request="rq")

    await use()
    assert await code_of(use()) == "consent_none"
    assert await code_of(world.find(sender, X17, recipient=YL_OFFICE)) == "consent_none"


async def test_revoked_guardian_cannot_consent_and_what_stands_is_suspended(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    await world.do(book.revoke_guardian(CARE, ONE, "ca:guardian-1", now=world.clock.now()))
    assert await code_of(world.signal(SCHOOL)) == "consent_suspended"
    assert await code_of(world.give(SCHOOL, X05, CA)) == "guardian_revoked"
    await world.give(SCHOOL, X05, CA, guardian="ca:guardian-2")
    assert (await world.signal(SCHOOL)).con is ConsentState.GRANTED


async def test_changed_exchange_asks_anew(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    for same in (X05, replace(X05, zh="另一名称")):
        async with world.database.write() as writing:
            assert await book.ask_anew(writing, same, world.clock.now(), days=DAYS) == 0
    wider = replace(X05, fields={**X05.fields, "c": replace(X05.fields["a"], name="c")})
    async with world.database.write() as writing:
        assert await book.ask_anew(writing, wider, world.clock.now(), days=DAYS) == 1
    assert await code_of(world.signal(SCHOOL)) == "consent_renewal"


async def test_civil_affairs_as_guardian_needs_two_other_people_with_keys_of_their_own(world: World) -> None:
    recorder = person("recorder", CA_BUREAU)
    claims = world.consent(X13, YL, grantor="civil_affairs_guardian", recorder=recorder)
    subject = {"kind": "guardian-consent", "statement": statement_digest(claims.statement)}

    def signed(*people: object) -> list[ApprovalClaims]:
        return [ApprovalClaims(who, subject, digest(subject), "x.y.z") for who in people]  # type: ignore[arg-type]

    lin, gao = person("lin", CA_BUREAU), person("gao", CA_BUREAU)
    one_key = replace(gao, thumbprint=lin.thumbprint)
    by = caller(CA_BUREAU, "recorder")
    for people in ([lin], [lin, lin], [lin, recorder], [lin, one_key], [lin, person("gao", ED_BUREAU)]):
        with pytest.raises(Denied, match="guardian_two_approvers"):
            book.give(by, ONE, claims, X13, now=NOON, days=DAYS, refer=refer, approvals=signed(*people))
    await world.do(book.give(by, ONE, claims, X13, now=NOON, days=DAYS, refer=refer, approvals=signed(lin, gao)))


def test_artefact_has_no_place_for_a_birth_date() -> None:
    assert not [key for key in artefact.KEYS if "birth" in key or "dob" in key]
