"""`GET /v1/crypto/suites`: provider, version and result of every primitive, to whoever is a client."""

import httpx2
import pytest

from keys import selftest
from tests.unit.flows.naming_world import ISSUER, built

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path, edges=()) as made:
        yield made


async def asked(world, headers):
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as http:
        return await http.get("/v1/crypto/suites", headers=headers)


async def test_every_primitive_is_told_with_who_computes_it_and_whether_it_agrees(world, monkeypatch):
    async with world.client("he", None) as client:
        answer = await asked(world, await client.headers("GET", "/v1/crypto/suites", b""))
        assert answer.status_code == 200
        told = {suite["primitive"]: suite for suite in answer.json()["suites"]}
        assert set(told) == {check.primitive for check in selftest.run()}
        assert {"ristretto255", "bech32m", "hpke-x25519", "hpke-xwing", "argon2id", "slip39"} < set(told)
        assert all(suite["ok"] for suite in told.values())
        assert told["ristretto255"]["provider"].startswith("rbcl ")

        answers = {**selftest._answers(), "sha256": {**selftest._answers()["sha256"], "digest": "00" * 32}}
        monkeypatch.setattr(selftest, "_answers", lambda: answers)
        again = await asked(world, await client.headers("GET", "/v1/crypto/suites", b""))
        assert [suite["primitive"] for suite in again.json()["suites"] if not suite["ok"]] == ["sha256"]


async def test_a_stranger_is_told_nothing(world):
    answer = await asked(world, {})
    assert answer.status_code == 401
    assert "suites" not in answer.json()
