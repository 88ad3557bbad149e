"""Headless Chromium walks the console in both languages at both widths; axe finds nothing serious; proofs are checked where the
auditor sits, and a proof that does not hold is found there.
"""

import json
import os
import re
import threading
from html import unescape
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

from gateway.app import build
from gateway.console.doors import doors
from gateway.console.roles import Role
from tests.console.site import CODE, SECOND_OWNER, leave_waiting, make_site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).parents[2]
WIDTHS = (1280, 390)
LANGUAGES = ("zh", "en")
HEADINGS = {"zh": "总览", "en": "Overview"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, site) of a gateway that really listens."""
    site = make_site(tmp_path_factory.mktemp("browser"), strangers=4)
    waiting = leave_waiting(site)
    server = uvicorn.Server(uvicorn.Config(build(site.settings), port=0, access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/console"
    site.paths = {"matter": review_once(address, site), "draft": draft_once(address, site), **waiting}
    yield address, site
    server.should_exit = True
    thread.join()


def someone(address, site, role):
    """Opens addresses as a role's demo account: asked(path, form) gives the page that it ends on."""
    browser = build_opener(HTTPCookieProcessor())
    browser.addheaders = [("Sec-Fetch-Site", "same-origin")]

    def asked(path, form=None):
        answer = browser.open(address + path, data=None if form is None else urlencode(form).encode())
        return answer.url.removeprefix(address), answer.read().decode()

    asked("/sign-in", {"account": f"demo-{role.replace('_', '-')}", "password": site.passwords[str(role)]})
    return asked


def review_once(address, site):
    """The audit administrator reviews the accesses of the last weeks; the address of a matter."""
    asked = someone(address, site, Role.AUDIT_ADMIN)
    _, page = asked("/review", {})
    while "进行中" in page:
        _, page = asked("/review")
    return re.search(r"/review/unrelated-\d+", page)[0]


def draft_once(address, site):
    """The policy owner keeps a draft; its address."""
    asked = someone(address, site, Role.POLICY_OWNER)
    _, page = asked("/drafts/new?rule=X02.ca.q03")
    form = dict(re.findall(r'<input class="form-control" name="(\w+)" value="([^"]*)"', page))
    for name, body in re.findall(r'<select class="form-select" name="(\w+)">(.*?)</select>', page, re.DOTALL):
        if chosen := re.search(r'value="([^"]*)" selected', body):
            form[name] = chosen[1]
    form |= {"what": "put", "change": "", "why": "缩短规则期限", "exp": "2030-01-01T00:00:00Z"}
    where, _ = asked(
        "/drafts", {name: unescape(value) for name, value in form.items() if name not in ("rule", "exchange")}
    )
    assert re.fullmatch(r"/drafts/pc-\w+", where), where
    return where


@pytest.fixture(scope="module")
def engine(chromium):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Seat:
    """Somebody in front of a browser. complaints: what the browser's console said."""

    def __init__(self, engine, served, role, *, language="zh", width=1280, theme="light", account=""):
        self.address, site = served
        self.context = engine.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        look = {"name": "runxin-look", "value": f"{language}.{theme}", "domain": "127.0.0.1", "path": "/console"}
        self.context.add_cookies([look])
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{self.address}/sign-in")
        self.page.fill("[name=account]", account or f"demo-{role.replace('_', '-')}")
        self.page.fill("[name=password]", site.passwords[account or str(role)])
        self.page.click("form.stack button")
        expect(self.page.locator("h1")).to_have_text(HEADINGS[language])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def menu(self, name):
        """Go where the menu says."""
        if self.page.viewport_size["width"] < 900:
            self.page.locator("summary.brand").click()
        self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()

    def sign(self, site, staff, department, button):
        """Sign what the page shows with an approver's own key file, which never leaves the browser."""
        sent = []
        self.page.on("request", lambda request: sent.append(request.post_data or ""))
        self.page.fill("[data-iss]", staff)
        self.page.fill("[data-org]", CODE)
        self.page.select_option("[data-dept]", department)
        self.page.set_input_files("[data-key-file]", site.key_file(staff))
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).click()
        secret = "".join(site.key_file(staff).read_text().splitlines()[1:-1])
        assert not [body for body in sent if secret[:40] in body or "PRIVATE" in body]

    def picture(self, name):
        """Take the page's picture where `make screens` asked for it."""
        if folder := os.environ.get("RUNXIN_SCREENS"):
            self.page.screenshot(path=Path(folder) / f"{name.rstrip('-')}.png", full_page=True)

    def axe(self, rules=None):
        """Serious and critical violations on the page."""
        return axe(self.page, rules)


def axe(page, rules=None, debugger=None):
    """Serious and critical violations on a page. Evaluated by a debugger, so the page's policy stays strict; by a given one where the
    end of another would take things with it.
    """
    source = (ROOT / "node_modules/axe-core/axe.min.js").read_text("utf-8")
    only = f", runOnly: {json.dumps(rules)}" if rules else ""
    run = (
        f";axe.run(document, {{resultTypes: ['violations']{only}}})"
        """.then((found) => JSON.stringify(found.violations
        .filter((one) => ["serious", "critical"].includes(one.impact))
        .map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 200))])))"""
    )
    own = debugger or page.context.new_cdp_session(page)
    asked = {"expression": source + run, "awaitPromise": True, "returnByValue": True}
    value = json.loads(own.send("Runtime.evaluate", asked)["result"]["value"])
    if debugger is None:
        own.detach()
    return value


def pages_of(role, site):
    shown = [door.path for door in doors() if door.menu and role in door.roles]
    if role is Role.AUDITOR:
        shown.append(site.paths["request"])
    if role is not Role.SYSTEM_ADMIN:
        shown.append(site.paths["review"])
    if role in (Role.AUDIT_ADMIN, Role.AUDITOR):
        shown += ["/entries/7" if role is Role.AUDIT_ADMIN else "/entries/12", "/findings/new?entry=12"]
        shown.append(site.paths["matter"])
    if role is not Role.SYSTEM_ADMIN:
        shown += ["/catalogue/X02", site.paths["draft"], "/versions/compare?before=1&after=1"]
    if role is Role.POLICY_OWNER:
        shown.append("/drafts/new?rule=X02.ca.q02")
    return shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("role", list(Role), ids=str)
def test_every_page_is_accessible_in_both_themes_and_fits_at_both_widths(role, language, engine, served):
    with Seat(engine, served, role, language=language) as seat:
        for path in pages_of(role, served[1]):
            answer = seat.page.goto(seat.address + path)
            assert answer.status == 200, path
            assert seat.page.locator("h1").count() == 1, path
            assert seat.axe() == [], path
            seat.picture(f"{role}-{language}{path.partition('?')[0].replace('/', '-')}")
            seat.page.evaluate("document.documentElement.dataset.bsTheme = 'dark'")
            assert seat.axe(rules=["color-contrast"]) == [], f"{path} in the dark"
            for width in WIDTHS:
                seat.page.set_viewport_size({"width": width, "height": 900})
                wide = seat.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, f"{path} is {wide} px too wide at {width}"
            seat.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        assert seat.complaints == []


def test_a_planted_violation_is_found(engine, served):
    with Seat(engine, served, Role.AUDITOR) as seat:
        seat.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
        assert [name for name, _ in seat.axe()] == ["image-alt"]
        seat.page.evaluate("document.querySelector('.lead').style.color = '#eee'")
        assert [name for name, _ in seat.axe(rules=["color-contrast"])] == ["color-contrast"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_auditor_goes_from_the_overview_to_an_unexplained_access_verifies_it_opens_a_finding_and_exports_a_pack(
    language, width, engine, served
):
    said = {
        "zh": (
            "有查询待您复核",
            "该条目确在已签名的日志之中。",
            "提出问题",
            "导出包",
            "制作导出包",
            "取回",
            "打开明细",
        ),
        "en": (
            "Accesses wait for your review",
            "This entry stands in the signed log.",
            "Open a finding",
            "Export packs",
            "Make an export pack",
            "Fetch",
            "Open the details",
        ),
    }
    waiting, stands, finding, packs, make, fetch, details = said[language]
    with Seat(engine, served, Role.AUDITOR, language=language, width=width) as seat:
        page, clicks = seat.page, 0

        def click(locator):
            nonlocal clicks
            locator.click()
            clicks += 1

        click(page.locator("a.matter", has_text=waiting))
        click(page.locator('tr[data-row] a.row-link[href*="unrelated-"]').first)
        matter = page.url
        click(page.locator("ul.pills a.row-link").first)
        assert clicks <= 5
        expect(page.locator("[data-overall]")).to_have_text(stands)
        assert page.locator(".verdict.pass").count() == 4
        page.fill("form[action$=details] [name=reason]", "例行抽查")
        page.get_by_role("button", name=details).click()
        expect(page.locator("dl.facts").nth(1)).to_contain_text("M0101")
        page.goto(matter)
        page.keyboard.press("f")
        expect(page.locator("[name=text]")).to_be_visible()
        page.fill("[name=text]", "审批与查询时间不符")
        page.get_by_role("button", name=finding).click()
        expect(page.locator(".tag-open").first).to_be_visible()
        seat.menu(packs)
        page.fill("[name=reason]", "年度审计取证")
        page.get_by_role("button", name=make).click()
        link = page.get_by_role("link", name=fetch).first
        link.wait_for(timeout=30_000)
        with page.expect_download() as download:
            link.click()
        assert re.search(r"auditpack\.zip$", download.value.suggested_filename)
        assert seat.complaints == []


@pytest.mark.parametrize(
    ("language", "width"),
    [
        ("zh", 1280),
        ("en", 390),
        pytest.param("zh", 390, marks=pytest.mark.soak),
        pytest.param("en", 1280, marks=pytest.mark.soak),
    ],
)
def test_a_policy_owner_drafts_sees_the_diff_has_it_signed_by_others_activates_and_goes_back(
    language, width, engine, served
):
    said = {
        "zh": ("规则变更草案", "新建草案", "其余不变", "保存草案", "待签署", "签署", "生效", "回退到先前版本", "现行"),
        "en": (
            "Drafts of rules",
            "New draft",
            "nothing else changes",
            "Keep the draft",
            "to be signed",
            "Sign the draft",
            "Activate",
            "Return to an earlier version",
            "decides now",
        ),
    }
    drafts, new, nothing_else, keep, to_sign, sign, activate, back, decides = said[language]
    site = served[1]
    where = {"language": language, "width": width}
    with Seat(engine, served, Role.POLICY_OWNER, **where) as author:
        page = author.page
        author.menu(drafts)
        page.get_by_role("link", name=new).click()
        page.select_option("[name=rule]", "X02.ca.q02")
        page.locator("form.filters button").click()
        expect(page.locator("[name=id]")).to_have_value("X02.ca.q02")
        page.fill("[name=exp]", "2031-01-01T00:00:00Z")
        page.fill("[name=why]", "缩短期限以便年度复审")
        expect(page.locator("#preview")).to_contain_text("2031-01-01")
        expect(page.locator("#preview")).to_contain_text(nothing_else)
        page.get_by_role("button", name=keep).click()
        expect(page.locator("#h-state")).to_contain_text(to_sign)
        draft = page.url
        expect(page.locator("button[aria-describedby=why-activate-1]")).to_be_visible()
        with Seat(engine, served, Role.POLICY_OWNER, account=SECOND_OWNER, **where) as second:
            for staff, department in (("E0501", "education"), ("H0502", "health")):
                second.page.goto(draft)
                second.sign(site, staff, department, sign)
                expect(second.page.locator("p", has_text=staff)).to_be_visible()
            assert second.complaints == []
        page.reload()
        page.get_by_role("button", name=activate, exact=True).click()
        first = page.locator("#h-history ~ div tbody tr").first
        expect(first).to_contain_text(decides)
        expect(first).to_contain_text("缩短期限以便年度复审")
        author.sign(site, "E0501", "education", back)
        expect(first).not_to_contain_text("缩短期限以便年度复审")
        expect(first).to_contain_text(decides)
        assert author.complaints == []


@pytest.mark.parametrize("part", ["leaf", "path", "root", "vkey", "index"])
def test_a_proof_that_does_not_hold_is_found_in_the_browser(part, engine, served):
    def spoil(route):
        answer = route.fetch()
        body = answer.json()
        if part == "leaf":
            body["leaf"] = body["leaf"][:-8] + "AAAAAAA="
        elif part == "vkey":
            body["vkey"] = body["vkey"].replace("runxin.example", "other.example")
        else:
            lines = body["proof"].split("\n")
            place = {"index": 1, "path": 2, "root": lines.index("") + 3}[part]
            lines[place] = "index 9" if part == "index" else "A" * 43 + "="
            body["proof"] = "\n".join(lines)
        route.fulfill(response=answer, json=body)

    with Seat(engine, served, Role.AUDIT_ADMIN) as seat:
        seat.page.route("**/proof", spoil)
        seat.page.goto(f"{seat.address}/entries/12")
        expect(seat.page.locator("[data-overall]")).to_have_class(re.compile("fail"))


def test_a_browser_without_ed25519_says_so_and_does_not_say_good(engine, served):
    with Seat(engine, served, Role.AUDIT_ADMIN) as seat:
        seat.page.add_init_script("crypto.subtle.importKey = () => Promise.reject(new Error('unknown'));")
        seat.page.goto(f"{seat.address}/entries/12")
        expect(seat.page.locator("[data-overall]")).to_contain_text("不能核验签名")
        assert seat.page.locator(".overall.pass").count() == 0


def test_the_browser_remembers_the_head_and_finds_a_log_that_is_no_growth_of_it(engine, served):
    with Seat(engine, served, Role.AUDIT_ADMIN) as seat:
        page = seat.page
        page.goto(f"{seat.address}/verification")
        expect(page.locator("#growth [data-overall]")).to_contain_text("自此记下")
        page.goto(f"{seat.address}/entries")  # a look, so the log grows
        page.goto(f"{seat.address}/verification")
        expect(page.locator("#growth [data-overall]")).to_contain_text("日志只增未改")
        page.evaluate(
            """() => { const key = Object.keys(localStorage).find((one) => one.startsWith("runxin.head"));
            const kept = JSON.parse(localStorage.getItem(key)); kept.root = btoa("x".repeat(32));
            localStorage.setItem(key, JSON.stringify(kept)); }"""
        )
        page.goto(f"{seat.address}/verification")
        expect(page.locator("#growth [data-overall]")).to_have_class(re.compile("fail"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_keyboard_alone_leads_from_the_list_to_an_entry(language, engine, served):
    with Seat(engine, served, Role.AUDIT_ADMIN, language=language) as seat:
        page = seat.page
        page.goto(f"{seat.address}/entries")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        expect(page.locator("tr[data-row] a.row-link").first).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#proof")).to_be_visible()
        page.goto(f"{seat.address}/entries")
        page.keyboard.press("/")
        expect(page.locator("form.filters [name=kind]")).to_be_focused()


def test_a_disabled_button_can_be_reached_and_says_the_servers_sentence(engine, served):
    with Seat(engine, served, Role.SYSTEM_ADMIN) as seat:
        seat.page.goto(f"{seat.address}/verification")
        button = seat.page.locator("button[aria-disabled=true]").first
        button.focus()
        expect(button).to_be_focused()
        answer = seat.context.request.post(
            f"{seat.address}/verification", headers={"Sec-Fetch-Site": "same-origin"}, form={}
        )
        assert answer.status == 403
        assert button.get_attribute("title") in answer.text()
        assert button.get_attribute("title").startswith("您的角色无权进行此操作。可操作的角色：")


def test_older_entries_arrive_without_a_new_page(engine, served):
    with Seat(engine, served, Role.AUDIT_ADMIN) as seat:
        seat.page.goto(f"{seat.address}/entries?kind=query")
        assert seat.page.locator("tr[data-row]").count() == 50
        seat.page.get_by_role("link", name="更早的条目").click()
        expect(seat.page.locator("tr[data-row]")).to_have_count(65)
        assert seat.complaints == []


def test_chinese_is_drawn_and_not_boxed(engine, served):
    with Seat(engine, served, Role.AUDITOR) as seat:
        drawn = seat.page.evaluate(
            """() => { const widths = ["润", "心", "网", "\\u{10FFFD}"].map((one) => { const place =
            document.createElement("canvas").getContext("2d"); place.canvas.width = place.canvas.height = 40;
            place.font = "32px " + getComputedStyle(document.body).fontFamily; place.fillText(one, 0, 32);
            return [...place.getImageData(0, 0, 40, 40).data].join(); }); return new Set(widths).size; }"""
        )
        assert drawn == 4, "three characters and a missing one all look different"
