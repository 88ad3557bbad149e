"""Controls that rest on dated facts: clearance, training, contracts and activities of people's organisations."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.consent import standings
from gateway.consent.approvals import ApprovalClaims
from gateway.consent.changes import digest
from gateway.consent.doors import Limits
from gateway.domain.clock import SHANGHAI
from gateway.domain.parties import Party, Person
from gateway.domain.vocabulary import Action, ConsentCode, Level
from gateway.errors import BadRequest, Denied
from gateway.store.basis import micros
from gateway.store.basis_desk import certify_contract, uncertified_contracts
from policies.book import PolicyBook
from tests.unit.consent.basis_world import (
    CA,
    CA_BUREAU,
    ED_BUREAU,
    HE_BUREAU,
    NOON,
    X05,
    X13,
    X22,
    YL,
    YL_OFFICE,
    World,
    caller,
    exchange,
    person,
)
from tests.unit.policies.test_policy_book import basis

pytestmark = pytest.mark.anyio

CARE, SCHOOL, LEAGUE = caller(CA_BUREAU), caller(ED_BUREAU, "wu"), caller(YL_OFFICE, "qi")
X11 = exchange("X11", consent={YL: ConsentCode.STATUTORY}, providers=(CA,), purpose="P03")
BOSS, LEAGUE_BOSS, SCHOOL_BOSS = person("lin", CA_BUREAU), person("boss", YL_OFFICE), person("head", ED_BUREAU)
_COUNT = itertools.count()


def claims(
    kind: str,
    subject: str,
    *,
    by: Person,
    ends: datetime,
    begins: datetime = NOON,
    exchanges: tuple[str, ...] = (),
    fields: tuple[str, ...] = (),
) -> ApprovalClaims:
    said = {
        "kind": "standing",
        "standing": kind,
        "subject": subject,
        "exchanges": list(exchanges),
        "fields": list(fields),
        "from": int(begins.timestamp()),
        "until": int(ends.timestamp()),
    }
    return ApprovalClaims(by, said, digest(said), f"standing.{next(_COUNT)}.sig")


async def record(world: World, kind: str, subject: str, **more: object) -> str:
    change = standings.record_standing(CARE, claims(kind, subject, **more), now=NOON)  # type: ignore[arg-type]
    await world.do(change)
    return change.record_id


async def code_of(awaitable: object) -> str:
    with pytest.raises((Denied, BadRequest)) as refusal:
        await awaitable  # type: ignore[misc]
    return refusal.value.code


async def test_C38_a_pairing_goes_only_to_helpers_with_a_clearance_of_the_last_year(world: World) -> None:
    assert await code_of(world.find(CARE, X11, recipient=YL_OFFICE)) == "clearance_missing"
    ends = NOON + timedelta(days=365)
    await record(world, "clearance", YL_OFFICE.text, by=LEAGUE_BOSS, ends=ends)
    world.clock.moment = ends - timedelta(seconds=1)
    found = await world.find(CARE, X11, recipient=YL_OFFICE)
    assert found.until <= ends and dict(found.references)["standing"].startswith("sg-")
    world.clock.moment = ends
    assert await code_of(world.find(CARE, X11, recipient=YL_OFFICE)) == "clearance_ended"
    # Nobody clears for longer than a year.
    with pytest.raises(Denied, match="approval_term"):
        longer = claims("clearance", YL_OFFICE.text, by=LEAGUE_BOSS, ends=NOON + timedelta(days=367))
        standings.record_standing(CARE, longer, now=NOON)


async def test_C39_C67_who_opens_l5_needs_training_that_is_in_date(world: World) -> None:
    await world.give(SCHOOL, X05, CA)
    officer = f"person:{ED_BUREAU.organisation}/wu"
    ends = NOON + timedelta(days=100)
    await record(world, "training", officer, by=SCHOOL_BOSS, ends=ends)
    world.clock.moment = ends - timedelta(seconds=1)
    assert dict((await world.signal(SCHOOL)).references)["standing"]
    world.clock.moment = ends
    assert await code_of(world.signal(SCHOOL)) == "training_ended"
    # Where the site requires it of everybody, nobody without a record passes; L4 needs none.
    world.clock.moment = NOON
    world.limits = Limits(required=frozenset({"clearance", "training"}))
    await world.give(caller(ED_BUREAU, "li"), X05, CA)
    assert await code_of(world.signal(caller(ED_BUREAU, "li"))) == "training_missing"
    case_id = await world.open_case(CARE)
    await world.approve(CARE, case_id)
    assert await code_of(world.find(CARE, replace(X22, level=Level.L5), case_id=case_id)) == "training_missing"


async def test_C60_a_contractors_access_ends_at_midnight_and_a_missing_certificate_is_listed(world: World) -> None:
    midnight = datetime(2026, 6, 1, tzinfo=SHANGHAI)
    hospital = caller(HE_BUREAU, "he")
    contract = await record(world, "contract", HE_BUREAU.text, by=BOSS, ends=midnight)
    await world.give(hospital, X22, CA)
    answering = replace(X22, consent={CA: ConsentCode.STATUTORY}, pattern=X05.pattern)
    world.clock.moment = midnight - timedelta(seconds=1)
    assert await world.find(hospital, answering, recipient=CA_BUREAU)
    async with world.database.read() as reading:
        assert await uncertified_contracts(reading, micros(midnight) - 1) == []
    world.clock.moment = midnight
    assert await code_of(world.find(hospital, answering, recipient=CA_BUREAU)) == "contract_ended"
    async with world.database.read() as reading:
        assert await uncertified_contracts(reading, micros(midnight)) == [(HE_BUREAU.text, contract)]
    async with world.database.write() as writing:
        assert await certify_contract(writing, contract, micros(midnight))
        assert not await certify_contract(writing, contract, micros(midnight))
    async with world.database.read() as reading:
        assert await uncertified_contracts(reading, micros(midnight)) == []


async def test_C62_a_peoples_organisation_receives_what_its_activity_needs_and_only_while_it_lasts(
    world: World,
) -> None:
    await world.give(CARE, X13, YL)
    ends = NOON + timedelta(days=60)
    await record(world, "activity", YL_OFFICE.text, by=BOSS, ends=ends, exchanges=("X13",), fields=("a",))
    found = await world.find(CARE, X13, recipient=YL_OFFICE)
    assert found.consent_fields == {"a"} and found.until <= ends
    # Handing out looks again: what was sent in time is not taken after the end.
    world.clock.moment = ends
    assert await code_of(world.find(CARE, X13, recipient=YL_OFFICE)) == "activity_ended"
    taking = world.find(LEAGUE, X13, recipient=YL_OFFICE, action=Action.RECEIVE, again=True)
    assert await code_of(taking) == "activity_ended"
    # An exchange that the activity does not name.
    world.clock.moment = NOON
    assert await code_of(world.find(CARE, X11, recipient=YL_OFFICE)) == "activity_missing"


async def test_C62_fields_outside_the_activity_are_withheld_by_the_rules_as_well(world: World) -> None:
    sent = basis("X13", "case_worker@civil_affairs", action="submit", to="youth_league", con="granted")
    book = PolicyBook.open()
    whole = book.decide(sent)
    assert len(whole.grants) > 1
    one = min(whole.grants)
    permit = book.decide(replace(sent, consent_fields=frozenset({one})))
    assert set(permit.grants) == {one}


@pytest.mark.parametrize(
    ("kind", "subject", "by", "code"),
    [
        ("activity", YL_OFFICE.text, LEAGUE_BOSS, "approval_organisation"),
        ("contract", CA_BUREAU.text, LEAGUE_BOSS, "approval_organisation"),
        ("clearance", YL_OFFICE.text, BOSS, "approval_organisation"),
        ("training", f"person:{CA_BUREAU.organisation}/lin", BOSS, "approval_self"),
        ("training", CA_BUREAU.text, BOSS, "approval_form"),
        ("favour", CA_BUREAU.text, BOSS, "approval_form"),
        ("activity", YL_OFFICE.text, BOSS, "approval_form"),
    ],
)
def test_C60_C62_who_may_sign_a_standing_is_settled(kind: str, subject: str, by: Person, code: str) -> None:
    with pytest.raises((Denied, BadRequest)) as refused:
        standings.record_standing(CARE, claims(kind, subject, by=by, ends=NOON + timedelta(days=9)), now=NOON)
    assert refused.value.code == code


async def test_C60_a_standing_is_recorded_once(world: World) -> None:
    change = standings.record_standing(
        CARE, claims("contract", Party("1" * 18, CA).text, by=BOSS, ends=NOON + timedelta(days=9)), now=NOON
    )
    await world.do(change)
    assert await code_of(world.do(change)) == "approval_replayed"
