"""Who is this child? Asked at the console, signed by two people of two other departments, answered once and opened in the browser."""

import json
import re
import threading
import time
from dataclasses import replace
from html import unescape

import pytest
import uvicorn
from playwright.sync_api import expect, sync_playwright

from adapters.base import mapping
from adapters.base.answering import DepartmentSource, Office
from adapters.directory import Directory
from gateway.app import build, console_secret
from gateway.client import statements
from gateway.console import accounts
from gateway.console.roles import Role
from gateway.domain.orders import SealInfo
from gateway.domain.parties import Organisation, Party, Person
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from gateway.errors import ProviderFault
from gateway.release.wire import line_from_wire
from gateway.store.registry import Enrolled
from gateway.store.registry_changes import add_person, add_sealing_key, put_edge, put_organisation
from keys.envelope import open_line
from keys.identifiers import identify
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey
from keys.text import write
from tests.console.site import CODE, LOOPBACK, SAME_ORIGIN, kinds_since, make_site, size_of, text_of
from tests.console.test_browser import FLAGS, axe
from tests.unit.flows.naming_world import ROOT, InProcessEdge, InProcessEdges, MemoryRegister

NUMBER = "330106201203040012"
ASKER, COLLEAGUE = "ca-auditor", "ca-colleague"
PEOPLE = {
    ASKER: ("A0401", Role.AUDITOR, Department.CIVIL_AFFAIRS),
    COLLEAGUE: ("A0402", Role.AUDITOR, Department.CIVIL_AFFAIRS),
    "ed-owner": ("E0501", Role.POLICY_OWNER, Department.EDUCATION),
    "he-owner": ("H0502", Role.POLICY_OWNER, Department.HEALTH),
}
PASSWORD = "who-is-this-child-1"
WRITTEN = {"exchange": "", "source": f"{CODE}/education", "case": "FI-0007", "reason": "需联系其监护人"}


class House:
    """The site's gateway with a school bureau whose register answers, and people of three departments."""

    def __init__(self, folder):
        self.site, self.folder = make_site(folder), folder
        self.sealing, self.sender, self.asker_key = SealingPair.generate(), SigningKey.generate(), SigningKey.generate()
        self.sealing.save(folder / "sealing.json")
        self.asker_key.save(folder / "A0401.pem")
        self.own = Party(CODE, Department.CIVIL_AFFAIRS)

    async def furnish(self, state):
        """Enrol everybody, and let the gateway reach the bureau in this process."""
        house, now = state.house, int(time.time())
        async with house.database.write() as writing:
            departments = frozenset({Department.CIVIL_AFFAIRS, Department.EDUCATION, Department.HEALTH})
            await put_organisation(writing, Organisation(CODE, "某单位", "330106", departments))
            key = self.asker_key
            person = Person("A0401", self.own, frozenset({"auditor"}), key.thumbprint, key.verify_key.public)
            await add_person(writing, Enrolled(person, now + 10**6, "an administrator", "a statement"), now=now)
            await add_sealing_key(writing, self.sealing.sealing_key(self.own), now=now)
            kid, public = self.sender.thumbprint, self.sender.verify_key.public
            edge = Party(CODE, Department.EDUCATION)
            await put_edge(writing, edge, "33", "http://edge.example", sender_kid=kid, sender_key=public)
        for name, (staff, role, department) in PEOPLE.items():
            if name == "ed-owner":
                continue  # the site has an account of this person
            await accounts.add(
                house,
                console_secret(self.site.settings),
                name,
                person=f"{CODE}/{staff}",
                role=role,
                department=department,
                password=PASSWORD,
                by="tests",
                demo=True,
            )
        self.edge = await self._edge(house, Party(CODE, Department.EDUCATION))
        state.house = replace(house, providers=InProcessEdges({Party(CODE, Department.EDUCATION): self.edge}))
        self.pseudonym = write(house.ring.derive(Scope.open(Department.CIVIL_AFFAIRS), identify("cn-rid", NUMBER)))

    async def _edge(self, house, party):
        exchanges = house.catalogue.exchanges
        local = mapping.load(ROOT / "adapters" / str(party.department) / "mapping.toml", exchanges)
        memory, directory = MemoryRegister(), Directory(self.folder / "directory.sqlite", party.department)
        memory.rows["S0012"] = ("cn-rid", NUMBER)
        office = Office(party, "330106", self.sender)
        source = DepartmentSource(
            office, exchanges=exchanges, mapping=local, register=memory, directory=directory, clock=house.clock
        )

        async def evaluate(points, _grant):
            scope = Scope.open(party.department)
            return house.ring.evaluate(scope, points), house.ring.current_epoch(scope)

        await source.enrol(evaluate, None)
        return InProcessEdge(source, directory, memory)

    def account(self, name):
        """(account, password)"""
        if name == "ed-owner":
            return "demo-education-owner", self.site.passwords["demo-education-owner"]
        return name, PASSWORD

    def browser(self, client, name):
        from starlette.testclient import TestClient

        browser = TestClient(client.app, client=LOOPBACK, follow_redirects=False, headers=SAME_ORIGIN)
        browser.base_url, browser.portal = "http://127.0.0.1:8440", client.portal
        account, password = self.account(name)
        answer = browser.post("/console/sign-in", data={"account": account, "password": password, "code": ""})
        assert answer.status_code == 303, text_of(answer.text)
        return browser

    def asked(self, subject):
        return statements.reidentification_request(
            "A0401", self.own, self.asker_key, subject=subject, now=int(time.time())
        )


def subject_in(html):
    return json.loads(unescape(re.search(r'data-subject="([^"]*)"', html)[1]))


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """(house, client, browsers by account)"""
    house = House(tmp_path_factory.mktemp("reidentification"))
    with house.site.running() as client:
        client.portal.call(house.furnish, client.app.state)
        yield house, client, {name: house.browser(client, name) for name in PEOPLE}
    house.edge.directory.close()


def written(house, browsers, **changes):
    """A request that its officer has signed and handed in: (address, subject)."""
    page = browsers[ASKER].post(
        "/console/reidentifications/write", data={**WRITTEN, "pseudonym": house.pseudonym, **changes}
    )
    assert page.status_code == 200, text_of(page.text)
    subject = subject_in(page.text)
    answer = browsers[ASKER].post("/console/reidentifications", data={"statement": house.asked(subject)})
    assert answer.status_code == 303, text_of(answer.text)
    return answer.headers["location"], subject


def signed(house, browsers, where, subject, *names):
    for name in names:
        statement = house.site.signed(PEOPLE[name][0], subject)
        answer = browsers[name].post(f"{where}/approve", data={"statement": statement})
        assert answer.status_code == 303, text_of(answer.text)


def refused(answer):
    return re.search(r'class="code[^"]*">([a-z_]+)<', answer.text)[1] if answer.status_code >= 400 else ""


def test_the_register_answers_once_sealed_to_the_askers_organisation_and_every_step_is_an_entry(desk):
    house, client, browsers = desk
    before = size_of(client)
    where, subject = written(house, browsers)
    assert subject["reason"] == "FI-0007: 需联系其监护人"
    assert house.pseudonym not in where
    signed(house, browsers, where, subject, "ed-owner", "he-owner")
    page = browsers[ASKER].post(f"{where}/look")
    assert page.status_code == 200, text_of(page.text)
    assert NUMBER not in page.text
    line = line_from_wire(json.loads(unescape(re.search(r'data-line="([^"]*)"', page.text)[1])))
    info = SealInfo(
        request=line.sealing.info.request,
        line=1,
        exchange="reidentification",
        sender=Party(CODE, Department.EDUCATION),
        recipient=house.own,
        recipient_kid=house.sealing.kid,
    )
    opened = open_line(line, pair=house.sealing, sender_key=house.sender.verify_key, expected=info)
    assert opened == {"identifier_kind": "cn-rid", "identifier": NUMBER}
    again = browsers[ASKER].post(f"{where}/look")
    assert (again.status_code, "reidentification_viewed" in again.text) == (403, True)
    told = [(outcome, code) for kind, outcome, code in kinds_since(client, before) if kind == "reidentification"]
    assert told == [
        ("done", "asked"),
        ("done", "approved"),
        ("done", "approved"),
        ("done", "granted"),
        ("done", "viewing"),
        ("released", ""),
        ("denied", "reidentification_viewed"),
    ]


def test_without_two_other_departments_nobody_looks(desk):
    house, client, browsers = desk
    where, subject = written(house, browsers, reason="第二次申请")
    for names in ((), ("ed-owner",)):
        signed(house, browsers, where, subject, *names)
        page = browsers[ASKER].get(where).text
        assert "须有两个部门的两份审批" in page, "the button says what the server would say"
        assert "approval_departments" in browsers[ASKER].post(f"{where}/look").text
    twice = house.site.signed("E0501", subject)
    assert "approval_replayed" in browsers["ed-owner"].post(f"{where}/approve", data={"statement": twice}).text
    other = house.site.signed("H0502", {**subject, "reason": "FI-0007: 另一理由"})
    assert "approval_subject" in browsers["he-owner"].post(f"{where}/approve", data={"statement": other}).text
    own = statements.approval("A0401", house.own, house.asker_key, subject=subject, now=int(time.time()))
    assert "approver_function" in browsers["he-owner"].post(f"{where}/approve", data={"statement": own}).text
    assert size_of(client) > 0
    assert house.edge.orders == [order for order in house.edge.orders if order.request.startswith("ri-")]


def test_nobody_asks_or_looks_in_anothers_name_and_colleagues_see_nothing_of_it(desk):
    house, _, browsers = desk
    where, subject = written(house, browsers, reason="第三次申请")
    statement = house.asked({**subject, "reason": "FI-0007: 冒名"})
    assert "request_other" in browsers[COLLEAGUE].post("/console/reidentifications", data={"statement": statement}).text
    assert browsers[COLLEAGUE].get(where).status_code == 404
    assert where not in browsers[COLLEAGUE].get("/console/reidentifications").text
    assert where in browsers["he-owner"].get("/console/reidentifications").text
    signed(house, browsers, where, subject, "ed-owner", "he-owner")
    assert "request_other" in browsers[COLLEAGUE].post(f"{where}/look").text
    assert "role_missing" in browsers["he-owner"].post(f"{where}/look").text


def test_the_same_signature_is_handed_in_once(desk):
    house, _, browsers = desk
    form = {**WRITTEN, "pseudonym": house.pseudonym, "reason": "第四次申请"}
    statement = house.asked(subject_in(browsers[ASKER].post("/console/reidentifications/write", data=form).text))
    assert browsers[ASKER].post("/console/reidentifications", data={"statement": statement}).status_code == 303
    again = browsers[ASKER].post("/console/reidentifications", data={"statement": statement})
    assert "reidentification_used" in again.text


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pseudonym": "cao1xyz"}, "pseudonym_invalid"),
        ({"source": f"{CODE}/health"}, "form_invalid"),
        ({"reason": "儿童身份证330106201203040012"}, "text_identifies"),
        ({"case": ""}, "reason_short"),
        ({"exchange": "X02"}, "form_invalid"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_before_anybody_signs(desk, changes, code):
    house, _, browsers = desk
    form = {**WRITTEN, "pseudonym": house.pseudonym, **changes}
    answer = browsers[ASKER].post("/console/reidentifications/write", data=form)
    assert answer.status_code >= 400
    assert code in answer.text


def test_where_the_source_fails_the_view_is_not_spent(desk):
    house, _, browsers = desk
    where, subject = written(house, browsers, reason="第五次申请")
    signed(house, browsers, where, subject, "ed-owner", "he-owner")
    house.edge.down = ProviderFault("provider_unreachable", edge="")
    try:
        assert "provider_unreachable" in browsers[ASKER].post(f"{where}/look").text
    finally:
        house.edge.down = None
    assert browsers[ASKER].post(f"{where}/look").status_code == 200


@pytest.fixture
def listening(tmp_path):
    """(house, address) of a gateway that really listens."""
    house = House(tmp_path)
    app = build(house.site.settings)
    furnished = app.router.lifespan_context

    def furnishing(inner):
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def lifespan(application):
            async with inner(application) as state:
                await house.furnish(application.state)
                yield state

        return lifespan

    app.router.lifespan_context = furnishing(furnished)
    server = uvicorn.Server(uvicorn.Config(app, port=0, access_log=False, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield house, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/console"
    server.should_exit = True
    thread.join()
    house.edge.directory.close()


def accessible(page):
    """Nothing serious in both themes."""
    assert axe(page) == []
    page.evaluate("document.documentElement.dataset.bsTheme = 'dark'")
    assert axe(page, rules=["color-contrast"]) == []


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_three_people_walk_it_in_their_browsers_and_the_answer_is_opened_where_the_asker_sits(listening, chromium):
    house, address = listening
    with sync_playwright() as playwright:
        engine = playwright.chromium.launch(executable_path=chromium, args=FLAGS)

        def seat(name):
            page = engine.new_context(reduced_motion="reduce").new_page()
            page.set_default_timeout(15_000)
            account, password = house.account(name)
            page.goto(f"{address}/sign-in")
            page.fill("[name=account]", account)
            page.fill("[name=password]", password)
            page.click("form.stack button")
            expect(page.locator("h1")).to_have_text("总览")
            return page

        def sign(page, staff, department, file, button):
            page.fill("[data-iss]", staff)
            page.fill("[data-org]", CODE)
            page.select_option("[data-dept]", department)
            page.set_input_files("[data-key-file]", file)
            # The page has been loaded long since: what is waited for is the answer to the signed form.
            with page.expect_navigation():
                page.get_by_role("button", name=button, exact=True).click()

        asker, visited = seat(ASKER), []
        asker.on("request", lambda request: visited.append((request.url, request.post_data or "")))
        asker.goto(f"{address}/reidentifications")
        for name, value in {**WRITTEN, "pseudonym": house.pseudonym}.items():
            field = asker.locator(f"main form [name={name}]")
            field.select_option(value) if name in ("exchange", "source") else field.fill(value)
        asker.get_by_role("button", name="拟写申请").click()
        expect(asker.locator("h1")).to_have_text("签署申请内容")
        accessible(asker)
        sign(asker, "A0401", "civil_affairs", house.folder / "A0401.pem", "签署并提交")
        expect(asker.locator("h1")).to_have_text("这名儿童是谁？")
        for name, staff, department in (("ed-owner", "E0501", "education"), ("he-owner", "H0502", "health")):
            page = seat(name)
            page.goto(asker.url)
            sign(page, staff, department, house.site.key_file(staff), "签署申请")
            expect(page.locator(".tag-good").first).to_be_visible()
        asker.reload()
        asker.get_by_role("button", name="查看一次该儿童是谁").click()
        expect(asker.locator("h1")).to_have_text("唯一一次查看")
        SealingPair.generate().save(house.folder / "another.json")
        asker.set_input_files("[data-sealing]", house.folder / "another.json")
        expect(asker.locator("[data-said]")).to_contain_text("打不开答复")
        asker.set_input_files("[data-sealing]", house.folder / "sealing.json")
        expect(asker.locator("[data-values]")).to_contain_text(NUMBER)
        accessible(asker)
        expect(asker.locator("[data-said]")).to_contain_text("已用您的密钥打开")
        assert not [url for url, _ in visited if house.pseudonym in url or NUMBER in url]
        secret = json.loads((house.folder / "sealing.json").read_text())["secret"]
        assert not [body for _, body in visited if NUMBER in body or secret[:20] in body]
        engine.close()
