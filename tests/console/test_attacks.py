"""What a hostile page, a hostile department and a hostile visitor try."""

import csv
import io
import re

import pytest

from gateway.console.doors import doors
from gateway.console.roles import Role
from gateway.console.tables import harmless
from tests.console.site import HOSTILE, LOOPBACK, kinds_since, sign_in, size_of, text_of
from tests.console.test_doors import address

CHANGES = [door for door in doors() if door.method == "POST"]


# --- another site ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", CHANGES, ids=lambda door: door.name)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "", "Origin": "http://127.0.0.1:8440"},
    ],
    ids=["cross-site", "same-site", "typed address", "empty header"],
)
def test_a_change_from_elsewhere_is_refused(door, headers, browsers):
    browser = browsers[Role.SECURITY_ADMIN]
    answer = browser.post(address(door), data={}, headers=headers)
    assert answer.status_code == 403
    assert "cross_site" in answer.text


def test_without_sec_fetch_site_the_origin_decides(site, stranger):
    browser = sign_in(stranger, site, Role.AUDITOR)
    del browser.headers["Sec-Fetch-Site"]
    for origin in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": "https://127.0.0.1:8440"}):
        assert "cross_site" in browser.post("/console/look", data={"theme": "dark"}, headers=origin).text
    own = browser.post("/console/look", data={"theme": "dark"}, headers={"Origin": "http://127.0.0.1:8440"})
    assert own.status_code == 303


def test_the_session_cookie_is_strict_and_out_of_scripts_reach(site, stranger):
    from starlette.testclient import TestClient

    browser = TestClient(stranger.app, client=LOOPBACK, follow_redirects=False, base_url="http://127.0.0.1:8440")
    browser.portal = stranger.portal
    form = {"account": "demo-auditor", "password": site.passwords["auditor"]}
    answer = browser.post("/console/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))


def test_over_https_the_cookie_is_bound_to_the_host(site, stranger):
    from starlette.testclient import TestClient

    browser = TestClient(stranger.app, client=LOOPBACK, follow_redirects=False, base_url="https://127.0.0.1:8440")
    browser.portal = stranger.portal
    form = {"account": "demo-auditor", "password": site.passwords["auditor"]}
    answer = browser.post("/console/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.headers["set-cookie"].startswith("__Host-runxin=")
    assert "; secure" in answer.headers["set-cookie"].lower()
    assert "max-age" in answer.headers["strict-transport-security"]


# --- sessions and redirects -------------------------------------------------------------------------------------------


def test_a_planted_session_token_is_not_taken_over(site, stranger):
    from starlette.testclient import TestClient

    browser = TestClient(stranger.app, client=LOOPBACK, follow_redirects=False, base_url="http://127.0.0.1:8440")
    browser.portal = stranger.portal
    browser.headers["Sec-Fetch-Site"] = "same-origin"
    browser.cookies.set("runxin", "planted", domain="127.0.0.1")
    answer = browser.post("/console/sign-in", data={"account": "demo-auditor", "password": site.passwords["auditor"]})
    token = re.search(r"runxin=([^;]+)", answer.headers["set-cookie"])[1]
    assert token != "planted"
    thief = TestClient(stranger.app, client=LOOPBACK, follow_redirects=False, base_url="http://127.0.0.1:8440")
    thief.portal = stranger.portal
    thief.cookies.set("runxin", "planted", domain="127.0.0.1")
    assert thief.get("/console/").status_code == 303


def test_each_sign_in_has_a_token_of_its_own_and_signing_out_ends_it(site, stranger):
    first, second = sign_in(stranger, site, Role.AUDITOR), sign_in(stranger, site, Role.AUDITOR)
    one, other = dict(first.cookies)["runxin"], dict(second.cookies)["runxin"]
    assert one != other
    assert first.post("/console/sign-out").status_code == 303
    first.cookies.set("runxin", one, domain="127.0.0.1")
    assert first.get("/console/").status_code == 303
    assert second.get("/console/").status_code == 200


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_no_parameter_leads_elsewhere(where, site, stranger):
    browser = sign_in(stranger, site, Role.AUDITOR)
    for name in ("next", "return_to", "url", "redirect", "back"):
        for path in ("/console/look", "/console/sign-in"):
            form = (
                {name: where, "theme": "auto"}
                if path.endswith("look")
                else {
                    name: where,
                    "account": "demo-auditor",
                    "password": site.passwords["auditor"],
                }
            )
            answer = browser.post(f"{path}?{name}={where}", data=form, headers={"Referer": where})
            assert answer.headers["location"] == "/console/"


def test_a_double_slash_path_redirects_nowhere(stranger):
    for path in ("/console//evil.example/..", "//evil.example/console", "/console/%2f%2fevil.example"):
        assert "evil" not in stranger.get(f"http://127.0.0.1:8440{path}").headers.get("location", "")


# --- text from departments ----------------------------------------------------------------------------------------------


READ = [door for door in doors() if door.method == "GET" and door.roles]


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_text_that_a_department_supplies_is_never_markup(role, browsers):
    browser = browsers[role]
    for door in READ:
        html = browser.get(address(door)).text
        assert "<script>alert" not in html
        assert "<img src=x" not in html


def test_hostile_text_does_arrive_and_is_shown_as_text(browsers, stranger):
    """The places where it must appear, so that the test above cannot pass by an empty page."""
    assert "&lt;script&gt;alert(1)" in browsers[Role.SYSTEM_ADMIN].get("/console/parties").text
    admin = browsers[Role.AUDIT_ADMIN]
    index = next(iter(re.findall(r"/console/entries/(\d+)", admin.get("/console/entries?kind=query").text)))
    opened = admin.post(f"/console/entries/{index}/details", data={"reason": "例行抽查"})
    assert "&lt;img src=x onerror" in opened.text
    assert "<img src=x" not in opened.text


def test_a_findings_text_and_an_account_name_are_shown_as_text(browsers):
    admin, owner = browsers[Role.AUDIT_ADMIN], browsers[Role.SECURITY_ADMIN]
    made = admin.post("/console/findings", data={"entry": "7", "severity": "high", "against": "", "text": HOSTILE})
    assert made.status_code == 303, text_of(made.text)
    for browser in (admin, owner):
        page = browser.get(made.headers["location"]).text
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page


def test_a_reflected_filter_is_refused_and_not_repeated(browsers):
    answer = browsers[Role.AUDIT_ADMIN].get("/console/entries", params={"kind": HOSTILE, "code": HOSTILE})
    assert answer.status_code == 400
    assert "alert(" not in answer.text


def test_no_cell_of_an_export_is_a_formula(browsers):
    answer = browsers[Role.AUDIT_ADMIN].get("/console/entries.csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) > 50
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    for bad in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"):
        assert harmless(bad) == f"'{bad}"


# --- forms ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"kind=exchange&kind=client&target=X02&reason=test", "application/x-www-form-urlencoded"),
        (b'{"kind":"exchange"}', "application/json"),
        (b"a" * 70_000, "application/x-www-form-urlencoded"),
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (b"kind=exchange", "text/plain"),
    ],
    ids=["field twice", "json", "too large", "not utf-8", "text/plain"],
)
def test_a_form_of_another_shape_is_refused(body, kind, browsers):
    answer = browsers[Role.SECURITY_ADMIN].post("/console/switches/stop", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400
    assert "form_invalid" in answer.text


def test_an_identity_number_in_a_reason_is_refused_and_not_kept(browsers):
    admin = browsers[Role.AUDIT_ADMIN]
    answer = admin.post("/console/entries/7/details", data={"reason": "核对 330106201203040012 的查询"})
    assert answer.status_code == 400
    assert "text_identifies" in answer.text
    assert "330106201203040012" not in answer.text


def test_a_pack_cannot_be_fetched_by_another_departments_auditor_or_by_guessing(browsers):
    for name in ("../../keys/root.json", "..%2f..%2fkeys%2froot.json", "ex-unknown"):
        answer = browsers[Role.AUDITOR].get(f"/console/exports/{name}/pack")
        assert answer.status_code == 404
        assert b"PK" not in answer.content[:2]


def test_a_refused_visit_is_an_entry_with_its_code(browsers):
    browser = browsers[Role.POLICY_OWNER]
    before = size_of(browser)
    browser.get("/console/entries")
    assert kinds_since(browser, before) == [("audit.query", "denied", "role_missing")]
