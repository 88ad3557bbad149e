"""Before step (1) succeeds: a problem document, no entry, and one roll-up per source and minute."""

import base64
import hashlib
import json
import time
from datetime import timedelta

import pytest

from gateway.api.patience import REFUSALS_A_MINUTE
from gateway.audit.reading import Question, open_detail, page
from gateway.client import statements
from gateway.domain.canonical import canonical
from gateway.flows.upkeep import roll_up
from gateway.store.registry_changes import enable_client, reset_switch, throw_switch
from keys.signing import SigningKey
from tests.contract.api_house import CANARY, ISSUER, refused

pytestmark = pytest.mark.anyio
QUERY = "/v1/query"


@pytest.fixture
async def walls(whole):
    whole.settle()
    whole.house.refusals.due(now=2**40)
    await whole.mark()
    return whole


def question(**more):
    return canonical({"exchange": "X02", "purpose": "P14", "subject": {"pseudonym": CANARY}, **more})


async def sent(walls, headers, body=None, path=QUERY, method="POST"):
    return await walls.http.request(method, path, content=question() if body is None else body, headers=headers)


async def rolled_up(walls):
    """The roll-ups of the running minute, opened."""
    assert await walls.entries() == []
    await roll_up(walls.house, close=True)
    async with walls.house.database.read() as reading:
        rows = [row for row in await page(reading, Question(limit=20)) if row.index >= walls.seen]
        full = [await walls.row(reading, row.index) for row in rows]
        keeper = walls.house.log.keeper
        opened = [await open_detail(reading, keeper, row) for row in full]
        return [(row.skeleton, each["facts"]) for row, each in zip(rows, opened, strict=True)]


async def counted(walls, **codes):
    """One roll-up entry, counting exactly these codes; it names no address."""
    ((skeleton, detail),) = await rolled_up(walls)
    assert (skeleton["kind"], skeleton["outcome"], skeleton["code"]) == ("auth.refused", "denied", "auth_refused")
    assert detail["codes"] == {code: str(count) for code, count in codes.items()}
    assert "127.0.0.1" not in json.dumps([skeleton, detail])
    assert CANARY not in json.dumps([skeleton, detail])


async def test_no_token_is_refused_and_rolled_up(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    del headers["authorization"]
    refused(await sent(walls, headers), 401, "token_missing")
    await counted(walls, token_missing=1)


async def test_a_token_of_another_scheme_is_invalid(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    refused(await sent(walls, {**headers, "authorization": "Bearer " + CANARY}), 401, "token_invalid")
    await counted(walls, token_invalid=1)


async def test_a_token_that_somebody_else_signed_is_invalid(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    head, claims, signature = ca.token.split(".")
    forged = ".".join([head, claims, base64.urlsafe_b64encode(SigningKey.generate().sign(b"x")).decode().rstrip("=")])
    assert forged != ca.token
    assert signature
    refused(await sent(walls, {**headers, "authorization": f"DPoP {forged}"}), 401, "token_invalid")
    await counted(walls, token_invalid=1)


async def test_a_token_that_has_ended_is_expired(walls, ca):
    then = int(time.time()) - 3600
    token = walls.house.authenticator.tokens.issue(walls.house.registry.client("ca-system"), now=then)
    ca.token = token
    refused(await sent(walls, await ca.headers("POST", QUERY, question())), 401, "token_expired")
    await counted(walls, token_expired=1)


async def test_a_token_of_another_client_does_not_fit_the_proof(walls, ca):
    other = walls.caller("ed", "J0201", "case_worker")
    ca.token = await other.fetch_token()
    refused(await sent(walls, await ca.headers("POST", QUERY, question())), 401, "proof_invalid")
    await counted(walls, proof_invalid=1)


async def test_a_missing_proof_is_refused(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    del headers["dpop"]
    refused(await sent(walls, headers), 401, "proof_missing")
    await counted(walls, proof_missing=1)


@pytest.mark.parametrize("seconds", [-3600, -200])
async def test_an_old_proof_is_expired(walls, ca, seconds):
    headers = await ca.headers("POST", QUERY, question(), now=int(time.time()) + seconds)
    refused(await sent(walls, headers), 401, "proof_expired")
    await counted(walls, proof_expired=1)


async def test_a_proof_from_the_future_is_invalid(walls, ca):
    headers = await ca.headers("POST", QUERY, question(), now=int(time.time()) + 600)
    refused(await sent(walls, headers), 401, "proof_invalid")
    await counted(walls, proof_invalid=1)


async def test_a_proof_is_good_once(walls, ca):
    body = canonical({"wait": 0, "limit": 1})
    headers = await ca.headers("POST", "/v1/inbox/take", body)
    assert (await sent(walls, headers, body, "/v1/inbox/take")).status_code == 200
    refused(await sent(walls, headers, body, "/v1/inbox/take"), 401, "proof_replayed")
    await counted(walls, proof_replayed=1)


async def test_a_proof_used_at_another_worker_is_refused_here(walls, ca):
    body = canonical({"wait": 0, "limit": 1})
    headers = await ca.headers("POST", "/v1/inbox/take", body)
    assert (await sent(walls, headers, body, "/v1/inbox/take")).status_code == 200
    walls.house.authenticator._seen._items.clear()
    refused(await sent(walls, headers, body, "/v1/inbox/take"), 401, "proof_replayed")


async def test_a_swapped_body_does_not_fit_its_proof(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    refused(await sent(walls, headers, question(case=CANARY)), 401, "proof_body_mismatch")
    await counted(walls, proof_body_mismatch=1)


async def test_a_proof_for_another_method_is_invalid(walls, ca):
    headers = await ca.headers("GET", QUERY, question()) | {"content-type": "application/json"}
    refused(await sent(walls, headers), 401, "proof_invalid")
    await counted(walls, proof_invalid=1)


async def test_a_proof_for_another_path_is_invalid(walls, ca):
    headers = await ca.headers("POST", "/v1/cases", question())
    refused(await sent(walls, headers), 401, "proof_invalid")
    await counted(walls, proof_invalid=1)


async def test_a_proof_by_a_foreign_key_is_invalid(walls, ca):
    headers = await ca.headers("POST", QUERY, question(), key=SigningKey.generate())
    refused(await sent(walls, headers), 401, "proof_invalid")
    await counted(walls, proof_invalid=1)


async def test_a_proof_that_is_no_statement_is_invalid(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    refused(await sent(walls, {**headers, "dpop": CANARY}), 401, "proof_invalid")
    await counted(walls, proof_invalid=1)


@pytest.mark.parametrize("name", ["authorization", "dpop", "officer-assertion", "content-type"])
async def test_a_security_header_that_comes_twice_is_refused(walls, ca, name):
    headers = await ca.headers("POST", QUERY, question())
    doubled = [*headers.items(), (name, headers[name])]
    refused(await walls.http.post(QUERY, content=question(), headers=doubled), 401, "header_repeated")
    await counted(walls, header_repeated=1)


async def test_a_request_about_a_child_needs_an_officer(walls, ca):
    headers = await ca.headers("POST", QUERY, question(), officer=False)
    refused(await sent(walls, headers), 401, "officer_missing")
    await counted(walls, officer_missing=1)


async def test_an_officer_assertion_made_by_the_client_key_enrols_nobody(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    headers["officer-assertion"] = ca.officer_assertion(key=ca.body.client_key)
    refused(await sent(walls, headers), 401, "officer_key_unknown")
    await counted(walls, officer_key_unknown=1)


async def test_yesterdays_officer_assertion_is_expired(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    headers["officer-assertion"] = ca.officer_assertion(now=int(time.time()) - 86_400)
    refused(await sent(walls, headers), 401, "officer_expired")
    await counted(walls, officer_expired=1)


async def test_an_officer_of_another_client_does_not_stand_behind_this_one(walls, ca):
    headers = await ca.headers("POST", QUERY, question())
    headers["officer-assertion"] = walls.caller("ed", "J0201", "case_worker").officer_assertion()
    refused(await sent(walls, headers), 401, "officer_invalid")
    await counted(walls, officer_invalid=1)


async def test_a_body_that_is_too_large_is_turned_away_unread(walls, ca):
    body = b'"' + CANARY.encode() * 500_000 + b'"'
    headers = await ca.headers("POST", QUERY, body)
    refused(await sent(walls, headers, body), 413, "body_too_large")
    await counted(walls, body_too_large=1)


async def test_a_body_that_lies_about_its_length_is_cut_off(walls, ca):
    async def endless():
        for _ in range(200):
            yield b"x" * 65_536

    headers = await ca.headers("POST", QUERY, b"")
    refused(await walls.http.post(QUERY, content=endless(), headers=headers), 413, "body_too_large")
    await counted(walls, body_too_large=1)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json5", ""])
async def test_another_content_type_is_turned_away(walls, ca, kind):
    headers = await ca.headers("POST", QUERY, question()) | {"content-type": kind}
    refused(await sent(walls, headers), 415, "media_type")
    await counted(walls, media_type=1)


async def test_a_disabled_client_is_refused_and_let_in_again(walls, ca):
    body = canonical({"wait": 0, "limit": 1})
    await ca.fetch_token()
    await walls.change(lambda writing: enable_client(writing, "ca-system", enabled=False))
    walls.house.registry.forget()
    await walls.mark()
    refused(
        await sent(walls, await ca.headers("POST", "/v1/inbox/take", body), body, "/v1/inbox/take"),
        401,
        "client_disabled",
    )
    form, headers = ca.token_request()
    refused(await sent(walls, headers, form, "/oauth/token"), 401, "client_disabled")
    await counted(walls, client_disabled=2)
    await walls.change(lambda writing: enable_client(writing, "ca-system", enabled=True))
    walls.house.registry.forget()
    assert (await ca.post("/v1/inbox/take", body)).status_code == 200


async def test_the_kill_switch_of_a_client_holds_from_the_next_request(walls, ca):
    await ca.fetch_token()
    await walls.change(lambda writing: throw_switch(writing, "client", "ca-system", by="x", now=1))
    walls.house.registry.forget()
    await walls.mark()
    refused(await sent(walls, await ca.headers("POST", QUERY, question())), 401, "client_disabled")
    await counted(walls, client_disabled=1)
    await walls.change(lambda writing: reset_switch(writing, "client", "ca-system"))
    walls.house.registry.forget()


# --- the token endpoint -------------------------------------------------------------------------------------------------


async def test_a_client_assertion_is_good_once(walls, ca):
    form, headers = ca.token_request()
    assert (await sent(walls, headers, form, "/oauth/token")).status_code == 200
    again = statements.request_proof(
        ca.body.client_key, method="POST", url=ISSUER + "/oauth/token", body=form, token=None, now=int(time.time())
    )
    refused(await sent(walls, headers | {"dpop": again}, form, "/oauth/token"), 401, "assertion_replayed")
    await counted(walls, assertion_replayed=1)


async def test_an_old_client_assertion_is_expired(walls, ca):
    form, headers = ca.token_request(now=int(time.time()) - 3600)
    refused(await sent(walls, headers, form, "/oauth/token"), 401, "assertion_expired")
    await counted(walls, assertion_expired=1)


async def test_an_unknown_key_gets_no_token(walls, ca):
    form, headers = ca.token_request(key=SigningKey.generate())
    refused(await sent(walls, headers, form, "/oauth/token"), 401, "client_unknown")
    await counted(walls, client_unknown=1)


@pytest.mark.parametrize(
    "form",
    [b"", CANARY.encode(), f"grant_type={CANARY}".encode(), b"\xff\xfe", b"grant_type=a&grant_type=b"],
    ids=["empty", "no form", "wrong", "bytes", "twice"],
)
async def test_a_malformed_token_request_counts_as_a_refusal(walls, ca, form):
    _, headers = ca.token_request()
    response = await sent(walls, headers, form, "/oauth/token")
    refused(response, response.status_code, "token_request_invalid")
    assert 400 <= response.status_code < 500
    await counted(walls, token_request_invalid=1)


# --- the minute's roll-up -------------------------------------------------------------------------------------------------


async def test_many_refusals_of_a_minute_are_one_entry_for_their_source(walls, ca):
    for _ in range(5):
        await sent(walls, {})
    for _ in range(3):
        await sent(walls, {"authorization": "DPoP x", "content-type": "application/json"})
    await counted(walls, media_type=5, token_invalid=3)


async def test_two_sources_are_two_entries(walls):
    walls.house.refusals.note("192.0.2.1", "proof_invalid", now=int(time.time()))
    walls.house.refusals.note("192.0.2.2", "proof_invalid", now=int(time.time()))
    found = await rolled_up(walls)
    assert len(found) == 2
    assert len({detail["source"] for _, detail in found}) == 2


async def test_whoever_is_refused_too_often_waits_and_is_counted(walls):
    for _ in range(REFUSALS_A_MINUTE):
        assert (await sent(walls, {"content-type": "application/json"})).status_code == 401
    response = await sent(walls, {"content-type": "application/json"})
    refused(response, 429, "rate_limited")
    assert response.headers["retry-after"] == "60"
    await counted(walls, token_missing=REFUSALS_A_MINUTE, rate_limited=1)


async def test_whoever_was_authenticated_is_not_slowed_by_others_at_the_same_address(walls, ca):
    body = canonical({"wait": 0, "limit": 1})
    assert (await ca.post("/v1/inbox/take", body)).status_code == 200
    for _ in range(REFUSALS_A_MINUTE):
        await sent(walls, {"content-type": "application/json"})
    refused(await sent(walls, {"content-type": "application/json"}), 429, "rate_limited")
    assert (await ca.post("/v1/inbox/take", body)).status_code == 200
    # The token alone is no pass: without its proof it is refused like anything else, and from then on slowed as well.
    stolen = {"authorization": f"DPoP {ca.token}", "content-type": "application/json"}
    refused(await sent(walls, stolen), 401, "proof_missing")
    refused(await sent(walls, stolen), 429, "rate_limited")


async def test_a_public_route_earns_nobody_a_pass(walls):
    pass_ = {"authorization": "DPoP " + CANARY, "content-type": "application/json"}
    assert (await walls.http.get("/readyz", headers=pass_)).status_code == 200
    for _ in range(REFUSALS_A_MINUTE):
        await sent(walls, {"content-type": "application/json"})
    refused(await sent(walls, pass_), 429, "rate_limited")


async def test_a_roll_up_that_could_not_be_written_is_written_later(walls, monkeypatch):
    await sent(walls, {"content-type": "application/json"})
    append = walls.house.log.append

    async def full(*_args, **_more):
        raise OSError(28, "no space left")

    monkeypatch.setattr(walls.house.log, "append", full)
    with pytest.raises(OSError):
        await roll_up(walls.house, close=True)
    monkeypatch.setattr(walls.house.log, "append", append)
    await counted(walls, token_missing=1)


async def test_the_minute_is_the_houses_minute(walls):
    walls.clock.ahead = timedelta(hours=5)
    await sent(walls, {"content-type": "application/json"})
    assert await roll_up(walls.house) == 0
    await counted(walls, token_missing=1)


# --- what the framework itself would say ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [f"/{CANARY}", f"/v1/{CANARY}", f"/v1/query/{CANARY}", "/docs", "/redoc", "/openapi.json", "/v1/query/"],
)
async def test_an_unknown_path_is_not_repeated(walls, path):
    for target in (path, f"{path}?id={CANARY}"):
        refused(await walls.http.get(target), 404, "not_found")


@pytest.mark.parametrize("path", [f"/v1/keys/senders/{CANARY}", f"/v1/audit/tile/{CANARY}"])
async def test_an_unknown_public_object_is_not_repeated(walls, path):
    refused(await walls.http.get(path), 404, "not_found")


@pytest.mark.parametrize("index", [CANARY, "x" + CANARY, "-1", "²", "999999999999999"])
async def test_an_unknown_receipt_is_not_repeated(walls, index):
    response = await walls.http.get(f"/v1/audit/receipts/{index}")
    assert response.status_code == 404
    assert CANARY not in response.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_another_method_is_not_allowed_and_echoes_nothing(walls, method):
    refused(await walls.http.request(method, f"{QUERY}?id={CANARY}"), 405, "method_not_allowed")


async def test_the_description_of_the_api_loads_nothing_from_outside(walls):
    response = await walls.http.get("/v1/openapi.json")
    assert response.status_code == 200
    text = response.text
    assert "http://" not in text.replace(ISSUER, "")
    assert "https://" not in text
    assert "cdn" not in text.lower()
    assert "HTTPValidationError" not in text
    document = response.json()
    assert set(document["paths"]) >= {QUERY, "/v1/deliveries", "/v1/inbox/take", "/oauth/token"}


async def test_every_reference_of_the_description_leads_somewhere(walls):
    document = (await walls.http.get("/v1/openapi.json")).json()

    def references(value):
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in references(document):
        here = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in here, reference
            here = here[part]


async def test_no_answer_may_be_kept_by_a_cache(walls, ca):
    body = canonical({"wait": 0, "limit": 1})
    answers = [await ca.post("/v1/inbox/take", body), await sent(walls, {}), (await walls.http.get("/nothing"))]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


def test_the_canary_is_a_valid_number_so_that_every_scan_would_know_it():
    weights = [pow(2, 17 - i, 11) for i in range(17)]
    total = sum(int(digit) * weight for digit, weight in zip(CANARY, weights, strict=False))
    assert "10X98765432"[total % 11] == CANARY[-1]
    assert hashlib.sha256(CANARY.encode()).hexdigest() != CANARY
