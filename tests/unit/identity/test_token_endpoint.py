"""`POST /oauth/token`: who gets a token, once per assertion and proof."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.client import statements
from gateway.errors import BadRequest, GatewayError, NotAuthenticated
from gateway.identity.token_endpoint import ASSERTION_KIND, TokenEndpoint
from gateway.store.registry_changes import enable_client, throw_switch
from keys.signing import SigningKey
from tests.unit.identity.conftest import ISSUER, World, resigned

pytestmark = pytest.mark.anyio
FORM = {"content-type": "application/x-www-form-urlencoded"}


def assertion(world: World, **changes: Any) -> str:
    parts: dict[str, Any] = {
        "client_id": "edu-xihu",
        "key": world.client_key,
        "issuer": ISSUER,
        "now": world.clock.seconds,
    }
    return statements.client_assertion(**{**parts, **changes})


def form(world: World, **changes: Any) -> bytes:
    parts = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_KIND,
        "client_assertion": assertion(world),
    }
    return urlencode({name: value for name, value in {**parts, **changes}.items() if value is not None}).encode()


async def ask(world: World, body: bytes | None = None, **headers: Any) -> Any:
    endpoint = TokenEndpoint(
        issuer=ISSUER,
        tokens=world.authenticator.tokens,
        registry=world.registry,
        database=world.database,
        clock=world.clock,
    )
    body = form(world) if body is None else body
    proof = world.proof(url=f"{ISSUER}/oauth/token", body=body, token=None)
    sent = {**FORM, "dpop": proof, **headers}
    return await endpoint.issue(
        path="/oauth/token", headers={name: value for name, value in sent.items() if value is not None}, body=body
    )


async def refused(
    world: World, code: str, *arguments: Any, kind: type[GatewayError] = NotAuthenticated, **options: Any
) -> None:
    with pytest.raises(kind) as caught:
        await ask(world, *arguments, **options)
    assert caught.value.code == code


async def test_a_registered_client_gets_a_token_that_works(world: World) -> None:
    answer = await ask(world)
    assert answer.body == {"access_token": answer.access_token, "token_type": "DPoP", "expires_in": 300}
    assert answer.access_token not in repr(answer)
    world.token = answer.access_token
    assert (await world.ask()).caller.client == world.client


async def test_an_assertion_is_good_once(world: World) -> None:
    body = form(world)
    await ask(world, body)
    await refused(world, "assertion_replayed", body)


async def test_a_proof_is_good_once(world: World) -> None:
    body = form(world)
    proof = world.proof(url=f"{ISSUER}/oauth/token", body=body, token=None)
    await ask(world, body, dpop=proof)
    other = form(world)
    again = resigned(
        world.proof(url=f"{ISSUER}/oauth/token", body=other, token=None), world.client_key, jti=_jti(proof)
    )
    await refused(world, "proof_replayed", other, dpop=again)


async def test_an_assertion_under_an_unregistered_key_is_refused(world: World) -> None:
    stranger = SigningKey.generate()
    await refused(world, "client_unknown", form(world, client_assertion=assertion(world, key=stranger)))


async def test_an_officers_key_gets_no_token(world: World) -> None:
    await refused(world, "client_unknown", form(world, client_assertion=assertion(world, key=world.officer_key)))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "another"},
        {"sub": "another"},
        {"aud": f"{ISSUER}/oauth/token"},
        {"aud": [ISSUER]},
        {"jti": None},
        {"jti": "short"},
        {"exp": None},
        {"exp": 4102444800},
        {"iat": 4102444800, "exp": 4102444900},
        {"extra": 1},
    ],
)
async def test_an_assertion_with_other_claims_is_invalid(world: World, change: dict[str, Any]) -> None:
    altered = resigned(assertion(world), world.client_key, **change)
    await refused(world, "assertion_invalid", form(world, client_assertion=altered))


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"alg": "none"}, {"alg": "RS256"}, {"jku": "https://x.example"}])
async def test_an_assertion_with_another_header_is_invalid(world: World, header: dict[str, Any]) -> None:
    altered = resigned(assertion(world), world.client_key, header=header)
    await refused(world, "assertion_invalid", form(world, client_assertion=altered))


async def test_an_old_assertion_is_refused(world: World) -> None:
    old = assertion(world, now=world.clock.seconds - 300)
    await refused(world, "assertion_expired", form(world, client_assertion=old))


async def test_a_disabled_client_gets_no_token(world: World) -> None:
    await world.change(enable_client, "edu-xihu", enabled=False)
    await refused(world, "client_disabled")


async def test_a_stopped_client_gets_no_token(world: World) -> None:
    await world.change(throw_switch, "client", "edu-xihu", by="test", now=1)
    await refused(world, "client_disabled")


async def test_an_assertion_without_a_proof_is_not_enough(world: World) -> None:
    await refused(world, "proof_missing", dpop=None)


async def test_a_proof_by_another_key_or_for_another_form_is_refused(world: World) -> None:
    body = form(world)
    stranger = world.proof(url=f"{ISSUER}/oauth/token", body=body, token=None, key=SigningKey.generate())
    await refused(world, "proof_invalid", body, dpop=stranger)
    other = world.proof(url=f"{ISSUER}/oauth/token", body=b"other", token=None)
    await refused(world, "proof_body_mismatch", body, dpop=other)


async def test_a_refused_request_uses_nothing_up(world: World) -> None:
    body = form(world)
    await refused(world, "proof_missing", body, dpop=None)
    assert await ask(world, body)


@pytest.mark.parametrize(
    "change",
    [
        {"grant_type": "password"},
        {"grant_type": None},
        {"client_assertion_type": "x"},
        {"client_assertion": None},
        {"scope": "all"},
        {"client_assertion": "x" * 20_000},
    ],
)
async def test_another_form_is_refused(world: World, change: dict[str, Any]) -> None:
    await refused(world, "token_request_invalid", form(world, **change), kind=BadRequest)


@pytest.mark.parametrize("body", [b"", b"{}", b"grant_type", "grant_type=é".encode(), b"a=1&a=2"])
async def test_a_body_that_is_no_form_is_refused(world: World, body: bytes) -> None:
    await refused(world, "token_request_invalid", body, kind=BadRequest)


async def test_a_member_that_comes_twice_is_refused(world: World) -> None:
    await refused(world, "token_request_invalid", form(world) + b"&grant_type=client_credentials", kind=BadRequest)


async def test_json_is_refused(world: World) -> None:
    await refused(world, "token_request_invalid", kind=BadRequest, **{"content-type": "application/json"})


def _jti(text: str) -> str:
    from tests.unit.identity.conftest import _decoded

    return str(_decoded(text.split(".")[1])["jti"])
