"""Step (1) as a whole: what is let in, and each refusal by its code."""

from __future__ import annotations

import hashlib

import pytest
from starlette.datastructures import Headers

from gateway.errors import NotAuthenticated
from gateway.identity.authenticate import Authenticator
from gateway.store.proof_claims import consume_proof
from gateway.store.registry import Registry
from gateway.store.registry_changes import disable_person, enable_client, reset_switch, throw_switch
from keys.signing import SigningKey
from tests.unit.identity.conftest import EDUCATION, ISSUER, World, resigned

pytestmark = pytest.mark.anyio


async def refused(world: World, code: str, **options: object) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        await world.ask(**options)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.facts == {}


async def test_a_signed_request_tells_who_sent_exactly_these_bytes(world: World) -> None:
    headers = world.headers()
    found = await world.ask(headers)
    assert found.caller.client == world.client
    assert found.caller.officer is not None
    assert found.caller.role == "children_worker@education"
    assert found.caller.region == "330106"
    assert found.caller.body_digest == hashlib.sha256(b'{"a":1}').digest()
    assert found.caller.evidence == (headers["dpop"], headers["officer-assertion"])
    assert found.proof_id.startswith(world.client.thumbprint + ".")
    assert found.caller.request_id not in found.proof_id


async def test_two_requests_have_different_ids(world: World) -> None:
    first, second = await world.ask(), await world.ask()
    assert first.caller.request_id != second.caller.request_id
    assert first.proof_id != second.proof_id


async def test_an_empty_body_is_bound_as_well(world: World) -> None:
    headers = world.headers(dpop=world.proof(method="GET", url=f"{ISSUER}/v1/reviews", body=b""))
    found = await world.ask(headers, method="GET", path="/v1/reviews", body=b"")
    assert found.caller.body_digest == hashlib.sha256(b"").digest()


async def test_a_machine_without_an_officer_is_the_system(world: World) -> None:
    found = await world.ask(world.headers(officer_assertion=None), officer_required=False)
    assert found.caller.officer is None
    assert found.caller.role == "system@education"
    assert len(found.caller.evidence) == 1


# --- token --------------------------------------------------------------------------------------------------------------


async def test_without_a_token_nobody_is_known(world: World) -> None:
    await refused(world, "token_missing", headers=world.headers(authorization=None))


@pytest.mark.parametrize(
    "value", ["Bearer {token}", "DPoP", "DPoP ", "DPoP {token}x", "DPoP a.b.c", "DPoP é.é.é", "{token}"]
)
async def test_a_token_in_another_form_is_invalid(world: World, value: str) -> None:
    await refused(world, "token_invalid", headers=world.headers(authorization=value.format(token=world.token)))


async def test_a_token_ends_after_five_minutes_and_the_skew(world: World) -> None:
    world.clock.step(300 + 59)
    assert await world.ask()
    world.clock.step(1)
    await refused(world, "token_expired")


async def test_a_token_that_was_never_remembered_ends_as_well(world: World) -> None:
    world.clock.step(300 + 60)
    await refused(world, "token_expired")


async def test_a_token_signed_by_a_client_is_invalid(world: World) -> None:
    forged = resigned(world.token, world.client_key)
    await refused(world, "token_invalid", headers=world.headers(authorization=f"DPoP {forged}"))
    own_kid = resigned(world.token, world.client_key, header={"kid": world.client_key.thumbprint})
    await refused(world, "token_invalid", headers=world.headers(authorization=f"DPoP {own_kid}"))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example"},
        {"aud": "https://other.example"},
        {"aud": [ISSUER]},
        {"sub": "another"},
        {"cnf": None},
        {"cnf": {"jkt": 5}},
        {"extra": 1},
        {"exp": None},
        {"exp": True},
        {"exp": 4102444800},
        {"exp": 1.5},
    ],
)
async def test_a_token_with_other_claims_is_invalid_even_under_our_key(world: World, change: dict[str, object]) -> None:
    altered = resigned(world.token, world.token_key, **change)
    await refused(world, "token_invalid", headers=world.headers(authorization=f"DPoP {altered}"))


@pytest.mark.parametrize(
    "header", [{"typ": "JWT"}, {"typ": "officer+jwt"}, {"crit": ["x"]}, {"alg": "Ed25519"}, {"alg": "none"}]
)
async def test_a_token_with_another_header_is_invalid_even_under_our_key(
    world: World, header: dict[str, object]
) -> None:
    altered = resigned(world.token, world.token_key, header=header)
    await refused(world, "token_invalid", headers=world.headers(authorization=f"DPoP {altered}"))


async def test_a_token_of_a_client_that_was_removed_is_refused(world: World) -> None:
    stranger = resigned(world.token, world.token_key, sub="gone", client_id="gone")
    await refused(world, "client_unknown", headers=world.headers(authorization=f"DPoP {stranger}"))


async def test_a_token_bound_to_an_earlier_key_of_the_client_is_refused(world: World) -> None:
    older = resigned(world.token, world.token_key, cnf={"jkt": SigningKey.generate().thumbprint})
    await refused(world, "token_invalid", headers=world.headers(authorization=f"DPoP {older}"))


async def test_a_disabled_client_is_refused_although_its_token_is_remembered(world: World) -> None:
    await world.ask()
    await world.change(enable_client, "edu-xihu", enabled=False)
    await refused(world, "client_disabled")
    await world.change(enable_client, "edu-xihu", enabled=True)
    assert await world.ask()


async def test_a_clients_kill_switch_stops_it_and_lets_it_in_again(world: World) -> None:
    await world.change(throw_switch, "client", "edu-xihu", by="test", now=1)
    await refused(world, "client_disabled")
    await world.change(reset_switch, "client", "edu-xihu")
    assert await world.ask()


async def test_tokens_of_an_earlier_key_are_read_while_a_rotation_is_under_way(world: World) -> None:
    rotated = Authenticator(
        issuer=ISSUER,
        registry=world.registry,
        clock=world.clock,
        token_key=SigningKey.generate(),
        earlier_token_keys=[world.token_key.verify_key],
    )
    world.authenticator = rotated
    assert await world.ask()


# --- proof --------------------------------------------------------------------------------------------------------------


async def test_a_token_without_a_proof_is_worth_nothing(world: World) -> None:
    await refused(world, "proof_missing", headers=world.headers(dpop=None))


async def test_another_body_than_the_proof_names_is_refused(world: World) -> None:
    await refused(world, "proof_body_mismatch", body=b'{"a":2}')
    await refused(world, "proof_body_mismatch", body=b"")


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"url": f"{ISSUER}/v1/deliveries"},
        {"url": f"{ISSUER}/v1/query?x=1"},
        {"url": "https://elsewhere.example/v1/query"},
        {"url": "http://gateway.example:8443/v1/query"},
        {"token": None},
        {"token": "another.token.text"},
    ],
)
async def test_a_proof_for_another_request_is_invalid(world: World, change: dict[str, object]) -> None:
    await refused(world, "proof_invalid", headers=world.headers(dpop=world.proof(**change)))


async def test_a_proof_under_another_key_is_invalid_whatever_jwk_it_brings(world: World) -> None:
    stranger = SigningKey.generate()
    await refused(world, "proof_invalid", headers=world.headers(dpop=world.proof(key=stranger)))
    lying = resigned(world.proof(), world.client_key, header={"jwk": _public(stranger)})
    await refused(world, "proof_invalid", headers=world.headers(dpop=lying))


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "DPoP+JWT"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"kid": "x"},
        {"jwk": None},
        {"jwk": "x"},
        {"b64": False},
    ],
)
async def test_a_proof_with_another_header_is_invalid(world: World, header: dict[str, object]) -> None:
    altered = resigned(world.proof(), world.client_key, header=header)
    await refused(world, "proof_invalid", headers=world.headers(dpop=altered))


@pytest.mark.parametrize("part", [{"kty": "EC"}, {"crv": "X25519"}, {"x": None}, {"x": 5}, {"x": "é"}, {"x": "\ud800"}])
async def test_a_proof_whose_jwk_is_another_one_is_invalid(world: World, part: dict[str, object]) -> None:
    own = _public(world.client_key)
    assert await world.ask(world.headers(dpop=resigned(world.proof(), world.client_key, header={"jwk": own})))
    for other in (part, {"x": own["x"] + "="}, {"x": own["x"][:-1]}):
        altered = resigned(world.proof(), world.client_key, header={"jwk": {**own, **other}})
        await refused(world, "proof_invalid", headers=world.headers(dpop=altered))


async def test_a_proof_that_carries_its_private_key_is_invalid(world: World) -> None:
    leaking = resigned(world.proof(), world.client_key, header={"jwk": {**_public(world.client_key), "d": "AA"}})
    await refused(world, "proof_invalid", headers=world.headers(dpop=leaking))


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": None},
        {"jti": "short"},
        {"jti": "x" * 129},
        {"jti": "é" * 20},
        {"nonce": "n"},
        {"iat": "1"},
        {"ath": 5},
        {"ath": "\ud800"},
    ],
)
async def test_a_proof_with_other_claims_is_invalid(world: World, claims: dict[str, object]) -> None:
    altered = resigned(world.proof(), world.client_key, **claims)
    await refused(world, "proof_invalid", headers=world.headers(dpop=altered))


async def test_a_proof_without_the_bodys_digest_is_refused(world: World) -> None:
    await refused(
        world,
        "proof_invalid",
        headers=world.headers(dpop=resigned(world.proof(), world.client_key, **{"content-digest": None})),
    )


@pytest.mark.parametrize(("age", "code"), [(120, ""), (121, "proof_expired"), (-60, ""), (-61, "proof_invalid")])
async def test_a_proof_is_good_within_its_window_only(world: World, age: int, code: str) -> None:
    headers = world.headers(dpop=world.proof(now=world.clock.seconds - age))
    if code:
        await refused(world, code, headers=headers)
    else:
        assert await world.ask(headers)


async def test_a_proof_is_good_once_in_this_worker(world: World) -> None:
    headers = world.headers()
    await world.ask(headers)
    await refused(world, "proof_replayed", headers=headers)


async def test_a_proof_that_another_worker_claimed_is_refused(world: World) -> None:
    headers = world.headers()
    found = await world.ask(headers)
    await world.change(consume_proof, found.proof_id, world.clock.seconds + 300)
    other = Authenticator(issuer=ISSUER, registry=world.registry, clock=world.clock, token_key=world.token_key)
    world.authenticator = other
    await refused(world, "proof_replayed", headers=headers)


async def test_a_claim_is_made_once(world: World) -> None:
    await world.change(consume_proof, "k.jti", 1)
    with pytest.raises(NotAuthenticated, match="proof_replayed"):
        await world.change(consume_proof, "k.jti", 1)


async def test_a_security_header_that_comes_twice_is_refused(world: World) -> None:
    good = world.headers()
    for name, code in [
        ("dpop", "proof_invalid"),
        ("authorization", "token_invalid"),
        ("officer-assertion", "officer_invalid"),
    ]:
        twice = Headers(
            raw=[*((k.encode(), v.encode()) for k, v in good.items()), (name.encode(), good[name].encode())]
        )
        await refused(world, code, headers=twice)


# --- officer ------------------------------------------------------------------------------------------------------------


async def test_personal_data_needs_an_officer(world: World) -> None:
    await refused(world, "officer_missing", headers=world.headers(officer_assertion=None))


async def test_an_officer_assertion_made_by_a_client_key_is_refused(world: World) -> None:
    forged = world.officer(key=world.client_key)
    await refused(world, "officer_key_unknown", headers=world.headers(officer_assertion=forged))


async def test_an_officer_assertion_made_by_the_administrators_key_is_refused(world: World) -> None:
    forged = world.officer(key=world.admin_key, person_id="A0001")
    await refused(world, "officer_key_unknown", headers=world.headers(officer_assertion=forged))


async def test_a_client_key_cannot_sign_in_the_officers_name(world: World) -> None:
    forged = resigned(world.officer(), world.client_key)
    await refused(world, "officer_invalid", headers=world.headers(officer_assertion=forged))


@pytest.mark.parametrize(
    "change",
    [
        {"person_id": "T0418"},
        {"party": type(EDUCATION)(EDUCATION.organisation, EDUCATION.department.CIVIL_AFFAIRS)},
        {"party": type(EDUCATION)("12330106470101234A", EDUCATION.department)},
        {"issuer": "https://other.example"},
        {"client_thumbprint": "x" * 43},
        {"lifetime": 12 * 3600 + 1},
        {"lifetime": 0},
        {"now": 4102444800},
    ],
)
async def test_an_officer_assertion_for_something_else_is_invalid(world: World, change: dict[str, object]) -> None:
    await refused(world, "officer_invalid", headers=world.headers(officer_assertion=world.officer(**change)))


async def test_a_function_that_was_not_signed_for_is_refused(world: World) -> None:
    assertion = world.officer(function="director")
    await refused(world, "officer_function", headers=world.headers(officer_assertion=assertion))


async def test_an_assertion_ends_with_the_shift_even_when_remembered(world: World) -> None:
    assertion = world.officer(lifetime=600)
    await world.ask(world.headers(officer_assertion=assertion))
    world.clock.step(660)
    world.token = world.authenticator.tokens.issue(world.client, now=world.clock.seconds)
    await refused(world, "officer_expired", headers=world.headers(officer_assertion=assertion))


async def test_a_retired_officer_is_refused_although_the_assertion_is_remembered(world: World) -> None:
    assertion = world.officer()
    await world.ask(world.headers(officer_assertion=assertion))
    await world.change(disable_person, world.officer_key.thumbprint)
    await refused(world, "officer_disabled", headers=world.headers(officer_assertion=assertion))


async def test_a_remembered_assertion_is_still_bound_to_its_client(world: World) -> None:
    from gateway.domain.parties import Client
    from gateway.store.registry_changes import add_client

    assertion = world.officer()
    await world.ask(world.headers(officer_assertion=assertion))
    key = SigningKey.generate()
    second = Client("edu-second", EDUCATION, "330106", key.thumbprint, key.public)
    await world.change(add_client, second, now=1)
    world.client_key, world.client = key, second
    world.token = world.authenticator.tokens.issue(second, now=world.clock.seconds)
    await refused(world, "officer_invalid", headers=world.headers(officer_assertion=assertion))


async def test_a_worker_that_never_read_the_registry_reads_it_first(world: World) -> None:
    world.registry = Registry()
    world.authenticator = Authenticator(
        issuer=ISSUER, registry=world.registry, clock=world.clock, token_key=world.token_key
    )
    assert await world.ask()


def _public(key: SigningKey) -> dict[str, str]:
    return {name: value for name, value in key.jwk().items() if name != "kid"}
