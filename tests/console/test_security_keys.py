"""Security keys: a virtual authenticator registers and signs in; what is replayed, late, of another purpose or host is refused."""

import asyncio
import json
import os
import socket
import threading
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs

import pyotp
import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

from gateway.app import build, console_secret, opened
from gateway.console import accounts
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.console.security_keys import GOOD_SECONDS, host, make_challenge, require_challenge
from tests.console.site import CODE, make_site, settings_in, size_of
from tests.console.test_browser import FLAGS

SECRET = b"\x05" * 32
PASSWORD = "correct horse battery"


def answer_to(challenge: bytes) -> str:
    client_data = json.dumps({"challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode()}).encode()
    return json.dumps({"response": {"clientDataJSON": urlsafe_b64encode(client_data).rstrip(b"=").decode()}})


def test_a_challenge_is_good_for_its_purpose_and_two_minutes_only():
    challenge = make_challenge(SECRET, "sign-in", 1000)
    assert require_challenge(SECRET, "sign-in", answer_to(challenge), 1000 + GOOD_SECONDS) == challenge
    for secret, purpose, now in (
        (SECRET, "sign-in", 1001 + GOOD_SECONDS),
        (SECRET, "register|demo-auditor", 1000),
        (os.urandom(32), "sign-in", 1000),
    ):
        with pytest.raises(Refused, match="key_refused"):
            require_challenge(secret, purpose, answer_to(challenge), now)


@pytest.mark.parametrize("place", [0, 15, 16, 23, 24, 55])
def test_no_bit_of_a_challenge_can_be_changed(place):
    challenge = bytearray(make_challenge(SECRET, "sign-in", 1000))
    challenge[place] ^= 1
    with pytest.raises(Refused, match="key_refused"):
        require_challenge(SECRET, "sign-in", answer_to(bytes(challenge)), 1000)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"response":{"clientDataJSON":"%%"}}', "\u0000"])
def test_rubbish_is_no_answer(text):
    with pytest.raises(Refused, match="key_refused"):
        require_challenge(SECRET, "sign-in", text, 1000)


def test_an_address_has_no_security_keys_and_says_why(tmp_path, browsers):
    assert host(settings_in(tmp_path, issuer="https://gateway.example")) == "gateway.example"
    for issuer in ("http://127.0.0.1:8440", "https://[::1]:8440"):
        with pytest.raises(Refused, match="keys_need_name"):
            host(settings_in(tmp_path, issuer=issuer))
    html = browsers[Role.SYSTEM_ADMIN].get("/console/security-keys").text
    assert "安全密钥须绑定主机名" in html
    refused = browsers[Role.SYSTEM_ADMIN].post("/console/security-keys/options")
    assert "安全密钥须绑定主机名" in refused.text


def test_asking_for_a_challenge_leaves_nothing_behind(stranger):
    before = size_of(stranger)
    stranger.post("/console/sign-in/options")
    assert size_of(stranger) == before


@pytest.fixture
def named(tmp_path):
    """(address, one-time-code secret) of a gateway that is known by a name, with an ordinary account."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = make_site(tmp_path, issuer=f"http://localhost:{port}")

    async def ordinary():
        async with opened(site.settings) as house:
            made = await accounts.add(
                house,
                console_secret(site.settings),
                "inspector",
                person=f"{CODE}/A7",
                role=Role.AUDIT_ADMIN,
                department=None,
                password=PASSWORD,
                by="test",
            )
            return made.secret

    with ThreadPoolExecutor(1) as pool:
        secret = pool.submit(lambda: asyncio.run(ordinary())).result()
    server = uvicorn.Server(uvicorn.Config(build(site.settings), port=port, access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"http://localhost:{port}/console", secret
    server.should_exit = True
    thread.join()


@pytest.mark.browser
def test_a_security_key_takes_the_place_of_the_code_and_its_answer_is_good_once(named, chromium):
    address, secret = named
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(15_000)
        debugger = context.new_cdp_session(page)
        debugger.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
        options |= {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
        debugger.send("WebAuthn.addVirtualAuthenticator", {"options": options})

        def fill():
            page.goto(f"{address}/sign-in")
            page.fill("[name=account]", "inspector")
            page.fill("[name=password]", PASSWORD)

        fill()
        page.fill("[name=code]", pyotp.TOTP(secret).now())
        page.click("form.stack button.btn-primary")
        expect(page.locator("h1")).to_have_text("总览")
        page.goto(f"{address}/security-keys")
        page.fill("[name=label]", "蓝色那把")
        page.click("#new-key button")
        expect(page.locator(".rule strong")).to_have_text("蓝色那把")
        page.get_by_role("button", name="退出").click()

        sent = []
        page.on("request", lambda request: sent.append(request) if request.url.endswith("/sign-in") else None)
        fill()
        page.click("#with-key")
        expect(page.locator("h1")).to_have_text("总览")
        form = next(parse_qs(request.post_data) for request in sent if request.method == "POST")
        assert "code" not in form
        again = {name: values[0] for name, values in form.items()}
        headers = {"Sec-Fetch-Site": "same-origin"}
        replayed = context.request.post(f"{address}/sign-in", form=again, headers=headers, max_redirects=0)
        assert replayed.status == 401
        other = {**again, "account": "demo-audit-admin"}
        assert context.request.post(f"{address}/sign-in", form=other, headers=headers, max_redirects=0).status == 401
        browser.close()
