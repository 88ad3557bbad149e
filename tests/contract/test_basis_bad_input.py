"""Bad input of the basis, each kind once at the real door (or, where a clock has to be moved, in the room that judges): the most
protective reading wins.
"""

import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from gateway.client import statements
from gateway.domain.clock import SHANGHAI
from gateway.errors import Denied
from gateway.store.database import Database
from keys.signing import SigningKey
from tests.contract.api_house import X05_FIELDS, month_end, month_end_today, refused
from tests.unit.consent.basis_world import CA, ED_BUREAU, X05, World
from tests.unit.consent.basis_world import caller as party_caller

pytestmark = pytest.mark.anyio

SCHOOL = party_caller(ED_BUREAU, "wu")


@pytest.fixture
async def world(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/basis.db")
    await database.create_schema()
    yield World(database)
    await database.close()


def artefact(child, **changes):
    now = int(time.time())
    return {
        "exchange": "X05",
        "purpose": "P01",
        "recipients": ["civil_affairs"],
        "fields": sorted(X05_FIELDS),
        "age_band": "8-13",
        "grantor": "guardian",
        "relation": "51",
        "guardian": f"g-{child[-6:-1]}",
        "child_grant": "granted",
        "method": "in_person",
        "given": now,
        "ends": month_end(month_end_today(), 6).isoformat(),
        "notice_version": "2026-1",
        "evidence_digest": "ab" * 32,
    } | changes


def signed(caller, child, *, key=None, person=None, now=None, **changes):
    """A consent statement, by default the officer's own."""
    return statements.consent_statement(
        person or caller.person,
        caller.party,
        key or caller.body.people[caller.person],
        artefact=artefact(child, **changes),
        now=int(time.time()) if now is None else now,
    )


async def hand_in(caller, child, statement):
    return await caller.post(
        "/v1/consents", {"subject": {"pseudonym": caller.pseudonym(child)}, "statement": statement}
    )


def altered(statement, **changes):
    """The same signature over another artefact."""
    head, body, tail = statement.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["artefact"] |= changes
    body = base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode().rstrip("=")
    return f"{head}.{body}.{tail}"


async def uncovered(walls, sc, child, code="consent_none"):
    refused(await sc.post("/v1/send-permits", sc.wish(child, walls.caller("ca"))), 403, code)


async def test_a_forged_consent_is_refused_and_covers_nothing(walls, sc):
    child = walls.child()
    sound = signed(sc, child)
    for forged, status, code in (
        (altered(sound, fields=["risk_band"]), 422, "statement_invalid"),
        (altered(sound, child_grant="granted", age_band="14-15"), 422, "statement_invalid"),
        (sound[:-4] + "AAAA", 422, "statement_invalid"),
        (signed(sc, child, key=SigningKey.generate()), 403, "recorder_unknown"),
        (signed(sc, child, person="T0900"), 422, "statement_invalid"),
    ):
        refused(await hand_in(sc, child, forged), status, code)
    await uncovered(walls, sc, child)


async def test_a_replayed_consent_covers_neither_the_same_child_again_nor_another(walls, sc):
    child, other = walls.child(), walls.child()
    statement = signed(sc, child)
    first = await hand_in(sc, child, statement)
    assert first.status_code == 201
    refused(await hand_in(sc, child, statement), 409, "consent_replayed")
    refused(await hand_in(sc, other, statement), 409, "consent_replayed")
    await uncovered(walls, sc, other)
    await sc.withdraw(first.json()["consent"])
    refused(await hand_in(sc, child, statement), 409, "consent_replayed")
    await uncovered(walls, sc, child, "consent_withdrawn")


async def code_at(world, moment, **other):
    world.clock.moment = moment
    try:
        await world.signal(SCHOOL, **other)
    except Denied as refusal:
        return refusal.code
    return ""


async def test_near_midnight_on_a_birthday_the_earlier_moment_covers_and_the_later_does_not(world):
    # Fourteen on 20 June. The guardian's consent of March ends with May, whatever clock a caller has.
    await world.give(SCHOOL, X05, CA, ends="2026-05-31")
    last = datetime(2026, 5, 31, 23, 59, 59, 999_999, tzinfo=SHANGHAI)
    assert await code_at(world, last) == ""
    assert await code_at(world, last + timedelta(microseconds=1)) == "consent_expired"
    # Midnight is Shanghai's: in UTC it is 16 o'clock of 31 May.
    assert await code_at(world, datetime(2026, 5, 31, 15, 59, 59, tzinfo=UTC)) == ""
    assert await code_at(world, datetime(2026, 5, 31, 16, 0, tzinfo=UTC)) == "consent_expired"
    for moment in (datetime(2026, 6, 19, 23, 59, 59, tzinfo=SHANGHAI), datetime(2026, 6, 20, tzinfo=SHANGHAI)):
        assert await code_at(world, moment) == "consent_expired"
    # In the birthday's month the department asserts the older band: the guardian alone is not enough on either side of midnight.
    world.clock.moment = datetime(2026, 6, 19, 23, 59, tzinfo=SHANGHAI)
    await world.give(SCHOOL, X05, CA, age_band="14-15", child_grant="not_asked", ends="2027-05-31")
    for moment in (datetime(2026, 6, 19, 23, 59, 59, tzinfo=SHANGHAI), datetime(2026, 6, 20, tzinfo=SHANGHAI)):
        assert await code_at(world, moment) == "child_consent_missing"


async def test_of_overlapping_and_contradicting_consents_the_most_protective_counts(world):
    await world.give(SCHOOL, X05, CA, fields=["a", "b"])
    await world.give(SCHOOL, X05, CA, fields=["a"], ends="2026-08-31")
    basis = await world.signal(SCHOOL)
    assert basis.consent_fields == frozenset({"a"})
    assert basis.until <= datetime(2026, 9, 1, tzinfo=SHANGHAI)
    # Another department says that the child is older, and it has not agreed itself.
    await world.give(SCHOOL, X05, CA, fields=["a"], age_band="14-15", child_grant="granted")
    assert str((await world.signal(SCHOOL)).age_band) == "14-15"
    await world.give(SCHOOL, X05, CA, fields=["b"])
    assert await code_at(world, world.clock.moment, fields=("a", "b")) == "consent_fields"
    await world.give(SCHOOL, X05, CA, fields=["a"], child_grant="objects")
    assert await code_at(world, world.clock.moment) == "child_objects"
    await world.withdraw(SCHOOL, X05)
    assert await code_at(world, world.clock.moment) == "consent_withdrawn"


async def test_expired_evidence_is_refused(walls, sc):
    child, now = walls.child(), int(time.time())
    day = 86_400
    for statement, code in (
        (signed(sc, child, given=now - 31 * day), "consent_stale"),
        (signed(sc, child, given=now + 3_600), "consent_stale"),
        (signed(sc, child, now=now - 2 * day), "statement_expired"),
        (signed(sc, child, ends="2026-10-31"), "consent_term"),
    ):
        refused(await hand_in(sc, child, statement), 403, code)
    await uncovered(walls, sc, child)
    ca = walls.caller("ca", "M0101", "case_worker")
    case = await ca.approved_case(child, ["X02"], "M0900", approve=False)
    refused(await approved(ca, case, "M0900", now=now - 40 * day), 403, "approval_expired")
    refused(await ca.post("/v1/query", ca.ask(child, case)), 403, "approval_missing")


async def approved(caller, case, approver, *, key=None, now=None, officer=None):
    now = int(time.time()) if now is None else now
    subject = statements.case_access(
        case=case,
        officer_id=officer or caller.person,
        organisation=caller.party.organisation,
        exchanges=["X02"],
        from_=now - 60,
        until=now + 86_400,
    )
    key = key or caller.body.people[approver]
    return await caller.post(
        "/v1/cases/approvals", {"approval": statements.approval(approver, caller.party, key, subject=subject, now=now)}
    )


async def test_a_reader_cannot_approve_himself_under_another_role(walls):
    child = walls.child()
    walls.enrol_pupil(child)
    body = walls.site["ca"]
    both = SigningKey.generate()
    body.people["M0777"] = both
    enrolment = statements.person_key_statement(
        "ca-admin",
        body.admin_key,
        person_id="M0777",
        party=body.party,
        functions=("case_worker", "approver"),
        person_key=both.verify_key,
        now=int(time.time()),
    )
    assert (await walls.caller("ca").post("/v1/people", {"statement": enrolment})).status_code == 201
    reader = walls.caller("ca", "M0777", "case_worker")
    case = await reader.approved_case(child, ["X02"], "M0900", approve=False)
    refused(await approved(reader, case, "M0777"), 403, "approval_self")
    refused(await approved(reader.acting_as("M0777", "approver"), case, "M0777"), 403, "approval_self")
    refused(await reader.post("/v1/query", reader.ask(child, case)), 403, "approval_missing")
    assert (await approved(reader, case, "M0900")).status_code == 201
    assert (await reader.post("/v1/query", reader.ask(child, case))).status_code == 200


async def test_one_stolen_client_key_mints_neither_officers_nor_approvers_nor_consents(walls, sc):
    child, ca = walls.child(), walls.caller("ca", "M0101", "case_worker")
    stolen = ca.body.client_key
    case = await ca.approved_case(child, ["X02"], "M0900", approve=False)
    thief = walls.caller("ca", "M0666", "case_worker")
    thief.body.people["M0666"] = stolen
    try:
        refused(await thief.post("/v1/query", thief.ask(child, case)), 401, "officer_key_unknown")
        for admin in ("ca-admin", "ca-system"):
            minted = statements.person_key_statement(
                admin,
                stolen,
                person_id="M0666",
                party=ca.party,
                functions=("case_worker", "approver"),
                person_key=SigningKey.generate().verify_key,
                now=int(time.time()),
            )
            refused(await ca.post("/v1/people", {"statement": minted}), 403, "people_admin_unknown")
        refused(await approved(ca, case, "M0900", key=stolen), 403, "approver_unknown")
        refused(await hand_in(ca, child, signed(ca, child, key=stolen)), 403, "recorder_unknown")
        refused(await ca.post("/v1/query", ca.ask(child, case)), 403, "approval_missing")
    finally:
        del thief.body.people["M0666"]
