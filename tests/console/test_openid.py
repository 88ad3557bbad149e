"""Sign-in by OpenID Connect, against a provider that answers over the network and, where a test says so, lies."""

import asyncio
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from jwt.api_jws import PyJWS
from playwright.sync_api import expect, sync_playwright
from pydantic import SecretStr, ValidationError
from starlette.testclient import TestClient
from typer.testing import CliRunner

from gateway.app import build, console_secret, opened
from gateway.cli import app as command_line
from gateway.console import accounts, openid
from gateway.console.refusals import Refused, own_sentences
from gateway.console.roles import Role
from gateway.domain.vocabulary import Department
from gateway.identity.openid import Attempt, OpenIdUnsound, code_in, read_id_token
from gateway.identity.openid import Provider as Described
from tests.console.site import CODE, LOOPBACK, kinds_since, make_site, settings_in, sign_in, size_of
from tests.console.test_browser import FLAGS, axe
from tests.support.openid_provider import CLIENT, KEYS, RSA_KEY, SECRET, Provider, public_jwk, unsigned

PASSWORD = "correct horse battery"
ADDRESS = "http://127.0.0.1:8440"
REFUSED = own_sentences()["openid_refused"].zh
UNAVAILABLE = own_sentences()["openid_unavailable"].zh


@pytest.fixture(scope="module")
def provider():
    with Provider(redirects=[f"{ADDRESS}/console/sign-in/openid/back"]) as running:
        yield running


@pytest.fixture(scope="module")
def ours(provider, tmp_path_factory):
    given = {"openid_client_id": CLIENT, "openid_client_secret": SecretStr(SECRET)}
    return make_site(tmp_path_factory.mktemp("openid"), openid_issuer=provider.issuer, **given)


@pytest.fixture(scope="module")
def app(ours, provider):
    """The application, with an auditor of education bound to the provider's `person-0417`."""
    with ours.running() as client:
        add(client, "bound-one", Role.AUDITOR, Department.EDUCATION)
        bind(client, "bound-one", "person-0417")
        yield client


@pytest.fixture(autouse=True)
def honest(provider, app):
    provider.honest()
    app.app.state.console.openid._provider = None


@pytest.fixture(autouse=True)
def whys(monkeypatch):
    """Why sign-ins were refused, as the operator's log has it: the visitor hears one sentence for all."""
    told = []
    monkeypatch.setattr(openid.log, "warning", lambda _event, why: told.append(why))
    return told


def add(app, name, role=Role.AUDIT_ADMIN, department=None):
    async def work():
        house, secret = app.app.state.house, app.app.state.console_secret
        given = {"person": f"{CODE}/{name}", "role": role, "department": department, "password": PASSWORD}
        return await accounts.add(house, secret, name, by="test", **given)

    return app.portal.call(work)


def bind(app, name, subject):
    async def work():
        state = app.app.state
        return await openid.bind(
            state.house, state.console_secret, state.console.openid.issuer, subject, name, by="test"
        )

    return app.portal.call(work)


def unbind(app, name):
    async def work():
        return await openid.unbind(app.app.state.house, name, by="test")

    return app.portal.call(work)


def visitor(app, peer=LOOPBACK):
    browser = TestClient(app.app, client=peer, follow_redirects=False, base_url=ADDRESS)
    browser.portal = app.portal
    return browser


def left(browser):
    """Where the console sends a browser."""
    answer = browser.get("/console/sign-in/openid")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def returned(url):
    """Where the provider sends it back to."""
    answer = httpx2.get(url)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{ADDRESS}/console/sign-in/openid/back?")
    return answer.headers["location"].removeprefix(ADDRESS)


def entered(browser):
    return browser.get(returned(left(browser)))


def require_refused(browser, answer, sentence=REFUSED):
    assert sentence in answer.text
    assert "runxin" not in dict(browser.cookies)
    assert browser.get("/console/").status_code == 303


# --- the way it is meant ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_a_bound_subject_signs_in_and_the_sign_in_is_an_entry_like_any_other(algorithm, app, provider):
    provider.algorithm = algorithm
    browser, before = visitor(app), size_of(app)
    answer = entered(browser)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/console/"' in answer.text
    assert kinds_since(app, before) == [("sign_in", "done", "signed_in")]
    assert "bound-one" in browser.get("/console/").text
    assert set(browser.cookies) == {"runxin"}, "the attempt is forgotten"


def test_what_is_asked_of_the_provider(app):
    asked = {name: values[0] for name, values in parse_qs(urlsplit(left(visitor(app))).query).items()}
    assert asked.keys() == {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert (asked["scope"], asked["response_type"], asked["code_challenge_method"]) == ("openid", "code", "S256")
    assert asked["redirect_uri"] == f"{ADDRESS}/console/sign-in/openid/back"
    other = parse_qs(urlsplit(left(visitor(app))).query)
    assert all(asked[name] != other[name][0] for name in ("state", "nonce", "code_challenge"))


def test_role_and_department_are_the_accounts_whatever_the_token_says(app, provider):
    provider.claims = {
        "role": "security_admin",
        "roles": ["security_admin"],
        "groups": ["admins"],
        "email": "x@y.example",
    }
    browser = visitor(app)
    assert entered(browser).status_code == 200
    assert browser.get("/console/accounts").status_code == 403
    assert "审计员" in browser.get("/console/").text


def test_the_local_account_remains_and_the_page_offers_the_provider_only_where_one_is_named(app, ours, browsers):
    page = app.get("/console/sign-in").text
    assert 'href="/console/sign-in/openid"' in page
    assert sign_in(app, ours, Role.AUDITOR).get("/console/").status_code == 200
    elsewhere = browsers[Role.AUDITOR]
    assert "openid" not in elsewhere.get("/console/sign-in").text
    for path in ("", "/back", "/out"):
        answer = elsewhere.get(f"/console/sign-in/openid{path}")
        assert (answer.status_code, "openid_off" in answer.text) == (404, True)


def test_signing_out_ends_our_session_and_leads_to_the_providers_own_way_out(app, provider):
    browser = visitor(app)
    entered(browser)
    assert browser.post("/console/sign-out", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
    assert browser.get("/console/").status_code == 303
    out = browser.get("/console/sign-in/openid/out").headers["location"]
    assert out.startswith(f"{provider.issuer}/end?")
    assert httpx2.get(out).headers["location"] == f"{ADDRESS}/console/sign-in"
    app.app.state.console.openid._provider = None
    provider.described = {"end_session_endpoint": None}
    assert "openid_no_sign_out" in browser.get("/console/sign-in/openid/out").text


# --- who may not ----------------------------------------------------------------------------------------------------------------


def test_nobody_gets_an_account_by_signing_in(app, provider):
    provider.subject = "stranger"
    browser, before = visitor(app), size_of(app)
    answer = entered(browser)
    assert answer.status_code == 401
    require_refused(browser, answer)
    assert kinds_since(app, before) == []


def test_a_disabled_account_stays_out_and_the_try_is_an_entry(app, ours, provider):
    add(app, "leaving-one")
    bind(app, "leaving-one", "person-leaving")
    boss = sign_in(app, ours, Role.SECURITY_ADMIN)
    assert boss.post("/console/accounts/leaving-one/admit", data={"enabled": "no"}).status_code == 303
    provider.subject, before = "person-leaving", size_of(app)
    browser = visitor(app)
    require_refused(browser, entered(browser))
    assert kinds_since(app, before) == [("sign_in", "denied", "sign_in_refused")]


def test_a_bound_demo_account_enters_from_loopback_only(app, provider):
    bind(app, "demo-system-admin", "person-demo")
    provider.subject = "person-demo"
    far = visitor(app, peer=("192.0.2.7", 50000))
    require_refused(far, entered(far))
    assert entered(visitor(app)).status_code == 200


def test_a_binding_is_made_once_on_either_side_and_undoing_it_ends_the_sessions(app, ours, provider):
    add(app, "moving-one")
    bind(app, "moving-one", "person-moving")
    for name, subject in (("moving-one", "another"), ("bound-one", "person-moving")):
        with pytest.raises(Refused, match="openid_bound"):
            bind(app, name, subject)
    with pytest.raises(Refused, match="account_unknown"):
        bind(app, "nobody", "person-nobody")
    shown = sign_in(app, ours, Role.SECURITY_ADMIN).get("/console/accounts").text
    assert re.search(r"moving-one(?:(?!</p></div>).)*统一身份认证", shown, re.DOTALL)
    provider.subject = "person-moving"
    browser = visitor(app)
    assert entered(browser).status_code == 200
    before = size_of(app)
    unbind(app, "moving-one")
    assert kinds_since(app, before) == [("role.changed", "done", "openid_unbound")]
    assert browser.get("/console/").status_code == 303
    require_refused(visitor(app), entered(visitor(app)))
    with pytest.raises(Refused, match="openid_unbound"):
        unbind(app, "moving-one")


def test_the_subject_lies_nowhere_in_clear(app, ours):
    files = [path.read_bytes() for path in ours.settings.data.rglob("*") if path.is_file()]
    assert any(b"bound-one" in data for data in files)
    assert not any(b"person-0417" in data for data in files)


# --- tokens that do not hold ------------------------------------------------------------------------------------------------------

NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"iss": "https://other.example"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "another client"}, "audience"),
        ({"aud": [CLIENT, "another client"]}, "audience"),
        ({"aud": [CLIENT, "another client"], "azp": "another client"}, "audience"),
        ({"azp": "another client"}, "audience"),
        ({"aud": None}, "audience"),
        ({"exp": NOW - 3600}, "expired"),
        ({"exp": None}, "expired"),
        ({"exp": "tomorrow"}, "expired"),
        ({"iat": NOW + 3600}, "future"),
        ({"iat": None}, "expired"),
        ({"nbf": NOW + 3600}, "future"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": 417}, "subject"),
        ({"sub": "x" * 300}, "subject"),
    ],
    ids=lambda one: str(one)[:60],
)
def test_a_token_with_a_wrong_claim_is_refused(claims, why, app, provider, whys):
    provider.claims = claims
    browser, before = visitor(app), size_of(app)
    answer = entered(browser)
    assert answer.status_code == 401
    require_refused(browser, answer)
    assert whys == [why]
    assert kinds_since(app, before) == []


def test_several_audiences_are_good_where_the_token_was_issued_to_us(app, provider):
    provider.claims = {"aud": [CLIENT, "another client"], "azp": CLIENT}
    assert entered(visitor(app)).status_code == 200


def signed_by(key, algorithm, **header):
    return lambda claims: PyJWS().encode(json.dumps(claims).encode(), key, algorithm=algorithm, headers=header)


PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
FORGERIES = {
    "none": lambda claims: unsigned({"alg": "none"}, claims) + "AA",
    "none, no signature": lambda claims: unsigned({"alg": "none", "kid": "RS256"}, claims),
    "None": lambda claims: unsigned({"alg": "None", "kid": "RS256"}, claims) + "AA",
    "HS256 under the public key": lambda claims: unsigned({"alg": "HS256", "kid": "RS256"}, claims, PEM),
    "HS256 under the client's secret": lambda claims: unsigned(
        {"alg": "HS256", "kid": "RS256"}, claims, SECRET.encode()
    ),
    "an unknown key": signed_by(ec.generate_private_key(ec.SECP256R1()), "ES256", kid="unknown"),
    "a known key's name": signed_by(ec.generate_private_key(ec.SECP256R1()), "ES256", kid="ES256"),
    "another key's name": signed_by(KEYS["ES256"][0], "ES256", kid="RS256"),
    "no key's name": signed_by(KEYS["ES256"][0], "ES256"),
    "a key of its own": signed_by(
        ec.generate_private_key(ec.SECP256R1()), "ES256", kid="ES256", jwk={"kty": "EC", "crv": "P-256"}
    ),
    "an address of keys": signed_by(KEYS["ES256"][0], "ES256", kid="ES256", jku="https://evil.example/keys"),
    "a critical extension": signed_by(KEYS["ES256"][0], "ES256", kid="ES256", crit=["exp"]),
    "RS512": signed_by(RSA_KEY, "RS512", kid="RS256"),
    "no token": lambda _: "a.b.c",
    "nothing": lambda _: "",
    "a long one": lambda _: "A" * 20_000,
}


WHYS = {
    "none": "algorithm",
    "none, no signature": "header",
    "None": "algorithm",
    "HS256 under the public key": "algorithm",
    "HS256 under the client's secret": "algorithm",
    "an unknown key": "key",
    "a known key's name": "signature",
    "another key's name": "key",
    "no key's name": "key",
    "a key of its own": "header",
    "an address of keys": "header",
    "a critical extension": "header",
    "RS512": "algorithm",
    "no token": "header",
    "nothing": "no_token",
    "a long one": "no_token",
}


@pytest.mark.parametrize("forgery", list(FORGERIES))
def test_a_forged_token_is_refused(forgery, app, provider, whys):
    provider.forge = FORGERIES[forgery]
    browser = visitor(app)
    answer = entered(browser)
    assert answer.status_code == 401
    require_refused(browser, answer)
    assert whys == [WHYS[forgery]]


def test_a_changed_signature_is_refused(app, provider):
    def forge(claims):
        good = signed_by(KEYS["ES256"][0], "ES256", kid="ES256")
        head, _, tail = good(claims).rpartition(".")
        return f"{head}.{tail[:-4]}{'AAAA' if tail[-4:] != 'AAAA' else 'BBBB'}"

    provider.forge = forge
    browser = visitor(app)
    require_refused(browser, entered(browser))


# --- answers that do not belong to the attempt --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"state": "another"}, "state"),
        ({"state": None}, "state"),
        ({"state": ""}, "state"),
        ({"iss": "https://other.example"}, "mix_up"),
        ({"iss": None}, "mix_up"),
        ({"code": None}, "code"),
        ({"code": ""}, "code"),
        ({"code": "guessed"}, "code"),
        ({"code": "x" * 5000}, "code"),
        ({"error": "access_denied"}, "error"),
    ],
    ids=lambda one: str(one)[:60],
)
def test_an_answer_with_wrong_state_issuer_or_code_is_refused(sent, why, app, provider, whys):
    provider.sent = sent
    browser = visitor(app)
    answer = entered(browser)
    assert answer.status_code == 401
    require_refused(browser, answer)
    assert whys == [why]
    assert "runxin-openid" not in dict(browser.cookies), "the attempt is forgotten whatever came of it"


def test_a_parameter_sent_twice_is_refused(app, whys):
    browser = visitor(app)
    require_refused(browser, browser.get(returned(left(browser)) + "&code=another"))
    assert whys == ["repeated"]


def test_an_answer_is_good_in_the_browser_that_asked_and_there_once(app, provider, whys):
    provider.codes_once = False  # a provider that does not look, so that ours has to
    mine, theirs = visitor(app), visitor(app)
    back = returned(left(mine))
    attempt = dict(mine.cookies)["runxin-openid"]
    require_refused(theirs, theirs.get(back))
    left(theirs)
    require_refused(theirs, theirs.get(back))
    assert whys == ["cookie", "state"]
    assert mine.get(back).status_code == 200
    again = visitor(app)
    again.cookies.set("runxin-openid", attempt, domain="127.0.0.1")
    before = size_of(app)
    answer = again.get(back)
    assert answer.status_code == 401
    require_refused(again, answer)
    assert kinds_since(app, before) == []
    assert whys == ["cookie", "state"], "refused by the claim of the attempt, after everything else held"


def test_a_code_is_good_once_at_the_provider_too(app, whys):
    browser = visitor(app)
    back = returned(left(browser))
    attempt = dict(browser.cookies)["runxin-openid"]
    assert browser.get(back).status_code == 200
    again = visitor(app)
    again.cookies.set("runxin-openid", attempt, domain="127.0.0.1")
    require_refused(again, again.get(back))
    assert whys == ["code"]


@pytest.mark.parametrize("checks", [True, False], ids=["provider checks PKCE", "provider drops PKCE"])
def test_a_code_slipped_in_from_another_attempt_is_refused(checks, app, provider, whys):
    provider.checks_pkce = checks  # where it does not, the nonce still tells
    mine, victim = visitor(app), visitor(app)
    stolen = parse_qs(urlsplit(returned(left(victim))).query)["code"][0]
    provider.sent = {"code": stolen}
    require_refused(mine, entered(mine))
    assert whys == ["code" if checks else "nonce"]


def test_an_attempt_that_was_sealed_elsewhere_is_refused(app, whys):
    for forged in ("", "x", "A" * 200, "é"):
        browser = visitor(app)
        back = returned(left(browser))
        browser.cookies.clear()
        require_refused(browser, browser.get(back, headers={"Cookie": f"runxin-openid={forged}".encode()}))
    assert whys == ["cookie"] * 4


def test_a_late_attempt_is_told_from_a_timely_one():
    provider = Described("https://a.example", "", "", "", "", names_itself=False, basic=True)
    attempt = Attempt.begin("https://a.example", until=1000)
    answer = [("state", attempt.state), ("code", "c")]
    assert code_in(answer, attempt, provider, now=1000) == "c"
    with pytest.raises(OpenIdUnsound, match="late"):
        code_in(answer, attempt, provider, now=1001)
    with pytest.raises(OpenIdUnsound, match="late"):
        code_in(answer, Attempt("https://b.example", attempt.state, "", "", 1000), provider, now=1000)


# --- a provider that is not the one, or not there ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": None},
        {"response_types_supported": ["token"]},
        {"token_endpoint": "http://192.0.2.7/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
    ids=lambda one: str(one)[:60],
)
def test_a_provider_that_describes_itself_wrongly_is_not_used(described, app, provider):
    provider.described = described
    answer = visitor(app).get("/console/sign-in/openid")
    assert answer.status_code == 503
    assert UNAVAILABLE in answer.text


def test_where_the_provider_is_silent_the_local_account_still_lets_in(app, ours, provider):
    provider.up = False
    answer = visitor(app).get("/console/sign-in/openid")
    assert (answer.status_code, UNAVAILABLE in answer.text) == (503, True)
    assert sign_in(app, ours, Role.AUDIT_ADMIN).get("/console/").status_code == 200


# --- what a browser may be tricked into -----------------------------------------------------------------------------------------


def test_no_request_says_where_anybody_is_sent(app):
    browser = visitor(app)
    for path in (
        "/console/sign-in/openid?next=https://evil.example",
        "/console/sign-in/openid?redirect_uri=https://evil.example",
    ):
        answer = browser.get(path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert "evil" not in answer.headers["location"]
    back = returned(left(browser))
    answer = browser.get(f"{back}&next=https://evil.example", headers={"X-Forwarded-Host": "evil.example"})
    assert "evil" not in answer.text


def test_a_session_from_before_is_neither_taken_over_nor_left_alive(app, ours):
    browser = sign_in(app, ours, Role.AUDIT_ADMIN)
    old = dict(browser.cookies)["runxin"]
    assert entered(browser).status_code == 200
    assert dict(browser.cookies)["runxin"] != old
    thief = visitor(app)
    thief.cookies.set("runxin", old, domain="127.0.0.1")
    assert thief.get("/console/").status_code == 303
    planted = visitor(app)
    planted.cookies.set("runxin", "planted-by-somebody", domain="127.0.0.1")
    assert 'content="0;url=/console/"' in entered(planted).text
    thief = visitor(app)
    thief.cookies.set("runxin", "planted-by-somebody", domain="127.0.0.1")
    assert thief.get("/console/").status_code == 303


def test_the_attempts_cookie_is_for_this_host_and_no_script_and_says_nothing(app):
    answer = visitor(app).get("/console/sign-in/openid")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["state"][0] not in cookie
    secure = TestClient(app.app, client=LOOPBACK, follow_redirects=False, base_url="https://127.0.0.1:8440")
    secure.portal = app.portal
    cookie = secure.get("/console/sign-in/openid").headers["set-cookie"]
    assert cookie.startswith("__Host-runxin-openid=")
    assert "Secure" in cookie


# --- other providers and settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"openid_issuer": "http://provider.example", "openid_client_id": "x"},
        {"openid_issuer": "https://provider.example?tenant=1", "openid_client_id": "x"},
        {"openid_issuer": "ftp://provider.example", "openid_client_id": "x"},
        {"openid_issuer": "https://", "openid_client_id": "x"},
        {"openid_issuer": "https://provider.example"},
    ],
    ids=lambda one: str(one)[:60],
)
def test_settings_that_would_not_be_safe_stop_the_start(values, tmp_path):
    with pytest.raises(ValidationError):
        settings_in(tmp_path, **values)


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """(provider, site, bound socket) of a gateway known by a name, a public client that demands two factors."""
    place = socket.socket()  # held from here on, so that nobody else is given its port
    place.bind(("127.0.0.1", 0))
    address = f"http://localhost:{place.getsockname()[1]}"
    with place, Provider(secret="", redirects=[f"{address}/console/sign-in/openid/back"], asks=True) as provider:
        given = {"openid_client_id": CLIENT, "openid_acr": ("two-factors",), "issuer": address}
        yield provider, make_site(tmp_path_factory.mktemp("public"), openid_issuer=provider.issuer, **given), place


def test_the_command_line_checks_binds_lists_and_unbinds(public, monkeypatch):
    provider, site, _ = public
    provider.honest()
    monkeypatch.setenv("RUNXIN_DATA", str(site.settings.data))
    monkeypatch.setenv("RUNXIN_ISSUER", site.settings.issuer)
    monkeypatch.setenv("RUNXIN_DEMO", "1")
    monkeypatch.setenv("RUNXIN_ROOT_PASSPHRASE", "console-tests")

    def runxin(*arguments, **options):
        return CliRunner().invoke(command_line, ["console", "openid", *arguments], **options)

    without = runxin("bind", "demo-audit-admin", "--subject", "person-0990")
    assert (without.exit_code, "RUNXIN_OPENID_ISSUER" in without.output) == (2, True)
    monkeypatch.setenv("RUNXIN_OPENID_ISSUER", provider.issuer)
    monkeypatch.setenv("RUNXIN_OPENID_CLIENT_ID", CLIENT)
    assert f"{site.settings.issuer}/console/sign-in/openid/back" in runxin("check").output
    provider.described = {"code_challenge_methods_supported": None}
    assert runxin("check").exit_code == 3
    asked = runxin("bind", "demo-audit-admin", input="person-0990\n")
    assert asked.exit_code == 0, asked.output
    assert "person-0990" not in asked.output
    assert '"demo-audit-admin"' in runxin("list").output
    assert runxin("unbind", "demo-audit-admin").exit_code == 0


@pytest.mark.parametrize(("level", "good"), [("two", True), ("one", False), (None, False), (["two"], False)], ids=str)
def test_a_demanded_level_of_authentication_has_to_be_named(level, good):
    attempt = Attempt.begin("https://a.example", until=NOW)
    claims = {"iss": attempt.issuer, "aud": CLIENT, "exp": NOW + 60, "iat": NOW, "nonce": attempt.nonce, "sub": "one"}
    token = signed_by(KEYS["ES256"][0], "ES256", kid="ES256")(claims | {"acr": level})
    given = {"client_id": CLIENT, "now": NOW, "acr": ("two", "three")}
    if good:
        assert read_id_token(token, public_jwk("ES256"), attempt, **given) == "one"
        return
    with pytest.raises(OpenIdUnsound, match="acr"):
        read_id_token(token, public_jwk("ES256"), attempt, **given)


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
@pytest.mark.parametrize("bits", [1024, 2048])
def test_a_short_rsa_key_is_no_key_even_where_the_provider_names_it(bits):
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "RS256"}
    attempt = Attempt.begin("https://a.example", until=NOW)
    claims = {"iss": attempt.issuer, "aud": CLIENT, "exp": NOW + 60, "iat": NOW, "nonce": attempt.nonce, "sub": "one"}
    token = signed_by(key, "RS256", kid="RS256")(claims)
    if bits == 2048:
        assert read_id_token(token, jwk, attempt, client_id=CLIENT, now=NOW) == "one"
        return
    with pytest.raises(OpenIdUnsound, match="key"):
        read_id_token(token, jwk, attempt, client_id=CLIENT, now=NOW)


@pytest.mark.browser
def test_in_a_browser_the_session_holds_although_the_way_began_at_another_site(public, chromium):
    provider, site, place = public
    provider.honest()
    address = site.settings.issuer

    async def bound():
        async with opened(site.settings) as house:
            await openid.bind(
                house, console_secret(site.settings), provider.issuer, "person-0417", "demo-auditor", by="test"
            )

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(bound())).result()
    server = uvicorn.Server(uvicorn.Config(build(site.settings), access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context().new_page()
        page.set_default_timeout(15_000)
        complaints = []

        def enter():
            page.goto(f"{address}/console/sign-in")
            assert axe(page) == []
            page.get_by_role("link", name="用统一身份认证登录").click()
            expect(page.locator("h1")).to_have_text("Provider")
            page.get_by_role("button", name="Enter").click()

        provider.claims = {"acr": "password"}
        enter()
        expect(page.get_by_role("alert")).to_have_text(REFUSED)
        provider.honest()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        enter()
        expect(page.locator("h1")).to_have_text("总览")
        assert page.url == f"{address}/console/"
        (cookie,) = page.context.cookies(address)
        assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"]) == ("runxin", "Strict", True)
        page.get_by_role("button", name="退出").click()
        page.get_by_role("link", name="同时退出统一身份认证").click()
        expect(page.get_by_role("link", name="用统一身份认证登录")).to_be_visible()
        assert complaints == []
        browser.close()
    server.should_exit = True
    thread.join()
