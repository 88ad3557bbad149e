"""No entry, no data: with the log unable to write, every route says so and nothing leaves."""

import json

import pytest

from gateway.audit import log as audit_log
from gateway.errors import GatewayFault
from gateway.store import audit as store
from tests.contract.api_house import CANARY, WARNING, refused

pytestmark = pytest.mark.anyio


@pytest.fixture
async def walls(whole):
    whole.settle()
    ca = whole.caller("ca")
    for item in await ca.take():
        await ca.post("/v1/inbox/acknowledge", {"delivery": item["delivery"], "status": "stored"})
    await whole.mark()
    return whole


def full_disk(monkeypatch, _walls):
    """The disk takes no more entries; reading goes on."""

    async def no_space(*_args, **_more):
        raise OSError(28, f"no space left for {CANARY}")

    monkeypatch.setattr(store, "write_batch", no_space)


def no_writes(monkeypatch, walls):
    """The database can be read and not written."""

    def gone(*_args):
        import sqlite3

        raise sqlite3.OperationalError(f"attempt to write a readonly database {CANARY}")

    monkeypatch.setattr(type(walls.house.database), "write", gone)
    monkeypatch.setattr(audit_log, "short_write", gone)


def database_gone(monkeypatch, walls):
    """Nothing of the database answers."""
    no_writes(monkeypatch, walls)

    def gone(*_args):
        import sqlite3

        raise sqlite3.OperationalError(f"unable to open database file {CANARY}")

    monkeypatch.setattr(type(walls.house.database), "read", gone)


FAILURES = [full_disk, no_writes, database_gone]


@pytest.mark.parametrize("fail", FAILURES)
async def test_no_answer_of_a_provider_leaves_without_its_entry(walls, ca, operator, monkeypatch, fail):
    child = walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    await walls.mark()
    with monkeypatch.context() as failing:
        fail(failing, walls)
        response = await ca.post("/v1/query", ca.ask(child, case))
    refused(response, 503, "audit_unavailable", "junior", "enrolled")
    assert response.headers["retry-after"] == "5"
    assert "audit-receipt" not in response.headers
    assert await walls.entries() == []
    if fail is not database_gone:
        assert len(walls.provider.orders) == 1
    assert CANARY not in json.dumps(operator)
    assert operator[-1]["exception"] in ("OSError", "OperationalError", "GatewayFault")


@pytest.mark.parametrize("fail", FAILURES)
async def test_no_envelope_leaves_without_its_entry_and_it_waits_unharmed(walls, ca, sc, monkeypatch, fail):
    child = walls.child()
    await sc.consent(child)
    delivery = await sc.delivered(child, ca)
    await ca.fetch_token()
    await walls.mark()
    with monkeypatch.context() as failing:
        fail(failing, walls)
        refused(await ca.post("/v1/inbox/take", {"wait": 0, "limit": 10}), 503, "audit_unavailable", delivery)
    assert await walls.entries() == []
    assert [item["delivery"] for item in await ca.take()] == [delivery]


async def test_where_the_log_fails_half_way_what_is_recorded_leaves_and_the_rest_waits(walls, ca, sc, monkeypatch):
    deliveries = []
    for _ in range(2):
        child = walls.child()
        await sc.consent(child)
        deliveries.append(await sc.delivered(child, ca))
    await walls.mark()
    append, calls = walls.house.log.append, []

    async def once(*args, **more):
        calls.append(1)
        if len(calls) > 1:
            raise GatewayFault("audit_unavailable")
        return await append(*args, **more)

    monkeypatch.setattr(walls.house.log, "append", once)
    first = [item["delivery"] for item in await ca.take()]
    monkeypatch.undo()
    assert len(first) == 1
    assert [entry["kind"] for entry in await walls.entries()] == ["delivered"]
    rest = [item["delivery"] for item in await ca.take()]
    assert sorted(first + rest) == sorted(deliveries)


@pytest.mark.parametrize("fail", FAILURES)
async def test_a_hand_in_that_cannot_be_recorded_is_not_accepted_and_may_be_repeated(walls, ca, sc, monkeypatch, fail):
    child = walls.child()
    await sc.consent(child)
    permit = await sc.permit(child, ca)
    envelope = sc.envelope(permit, child, ca, WARNING)
    key = f"a key kept through {fail.__name__}"
    with monkeypatch.context() as failing:
        fail(failing, walls)
        refused(await sc.hand_in(envelope, key=key), 503, "audit_unavailable")
    assert (await sc.hand_in(envelope, key=key)).status_code == 202
    assert len(await ca.take()) == 1


def signed_routes(walls):
    """Every signed route of the door, from its own description."""
    for path, operations in sorted(walls.app.openapi()["paths"].items()):
        for method, operation in operations.items():
            if path.startswith("/v1/") and "{" not in path and not path.startswith("/v1/audit/checkpoint"):
                yield method.upper(), path, operation


@pytest.mark.parametrize("fail", FAILURES)
async def test_every_signed_route_says_that_it_cannot_record(walls, ca, monkeypatch, fail):
    auditor = walls.caller("ca", "M0990", "auditor")
    await auditor.fetch_token()
    routes = list(signed_routes(walls))
    assert len(routes) > 18
    with monkeypatch.context() as failing:
        fail(failing, walls)
        for method, path, _ in routes:
            response = await (auditor.post(path, b"{}") if method == "POST" else auditor.get(path))
            if fail is full_disk and method == "GET":
                continue  # writes no entry, and what it spends the disk still takes
            if fail is full_disk and path == "/v1/inbox/take" and response.status_code == 200:
                assert response.json() == {"envelopes": []}
                continue
            refused(response, 503, "audit_unavailable")
            walls.app.state.patience.counts.clear()


@pytest.mark.parametrize("fail", [no_writes, database_gone])
async def test_no_token_is_issued_where_its_use_could_not_be_remembered(walls, ca, monkeypatch, fail):
    form, headers = ca.token_request()
    with monkeypatch.context() as failing:
        fail(failing, walls)
        refused(await walls.http.post("/oauth/token", content=form, headers=headers), 503, "audit_unavailable")


@pytest.mark.parametrize("path", ["/readyz", "/v1/audit/checkpoint", "/v1/audit/receipts/1", "/v1/keys/senders/x"])
async def test_the_public_routes_say_so_too(walls, monkeypatch, path):
    with monkeypatch.context() as failing:
        database_gone(failing, walls)
        refused(await walls.http.get(path), 503, "audit_unavailable")


async def test_a_database_that_fails_once_is_recorded_as_that(walls, ca, monkeypatch):
    child = walls.child()
    case = await ca.approved_case(child, ["X02"], "M0900")
    await walls.mark()

    async def broken(*_args, **_more):
        import sqlite3

        raise sqlite3.OperationalError(CANARY)

    with monkeypatch.context() as failing:
        failing.setattr(type(walls.house.basis), "find", broken)
        refused(await ca.post("/v1/query", ca.ask(child, case)), 503, "store_unavailable")
    (entry,) = await walls.entries()
    assert (entry["kind"], entry["outcome"], entry["code"]) == ("query", "fault", "store_unavailable")
