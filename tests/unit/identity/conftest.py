"""A registry of two departments in a temporary database, with keys made for the run."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.client import statements
from gateway.domain.parties import Client, Organisation, Party
from gateway.domain.vocabulary import Department
from gateway.identity.authenticate import Authenticated, Authenticator
from gateway.identity.enrolment import enrol_person
from gateway.store.database import Database
from gateway.store.registry import PeopleAdmin, Registry
from gateway.store.registry_changes import add_client, add_people_admin, put_organisation
from keys.signing import SigningKey
from tests.unit.stepping_clock import SteppingClock

ISSUER = "https://gateway.example:8443"
BUREAU = Organisation(
    "11330106002489017Q", "西湖区教育局", "330106", frozenset({Department.EDUCATION, Department.CIVIL_AFFAIRS})
)
SCHOOL = Organisation("12330106470101234A", "某小学", "330106", frozenset({Department.EDUCATION}))
ELSEWHERE = Organisation("12330201470109999B", "外市某校", "330201", frozenset({Department.EDUCATION}))
EDUCATION = Party(BUREAU.code, Department.EDUCATION)


@dataclass
class World:
    """One client, one officer who may also approve, one administrator; everything a test needs to build a request."""

    database: Database
    registry: Registry
    clock: SteppingClock
    authenticator: Authenticator
    token_key: SigningKey
    client_key: SigningKey
    officer_key: SigningKey
    admin_key: SigningKey
    client: Client
    token: str = ""
    monotonic: list[float] = field(default_factory=lambda: [0.0])

    def proof(self, **changes: Any) -> str:
        parts: dict[str, Any] = {
            "method": "POST",
            "url": f"{ISSUER}/v1/query",
            "body": b'{"a":1}',
            "token": self.token,
            "now": self.clock.seconds,
        }
        key = changes.pop("key", self.client_key)
        return statements.request_proof(key, **{**parts, **changes})

    def officer(self, **changes: Any) -> str:
        parts: dict[str, Any] = {
            "person_id": "T0417",
            "party": EDUCATION,
            "function": "children_worker",
            "key": self.officer_key,
            "client_thumbprint": self.client.thumbprint,
            "issuer": ISSUER,
            "now": self.clock.seconds,
        }
        return statements.officer_assertion(**{**parts, **changes})

    def headers(self, **changes: str | None) -> dict[str, str]:
        """Good headers; a keyword replaces one (`dpop=`, `authorization=`, `officer_assertion=`), None leaves it out."""
        made = {"authorization": f"DPoP {self.token}"}
        if "dpop" not in changes:
            made["dpop"] = self.proof()
        if "officer_assertion" not in changes:
            made["officer-assertion"] = self.officer()
        for name, value in changes.items():
            made.pop(name.replace("_", "-"), None)
            if value is not None:
                made[name.replace("_", "-")] = value
        return made

    async def ask(
        self,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        path: str = "/v1/query",
        body: bytes = b'{"a":1}',
        officer_required: bool = True,
    ) -> Authenticated:
        async with self.database.read() as reading:
            return await self.authenticator.authenticate(
                method,
                path,
                self.headers() if headers is None else headers,
                body,
                officer_required=officer_required,
                reading=reading,
            )

    async def change(self, change: Any, *arguments: Any, **options: Any) -> None:
        async with self.database.write() as writing:
            await change(writing, *arguments, **options)
        self.monotonic[0] += 2  # the copy of the registry has grown too old

    async def enrol(self, statement: str) -> None:
        async with self.database.read() as reading:
            snapshot = await self.registry.refresh(reading)
        _, effect = enrol_person(statement, snapshot=snapshot, now=self.clock.seconds)
        await self.change(effect)

    async def snapshot(self) -> Any:
        async with self.database.read() as reading:
            return await self.registry.refresh(reading)


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}")
    await database.create_schema()
    monotonic = [0.0]
    clock = SteppingClock()
    registry = Registry(monotonic=lambda: monotonic[0])
    token_key, client_key, officer_key, admin_key = (SigningKey.generate() for _ in range(4))
    client = Client("edu-xihu", EDUCATION, "330106", client_key.thumbprint, client_key.public)
    async with database.write() as writing:
        for organisation in (BUREAU, SCHOOL, ELSEWHERE):
            await put_organisation(writing, organisation)
        await add_client(writing, client, now=clock.seconds)
        await add_people_admin(
            writing,
            PeopleAdmin("A0001", EDUCATION, admin_key.thumbprint, admin_key.public),
            now=clock.seconds,
        )
    authenticator = Authenticator(issuer=ISSUER, registry=registry, clock=clock, token_key=token_key)
    made = World(
        database=database,
        registry=registry,
        clock=clock,
        authenticator=authenticator,
        token_key=token_key,
        client_key=client_key,
        officer_key=officer_key,
        admin_key=admin_key,
        client=client,
        monotonic=monotonic,
    )
    await made.enrol(person_statement(made))
    made.token = authenticator.tokens.issue(client, now=clock.seconds)
    yield made
    await database.close()


def person_statement(world: World, **changes: Any) -> str:
    parts: dict[str, Any] = {
        "admin_id": "A0001",
        "admin_key": world.admin_key,
        "person_id": "T0417",
        "party": EDUCATION,
        "functions": ["children_worker", "approver"],
        "person_key": world.officer_key.verify_key,
        "now": world.clock.seconds,
    }
    return statements.person_key_statement(**{**parts, **changes})


def resigned(text: str, key: SigningKey, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    """The same statement with other claims (None removes one) and header members, signed by `key`."""
    head, payload, _ = text.split(".")
    made = {**_decoded(payload), **claims}
    members = {**_decoded(head), **(header or {})}
    segments = [
        _encoded({name: value for name, value in part.items() if value is not None}) for part in (members, made)
    ]
    return ".".join([*segments, _base64url(key.sign(".".join(segments).encode()))])


def _decoded(segment: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def _encoded(value: Any) -> str:
    return _base64url(json.dumps(value).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def body_digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


__all__ = [
    "BUREAU",
    "EDUCATION",
    "ELSEWHERE",
    "ISSUER",
    "SCHOOL",
    "World",
    "body_digest",
    "person_statement",
    "replace",
    "resigned",
]
