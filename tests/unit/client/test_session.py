"""Tokens, proofs, repeats: every attempt is signed anew, and nothing that could happen twice is repeated."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from gateway.client.errors import AnswerRejected, GatewayRefused, GatewayUnreachable
from gateway.client.session import Incoming, Lost, Outgoing
from tests.unit.client.conftest import ISSUER, Desk, incoming, problem


def claims(text: str) -> dict[str, Any]:
    payload = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def once_then(first: Any, then: Any) -> Any:
    replies = [first]
    return lambda body: replies.pop() if replies else then(body)


def test_every_request_is_bound_to_its_method_url_token_and_body(desk: Desk) -> None:
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    desk.run(desk.core.reviews())
    wish = desk.gateway.seen[-1]
    proof = claims(wish.headers["dpop"])
    token = wish.headers["authorization"].removeprefix("DPoP ")
    assert (proof["htm"], proof["htu"]) == ("GET", f"{ISSUER}/v1/reviews")
    assert proof["content-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(b'').digest()).decode()}:"
    assert proof["ath"] == base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    assert claims(wish.headers["officer-assertion"])["cnf"]["jkt"] == desk.configuration.client_key.thumbprint


def test_an_issuer_with_another_name_than_the_address_is_the_one_that_is_signed(desk: Desk) -> None:
    behind = desk.rebuilt(gateway="http://127.0.0.1:9000", issuer=ISSUER)
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    behind.run(behind.core.reviews())
    assert claims(desk.gateway.seen[-1].headers["dpop"])["htu"] == f"{ISSUER}/v1/reviews"


def test_a_token_is_fetched_once_and_renewed_before_it_ends(desk: Desk) -> None:
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    desk.run(desk.core.reviews())
    desk.clock.step(269)
    desk.run(desk.core.reviews())
    assert desk.gateway.tokens == 1
    desk.clock.step(1)
    desk.run(desk.core.reviews())
    assert desk.gateway.tokens == 2


def test_the_officers_assertion_is_renewed_before_the_shift_ends(desk: Desk) -> None:
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    desk.run(desk.core.reviews())
    first = desk.gateway.seen[-1].headers["officer-assertion"]
    desk.clock.step(8 * 3600 - 31)
    desk.run(desk.core.reviews())
    assert desk.gateway.seen[-1].headers["officer-assertion"] == first
    desk.clock.step(1)
    desk.run(desk.core.reviews())
    assert desk.gateway.seen[-1].headers["officer-assertion"] != first


def test_an_edge_without_an_officer_sends_no_assertion(desk: Desk) -> None:
    edge = desk.rebuilt(officer=None)
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    edge.run(edge.core.reviews())
    assert "officer-assertion" not in desk.gateway.seen[-1].headers


@pytest.mark.parametrize("code", ["token_expired", "token_invalid"])
def test_a_token_that_the_gateway_refuses_is_renewed_once(desk: Desk, code: str) -> None:
    desk.gateway.answer["/v1/cases/close"] = once_then(problem(code, 401), lambda _: incoming({}))
    desk.run(desk.core.close_case("case-a"))
    assert desk.gateway.paths() == ["/oauth/token", "/v1/cases/close"] * 2
    desk.gateway.answer["/v1/cases/close"] = lambda _: problem(code, 401)
    with pytest.raises(GatewayRefused) as caught:
        desk.run(desk.core.close_case("case-a"))
    assert caught.value.code == code
    assert desk.gateway.tokens == 3


def test_a_refusal_carries_the_gateways_code_and_both_sentences(desk: Desk) -> None:
    desk.gateway.answer["/v1/cases/close"] = lambda _: problem("case_missing", 403)
    with pytest.raises(GatewayRefused) as caught:
        desk.run(desk.core.close_case("case-a"))
    refused = caught.value
    assert (refused.code, refused.status, refused.detail, refused.detail_zh) == ("case_missing", 403, "en", "中文")
    assert refused.facts == {"field": "x"}
    assert desk.gateway.paths().count("/v1/cases/close") == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"code": "x", "facts": 5}'])
def test_an_error_that_is_no_problem_document_has_a_code_as_well(desk: Desk, body: bytes) -> None:
    desk.gateway.answer["/v1/cases/close"] = lambda _: Incoming(502, {}, body)
    with pytest.raises(GatewayRefused) as caught:
        desk.run(desk.core.close_case("case-a"))
    assert caught.value.code == "http_502"


def test_what_may_have_happened_is_not_repeated(desk: Desk) -> None:
    desk.gateway.answer["/v1/cases/close"] = lambda _: Lost(sent=True)
    with pytest.raises(GatewayUnreachable) as caught:
        desk.run(desk.core.close_case("case-a"))
    assert caught.value.sent
    assert desk.gateway.paths().count("/v1/cases/close") == 1
    assert desk.pauses == []


def test_what_never_left_is_tried_three_times_each_with_a_proof_of_its_own(desk: Desk) -> None:
    desk.gateway.answer["/v1/cases/close"] = lambda _: Lost(sent=False)
    with pytest.raises(GatewayUnreachable) as caught:
        desk.run(desk.core.close_case("case-a"))
    assert not caught.value.sent
    tries = [wish for wish in desk.gateway.seen if wish.path == "/v1/cases/close"]
    assert len({claims(wish.headers["dpop"])["jti"] for wish in tries}) == 3
    assert desk.pauses == [0.2, 0.4]


def test_a_repeatable_call_survives_a_lost_answer_and_a_busy_gateway(desk: Desk) -> None:
    replies = [Lost(sent=True), problem("audit_unavailable", 503), incoming({"reviews": [{"review": "r"}]})]
    desk.gateway.answer["/v1/reviews"] = lambda _: replies.pop(0)
    assert desk.run(desk.core.reviews()) == [{"review": "r"}]


def test_a_busy_gateway_is_not_asked_again_for_what_is_not_repeatable(desk: Desk) -> None:
    desk.gateway.answer["/v1/cases/close"] = lambda _: problem("audit_unavailable", 503)
    with pytest.raises(GatewayRefused):
        desk.run(desk.core.close_case("case-a"))
    assert desk.gateway.paths().count("/v1/cases/close") == 1


def test_a_token_request_is_repeated_with_a_new_assertion(desk: Desk) -> None:
    lost = [Lost(sent=True), Lost(sent=False)]
    carry = desk.gateway.carry

    def losing(wish: Outgoing) -> Incoming | Lost:
        if wish.path == "/oauth/token" and lost:
            desk.gateway.seen.append(wish)
            return lost.pop()
        return carry(wish)

    desk.gateway.carry = losing  # type: ignore[method-assign]
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    assert desk.run(desk.core.reviews()) == []
    bodies = {wish.body for wish in desk.gateway.seen if wish.path == "/oauth/token"}
    assert len(bodies) == 3


@pytest.mark.parametrize(
    "token",
    [{}, {"access_token": "a", "expires_in": 300, "token_type": "Bearer"}, {"access_token": 1, "expires_in": 3}],
)
def test_a_token_that_is_not_bound_is_not_used(desk: Desk, token: dict[str, Any]) -> None:
    desk.gateway.carry = lambda _: incoming(token)  # type: ignore[method-assign]
    with pytest.raises(AnswerRejected, match="answer_malformed"):
        desk.run(desk.core.reviews())


def test_no_key_and_no_statement_shows_itself_in_a_repr(desk: Desk) -> None:
    desk.gateway.answer["/v1/reviews"] = lambda _: incoming({"reviews": []})
    desk.run(desk.core.reviews())
    shown = repr(desk.configuration) + repr(desk.gateway.seen[-1])
    assert "eyJ" not in shown
    assert "SigningKey" not in shown.replace("OfficerKey", "")
