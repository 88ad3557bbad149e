"""Security keys: a virtual authenticator registers, signs in and signs drafts; what is replayed, late, of another purpose, host,
draft or person is refused.
"""

import asyncio
import hashlib
import json
import os
import re
import socket
import sqlite3
import threading
import time
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import NamedTuple
from urllib.parse import parse_qs

import httpx2
import pyotp
import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright
from webauthn.helpers import base64url_to_bytes

from gateway.app import build, console_secret, opened
from gateway.console import accounts
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.console.security_keys import GOOD_SECONDS, host, make_challenge, require_challenge
from gateway.identity.approvals import subject_digest
from gateway.identity.security_keys import key_subject
from tests.console.site import CODE, SECOND_OWNER, Site, make_site, settings_in, size_of
from tests.console.test_browser import FLAGS, axe, draft_once, someone
from tests.console.test_drafts import subject_in
from tests.support.authenticator import Authenticator, base64url

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


class Named(NamedTuple):
    address: str
    secret: str
    site: Site


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """(address, one-time-code secret, site) of a gateway that is known by a name, with an ordinary account."""
    place = socket.socket()  # held from here on, so that nobody else is given its port
    place.bind(("127.0.0.1", 0))
    port = place.getsockname()[1]
    site = make_site(tmp_path_factory.mktemp("named"), issuer=f"http://localhost:{port}")

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
    server = uvicorn.Server(uvicorn.Config(build(site.settings), access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield Named(f"http://localhost:{port}/console", secret, site)
    server.should_exit = True
    thread.join()


@pytest.mark.browser
def test_a_security_key_takes_the_place_of_the_code_and_its_answer_is_good_once(named, chromium):
    address, secret, _ = named
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


class Signer:
    """The education department's policy owner, who is an approver, in a browser with a security key of that person."""

    def __init__(self, playwright, chromium, address, site):
        self.address, self.site = address, site
        self.browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        self.context = self.browser.new_context()
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.device = self.context.new_cdp_session(self.page)
        self.device.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
        options |= {"hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
        self.authenticator = self.device.send("WebAuthn.addVirtualAuthenticator", {"options": options})[
            "authenticatorId"
        ]

    def sign_in(self):
        self.page.goto(f"{self.address}/sign-in")
        self.page.fill("[name=account]", SECOND_OWNER)
        self.page.fill("[name=password]", self.site.passwords[SECOND_OWNER])
        self.page.click("form.stack button.btn-primary")
        expect(self.page.locator("h1")).to_have_text("总览")

    def vouch(self):
        """Add the key, and vouch for it with the person's own key file."""
        page = self.page
        page.goto(f"{self.address}/security-keys")
        page.fill("[name=label]", "蓝色那把")
        page.click("#new-key button")
        page.locator(".rule summary", has_text="用于签署审批").click()
        assert axe(self.page, debugger=self.device) == []
        page.set_input_files("[data-key-file]", self.site.key_file("E0501"))
        page.get_by_role("button", name="签署授权声明").click()
        expect(page.locator(".rule .tag-good")).to_have_text("可签署审批")
        assert axe(self.page, debugger=self.device) == []

    def press(self, draft):
        self.page.goto(self.address + draft)
        assert axe(self.page, debugger=self.device) == []
        self.page.locator("[data-kid]").click()

    def verified(self, holder):
        self.device.send("WebAuthn.setUserVerified", {"authenticatorId": self.authenticator, "isUserVerified": holder})


def seat(address, site, account):
    """Somebody at the console, without a browser's engine."""
    visitor = httpx2.Client(base_url=address, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30)
    name = account if account == SECOND_OWNER else f"demo-{account.replace('_', '-')}"
    answer = visitor.post("/sign-in", data={"account": name, "password": site.passwords[account], "code": ""})
    assert answer.status_code == 303, answer.text
    return visitor


def test_only_its_own_account_vouches_for_a_key_and_a_removed_one_signs_nothing(named):
    address, _, site = named
    origin = address.removesuffix("/console")
    device = Authenticator(origin, "localhost")
    row = (device.credential, SECOND_OWNER, device.public_key, 0, "绿色", 1)
    with closing(sqlite3.connect(site.settings.data / "gateway.sqlite3")) as database, database:
        names = "credential_id, account, public_key, signs, label, added"
        database.execute(f"INSERT INTO console_security_keys ({names}) VALUES (?, ?, ?, ?, ?, ?)", row)
    owner, second = seat(address, site, str(Role.POLICY_OWNER)), seat(address, site, SECOND_OWNER)
    path = f"/security-keys/{device.credential.hex()}"
    subject = key_subject(
        label="绿色", credential=device.credential, key=device.public_key, host="localhost", origin=origin
    )
    good = site.vouched("E0501", subject)
    elsewhere = site.vouched("E0501", {**subject, "origin": "https://localhost:8440"})
    swapped = site.vouched("E0501", {**subject, "key": base64url(Authenticator().public_key)})
    others = site.vouched("H0502", subject)
    assert "approver_unknown" in owner.post(f"{path}/vouch", data={"statement": good}).text
    for statement in (elsewhere, swapped, others, "", site.signed("E0501", subject)):
        answer = second.post(f"{path}/vouch", data={"statement": statement})
        assert "statement_invalid" in answer.text
    assert second.post(f"{path}/vouch", data={"statement": good}).status_code == 303
    assert "person_key_taken" in second.post(f"{path}/vouch", data={"statement": good}).text

    where = draft_once(address, site)
    shown = second.get(where).text
    subject, now = subject_in(shown), int(time.time())
    claims = {"iss": "E0501", "org": CODE, "dept": "education", "digest": subject_digest(subject), "iat": now}
    (kid,) = re.findall(f'data-kid="([^"]+)" data-credential="{base64url(device.credential)}"', shown)
    statement = device.approval(kid, claims | {"subject": subject, "exp": now + 600})
    assert second.post(f"{path}/remove").status_code == 303
    assert "approver_unknown" in second.post(f"{where}/approve", data={"statement": statement}).text
    assert kid not in second.get(where).text
    with closing(sqlite3.connect(site.settings.data / "gateway.sqlite3")) as database:
        leaves = [bytes(leaf) for (leaf,) in database.execute("SELECT leaf FROM audit_entries")]
    assert sum(b"security_key_vouched" in leaf for leaf in leaves) >= 1


def stored_approvals(site):
    """(change, signer, statement) of every approval as it lies in the database."""
    with closing(sqlite3.connect(site.settings.data / "gateway.sqlite3")) as database:
        return database.execute("SELECT change_id, signer, statement FROM policy_approvals").fetchall()


@pytest.mark.browser
def test_a_second_person_signs_a_draft_with_a_security_key_and_only_that_draft(named, chromium):
    address, _, site = named
    owner = someone(address, site, Role.POLICY_OWNER)
    first, second = draft_once(address, site), draft_once(address, site)
    with sync_playwright() as playwright:
        signer = Signer(playwright, chromium, address, site)
        page = signer.page
        signer.sign_in()
        page.goto(address + first)
        assert page.locator("[data-kid]").count() == 0, "nobody vouched for the key yet"
        signer.vouch()
        signer.verified(False)
        signer.press(first)
        expect(page.locator("[data-said]")).to_have_text("安全密钥没有应答。")
        signer.verified(True)
        sent = []
        page.on("request", lambda request: sent.append(request.post_data) if request.method == "POST" else None)
        signer.press(first)
        expect(page.locator("p", has_text=f"{CODE}/E0501")).to_be_visible()
        (statement,) = parse_qs(sent[-1])["statement"]
        assert signer.complaints == []

        # The same assertion under another draft, once more under its own, and asked for from a page of another origin.
        for draft, status, code in ((second, 403, "approval_subject"), (first, 409, "approval_replayed")):
            answer = signer.context.request.post(
                f"{address}{draft}/approve",
                form={"statement": statement},
                headers={"Sec-Fetch-Site": "same-origin"},
                max_redirects=0,
            )
            assert (answer.status, code in answer.text()) == (status, True), answer.text()
        page.goto(address.replace("localhost", "127.0.0.1") + "/sign-in")
        asked = """async (button) => { try { await navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32),
            rpId: "localhost", userVerification: "required" } }); return "answered"; } catch (error) { return error.name; } }"""
        assert page.evaluate(asked) == "SecurityError"
        signer.browser.close()

    assert [(change, person) for change, person, _ in stored_approvals(site)] == [
        (first.rpartition("/")[2], f"{CODE}/E0501")
    ]
    header, claims, third = stored_approvals(site)[0][2].split(".")
    kept = json.loads(base64url_to_bytes(third))
    assert set(kept) == {"authenticatorData", "clientDataJSON", "signature"}
    told = json.loads(base64url_to_bytes(kept["clientDataJSON"]))
    assert base64url_to_bytes(told["challenge"]) == hashlib.sha256(f"{header}.{claims}".encode()).digest()
    assert json.loads(base64url_to_bytes(claims))["subject"]["change"] == first.rpartition("/")[2]

    subject = subject_in(owner(first)[1])
    owner(f"{first}/approve", {"statement": site.signed("H0502", subject)})
    where, page = owner(f"{first}/activate", {})
    assert where == "/versions"
    assert "缩短规则期限" in page
    assert "待签署" not in owner(first)[1]
