"""Signing in: password and one-time code, locks, demo accounts, roles that exclude each other; each step an entry."""

import time
from base64 import urlsafe_b64encode

import pyotp
import pytest
from starlette.testclient import TestClient

from gateway.console import accounts
from gateway.console.demo_accounts import make_demo_accounts
from gateway.console.refusals import Refused
from gateway.console.roles import Role, require_apart
from gateway.console.sessions import IDLE_SECONDS, LONGEST_SECONDS, alive
from gateway.domain.vocabulary import Department
from gateway.store.console import SessionRow
from keys.sealing_keys import SealingPair
from tests.console.site import CODE, LOOPBACK, account_row, kinds_since, make_site, sign_in, size_of

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def app(site, stranger):
    return stranger


def add(app, name, role=Role.AUDIT_ADMIN, person=None, department=None):
    async def work():
        house, secret = app.app.state.house, app.app.state.console_secret
        return await accounts.add(
            house,
            secret,
            name,
            person=person or f"{CODE}/{name}",
            role=role,
            department=department,
            password=PASSWORD,
            by="test",
        )

    return app.portal.call(work)


def attempt(app, name, password=PASSWORD, code="", peer=LOOPBACK):
    browser = TestClient(app.app, client=peer, follow_redirects=False, base_url="http://127.0.0.1:8440")
    browser.portal = app.portal
    form = {"account": name, "password": password, "code": code}
    return browser.post("/console/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})


def test_password_and_one_time_code_let_in_and_the_sign_in_is_an_entry(app):
    made = add(app, "inspector-one")
    before = size_of(app)
    answer = attempt(app, "inspector-one", code=pyotp.TOTP(made.secret).now())
    assert answer.status_code == 303
    assert kinds_since(app, before) == [("sign_in", "done", "signed_in")]


def test_a_one_time_code_is_good_once(app):
    made = add(app, "inspector-two")
    code = pyotp.TOTP(made.secret).now()
    assert attempt(app, "inspector-two", code=code).status_code == 303
    assert attempt(app, "inspector-two", code=code).status_code == 401


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, ""), (PASSWORD, "000000"), ("wrong", None)])
def test_one_half_of_the_proof_is_not_enough(app, password, code):
    name = f"half-{len(password)}-{code or 'none'}"
    made = add(app, name)
    right = pyotp.TOTP(made.secret).now()
    before = size_of(app)
    answer = attempt(app, name, password, right if code is None else code if code != right else "111111")
    assert answer.status_code == 401
    assert kinds_since(app, before) == [("sign_in", "denied", "sign_in_refused")]


def test_an_unknown_account_is_answered_like_a_wrong_password(app):
    add(app, "known-one")
    before = size_of(app)
    known, unknown = attempt(app, "known-one", "wrong"), attempt(app, "unknown-one", "wrong")
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert len(kinds_since(app, before)) == 1, "an unknown name is counted in the minute's roll-up only"


def test_an_unknown_account_costs_the_same_kind_of_work(app):
    def seconds(name):
        started = time.perf_counter()
        attempt(app, name, "wrong")
        return time.perf_counter() - started

    add(app, "timed-one")
    known, unknown = seconds("timed-one"), min(seconds("nobody-here") for _ in range(3))
    assert unknown > known / 10, "the Argon2 check ran for the unknown name as well"


def test_five_failures_lock_the_account_even_for_the_right_proof(app):
    made = add(app, "locked-one")
    before = size_of(app)
    for _ in range(5):
        attempt(app, "locked-one", "wrong")
    assert account_row(app, "locked-one").locked_until > time.time()
    assert attempt(app, "locked-one", code=pyotp.TOTP(made.secret).now()).status_code == 401
    codes = [code for _, _, code in kinds_since(app, before)]
    assert codes == ["sign_in_refused"] * 4 + ["account_locked"]


def test_demo_accounts_sign_in_from_loopback_only(site, app):
    name, password = "demo-auditor", site.passwords["auditor"]
    assert attempt(app, name, password, peer=("192.0.2.7", 50000)).status_code == 401
    assert attempt(app, name, password).status_code == 303


def test_a_demo_session_does_not_travel(site, app):
    browser = sign_in(app, site, Role.AUDITOR)
    far = TestClient(app.app, client=("192.0.2.7", 50000), follow_redirects=False, base_url="http://127.0.0.1:8440")
    far.portal = app.portal
    far.cookies.set("runxin", dict(browser.cookies)["runxin"], domain="127.0.0.1")
    assert far.get("/console/").status_code == 303
    assert browser.get("/console/").status_code == 200


def test_outside_demo_mode_no_demo_account_is_made(app, site):
    async def work():
        serious = site.settings.model_copy(update={"demo": False})
        await make_demo_accounts(app.app.state.house, app.app.state.console_secret, serious)

    with pytest.raises(Refused, match="demo_only"):
        app.portal.call(work)


def test_demo_accounts_are_dead_once_demo_mode_is_off(tmp_path):
    site = make_site(tmp_path)
    key = urlsafe_b64encode(SealingPair.generate().public_key).decode().rstrip("=")
    escrow = (f"{CODE}/health:x25519:{key}", f"{CODE}/civil_affairs:x25519:{key}")
    site.settings = site.settings.model_copy(update={"demo": False, "protective_escrow": escrow})
    with site.running() as client:
        assert attempt(client, "demo-audit-admin", site.passwords["audit_admin"]).status_code == 401


@pytest.mark.parametrize("other", [Role.SYSTEM_ADMIN, Role.AUDIT_ADMIN])
def test_one_person_cannot_hold_two_of_the_three_administrators(app, other):
    person = f"{CODE}/two-hats-{other.replace('_', '')}"
    add(app, f"hat-{other.replace('_', '-')}", Role.SECURITY_ADMIN, person)
    before = size_of(app)
    with pytest.raises(Refused, match="roles_exclusive"):
        add(app, f"hat-{other.replace('_', '-')}-b", other, person)
    assert kinds_since(app, before) == []


def test_exclusions_hold_both_ways():
    for one in Role:
        for other in Role:
            outcomes = []
            for first, second in ((one, other), (other, one)):
                try:
                    require_apart(first, [second])
                    outcomes.append(True)
                except Refused:
                    outcomes.append(False)
            assert outcomes[0] == outcomes[1], (one, other)


def test_an_auditor_needs_a_department_and_an_administrator_has_none(app):
    with pytest.raises(Refused, match="department_needed"):
        add(app, "nowhere-auditor", Role.AUDITOR)
    with pytest.raises(Refused, match="department_needed"):
        add(app, "somewhere-admin", Role.SYSTEM_ADMIN, department=Department.HEALTH)


def test_a_changed_role_is_an_entry_and_ends_the_sessions(site, app):
    made = add(app, "changing-one", Role.AUDITOR, department=Department.HEALTH)
    answer = attempt(app, "changing-one", code=pyotp.TOTP(made.secret).now())
    browser = TestClient(app.app, client=LOOPBACK, follow_redirects=False, base_url="http://127.0.0.1:8440")
    browser.portal = app.portal
    browser.cookies.update(answer.cookies)
    assert browser.get("/console/").status_code == 200
    before = size_of(app)
    boss = sign_in(app, site, Role.SECURITY_ADMIN)
    changed = boss.post("/console/accounts/changing-one/role", data={"role": "policy_owner", "department": "health"})
    assert changed.status_code == 303
    assert ("role.changed", "done", "role_changed") in kinds_since(app, before)
    assert browser.get("/console/").status_code == 303
    assert account_row(app, "changing-one").role == "policy_owner"


def test_nobody_changes_the_own_account(site, app):
    boss = sign_in(app, site, Role.SECURITY_ADMIN)
    for path, form in (("role", {"role": "audit_admin", "department": ""}), ("admit", {"enabled": "no"})):
        answer = boss.post(f"/console/accounts/demo-security-admin/{path}", data=form)
        assert answer.status_code == 403
        assert "account_own" in answer.text
    assert account_row(app, "demo-security-admin").role == "security_admin"


def test_a_disabled_account_is_out_at_once(site, app):
    made = add(app, "leaving-one")
    answer = attempt(app, "leaving-one", code=pyotp.TOTP(made.secret).now())
    browser = TestClient(app.app, client=LOOPBACK, follow_redirects=False, base_url="http://127.0.0.1:8440")
    browser.portal = app.portal
    browser.cookies.update(answer.cookies)
    boss = sign_in(app, site, Role.SECURITY_ADMIN)
    assert boss.post("/console/accounts/leaving-one/admit", data={"enabled": "no"}).status_code == 303
    assert browser.get("/console/").status_code == 303


def test_a_session_ends_by_idleness_and_by_age():
    session = SessionRow(b"", "one", started=0, seen=1000)
    assert alive(session, 1000 + IDLE_SECONDS - 1)
    assert not alive(session, 1000 + IDLE_SECONDS)
    assert not alive(SessionRow(b"", "one", started=0, seen=LONGEST_SECONDS - 1), LONGEST_SECONDS)


def test_neither_password_nor_code_nor_token_lies_in_the_database_in_clear(site, app):
    made = add(app, "hidden-one")
    answer = attempt(app, "hidden-one", code=pyotp.TOTP(made.secret).now())
    token = answer.cookies["runxin"]
    files = [path.read_bytes() for path in site.settings.data.iterdir() if path.is_file()]
    assert any(b"hidden-one" in data for data in files)
    for secret in (PASSWORD, made.secret, token):
        assert not any(secret.encode() in data for data in files)


def test_the_login_of_an_unfinished_form_changes_nothing(app):
    before = size_of(app)
    browser = TestClient(app.app, client=LOOPBACK, follow_redirects=False, base_url="http://127.0.0.1:8440")
    browser.portal = app.portal
    assert browser.post("/console/sign-in", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 401
    assert size_of(app) == before
