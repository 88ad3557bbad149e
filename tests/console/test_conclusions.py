"""Reviews are concluded and cases opened to officers at the console by people whose signatures decide, and nobody else's."""

import json
import re
from html import unescape

import pytest
from sqlalchemy import insert, select

from gateway.consent.cases import open_case
from gateway.console.roles import Role
from gateway.domain.ids import new_id
from gateway.domain.parties import Party, Person
from gateway.domain.subjects import GATEWAY_SCOPE, Child, Scope
from gateway.domain.vocabulary import AgeBand, Department
from gateway.flows.calendar_days import DAYS
from gateway.identity.in_person import signer_as_caller
from gateway.store.basis_tables import reviews
from keys.identifiers import identify
from tests.console.site import CODE, LOOPBACK, SAME_ORIGIN, SECOND_OWNER, kinds_since, make_site, sign_in, size_of

PARTY = f"{CODE}/education"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """(site, client, the owner of education, browsers by role)"""
    from starlette.testclient import TestClient

    site = make_site(tmp_path_factory.mktemp("conclusions"))
    with site.running() as client:
        owner = TestClient(client.app, client=LOOPBACK, follow_redirects=False, headers=SAME_ORIGIN)
        owner.base_url, owner.portal = "http://127.0.0.1:8440", client.portal
        form = {"account": SECOND_OWNER, "password": site.passwords[SECOND_OWNER], "code": ""}
        assert owner.post("/console/sign-in", data=form).status_code == 303
        yield site, client, owner, {role: sign_in(client, site, role) for role in Role}


def task(client, name, *, officer=f"{CODE}/M0101", kind="emergency", party=PARTY):
    row = {
        "review_id": name,
        "kind": kind,
        "child": b"c" * 32,
        "exchange": "X02",
        "record_id": "rq-1",
        "officer": officer,
        "party": party,
        "note": "",
        "opened": 1,
        "due": 2,
        "state": "open",
        "outcome": "",
        "closed_by": "",
    }

    async def put():
        async with client.app.state.house.database.write() as writing:
            await writing.connection.execute(insert(reviews).values(**row))

    client.portal.call(put)
    return f"/console/reviews/{name}"


def state_of(client, name):
    async def read():
        async with client.app.state.house.database.read() as reading:
            where = reviews.c.review_id == name
            query = select(reviews.c.state, reviews.c.outcome, reviews.c.closed_by).where(where)
            return tuple((await reading.connection.execute(query)).one())

    return client.portal.call(read)


def signed(site, browser, where, finding, staff="E0501"):
    html = browser.get(f"{where}?finding={finding}").text
    subject = json.loads(unescape(re.search(r'data-subject="([^"]*)"', html)[1]))
    return {"finding": finding, "statement": site.signed(staff, subject)}


def test_a_person_of_the_party_signs_the_finding_and_the_review_is_concluded_in_the_childs_history(desk):
    site, client, owner, _ = desk
    where = task(client, "rv-one")
    assert where in owner.get("/console/reviews").text
    before = size_of(client)
    form = signed(site, owner, where, "unjustified")
    assert owner.post(f"{where}/conclude", data=form).status_code == 303
    assert state_of(client, "rv-one") == ("closed", "unjustified", f"{CODE}/E0501")
    assert kinds_since(client, before) == [("audit.query", "done", ""), ("review.closed", "done", "")]
    assert "已办结" in owner.get(where).text
    assert where not in owner.get("/console/reviews").text
    again = owner.post(f"{where}/conclude", data=form)
    assert "review_closed" in again.text


def test_nobody_reviews_himself_and_nobody_of_another_department_reviews(desk):
    site, client, owner, browsers = desk
    own = task(client, "rv-own", officer=f"{CODE}/E0501")
    assert "review_self" in owner.post(f"{own}/conclude", data=signed(site, owner, own, "justified")).text
    where = task(client, "rv-other")
    foreign = signed(site, owner, where, "justified", staff="H0502")
    assert "review_party" in owner.post(f"{where}/conclude", data=foreign).text
    for browser in (browsers[Role.AUDITOR], browsers[Role.POLICY_OWNER]):
        assert browser.get(where).status_code == 404
        assert browser.post(f"{where}/conclude", data=foreign).status_code == 404
    assert browsers[Role.AUDIT_ADMIN].get(where).status_code == 200
    assert "role_missing" in browsers[Role.AUDIT_ADMIN].post(f"{where}/conclude", data=foreign).text
    assert state_of(client, "rv-own")[0] == state_of(client, "rv-other")[0] == "open"


def test_a_signature_is_for_one_review_and_one_finding(desk):
    site, client, owner, _ = desk
    where, other = task(client, "rv-a"), task(client, "rv-b")
    form = signed(site, owner, where, "justified")
    assert "approval_subject" in owner.post(f"{other}/conclude", data=form).text
    assert "approval_subject" in owner.post(f"{where}/conclude", data={**form, "finding": "unjustified"}).text
    assert (
        "approval_invalid" in owner.post(f"{where}/conclude", data={"finding": "justified", "statement": "a.b.c"}).text
    )
    assert state_of(client, "rv-a")[0] == state_of(client, "rv-b")[0] == "open"


# --- approvals of cases ---------------------------------------------------------------------------------------------------


def open_a_case(client):
    """Education's own reference to a case that it opened for X02."""
    caller = signer_as_caller(
        Person("E0400", Party(CODE, Department.EDUCATION), frozenset({"case_worker"}), "", b""),
        "a statement",
        function="case_worker",
        request_id=new_id("rq"),
    )

    async def opened():
        house = client.app.state.house
        point = house.ring.derive(GATEWAY_SCOPE, identify("cn-rid", "330106201203040012"))
        made = open_case(
            caller,
            Child(point),
            exchanges=["X02"],
            parties=[caller.party],
            region="330106",
            age_band=AgeBand("8-13"),
            now=house.clock.now(),
            days=DAYS,
            refer=house.ring_refer,
        )
        await house.log.append(made.draft, effect=made.effect)
        return house.ring.reference(Scope.open(Department.EDUCATION), "case", made.record_id)

    return client.portal.call(opened)


def written(owner, reference, **changes):
    form = {"case": reference, "officer": "E0400", "exchanges": "X02", "days": "7"} | changes
    return owner.post("/console/approvals/write", data=form)


def test_an_approver_opens_a_case_to_one_officer_by_a_signature(desk):
    site, client, owner, browsers = desk
    case = open_a_case(client)
    page = written(owner, case)
    subject = json.loads(unescape(re.search(r'data-subject="([^"]*)"', page.text)[1]))
    assert (subject["case"], subject["officer"], subject["exchanges"]) == (case, "E0400", ["X02"])
    before = size_of(client)
    statement = site.signed("E0501", subject)
    answer = owner.post("/console/approvals", data={"statement": statement})
    assert "审批已生效" in answer.text
    assert kinds_since(client, before) == [("approval", "done", "")]
    assert "approval_replayed" in owner.post("/console/approvals", data={"statement": statement}).text
    assert "role_missing" in browsers[Role.AUDITOR].post("/console/approvals", data={"statement": statement}).text


def test_an_approval_that_may_not_be_is_refused_as_at_the_machine_door(desk):
    site, client, owner, _ = desk
    case = open_a_case(client)
    subject = json.loads(unescape(re.search(r'data-subject="([^"]*)"', written(owner, case).text)[1]))
    for changes, staff, code in (
        ({"officer": "E0501"}, "E0501", "approval_self"),
        ({"case": "ca-unknown"}, "E0501", "case_missing"),
        ({"exchanges": ["X05"]}, "E0501", "case_exchange"),
        ({"until": subject["from"] + 31 * 86_400}, "E0501", "approval_term"),
        ({}, "H0502", "case_missing"),
    ):
        statement = site.signed(staff, subject | changes)
        assert code in owner.post("/console/approvals", data={"statement": statement}).text, code
    for changes in ({"case": "儿童姓名"}, {"officer": ""}, {"exchanges": "X99"}, {"days": "31"}, {"days": ""}):
        assert "form_invalid" in written(owner, case, **changes).text, changes
