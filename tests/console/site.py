"""A gateway with its console in a folder of its own: accounts for every role, entries to look at, browsers to look with."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import insert
from starlette.testclient import TestClient

from gateway.app import build, console_secret, found_premises, opened
from gateway.client import statements
from gateway.client.statements import approval, security_key_statement
from gateway.console import accounts
from gateway.console.demo_accounts import make_demo_accounts
from gateway.console.roles import Role
from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Organisation, Party, Person
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.settings import Settings
from gateway.store.basis_tables import reviews
from gateway.store.console import find_account
from gateway.store.registry import Enrolled
from gateway.store.registry_changes import add_person
from gateway.store.reidentification_requests import RequestRow, put_request
from keys.identifiers import identify
from keys.signing import SigningKey
from keys.text import write

LOOPBACK = ("127.0.0.1", 50000)
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CODE = "91330106MA28A1234X"
SECOND_OWNER = "demo-education-owner"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def settings_in(folder: Path, **changes) -> Settings:
    values = {"data": folder / "data", "demo": True, "root_passphrase": SecretStr("console-tests")}
    return Settings(**(values | changes))


def drafts(version: str, child: bytes) -> list[EntryDraft]:
    """Entries of several kinds between departments, one of which holds hostile text in its detail."""
    base = {
        "exchange": "X02",
        "door": Door.NORMAL,
        "purpose": "P14",
        "requester": Department.CIVIL_AFFAIRS,
        "provider": Department.EDUCATION,
        "policy_version": version,
        "children": (child,),
        "actors": ("client:ca-system", f"person:{CODE}/M0101"),
        "detail": {"organisation": CODE, "client": "ca-system", "officer": "M0101", "case": HOSTILE, "request": "rq-1"},
    }
    made = [EntryDraft(kind=EntryKind.QUERY, outcome=Outcome.RELEASED, **base) for _ in range(60)]
    made.append(EntryDraft(kind=EntryKind.QUERY, outcome=Outcome.DENIED, **(base | {"code": "case_missing"})))
    other = {
        "requester": Department.HEALTH,
        "provider": Department.WOMENS_FEDERATION,
        "exchange": "X12",
        "purpose": "P03",
    }
    made.append(EntryDraft(kind=EntryKind.DELIVERED, outcome=Outcome.RELEASED, **(base | other)))
    return made


class Site:
    """passwords: demo account -> password. child: a pseudonym of civil affairs whose history holds entries. approvers: staff number ->
    party and key; `key_file` gives the key's file.
    """

    def __init__(self, settings: Settings, strangers: int = 0) -> None:
        self.settings, self._strangers = settings, strangers
        self.passwords: dict[str, str] = {}
        self.child = ""
        self.seeded = 0
        self.approvers: dict[str, tuple[Party, SigningKey]] = {}

    def key_file(self, staff: str) -> Path:
        """The PKCS #8 file of an approver's key."""
        return self.settings.data.parent / f"{staff}.pem"

    def signed(self, staff: str, subject: dict) -> str:
        """An approver's statement."""
        party, key = self.approvers[staff]
        return approval(staff, party, key, subject=subject, now=int(time.time()))

    def vouched(self, staff: str, subject: dict) -> str:
        """An approver's word for a security key."""
        party, key = self.approvers[staff]
        return security_key_statement(staff, party, key, subject=subject, now=int(time.time()))

    async def _seed(self) -> None:
        from gateway.store.registry_changes import put_organisation

        async with opened(self.settings) as house:
            for one in await make_demo_accounts(house, console_secret(self.settings), self.settings):
                self.passwords[str(one.role)] = one.password
            await self._second_owner(house)
            identifier = identify("cn-rid", "330106201203040012")
            pseudonym = house.ring.derive(Scope.open(Department.CIVIL_AFFAIRS), identifier)
            self.child = write(pseudonym)
            point = house.ring.translate([pseudonym], GATEWAY_SCOPE)[0].point
            made = drafts(house.book.version, point)
            # Children whom no case ties to the office that reads them, each once.
            made += [replace(made[0], children=(bytes([number]) * 32,)) for number in range(1, self._strangers + 1)]
            for one in made:
                await house.log.append(one)
            self.seeded = len(made)
            async with house.database.write() as writing:
                party = Party(CODE, Department.CIVIL_AFFAIRS)
                organisation = Organisation(CODE, HOSTILE, "330106", frozenset({party.department}))
                await put_organisation(writing, organisation)
                await _register(writing, party)
                for staff, department in (("E0501", Department.EDUCATION), ("H0502", Department.HEALTH)):
                    await self._enrol(writing, staff, Party(CODE, department))

    async def _second_owner(self, house) -> None:
        """A policy owner of education, whose own key signs."""
        self.passwords[SECOND_OWNER] = "second-owner-of-the-rules"
        await accounts.add(
            house,
            console_secret(self.settings),
            SECOND_OWNER,
            person=f"{CODE}/E0501",
            role=Role.POLICY_OWNER,
            department=Department.EDUCATION,
            password=self.passwords[SECOND_OWNER],
            by="tests",
            demo=True,
        )

    async def _enrol(self, writing, staff: str, party: Party) -> None:
        from gateway.store.registry import Enrolled
        from gateway.store.registry_changes import add_person

        key, now = SigningKey.generate(), int(time.time())
        person = Person(staff, party, frozenset({"approver"}), key.thumbprint, key.verify_key.public)
        await add_person(writing, Enrolled(person, now + 10**6, "an administrator", "a statement"), now=now)
        key.save(self.key_file(staff))
        self.approvers[staff] = (party, key)

    @contextmanager
    def running(self):
        """The application, up; gives a `TestClient` that nobody has signed in with."""
        with TestClient(build(self.settings), client=LOOPBACK, follow_redirects=False, headers=SAME_ORIGIN) as client:
            client.base_url = "http://127.0.0.1:8440"
            yield client


async def _register(writing, party) -> None:
    from gateway.domain.parties import Client
    from gateway.store.registry_changes import add_client, put_edge
    from keys.signing import SigningKey

    key, edge = SigningKey.generate(), SigningKey.generate()
    client = Client("ca-system", party, "330106", key.verify_key.thumbprint, key.verify_key.public)
    await add_client(writing, client, now=1)
    await put_edge(
        writing,
        party,
        "33",
        "http://127.0.0.1:9/" + HOSTILE,
        sender_kid=edge.verify_key.thumbprint,
        sender_key=edge.verify_key.public,
    )


def make_site(folder: Path, *, strangers: int = 0, **changes) -> Site:
    site = Site(settings_in(folder, **changes), strangers)
    found_premises(site.settings)
    # In a thread of its own: Playwright keeps a loop running in the one that calls.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(site._seed())).result()
    return site


def sign_in(client: TestClient, site: Site, role: Role, account: str = "") -> TestClient:
    """The same application with a browser that has signed in as this role's demo account, or as another one."""
    browser = TestClient(client.app, client=LOOPBACK, follow_redirects=False, headers=SAME_ORIGIN)
    browser.base_url = "http://127.0.0.1:8440"
    browser.portal = client.portal
    name = account or f"demo-{role.replace('_', '-')}"
    form = {"account": name, "password": site.passwords[account or str(role)], "code": ""}
    answer = browser.post("/console/sign-in", data=form)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/console/"
    return browser


def kinds_since(client: TestClient, index: int) -> list[tuple[str, str, str]]:
    """(kind, outcome, code) of every entry from an index on."""
    from gateway.audit.entry import read_skeleton
    from gateway.store.audit import get_leaves

    async def read():
        house = client.app.state.house
        async with house.database.read() as reading:
            leaves = await get_leaves(reading, index, 10**9)
        found = [read_skeleton(leaf) for leaf in leaves]
        return [(one["kind"], one["outcome"], one.get("code", "")) for one in found]

    return client.portal.call(read)


def size_of(client: TestClient) -> int:
    from gateway.store.audit import get_head

    async def read():
        async with client.app.state.house.database.read() as reading:
            return (await get_head(reading)).size

    return client.portal.call(read)


def account_row(client: TestClient, name: str):
    async def read():
        async with client.app.state.house.database.read() as reading:
            return await find_account(reading, name)

    return client.portal.call(read)


def text_of(html: str) -> str:
    """The page's words."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def leave_waiting(site: Site) -> dict[str, str]:
    """A review and a signed re-identification request that wait, both of the demo auditor's department; their addresses."""
    person, party = "demo-4", Party("0" * 18, Department.CIVIL_AFFAIRS)
    key, now = SigningKey.generate(), int(time.time())
    subject = statements.reidentification(
        officer_id=person,
        party=party,
        pseudonym=site.child,
        source=Party(CODE, party.department),
        reason="FI-1: 核实身份",
    )
    statement = statements.reidentification_request(person, party, key, subject=subject, now=now)
    request = RequestRow(
        "rr-waiting",
        "d" * 64,
        f"{party.organisation}/{person}",
        str(party.department),
        statement,
        "",
        now,
        now + 86_400,
    )
    review = {
        "review_id": "rv-waiting",
        "kind": "emergency",
        "child": b"c" * 32,
        "exchange": "X02",
        "record_id": "rq-1",
    }
    review |= {
        "officer": f"{CODE}/M0101",
        "party": f"{CODE}/civil_affairs",
        "note": "",
        "opened": now * 10**6,
        "due": (now + 86_400) * 10**6,
    }
    review |= {"state": "open", "outcome": "", "closed_by": ""}

    async def leave():
        async with opened(site.settings) as house, house.database.write() as writing:
            enrolled = Person(person, party, frozenset({"auditor"}), key.thumbprint, key.verify_key.public)
            await add_person(writing, Enrolled(enrolled, now + 10**6, "an administrator", "a statement"), now=now)
            await put_request(writing, request)
            await writing.connection.execute(insert(reviews).values(**review))

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(leave())).result()
    return {"request": "/reidentifications/rr-waiting", "review": "/reviews/rv-waiting"}
