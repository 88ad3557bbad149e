"""Controls of wishes and rights through the machine door: what a department's system does at its desk."""

import json
import secrets
import time

import pytest

from adapters.sandbox.demo.desk import month_end
from gateway.client import statements
from gateway.consent.changes import statement_digest
from tests.contract.api_house import X05_FIELDS, api_house, month_end_today, refused

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def walls(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("wishes")) as made:
        yield made


@pytest.fixture
def ca(walls):
    walls.settle()
    return walls.caller("ca", "M0101", "case_worker")


@pytest.fixture
def sc(walls):
    return walls.caller("sc", "T0417", "school_psychologist")


async def own(caller, path, name, child):
    """The caller's tasks about this child."""
    listed = await caller.get(path)
    assert listed.status_code == 200, listed.text
    subject = {"pseudonym": caller.pseudonym(child)}
    return [task for task in listed.json()[name] if task["subject"] == subject]


async def received(walls, sc, ca):
    """A child whose warning civil affairs has taken."""
    child = walls.child()
    consent = await sc.consent(child)
    await sc.delivered(child, ca)
    assert await ca.take()
    return child, consent


async def test_C13_whoever_received_hears_of_a_withdrawal_and_answers_for_itself(walls, ca, sc):
    child, consent = await received(walls, sc, ca)
    assert await own(ca, "/v1/propagations", "propagations", child) == []
    await sc.withdraw(consent)
    refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "consent_withdrawn")
    (word,) = await own(ca, "/v1/propagations", "propagations", child)
    assert (word["about"], word["exchange"]) == ("withdrawal", "X05")
    assert await own(sc, "/v1/propagations", "propagations", child) == []
    answer = {"propagation": word["propagation"]}
    refused(await sc.post("/v1/propagations/answer", answer), 403, "propagation_party")
    assert (await ca.post("/v1/propagations/answer", answer)).status_code == 200
    refused(await ca.post("/v1/propagations/answer", answer), 403, "propagation_party")
    assert await own(ca, "/v1/propagations", "propagations", child) == []


async def test_C14_a_refusal_is_recorded_and_the_same_is_not_asked_again(walls, ca, sc):
    child = walls.child()
    subject = {"pseudonym": sc.pseudonym(child)}
    body = {"subject": subject, "exchange": "X05", "recipients": ["civil_affairs"]}
    assert (await sc.post("/v1/consents/refuse", body)).status_code == 201
    again = await sc.post("/v1/consents", {"subject": subject, "statement": statement(sc, child)[0]})
    refused(again, 403, "consent_asked_again")
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    assert (await ca.post("/v1/query", ca.ask(child, case))).status_code == 200
    kinds = [skeleton["kind"] for skeleton, _ in await walls.history(child)]
    assert "consent.refused" in kinds


def statement(caller, child, *, grantor="guardian", guardian=None):
    now = int(time.time())
    artefact = {
        "exchange": "X05",
        "purpose": "P01",
        "recipients": ["civil_affairs"],
        "fields": sorted(X05_FIELDS),
        "age_band": "8-13",
        "grantor": grantor,
        "relation": "51",
        "guardian": guardian or f"g-{child[-6:-1]}",
        "child_grant": "granted",
        "method": "in_person",
        "given": now,
        "ends": month_end(month_end_today(), 6).isoformat(),
        "notice_version": "2026-1",
        "evidence_digest": secrets.token_hex(32),
    }
    key = caller.body.people[caller.person]
    return statements.consent_statement(caller.person, caller.party, key, artefact=artefact, now=now), artefact


async def test_C15_a_statutory_answer_owes_a_notice_that_the_recipient_gives(walls, ca, sc):
    child = walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    assert (await ca.post("/v1/query", ca.ask(child, case))).status_code == 200
    (notice,) = await own(ca, "/v1/notices", "notices", child)
    assert notice["exchange"] == "X02" and "未成年人保护法" in notice["citations"]
    told = {"notice": notice["notice"], "method": "letter"}
    refused(await sc.post("/v1/notices/given", told), 404, "notice_unknown")
    assert (await ca.post("/v1/notices/given", told)).status_code == 200
    assert await own(ca, "/v1/notices", "notices", child) == []
    refused(await ca.post("/v1/notices/given", told), 404, "notice_unknown")


async def test_C18_a_revoked_guardian_cannot_consent_and_only_civil_affairs_revokes(walls, ca, sc):
    child = walls.child()
    await sc.consent(child)
    body = {"guardian": f"g-{child[-6:-1]}"}
    by_school = await sc.post("/v1/guardians/revoke", body | {"subject": {"pseudonym": sc.pseudonym(child)}})
    refused(by_school, 403, "guardian_authority")
    done = await ca.post("/v1/guardians/revoke", body | {"subject": {"pseudonym": ca.pseudonym(child)}})
    assert done.status_code == 201, done.text
    refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "consent_suspended")
    text, _ = statement(sc, child)
    again = await sc.post("/v1/consents", {"subject": {"pseudonym": sc.pseudonym(child)}, "statement": text})
    refused(again, 403, "guardian_revoked")


async def test_C18_where_civil_affairs_is_the_guardian_two_approvers_sign_this_very_statement(walls, ca):
    child = walls.child()
    text, _ = statement(ca, child, grantor="civil_affairs_guardian", guardian="ca:institution-3")
    subject = {"pseudonym": ca.pseudonym(child)}

    def approval(name, about=text):
        said = {"kind": "guardian-consent", "statement": statement_digest(about)}
        return statements.approval(name, ca.party, ca.body.people[name], subject=said, now=int(time.time()))

    refused(await ca.post("/v1/consents", {"subject": subject, "statement": text}), 403, "guardian_two_approvers")
    other, _ = statement(ca, child, grantor="civil_affairs_guardian", guardian="ca:institution-4")
    for approvals in (
        [approval("M0900"), approval("M0900")],
        [approval("M0900"), approval("M0901", other)],
    ):
        body = {"subject": subject, "statement": text, "approvals": approvals}
        refused(await ca.post("/v1/consents", body), 403, "guardian_two_approvers")
    body = {"subject": subject, "statement": text, "approvals": [approval("M0900"), approval("M0901")]}
    given = await ca.post("/v1/consents", body)
    assert given.status_code == 201, given.text
    assert given.json()["state"] == "active"


async def test_C55_C58_a_correction_reaches_the_recipient_who_answers_for_it(walls, ca, sc):
    child, _ = await received(walls, sc, ca)
    asked = {
        "subject": {"pseudonym": ca.pseudonym(child)},
        "right": "correct",
        "exchange": "X05",
        "source": sc.party.text,
    }
    taken_in = await ca.post("/v1/rights", asked)
    assert taken_in.status_code == 201, taken_in.text
    assert await own(ca, "/v1/rights", "rights", child) == []
    (request,) = await own(sc, "/v1/rights", "rights", child)
    assert request["kind"] == "correct" and request["right"] != taken_in.json()["right"]
    refused(await ca.post("/v1/rights/grant", {"right": request["right"]}), 403, "right_source")
    assert (await sc.post("/v1/rights/grant", {"right": request["right"]})).status_code == 200
    (word,) = await own(ca, "/v1/propagations", "propagations", child)
    assert word["about"] == "correct"
    assert (await ca.post("/v1/propagations/answer", {"propagation": word["propagation"]})).status_code == 200


async def test_C57_a_refusal_without_a_written_reason_is_impossible(walls, ca, sc):
    child, _ = await received(walls, sc, ca)
    asked = {"subject": {"pseudonym": sc.pseudonym(child)}, "exchange": "X05", "source": sc.party.text}
    assert (await sc.post("/v1/rights", asked | {"right": "copy"})).status_code == 201
    (request,) = await own(sc, "/v1/rights", "rights", child)
    for reason in ("", "   ", "不"):
        silent = await sc.post("/v1/rights/refuse", {"right": request["right"], "reason": reason})
        refused(silent, 422, "right_reason_missing")
    written = {"right": request["right"], "reason": "精神卫生法第四十七条，医师书面说明"}
    assert (await sc.post("/v1/rights/refuse", written)).status_code == 200
    assert await own(sc, "/v1/rights", "rights", child) == []


async def test_C58_a_restriction_holds_at_once(walls, ca, sc):
    child, _ = await received(walls, sc, ca)
    asked = {"subject": {"pseudonym": ca.pseudonym(child)}, "exchange": "X05", "source": sc.party.text}
    assert (await ca.post("/v1/rights", asked | {"right": "restrict"})).status_code == 201
    refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "restricted")


async def test_tasks_of_two_parties_share_no_reference(walls, ca, sc):
    lists = [json.dumps((await caller.get("/v1/propagations")).json()) for caller in (ca, sc)]
    words = [set(text.split('"')) for text in lists]
    shared = {word for word in words[0] & words[1] if word.startswith(("propagation-", "pg-"))}
    assert not shared and not [word for text in words for word in text if word.startswith(("pg-", "nt-", "rr-"))]


async def test_C58_a_restriction_of_everything_reaches_the_recipients_of_every_exchange(walls, ca, sc):
    child, _ = await received(walls, sc, ca)
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    assert (await ca.post("/v1/query", ca.ask(child, case))).status_code == 200
    asked = {"subject": {"pseudonym": ca.pseudonym(child)}, "right": "restrict", "exchange": "*"}
    assert (await ca.post("/v1/rights", asked | {"source": sc.party.text})).status_code == 201
    refused(await ca.post("/v1/query", ca.ask(child, case)), 403, "restricted")
    (request,) = await own(sc, "/v1/rights", "rights", child)
    assert (await sc.post("/v1/rights/grant", {"right": request["right"]})).status_code == 200
    words = await own(ca, "/v1/propagations", "propagations", child)
    assert {(word["about"], word["exchange"]) for word in words} == {("restrict", "X02"), ("restrict", "X05")}


async def test_C57_only_a_provider_of_the_exchange_is_asked(walls, ca, sc):
    child = walls.child()
    asked = {"subject": {"pseudonym": sc.pseudonym(child)}, "right": "copy", "exchange": "X05"}
    refused(await sc.post("/v1/rights", asked | {"source": ca.party.text}), 403, "right_source")
