"""A review is concluded at the console by a person of its party, whose signature decides and nobody else's."""

import json
import re
from html import unescape

import pytest
from sqlalchemy import insert, select

from gateway.console.roles import Role
from gateway.store.basis_tables import reviews
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
