"""A policy owner's drafts: the form, what changes, signatures of others, activation now or later, the way back."""

import html as entities
import json
import re
from datetime import datetime, timedelta
from functools import partial

import pytest

from gateway.console.languages import Tongue
from gateway.console.roles import Role
from gateway.console.rule_forms import as_form, blank, meant, vocabularies
from gateway.domain.clock import SHANGHAI
from policies.rows import COLUMNS
from tests.console.site import HOSTILE, kinds_since, make_site, sign_in, size_of, text_of
from tests.console.test_work import until_done

SHORTER = {"exp": "2031-01-01T00:00:00Z"}
RULE = "X02.ca.q02"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """(site, browsers) in front of a gateway whose rules this module may change."""
    site = make_site(tmp_path_factory.mktemp("drafts"))
    with site.running() as client:
        yield site, {role: sign_in(client, site, role) for role in Role}


def row_of(owner, rule=RULE):
    house = owner.app.state.house
    return as_form(next(one for one in house.book.snapshot.rules if one.id == rule))


def form_of(owner, **changes):
    return row_of(owner) | {"what": "put", "why": "缩短规则期限以便年度复审"} | SHORTER | changes


def drafted(owner, **changes):
    made = owner.post("/console/drafts", data=form_of(owner, **changes))
    assert made.status_code == 303, text_of(made.text)
    return made.headers["location"]


def subject_in(page):
    return json.loads(entities.unescape(re.search(r'data-subject="([^"]*)"', page)[1]))


def approved(site, owner, where, *people):
    for staff in people:
        subject = subject_in(owner.get(where).text)
        answer = owner.post(f"{where}/approve", data={"statement": site.signed(staff, subject)})
        assert answer.status_code == 303, text_of(answer.text)


def test_the_form_offers_the_vocabularies_and_the_row_comes_back_as_it_was(desk):
    _, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    html = owner.get(f"/console/drafts/new?rule={RULE}").text
    snapshot = owner.app.state.house.book.snapshot
    rule = next(one for one in snapshot.rules if one.id == RULE)
    assert meant(as_form(rule)) == rule
    for name in COLUMNS:
        assert f'name="{name}"' in html
    offered = vocabularies(Tongue("zh"), snapshot.catalogue, snapshot.rules, rule.obj)
    for name, words in offered.items():
        assert getattr(rule, name) in words, name
        select = re.search(rf'<select[^>]*name="{name}">(.*?)</select>', html, re.DOTALL)[1]
        assert re.findall(r'value="([^"]*)"', select) == [entities.escape(word) for word in words]
    for every in snapshot.rules:
        words = vocabularies(Tongue("zh"), snapshot.catalogue, snapshot.rules, every.obj)
        assert all(getattr(every, name) in words[name] for name in words), every.id
    assert set(blank("X02", "education")) == set(COLUMNS)


def test_a_preview_says_what_would_change_and_keeps_nothing(desk):
    _, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    before = size_of(owner)
    answer = owner.post("/console/drafts/preview", data=form_of(owner))
    assert answer.status_code == 200, text_of(answer.text)
    assert re.search(r"新拒绝 [1-9]\d* 类", text_of(answer.text))
    assert "有效期" in answer.text
    assert size_of(owner) == before
    assert "暂无草案" in owner.get("/console/drafts").text


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"reg": "浙江"}, "reg"),
        ({"sub": "nobody@nowhere"}, "sub"),
        ({"legal": ""}, "legal"),
        ({"id": HOSTILE}, "id"),
    ],
)
def test_a_wrong_column_is_named_and_its_value_is_not_repeated(changes, column, desk):
    _, browsers = desk
    answer = browsers[Role.POLICY_OWNER].post(
        "/console/drafts/preview", data=form_of(browsers[Role.POLICY_OWNER], **changes)
    )
    assert f"`{column}`" in answer.text
    assert "<script>alert" not in answer.text
    assert "nobody@nowhere" not in answer.text


def test_a_draft_is_signed_by_others_activated_compared_and_taken_back(desk):
    site, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    house = owner.app.state.house
    first, before = house.book.version, size_of(owner)
    where = drafted(owner)
    page = owner.get(where).text
    assert "待签署" in page
    assert "尚缺" in page or "待签" in page
    refused = owner.post(f"{where}/activate", data={})
    assert refused.status_code in (403, 409)
    assert "approval_missing" in refused.text
    sentence = re.search(r'title="([^"]+)"[^>]*aria-describedby="why-activate', page)[1]
    assert sentence in refused.text, "the disabled button says what the server said"
    approved(site, owner, where, "E0501", "H0502")
    again = owner.post(f"{where}/approve", data={"statement": site.signed("E0501", subject_in(owner.get(where).text))})
    assert "approval_replayed" in again.text
    assert owner.post(f"{where}/activate", data={}).status_code == 303
    assert house.book.version != first
    assert house.book.version in owner.get("/console/versions").text
    rule = next(one for one in house.book.snapshot.rules if one.id == RULE)
    assert rule.exp == SHORTER["exp"]
    compared = owner.get("/console/versions/compare?before=1&after=2")
    assert re.search(r"新拒绝 [1-9]\d* 类", text_of(compared.text))
    old = browsers[Role.AUDITOR].get("/console/rules?version=1&department=education").text
    assert "2031-01-01" not in old
    assert "2031-01-01" in browsers[Role.AUDITOR].get("/console/rules?version=2&department=education").text
    for page in ("/console/catalogue", "/console/catalogue/X02"):
        assert 'name="version"' in browsers[Role.AUDITOR].get(f"{page}?version=1").text
    assert "2031-01-01" not in browsers[Role.AUDITOR].get("/console/catalogue/X02?version=1").text
    assert "2031-01-01" in browsers[Role.AUDITOR].get("/console/catalogue/X02?version=2").text
    assert browsers[Role.AUDITOR].get("/console/catalogue?version=9").status_code == 404
    back = owner.get("/console/versions").text
    signed = site.signed("E0501", subject_in(back))
    assert owner.post("/console/versions/back", data={"number": "1", "statement": signed}).status_code == 303
    assert house.book.version == first
    told = [code for kind, _, code in kinds_since(owner, before) if kind == "policy.changed"]
    assert told == ["drafted", "approved", "approved", "activated", "rolled_back"]


def gathered_in(page):
    return entities.unescape(re.search(r'name="gathered" value="([^"]*)"', page)[1])


def test_one_draft_changes_several_rules_and_a_revision_begins_with_all_of_them(desk):
    _, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    others = [one.id for one in owner.app.state.house.book.snapshot.rules if one.id.startswith("X02.ca.")]
    other, third = [one for one in others if one != RULE][:2]
    before = size_of(owner)
    page = owner.post("/console/drafts/gather", data=form_of(owner, next=other))
    assert page.status_code == 200, text_of(page.text)
    assert size_of(owner) == before, "nothing is kept yet"
    assert RULE in page.text
    both = row_of(owner, other) | {"what": "put", "why": "一次调整三条", "gathered": gathered_in(page.text)} | SHORTER
    page = owner.post("/console/drafts/gather", data=both | {"next": third})
    told = owner.post(
        "/console/drafts/preview", data={"what": "leave", "gathered": gathered_in(page.text), "id": third}
    )
    assert re.search(r"新拒绝 [1-9]\d* 类", text_of(told.text))
    made = owner.post(
        "/console/drafts",
        data={"what": "remove", "id": third, "why": "一次调整三条", "gathered": gathered_in(page.text)},
    )
    assert made.status_code == 303, text_of(made.text)
    where = made.headers["location"]
    shown = owner.get(where).text
    assert all(name in shown for name in (RULE, other, third))
    assert Tongue("zh").text("The rule is removed.") in shown
    again = owner.get(f"/console/drafts/new?change={where.rpartition('/')[2]}&rule={other}")
    kept = json.loads(gathered_in(again.text))
    assert [row["id"] for row in kept["put"]] == [RULE]
    assert kept["removed"] == [third]
    assert owner.post(f"{where}/give-up").status_code == 303


@pytest.mark.parametrize(
    "gathered",
    [
        "[]",
        "{",
        '{"put": [{"id": "X02.ca.q02"}], "removed": []}',
        '{"put": [], "removed": [7]}',
        json.dumps({"put": [], "removed": ["x" * 301]}),
        json.dumps({"put": [], "removed": [f"r{n}" for n in range(41)]}),
        '{"put": [], "removed": [[]]}',
        '{"put": "", "removed": {}, "more": 1}',
    ],
)
def test_what_a_form_carries_along_is_rows_or_nothing(gathered, desk):
    _, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    answer = owner.post("/console/drafts/preview", data=form_of(owner, what="leave", gathered=gathered))
    assert (answer.status_code, "form_invalid" in answer.text) == (400, True), text_of(answer.text)


def test_the_cases_are_measured_by_changing_each_rule_of_the_version_that_decides(desk, monkeypatch):
    from gateway.console.pages import versions

    _, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    monkeypatch.setattr(versions, "score", partial(versions.score, every=60))
    assert "尚未测量" in owner.get("/console/versions").text
    assert owner.post("/console/versions/mutants").status_code == 303
    html = until_done(owner, "/console/versions", word=" %</b>")
    caught, total = map(int, re.search(r"<b>(\d+) / (\d+) ·", html).groups())
    assert total > 20
    assert 0.9 * total <= caught <= total


def test_nobody_signs_for_another_revision_or_with_an_unknown_key(desk):
    site, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    where = drafted(owner)
    old = site.signed("E0501", subject_in(owner.get(where).text))
    assert (
        owner.post(
            "/console/drafts", data=form_of(owner, change=where.rpartition("/")[2], exp="2032-01-01T00:00:00Z")
        ).status_code
        == 303
    )
    assert "approval_subject" in owner.post(f"{where}/approve", data={"statement": old}).text
    for statement in ("", "a.b.c", old[:-8] + "AAAAAAAA"):
        answer = owner.post(f"{where}/approve", data={"statement": statement})
        assert answer.status_code >= 400
        assert "approval_invalid" in answer.text or "approval_subject" in answer.text
    assert owner.post(f"{where}/give-up").status_code == 303
    assert "policy_closed" in owner.post(f"{where}/activate", data={}).text


def test_an_activation_may_lie_ahead_and_shows_as_still_to_come(desk):
    site, browsers = desk
    owner = browsers[Role.POLICY_OWNER]
    where = drafted(owner, exp="2033-01-01T00:00:00Z")
    approved(site, owner, where, "E0501", "H0502")
    house, later = owner.app.state.house, datetime.now(SHANGHAI) + timedelta(days=2)
    version = house.book.version
    assert owner.post(f"{where}/activate", data={"at": later.strftime("%Y-%m-%dT%H:%M")}).status_code == 303
    assert house.book.version == version
    page = browsers[Role.AUDIT_ADMIN].get("/console/versions").text
    assert "待生效" in page
    assert "定时生效" in browsers[Role.AUDIT_ADMIN].get("/console/drafts").text
    bad = owner.post(f"{where}/activate", data={"at": "tomorrow"})
    assert "form_invalid" in bad.text
