"""A whole gateway in this process: real premises, real store and log, the machine door over ASGI, and a provider that bends.

Departments speak to it with keys of their own, by raw signed requests (so that a test can break one part at a time) or through
the SDK. The provider reduces and seals like an edge, behind the gateway's own transport; `bend` lets it fail in one way.
"""

import asyncio
import base64
import json
import secrets
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx2
from pydantic import SecretStr

from adapters.remote import RemoteEdges
from adapters.sandbox import codes
from adapters.sandbox.demo import site as sites
from adapters.sandbox.demo.desk import month_end
from adapters.sandbox.schools import build_schools
from gateway import observe
from gateway.api import door
from gateway.api.patience import Patience
from gateway.api.problems import sentences
from gateway.app import build, found_premises, opened
from gateway.audit.reading import Question, child_history, open_detail, page
from gateway.client import statements
from gateway.client.asynchronous import AsyncRunxinClient
from gateway.domain.canonical import canonical
from gateway.domain.entries import EntryDraft
from gateway.domain.orders import Release, SealInfo
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.flows.registration import register
from gateway.release.reduce import reduce
from gateway.release.wire import envelope_from_wire, order_from_wire, release_to_wire
from gateway.settings import Settings
from gateway.store.audit import get_entries
from keys import text
from keys.envelope import seal_line
from keys.identifiers import identify
from keys.signing import SigningKey
from policies.book import build as build_snapshot
from tests.support.stand_in_lane import OverTransport

ISSUER = "http://127.0.0.1:8440"
CANARY = "330106201607074219"
X05_FIELDS = ("risk_band", "urgency", "observed_from", "guardian_contacted", "guardian_contacted_at", "school_contact")
WARNING = {
    "risk_band": "warning",
    "urgency": "soon",
    "observed_from": "2026-11-16",
    "guardian_contacted": "Y",
    "school_contact": "0571-88880000",
}
REPORT = {
    "report_id": "QZBG-2026-0007",
    "location": "文三路一号",
    "harm_type": "physical",
    "immediate_danger": "Y",
}
PUPIL = {
    "enrolled": "Y",
    "stage": "junior",
    "grade": "07",
    "boarding": "N",
    "status": "enrolled",
    "as_of": "2026-11-20",
}


class ShiftedClock:
    """The real time, moved by `ahead`."""

    def __init__(self):
        self.ahead = timedelta(0)

    def now(self):
        return datetime.now(UTC) + self.ahead


class BendableProvider(httpx2.AsyncBaseTransport):
    """Every edge of the site at once, as the gateway reaches them. records: pseudonym text -> (region, local values)."""

    def __init__(self, house_site):
        self.site, self.records, self.orders = house_site, {}, []
        self.exchanges = {}
        self.straighten()

    def straighten(self):
        """Behave."""
        self.bend_release = lambda order, release: release
        self.bend_bytes = lambda body: (200, body)
        self.before = None
        self.signer = None
        self.extra = {}
        self.orders.clear()

    async def handle_async_request(self, request):
        body = await request.aread()
        order = order_from_wire(json.loads(body))
        self.orders.append(order)
        if self.before is not None:
            await self.before()
        release = self.bend_release(order, self.answer(order))
        status, content = self.bend_bytes(json.dumps(release_to_wire(release)).encode())
        return httpx2.Response(status, content=content)

    def answer(self, order):
        lines, missing = [], []
        for wanted in order.lines:
            found = self.records.get(wanted.subject)
            if found is None:
                missing.append(wanted.number)
            else:
                lines.append(self.line(order, wanted.number, wanted.subject, *found))
        return Release(order.request, order.exchange, order.provider, tuple(lines), tuple(missing))

    def line(self, order, number, subject, region, values, *, grants=None, info=None):
        grants = dict(grants or order.grants)
        reduced = reduce(values, exchange=self.exchanges[order.exchange], grants=grants, today=month_end_today())
        info = info or SealInfo(
            order.request, number, order.exchange, order.provider, order.recipient, order.recipient_key.kid
        )
        body = next(b for b in self.site.bodies.values() if b.party == order.provider)
        return seal_line(
            {**reduced.sealable, **self.extra},
            grants={**grants, **dict.fromkeys(self.extra, next(iter(grants.values())))},
            info=info,
            recipient=order.recipient_key,
            signer=self.signer or body.edge_key,
            number=number,
            subject=subject,
            references=reduced.references,
            region=region,
        )


def month_end_today():
    return datetime.now(UTC).date()


@dataclass
class Caller:
    """A department's system with an officer behind it; makes every part of a signed request by itself."""

    walls: "ApiHouse"
    name: str
    person: str | None = None
    function: str = ""
    token: str = ""

    @property
    def body(self):
        return self.walls.site[self.name]

    @property
    def party(self):
        return self.body.party

    def acting_as(self, person, function):
        return Caller(self.walls, self.name, person, function)

    async def fetch_token(self):
        form, headers = self.token_request()
        response = await self.walls.http.post("/oauth/token", content=form, headers=headers)
        assert response.status_code == 200, response.text
        self.token = response.json()["access_token"]
        return self.token

    def token_request(self, *, now=None, key=None):
        now = int(time.time()) if now is None else now
        key = key or self.body.client_key
        assertion = statements.client_assertion(f"{self.name}-system", key, issuer=ISSUER, now=now)
        form = httpx2.QueryParams(
            {
                "grant_type": "client_credentials",
                "client_assertion_type": statements.ASSERTION_KIND,
                "client_assertion": assertion,
            }
        )
        body = str(form).encode()
        proof = statements.request_proof(
            key, method="POST", url=ISSUER + "/oauth/token", body=body, token=None, now=int(time.time())
        )
        return body, {"dpop": proof, "content-type": "application/x-www-form-urlencoded"}

    async def headers(self, method, path, body, *, now=None, key=None, officer=True):
        token = self.token or await self.fetch_token()
        made = {
            "authorization": f"DPoP {token}",
            "dpop": statements.request_proof(
                key or self.body.client_key,
                method=method,
                url=ISSUER + path,
                body=body,
                token=token,
                now=int(time.time()) if now is None else now,
            ),
        }
        if method == "POST":
            made["content-type"] = "application/json"
        if officer and self.person:
            made["officer-assertion"] = self.officer_assertion()
        return made

    def officer_assertion(self, *, key=None, now=None):
        return statements.officer_assertion(
            self.person,
            self.party,
            self.function,
            key or self.body.people[self.person],
            client_thumbprint=self.body.client_key.thumbprint,
            issuer=ISSUER,
            now=int(time.time()) if now is None else now,
        )

    async def post(self, path, document, **extra):
        """A signed POST; document: JSON value or raw bytes. extra: further headers, `_` for `-`."""
        body = document if isinstance(document, bytes) else canonical(document)
        headers = await self.headers("POST", path, body)
        headers |= {name.replace("_", "-"): value for name, value in extra.items()}
        return await self.walls.http.post(path, content=body, headers=headers)

    async def get(self, path):
        return await self.walls.http.get(path, headers=await self.headers("GET", path, b""))

    def pseudonym(self, child):
        """What this department calls a child (its directory would know)."""
        return self.walls.pseudonym(child, Scope.open(self.party.department))

    @asynccontextmanager
    async def sdk(self):
        configuration = self.walls.site.configuration(
            self.name,
            ISSUER,
            officer=self.body.officer(self.person, self.function) if self.person else None,
            log_vkey=self.walls.log_vkey,
        )
        async with AsyncRunxinClient(
            configuration, exchanges=self.walls.house.catalogue.exchanges, transport=self.walls.transport
        ) as client:
            yield client

    # --- what an officer does before asking or sending ---

    async def approved_case(self, child, exchanges, approver, *, approve=True, region="330106"):
        opened_case = await self.post(
            "/v1/cases",
            {
                "subject": {"pseudonym": self.pseudonym(child)},
                "exchanges": exchanges,
                "parties": [self.party.text],
                "region": region,
            },
        )
        assert opened_case.status_code == 201, opened_case.text
        case = opened_case.json()["case"]
        if approve:
            now = int(time.time())
            subject = statements.case_access(
                case=case,
                officer_id=self.person,
                organisation=self.party.organisation,
                exchanges=exchanges,
                from_=now - 60,
                until=now + 86_400,
            )
            signed = statements.approval(approver, self.party, self.body.people[approver], subject=subject, now=now)
            done = await self.post("/v1/cases/approvals", {"approval": signed})
            assert done.status_code == 201, done.text
        return case

    async def consent(self, child, *, exchange="X05", purpose="P01", recipients=("civil_affairs",), fields=X05_FIELDS):
        now = int(time.time())
        artefact = {
            "exchange": exchange,
            "purpose": purpose,
            "recipients": list(recipients),
            "fields": sorted(fields),
            "age_band": "8-13",
            "grantor": "guardian",
            "relation": "51",
            "guardian": f"g-{child[-6:-1]}",
            "child_grant": "granted",
            "method": "in_person",
            "given": now,
            "ends": month_end(month_end_today(), 6).isoformat(),
            "notice_version": "2026-1",
            "evidence_digest": secrets.token_hex(32),
        }
        signed = statements.consent_statement(
            self.person, self.party, self.body.people[self.person], artefact=artefact, now=now
        )
        made = await self.post("/v1/consents", {"subject": {"pseudonym": self.pseudonym(child)}, "statement": signed})
        assert made.status_code == 201, made.text
        return made.json()["consent"]

    async def withdraw(self, consent):
        done = await self.post("/v1/consents/withdraw", {"consent": consent})
        assert done.status_code == 200, done.text

    def wish(self, child, recipient, *, exchange="X05", purpose="P01", door="normal", **more):
        return {
            "exchange": exchange,
            "purpose": purpose,
            "door": door,
            "recipient": recipient.party.text,
            "lines": [{"line": 1, "subject": {"pseudonym": self.pseudonym(child)}}],
            **more,
        }

    async def permit(self, child, recipient, **more):
        granted = await self.post("/v1/send-permits", self.wish(child, recipient, **more))
        assert granted.status_code == 200, granted.text
        return granted.json()

    def envelope(self, permit, child, recipient, values, *, exchange="X05", signer=None, region="330106", number=1):
        """What the SDK would hand in under a permit, as a wire document."""
        from gateway.domain.orders import Envelope
        from gateway.release.wire import envelope_to_wire, obligation_from_wire, sealing_key_from_wire

        key = sealing_key_from_wire(permit["recipient_key"])
        grants = {name: obligation_from_wire(word) for name, word in permit["lines"]["1"]["grants"].items()}
        definition = self.walls.house.catalogue.exchanges[exchange]
        reduced = reduce(values, exchange=definition, grants=grants, today=month_end_today())
        line = seal_line(
            reduced.sealable,
            grants=grants,
            info=SealInfo(permit["permit"], number, exchange, self.party, recipient.party, key.kid),
            recipient=key,
            signer=signer or self.body.client_key,
            number=number,
            subject=self.pseudonym(child),
            references=reduced.references,
            region=region,
        )
        return envelope_to_wire(Envelope(permit["permit"], exchange, self.party, recipient.party, (line,)))

    async def hand_in(self, envelope, *, key=None):
        return await self.post(
            "/v1/deliveries", {"envelope": envelope}, idempotency_key=key or secrets.token_urlsafe(12)
        )

    async def delivered(self, child, recipient, values=None, *, exchange="X05", **more):
        """Permit, seal, hand in: the delivery's id."""
        permit = await self.permit(child, recipient, exchange=exchange, **more)
        done = await self.hand_in(self.envelope(permit, child, recipient, values or WARNING, exchange=exchange))
        assert done.status_code == 202, done.text
        return done.json()["delivery"]

    async def take(self, **more):
        taken = await self.post("/v1/inbox/take", {"wait": 0, "limit": 100, **more})
        assert taken.status_code == 200, taken.text
        return taken.json()["envelopes"]

    async def state_of(self, delivery):
        rows = (await self.get("/v1/deliveries")).json()["deliveries"]
        return next(row["state"] for row in rows if row["delivery"] == delivery)

    def ask(self, child, case, **more):
        """An X02 question's body."""
        return {
            "exchange": "X02",
            "purpose": "P14",
            "door": "normal",
            "subject": {"pseudonym": self.pseudonym(child)},
            **({"case": case} if case else {}),
            **more,
        }


@dataclass
class ApiHouse:
    """The walls: everything that a test may look at from outside and from inside."""

    house: object
    site: object
    app: object
    provider: BendableProvider
    clock: ShiftedClock
    transport: object
    http: httpx2.AsyncClient
    log_vkey: str
    seen: int = 0
    numbers: object = field(default_factory=lambda: iter(range(1, 10_000)))

    def caller(self, name, person=None, function=""):
        return Caller(self, name, person, function)

    def child(self):
        """A valid identifier that no test used before."""
        return codes.rid("330106", datetime(2014, 3, 1).date(), next(self.numbers))

    def pseudonym(self, child, scope):
        return text.write(self.house.ring.derive(scope, identify("cn-rid", child)))

    def point(self, child):
        """The 32 bytes under which the gateway knows the child."""
        return self.house.ring.derive(GATEWAY_SCOPE, identify("cn-rid", child)).point

    def enrol_pupil(self, child, values=None, region="330106"):
        """Education's register has this child."""
        name = self.pseudonym(child, Scope.open(self.site["ed"].party.department))
        self.provider.records[name] = (region, dict(values or PUPIL))

    async def entries(self):
        """Skeletons since the last `mark`, oldest first."""
        async with self.house.database.read() as reading:
            rows = await page(reading, Question(limit=1000))
        return [row.skeleton for row in reversed(rows) if row.index >= self.seen]

    async def row(self, reading, index):
        """One stored entry."""
        return (await get_entries(reading, index, index + 1))[0]

    async def mark(self):
        async with self.house.database.read() as reading:
            rows = await page(reading, Question(limit=1))
        self.seen = rows[0].index + 1 if rows else 0

    async def history(self, child):
        """(skeleton, opened detail) of every entry in the child's ordinary history."""
        async with self.house.database.read() as reading:
            keeper, point = self.house.log.keeper, self.point(child)
            rows = await child_history(reading, keeper, point)
            return [(json.loads(row.leaf), await open_detail(reading, keeper, row, [point])) for row in rows]

    async def change(self, effect):
        """A change of the registry with its entry, as the command line makes it."""
        await self.house.log.append(EntryDraft(kind=EntryKind.KILL_SWITCH, outcome=Outcome.DONE), effect=effect)

    @contextmanager
    def rules(self, changed):
        """Another policy version while the block runs: `changed` of every rule, None to drop it."""
        book = self.house.book
        before = book.snapshot
        rules = [new for rule in before.rules if (new := changed(rule)) is not None]
        book.publish(build_snapshot(before.catalogue, rules))
        try:
            yield
        finally:
            book.publish(before)

    def settle(self):
        """Between tests: a straight provider, a patient door, the right time."""
        self.provider.straighten()
        self.app.state.patience = Patience()
        self.app.state.house = self.house
        self.clock.ahead = timedelta(0)

    def wire(self, document):
        return envelope_from_wire(document)


def refused(response, status, code, *canaries):
    """A problem document with the stable code in both languages that echoes nothing of what was sent."""
    assert response.headers["content-type"].startswith("application/problem+json"), response.text
    document = response.json()
    assert (response.status_code, document["code"]) == (status, code), document
    row = sentences()[code]
    assert (document["status"], document["detail"], document["detail_zh"]) == (status, row.en, row.zh)
    told = response.text + json.dumps(dict(response.headers))
    for canary in (CANARY, *canaries):
        for form in (canary, base64.urlsafe_b64encode(canary.encode()).decode(), canary.encode().hex()):
            assert form not in told
    return document


@asynccontextmanager
async def api_house(folder):
    """Found, register, enrol people, open the door."""
    settings = Settings(
        data=folder / "gateway",
        root_passphrase=SecretStr("the passphrase of a test"),
        issuer=ISSUER,
        disk_reserve_mib=0,
        log_level="error",
        demo=True,
    )
    found_premises(settings)
    (folder / "site").mkdir()
    site = sites.found(folder / "site", next(s for s in build_schools() if s.county == "330106" and s.stage == "3"))
    sites.write_site_file(site, folder / "site.toml", {"ed": "http://ed.edge", "ca": "http://ca.edge"})
    provider, clock = BendableProvider(site), ShiftedClock()
    async with opened(settings) as whole:
        edges = RemoteEdges(whole.order_key, timeout=0.5, stand_in=OverTransport(provider))
        house = replace(whole, providers=edges, clock=clock)
        provider.exchanges = house.catalogue.exchanges
        await register(house, folder / "site.toml")
        async with house.database.read() as reading:
            await house.registry.refresh(reading)
        app = build(settings)
        app.state.house, app.state.patience = house, Patience()
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
            walls = ApiHouse(house, site, app, provider, clock, transport, http, str(house.log.signer.verifier))
            await enrol_people(walls)
            yield walls
        await edges.close()


async def enrol_people(walls):
    more = {"sc": {"T0500": ("reporter",)}, "yl": {"Q0900": ("approver",)}}
    await enrol_more(walls, {name: persons | more.get(name, {}) for name, persons in sites.PEOPLE.items()})


async def enrol_more(walls, functions_by_person):
    """People of each body, with their functions, by their administrators' statements."""
    for name, people in functions_by_person.items():
        body, system = walls.site[name], walls.caller(name)
        for person, functions in people.items():
            body.people.setdefault(person, SigningKey.generate())
            statement = statements.person_key_statement(
                f"{name}-admin",
                body.admin_key,
                person_id=person,
                party=body.party,
                functions=functions,
                person_key=body.people[person].verify_key,
                now=int(time.time()),
            )
            done = await system.post("/v1/people", {"statement": statement})
            assert done.status_code == 201, done.text


def listen(monkeypatch):
    """The door's log lines as the operator would read them, after the filters of `gateway/observe.py`."""
    lines = []

    class Ear:
        def __getattr__(self, level):
            def line(event, **more):
                lines.append(
                    observe._keep_allowed(None, level, observe._name_exception(None, level, {"event": event} | more))
                )

            return line

    monkeypatch.setattr(door, "log", Ear())
    return lines


async def until(condition, seconds=2.0):
    """Wait for something that another task brings about."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)
