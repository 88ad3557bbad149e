"""A whole gateway in one process for the tests of names and keys: real doors, real log, real edges over invented registers."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from adapters.base import mapping
from adapters.base.answering import DepartmentSource, Office
from adapters.base.source import LocalPerson, Record, Wanted
from adapters.directory import Directory
from adapters.sandbox import codes
from gateway.api.patience import Patience
from gateway.api.routes import router
from gateway.audit.log import AuditLog
from gateway.client import statements
from gateway.client.asynchronous import AsyncRunxinClient
from gateway.client.configuration import Configuration, OfficerKey
from gateway.consent.basis import BasisFinder
from gateway.domain.orders import Order, Release
from gateway.domain.parties import Party
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department
from gateway.flows.house import House
from gateway.flows.refusals import Refusals
from gateway.flows.registration import register
from gateway.identity.authenticate import Authenticator
from gateway.identity.enrolment import enrol_person
from gateway.identity.token_endpoint import TokenEndpoint
from gateway.proofs.notes import Signer
from gateway.store.database import Database
from gateway.store.registry import Registry
from keys import text
from keys.buckets import BucketFile
from keys.identifiers import Identifier, check_character, identify
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey
from policies.book import PolicyBook
from tests.unit.stepping_clock import START, SteppingClock

ISSUER = "http://gateway.example"
ORIGIN = "runxin.example/test"
HOME = "330106"
ROOT = Path(__file__).resolve().parents[3]
DAY = 86_400
PARTIES = {
    name: Party(codes.social_credit_code(kind, HOME, 900 + number), department)
    for number, (name, kind, department) in enumerate(
        (
            ("ca", "11", Department.CIVIL_AFFAIRS),
            ("ed", "11", Department.EDUCATION),
            ("he", "11", Department.HEALTH),
            ("yl", "51", Department.YOUTH_LEAGUE),
            ("wf", "51", Department.WOMENS_FEDERATION),
        )
    )
}
PEOPLE = {"worker": ("case_worker",), "boss": ("approver",), "chief": ("approver",), "auditor": ("auditor",)}


@dataclass(frozen=True)
class Body:
    """A party with its keys."""

    name: str
    party: Party
    client_key: SigningKey
    sender_key: SigningKey
    admin_key: SigningKey
    sealing: SealingPair
    people: dict[str, SigningKey]


class MemoryRegister:
    """A departmental system of records in memory: local key -> identifier, region and X02's values."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, str]] = {}

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        found = {}
        for key in wanted.keys:
            if key in self.rows:
                values = {"enrolled": True, "stage": "primary", "grade": f"{1 + int(key[1:]) % 12:02d}"}
                found[key] = Record(
                    key, HOME, date(2016, 5, 4), {n: v for n, v in values.items() if n in wanted.fields}
                )
        return found

    async def take(self, message: object) -> None:
        return None

    async def people(self) -> AsyncIterator[LocalPerson]:
        for key, number in sorted(self.rows.items()):
            yield LocalPerson(key, (number,))

    async def probe(self) -> None:
        return None

    async def close(self) -> None:
        return None


@dataclass
class InProcessEdge:
    """A department's edge without its sockets. `down`: the next fetches fail with it."""

    source: DepartmentSource
    directory: Directory
    register: MemoryRegister
    down: Exception | None = None
    orders: list[Order] = field(default_factory=list)

    async def fetch(self, order: Order) -> Release:
        self.orders.append(order)
        if self.down is not None:
            raise self.down
        return await self.source.fetch(order)

    async def reidentify(self, ask: Any) -> Any:
        if self.down is not None:
            raise self.down
        return await self.source.reidentify(ask)


@dataclass
class InProcessEdges:
    """Reaches edges by party."""

    edges: dict[Party, InProcessEdge]

    def at(self, edge: Any) -> InProcessEdge:
        return self.edges[edge.party]


@dataclass
class World:
    """The gateway and everybody who takes part."""

    house: House
    clock: SteppingClock
    bodies: dict[str, Body]
    edges: dict[str, InProcessEdge]
    app: FastAPI
    root: LocalRootKey
    folder: Path
    log_vkey: str

    def __getitem__(self, name: str) -> Body:
        return self.bodies[name]

    @property
    def ring(self) -> KeyRing:
        return self.house.ring

    def client(self, name: str, person: str | None = "worker", function: str | None = None) -> AsyncRunxinClient:
        body = self.bodies[name]
        officer = OfficerKey(person, function or PEOPLE[person][0], body.people[person]) if person else None
        configuration = Configuration(
            gateway=ISSUER,
            client_id=f"{name}-system",
            party=body.party,
            client_key=body.client_key,
            officer=officer,
            sealing=(body.sealing,),
            sender_key=body.sender_key,
            log_vkey=self.log_vkey,
        )
        transport = httpx2.ASGITransport(app=self.app)
        return AsyncRunxinClient(
            configuration, exchanges=self.house.catalogue.exchanges, transport=transport, clock=self.clock
        )

    def approval(self, name: str, person: str, subject: Mapping[str, Any], **changes: Any) -> str:
        body = self.bodies[name]
        parts: dict[str, Any] = {"subject": subject, "now": self.clock.seconds, "lifetime": DAY}
        return statements.approval(person, body.party, body.people[person], **{**parts, **changes})

    def named(self, name: str, identifier: Identifier, exchange: str | None = None) -> str:
        """What a department calls a child, in text form."""
        department = self.bodies[name].party.department
        scope = Scope.closed(department, exchange) if exchange else Scope.open(department)
        return text.write(self.ring.translate([self.ring.derive(GATEWAY_SCOPE, identifier)], scope)[0])

    async def approved_case(self, client: AsyncRunxinClient, name: str, exchanges: Sequence[str], **child: Any) -> str:
        case = await client.open_case(exchanges=exchanges, parties=[self.bodies[name].party], region=HOME, **child)
        subject = statements.case_access(
            case=case,
            officer_id="worker",
            organisation=self.bodies[name].party.organisation,
            exchanges=exchanges,
            from_=self.clock.seconds - 60,
            until=self.clock.seconds + 20 * DAY,
        )
        await client.hand_in_approval(self.approval(name, "boss", subject))
        return case

    async def entries(self, **facets: str) -> list[dict[str, Any]]:
        """Skeletons of the log, oldest first, with these members."""
        from gateway.audit.reading import Question, page

        found, after = [], None
        async with self.house.database.read() as reading:
            while rows := await page(reading, Question(limit=1000, after=after)):
                found, after = found + rows, rows[-1].index
        return [
            {"index": row.index, **row.skeleton}
            for row in reversed(found)
            if all(row.skeleton.get(name) == value for name, value in facets.items())
        ]

    async def posted(self, client: AsyncRunxinClient, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """A signed request with its raw answer."""
        raw = json.dumps(body).encode()
        headers = await client.headers("POST", path, raw)
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
            return await http.post(path, content=raw, headers=headers)


_CLOCK = SteppingClock()


@cache
def _book() -> PolicyBook:
    """Loading the rules takes seconds and changes nothing, so all worlds share one book and its clock."""
    return PolicyBook.open(clock=_CLOCK)


def child(number: int, *, born: str = "20160504") -> Identifier:
    """An invented child's valid resident identity number."""
    body = f"{HOME}{born}{number:03d}"
    return identify("cn-rid", body + check_character(body))


def number_of(identifier: Identifier) -> tuple[str, str]:
    kind, _, value = identifier.canonical.decode().partition(":")
    return kind, value


@asynccontextmanager
async def built(folder: Path, *, edges: Sequence[str] = ("ed",), url: str = "") -> AsyncIterator[World]:
    """The world in a folder. url: of another database than the folder's own."""
    clock = _CLOCK
    clock.moment = START
    root = LocalRootKey.generate()
    database = Database(url or f"sqlite+aiosqlite:///{folder / 'gateway.sqlite3'}")
    await database.create_schema()
    registry = Registry()
    keys = folder / "keys"
    ring = KeyRing.open(keys, root)
    signer = Signer.from_seed(ORIGIN, b"L" * 32)
    log = AuditLog(database, signer=signer, buckets=BucketFile.open(keys / "buckets.json", root), clock=clock)
    await log.start()
    authenticator = Authenticator(issuer=ISSUER, registry=registry, clock=clock, token_key=SigningKey.generate())
    providers = InProcessEdges({})
    house = House(
        clock=clock,
        database=database,
        registry=registry,
        authenticator=authenticator,
        token_endpoint=TokenEndpoint(
            issuer=ISSUER, tokens=authenticator.tokens, registry=registry, database=database, clock=clock
        ),
        refusals=Refusals(key=b"r" * 32),
        ring=ring,
        book=_book(),
        basis=BasisFinder(clock),
        log=log,
        providers=providers,
        order_key=SigningKey.generate(),
        issuer=ISSUER,
    )
    bodies = {name: _body(name, party) for name, party in PARTIES.items()}
    site = folder / "site.toml"
    site.write_text(_site_file(bodies, edges), "utf-8")
    await register(house, site)
    async with database.read() as reading:
        snapshot = await registry.refresh(reading)
    for body in bodies.values():
        for person, functions in PEOPLE.items():
            statement = statements.person_key_statement(
                f"{body.name}-admin",
                body.admin_key,
                person_id=person,
                party=body.party,
                functions=functions,
                person_key=body.people[person].verify_key,
                now=clock.seconds,
            )
            draft, effect = enrol_person(statement, snapshot=snapshot, now=clock.seconds)
            await log.append(draft, effect=effect)
    registry.forget()
    app = FastAPI()
    app.include_router(router)
    app.state.house, app.state.patience = house, Patience()
    world = World(house, clock, bodies, {}, app, root, folder, signer.verifier.vkey)
    for name in edges:
        made = _edge(world, name)
        world.edges[name] = providers.edges[bodies[name].party] = made
    try:
        yield world
    finally:
        await log.close()
        await database.close()
        for edge in world.edges.values():
            edge.directory.close()


def _body(name: str, party: Party) -> Body:
    return Body(
        name=name,
        party=party,
        client_key=SigningKey.generate(),
        sender_key=SigningKey.generate(),
        admin_key=SigningKey.generate(),
        sealing=SealingPair.generate(),
        people={person: SigningKey.generate() for person in PEOPLE},
    )


def _edge(world: World, name: str) -> InProcessEdge:
    body = world.bodies[name]
    exchanges = world.house.catalogue.exchanges
    local = mapping.load(ROOT / "adapters" / str(body.party.department) / "mapping.toml", exchanges)
    directory = Directory(world.folder / f"{name}.sqlite", body.party.department)
    memory = MemoryRegister()
    source = DepartmentSource(
        Office(body.party, HOME, body.sender_key),
        exchanges=exchanges,
        mapping=local,
        register=memory,
        directory=directory,
        clock=world.clock,
    )
    return InProcessEdge(source, directory, memory)


def _site_file(bodies: Mapping[str, Body], edges: Sequence[str]) -> str:
    lines: list[str] = []

    def row(section: str, **values: object) -> None:
        lines.append(f"[[{section}]]")
        lines.extend(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())

    for body in bodies.values():
        party, department = body.party.text, str(body.party.department)
        row("organisations", code=body.party.organisation, name=body.name, region=HOME, departments=[department])
        row("clients", id=f"{body.name}-system", party=party, key=x(body.client_key))
        row("people_admins", id=f"{body.name}-admin", party=party, key=x(body.admin_key))
        row("sender_keys", party=party, key=x(body.sender_key))
        row("sealing_keys", party=party, suite=body.sealing.suite, key=b64(body.sealing.public_key))
        if body.name in edges:
            row("edges", party=party, region="330000", url="http://edge.example", sender_key=x(body.sender_key))
    return "\n".join(lines) + "\n"


def x(key: SigningKey) -> str:
    return b64(key.public)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
