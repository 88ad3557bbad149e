"""Both carriers over httpx2, and the SDK's signatures before the gateway's own authenticator."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.client import (
    AsyncRunxinClient,
    Configuration,
    GatewayRefused,
    GatewayUnreachable,
    OfficerKey,
    RunxinClient,
    statements,
)
from gateway.client.session import Incoming, Outgoing
from gateway.domain.canonical import canonical
from gateway.domain.parties import Client, Organisation, Party
from gateway.domain.vocabulary import Department
from gateway.errors import GatewayError
from gateway.identity.authenticate import Authenticator
from gateway.identity.enrolment import enrol_person
from gateway.identity.token_endpoint import TokenEndpoint
from gateway.store.database import Database
from gateway.store.registry import PeopleAdmin, Registry
from gateway.store.registry_changes import add_client, add_people_admin, put_organisation
from keys.signing import SigningKey
from tests.unit.client.conftest import ISSUER, Desk, incoming, problem

NOW = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW


def handler(desk: Desk) -> Any:
    def handle(request: httpx2.Request) -> httpx2.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        made = desk.gateway.carry(Outgoing(request.method, request.url.path, headers, request.content, 1))
        assert isinstance(made, Incoming)
        return httpx2.Response(made.status, headers=dict(made.headers), content=made.body)

    return handle


def test_the_synchronous_client_asks_checks_and_closes(desk: Desk) -> None:
    with RunxinClient(desk.configuration, transport=httpx2.MockTransport(handler(desk)), clock=desk.clock) as client:
        answer = client.ask("X02", "P02", pseudonym="cao1qqq")
        assert answer.values["enrolled"] == "Y"
        assert client.check_receipt(answer.receipt).index == answer.receipt.index
        client.acting_as(None).close()
        desk.gateway.answer["/v1/cases/close"] = lambda _: problem("case_missing", 403)
        with pytest.raises(GatewayRefused, match="case_missing"):
            client.close_case("case-a")


@pytest.mark.anyio
async def test_the_asynchronous_client_asks_checks_and_closes(desk: Desk) -> None:
    async with AsyncRunxinClient(
        desk.configuration, transport=httpx2.MockTransport(handler(desk)), clock=desk.clock
    ) as client:
        answer = await client.ask("X02", "P02", pseudonym="cao1qqq")
        assert answer.values["enrolled"] == "Y"
        assert (await client.check_receipt(answer.receipt)).index == answer.receipt.index
        desk.gateway.answer["/v1/cases/close"] = lambda _: problem("case_missing", 403)
        with pytest.raises(GatewayRefused, match="case_missing"):
            await client.close_case("case-a")


def test_the_inbox_ends_with_a_poll_that_brings_none(desk: Desk) -> None:
    from tests.unit.client.test_inbox_and_receipts import item

    polls = [[item(desk), item(desk, delivery="dl-2")], [item(desk, delivery="dl-3")], []]
    desk.gateway.answer["/v1/inbox/take"] = lambda _: incoming({"envelopes": polls.pop(0)})
    with RunxinClient(desk.configuration, transport=httpx2.MockTransport(handler(desk)), clock=desk.clock) as client:
        assert [received.delivery for received in client.inbox()] == ["dl-1", "dl-2", "dl-3"]


def test_another_officer_acts_over_the_same_connections(desk: Desk) -> None:
    second = OfficerKey("M0002", "approver", SigningKey.generate())
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    with RunxinClient(desk.configuration, transport=httpx2.MockTransport(handler(desk)), clock=desk.clock) as client:
        client.acting_as(second).reviews()
        kept = desk.gateway.seen[-1].headers["officer-assertion"]
        client.reviews()
        assert desk.gateway.seen[-1].headers["officer-assertion"] != kept
        client.acting_as(None).reviews()
        assert "officer-assertion" not in desk.gateway.seen[-1].headers


@pytest.mark.parametrize(
    ("error", "sent", "tries"),
    [
        (httpx2.ConnectError, False, 3),
        (httpx2.ConnectTimeout, False, 3),
        (httpx2.ReadTimeout, True, 1),
        (httpx2.ReadError, True, 1),
    ],
)
def test_a_transport_error_says_whether_the_request_may_have_arrived(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: type[httpx2.TransportError], sent: bool, tries: int
) -> None:
    monkeypatch.setattr("gateway.client.sync.time.sleep", lambda _: None)
    carried = handler(desk)
    tried = []

    def failing(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/oauth/token":
            return carried(request)
        tried.append(request)
        raise error("x")

    with RunxinClient(desk.configuration, transport=httpx2.MockTransport(failing), clock=desk.clock) as client:
        with pytest.raises(GatewayUnreachable) as caught:
            client.close_case("case-a")
    assert (caught.value.sent, len(tried)) == (sent, tries)


def test_both_clients_offer_the_same() -> None:
    def offered(kind: type) -> dict[str, list[str]]:
        return {
            {"aclose": "close"}.get(name, name): list(inspect.signature(member).parameters)
            for name, member in vars(kind).items()
            if not name.startswith("_")
        }

    assert offered(RunxinClient) == offered(AsyncRunxinClient)


def test_a_redirect_is_not_followed(desk: Desk) -> None:
    carried = handler(desk)

    def redirecting(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/oauth/token":
            return carried(request)
        assert request.url.host == "gateway.example"
        return httpx2.Response(307, headers={"location": "https://elsewhere.example/"})

    with RunxinClient(desk.configuration, transport=httpx2.MockTransport(redirecting), clock=desk.clock) as client:
        with pytest.raises(Exception, match="answer_malformed"):
            client.reviews()


# --- before the real authenticator ----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_what_the_sdk_signs_is_what_the_gateway_accepts(tmp_path: Path) -> None:
    party = Party("11330106002489017Q", Department.EDUCATION)
    client_key, officer_key, admin_key = (SigningKey.generate() for _ in range(3))
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}")
    await database.create_schema()
    registry, clock, now = Registry(max_age=0), FixedClock(), int(NOW.timestamp())
    async with database.write() as writing:
        await put_organisation(writing, Organisation(party.organisation, "局", "330106", frozenset({party.department})))
        await add_client(writing, Client("edu", party, "330106", client_key.thumbprint, client_key.public), now=now)
        await add_people_admin(writing, PeopleAdmin("A1", party, admin_key.thumbprint, admin_key.public), now=now)
    authenticator = Authenticator(issuer=ISSUER, registry=registry, clock=clock, token_key=SigningKey.generate())
    endpoint = TokenEndpoint(
        issuer=ISSUER, tokens=authenticator.tokens, registry=registry, database=database, clock=clock
    )

    async def handle(request: httpx2.Request) -> httpx2.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path, body = request.url.path, request.content
        try:
            if path == "/oauth/token":
                return httpx2.Response(200, json=(await endpoint.issue(path=path, headers=headers, body=body)).body)
            async with database.read() as reading:
                found = await authenticator.authenticate(
                    request.method, path, headers, body, officer_required=path != "/v1/people", reading=reading
                )
                if path == "/v1/people":
                    document = statements_in(body)
                    _, effect = enrol_person(document, snapshot=registry.current, now=now)
                    async with database.write() as writing:
                        await effect(writing)
                    return httpx2.Response(200, json={"key": officer_key.thumbprint})
        except GatewayError as error:
            return httpx2.Response(401, json={"code": error.code})
        assert found.caller.officer is not None
        return httpx2.Response(200, content=canonical({"reviews": [{"officer": found.caller.officer.person_id}]}))

    configuration = Configuration(
        gateway=ISSUER,
        client_id="edu",
        party=party,
        client_key=client_key,
        officer=OfficerKey("T1", "teacher", officer_key),
    )
    async with AsyncRunxinClient(configuration, transport=httpx2.MockTransport(handle), clock=clock) as client:
        with pytest.raises(GatewayRefused, match="officer_key_unknown"):
            await client.reviews()
        statement = statements.person_key_statement(
            "A1",
            admin_key,
            person_id="T1",
            party=party,
            functions=["teacher"],
            person_key=officer_key.verify_key,
            now=now,
        )
        assert await client.acting_as(None).enrol_person(statement) == officer_key.thumbprint
        assert await client.reviews() == [{"officer": "T1"}]
        with pytest.raises(GatewayRefused, match="officer_missing"):
            await client.acting_as(None).reviews()
        impostor = client.acting_as(OfficerKey("T1", "teacher", client_key))
        with pytest.raises(GatewayRefused, match="officer_key_unknown"):
            await impostor.reviews()
    await database.close()


def statements_in(body: bytes) -> str:
    import json

    return str(json.loads(body)["statement"])
