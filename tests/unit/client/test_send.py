"""`send`: what is sealed, what stays, and what happens when a permit is not what it should be."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

from gateway.client.core import Core, outbound
from gateway.client.errors import AnswerRejected, GatewayUnreachable
from gateway.client.prose import ProseWarning
from gateway.client.sending import NothingPermitted
from gateway.client.session import Lost
from gateway.domain.orders import PlainValue, SealedValue, SealInfo
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department, Door
from gateway.release.wire import envelope_from_wire
from keys.envelope import SealingPair, open_line
from policies.catalogue import load
from tests.unit.client.conftest import ME, Desk, b64, incoming

CATALOGUE = load()
BUREAU = Party("11330106002489009A", Department.CIVIL_AFFAIRS)
PAIR = SealingPair.generate("x25519")
GRANTS = {"risk_band": "clear+sealed", "urgency": "clear", "guardian_contacted": "clear"}
VALUES = {
    "risk_band": "crisis",
    "urgency": "immediate",
    "guardian_contacted": "Y",
    "school_contact": "13800000000",
    "diary": "x",
}


def permit(**changes: Any) -> dict[str, Any]:
    answer = {
        "permit": "sp-1",
        "expires": 1,
        "recipient_key": {"party": BUREAU.text, "suite": "x25519", "kid": PAIR.kid, "key": b64(PAIR.public_key)},
        "lines": {"1": {"grants": GRANTS, "withheld": {"school_contact": "rule_denied"}}},
    }
    return {**answer, **changes}


@pytest.fixture
def sender(desk: Desk) -> Desk:
    desk.core = Core(desk.configuration, exchanges=CATALOGUE.exchanges, clock=desk.clock)
    desk.gateway.answer["/v1/send-permits"] = lambda _: incoming(permit())
    desk.gateway.answer["/v1/deliveries"] = lambda _: {"delivery": "dl-1"}
    return desk


def send(desk: Desk, *records: Any, **changes: Any) -> Any:
    parts: dict[str, Any] = {
        "recipient": BUREAU,
        "records": list(records) or [outbound(VALUES, pseudonym="edo1qqq", region="330106")],
        "case": None,
        "reason": None,
        "door": Door.NORMAL,
        "medical": False,
        "idempotency_key": None,
    }
    return desk.run(desk.core.send("X05", "P01", **{**parts, **changes}))


def handed_in(desk: Desk) -> Any:
    return envelope_from_wire(json.loads(desk.gateway.seen[-1].body)["envelope"])


def test_only_what_is_granted_leaves_and_only_sealed_where_ordered(sender: Desk) -> None:
    sent = send(sender)
    (line,) = handed_in(sender).lines
    assert set(line.values) == set(GRANTS)
    assert isinstance(line.values["risk_band"], SealedValue)
    assert isinstance(line.values["guardian_contacted"], PlainValue)
    assert b"13800000000" not in sender.gateway.seen[-1].body
    assert b"crisis" not in sender.gateway.seen[-1].body
    assert (sent.delivery, sent.permit, sent.delivered, sent.denied) == ("dl-1", "sp-1", (1,), {})
    assert sent.receipt.index == 1


def test_the_recipient_opens_what_was_sent_under_the_permits_binding(sender: Desk) -> None:
    send(sender)
    (line,) = handed_in(sender).lines
    info = SealInfo("sp-1", 1, "X05", ME, BUREAU, PAIR.kid)
    values = open_line(line, pair=PAIR, sender_key=sender.configuration.client_key.verify_key, expected=info)
    assert values == {"risk_band": "crisis", "urgency": "immediate", "guardian_contacted": "Y"}


def test_a_party_may_sign_what_it_sends_with_a_key_of_its_own(sender: Desk) -> None:
    from keys.signing import SigningKey

    own = SigningKey.generate()
    other = sender.rebuilt(sender_key=own)
    other.core = Core(other.configuration, exchanges=CATALOGUE.exchanges, clock=other.clock)
    send(other)
    assert handed_in(other).lines[0].sealing.sender_kid == own.thumbprint


def test_a_child_that_a_rule_denies_is_left_out_and_told(sender: Desk) -> None:
    lines = {"1": {"denied": "consent_none"}, "2": {"grants": GRANTS, "withheld": {}}}
    sender.gateway.answer["/v1/send-permits"] = lambda _: incoming(permit(lines=lines))
    first, second = (outbound(VALUES, pseudonym=f"edo1{name}", region="330106") for name in ("aaa", "bbb"))
    sent = send(sender, first, second)
    assert (sent.delivered, sent.denied) == ((2,), {1: "consent_none"})
    assert [line.subject for line in handed_in(sender).lines] == ["edo1bbb"]


def test_where_every_child_is_denied_nothing_is_handed_in(sender: Desk) -> None:
    sender.gateway.answer["/v1/send-permits"] = lambda _: incoming(permit(lines={"1": {"denied": "case_missing"}}))
    with pytest.raises(NothingPermitted) as caught:
        send(sender)
    assert caught.value.denied == {1: "case_missing"}
    assert "/v1/deliveries" not in sender.gateway.paths()


def test_a_value_that_is_not_in_its_form_is_told_and_does_not_go(sender: Desk) -> None:
    sent = send(sender, outbound({**VALUES, "guardian_contacted": "perhaps"}, pseudonym="edo1qqq"))
    assert sent.withheld == {1: {"school_contact": "rule_denied", "guardian_contacted": "value_invalid"}}
    assert "guardian_contacted" not in handed_in(sender).lines[0].values


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"recipient_key": {**permit()["recipient_key"], "party": ME.text}}, "answer_other"),
        ({"recipient_key": {**permit()["recipient_key"], "kid": "0" * 16}}, "answer_other"),
        ({"recipient_key": {**permit()["recipient_key"], "key": "AA"}}, "answer_malformed"),
        ({"lines": {"2": {"grants": GRANTS}}}, "answer_other"),
        ({"lines": {"0": {"grants": GRANTS}}}, "answer_other"),
        ({"lines": {"x": {"grants": GRANTS}}}, "answer_malformed"),
        ({"lines": {"1": {"grants": {"risk_band": "clear; drop"}}}}, "answer_malformed"),
        ({"lines": {"1": {}}}, "answer_malformed"),
        ({"lines": 5}, "answer_malformed"),
        ({"permit": ""}, "answer_malformed"),
    ],
)
def test_a_permit_that_is_not_for_this_is_not_used(sender: Desk, change: dict[str, Any], code: str) -> None:
    sender.gateway.answer["/v1/send-permits"] = lambda _: incoming(permit(**change))
    with pytest.raises(AnswerRejected, match=code):
        send(sender)
    assert "/v1/deliveries" not in sender.gateway.paths()


def test_handing_in_is_repeated_under_one_key_and_the_permit_is_not_asked_twice(sender: Desk) -> None:
    replies: list[Any] = [Lost(sent=True), {"delivery": "dl-1"}]
    sender.gateway.answer["/v1/deliveries"] = lambda _: replies.pop(0)
    send(sender)
    tries = [wish for wish in sender.gateway.seen if wish.path == "/v1/deliveries"]
    assert len(tries) == 2
    assert len({wish.headers["idempotency-key"] for wish in tries}) == 1
    assert len({wish.body for wish in tries}) == 1
    sender.gateway.answer["/v1/send-permits"] = lambda _: Lost(sent=True)
    with pytest.raises(GatewayUnreachable):
        send(sender)


def test_two_sends_have_different_keys_unless_the_caller_brings_one(sender: Desk) -> None:
    for key in (None, None, "my-own-key-1"):
        send(sender, idempotency_key=key)
    keys = [wish.headers["idempotency-key"] for wish in sender.gateway.seen if wish.path == "/v1/deliveries"]
    assert keys[2] == "my-own-key-1"
    assert len(set(keys)) == 3


def test_an_exchange_outside_the_catalogue_is_not_sent(sender: Desk) -> None:
    with pytest.raises(ValueError, match="catalogue"):
        sender.core.send(
            "X99",
            "P01",
            recipient=BUREAU,
            records=[],
            case=None,
            reason=None,
            door=Door.NORMAL,
            medical=False,
            idempotency_key=None,
        )


def test_a_delivery_without_a_receipt_is_not_believed(sender: Desk) -> None:
    sender.gateway.answer["/v1/deliveries"] = lambda _: incoming({"delivery": "dl-1"})
    with pytest.raises(AnswerRejected, match="receipt_missing"):
        send(sender)


# --- prose -------------------------------------------------------------------------------------------------------------------

PROSE = "与张小雨谈话，她的电话13812341234，医生说是抑郁症。"
PROSE_GRANTS = {"lines": {"1": {"grants": {"actions_taken": "clear+sealed"}, "withheld": {}}}}


def send_prose(desk: Desk, text: str, **changes: Any) -> Any:
    desk.gateway.answer["/v1/send-permits"] = lambda _: incoming(permit(**PROSE_GRANTS))
    record = outbound({"actions_taken": text, "child_name": "张小雨"}, pseudonym="edo1qqq", region="330106")
    parts: dict[str, Any] = {"recipient": BUREAU, "records": [record], "case": None, "reason": None}
    parts |= {"door": Door.NORMAL, "medical": False, "idempotency_key": None}
    return desk.run(desk.core.send("X20", "P01", **{**parts, **changes}))


def warned(desk: Desk, text: str, **changes: Any) -> list[ProseWarning]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        send_prose(desk, text, **changes)
    return [one.message for one in caught if isinstance(one.message, ProseWarning)]


def test_a_sender_is_warned_of_what_does_not_belong_in_prose_and_it_goes_all_the_same(sender: Desk) -> None:
    found = warned(sender, PROSE)
    assert [(one.line, one.field, one.finding.kind) for one in found] == [
        (1, "actions_taken", "name"),
        (1, "actions_taken", "phone"),
        (1, "actions_taken", "diagnosis"),
    ]
    assert [PROSE[one.finding.start : one.finding.end] for one in found] == ["张小雨", "13812341234", "抑郁症"]
    assert set(handed_in(sender).lines[0].values) == {"actions_taken"}


def test_a_warning_never_shows_the_text(sender: Desk) -> None:
    for one in warned(sender, PROSE):
        assert not any(piece in str(one) for piece in ("1381", "张", "抑郁"))


def test_a_medical_institution_s_prose_may_speak_of_illness(sender: Desk) -> None:
    assert {one.finding.kind for one in warned(sender, PROSE, medical=True)} == {"name", "phone"}


def test_prose_in_which_nothing_was_found_raises_no_warning(sender: Desk) -> None:
    assert warned(sender, "与孩子谈话，情绪平稳。") == []


def test_a_sender_who_makes_the_warning_an_error_sends_nothing(sender: Desk) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=ProseWarning)
        with pytest.raises(ProseWarning):
            send_prose(sender, PROSE)
    assert not any(one.path == "/v1/deliveries" for one in sender.gateway.seen)
