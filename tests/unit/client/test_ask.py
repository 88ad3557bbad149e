"""`ask`: what leaves this process, and what an answer has to prove before its values are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.client.errors import AnswerRejected
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Door
from keys import text
from keys.envelope import SealingPair
from keys.group import hash_to_group, multiply
from keys.identifiers import identify
from keys.signing import SigningKey
from tests.unit.client.conftest import ME, SCHOOL, Desk, incoming, query_answer

# A made-up number with a valid checksum; its region code does not exist any more.
NUMBER = "11010519491231002X"


def ask(desk: Desk, **changes: Any) -> Any:
    parts: dict[str, Any] = {
        "identifier": None,
        "pseudonym": None,
        "case": None,
        "fields": None,
        "reason": None,
        "door": Door.NORMAL,
        "assisted": False,
    }
    return desk.run(desk.core.ask("X02", "P02", **{**parts, **changes}))


def rejected(desk: Desk, code: str, **changes: Any) -> None:
    with pytest.raises(AnswerRejected) as caught:
        ask(desk, **changes)
    assert caught.value.code == code


def test_an_answer_comes_opened_with_its_labels_and_receipt(desk: Desk) -> None:
    answer = ask(desk, pseudonym="cao1qqq")
    assert answer.values == {"enrolled": "Y", "sealed_grade": "7"}
    assert answer.provider == SCHOOL
    assert answer.withheld == {"school_name": "rule_denied"}
    assert answer.labels["onward"] == "no"
    assert (answer.receipt.origin, answer.receipt.index, answer.receipt.size) == ("runxin.example/log", 1, 2)


def test_an_identifier_is_named_through_the_blind_door_and_never_sent(desk: Desk) -> None:
    ask(desk, identifier=("cn-rid", NUMBER))
    assert desk.gateway.paths() == ["/oauth/token", "/v1/pseudonyms/evaluate", "/v1/query"]
    everything = b"".join(repr((wish.path, wish.headers)).encode() + wish.body for wish in desk.gateway.seen)
    assert NUMBER.encode() not in everything
    named = json.loads(desk.gateway.seen[-1].body)["subject"]["pseudonym"]
    expected = multiply(desk.gateway.scalar, hash_to_group(identify("cn-rid", NUMBER).canonical))
    assert text.read(named, Scope.open(ME.department)).point == expected


def test_a_blinded_point_is_another_one_every_time(desk: Desk) -> None:
    ask(desk, identifier=("cn-rid", NUMBER))
    ask(desk, identifier=("cn-rid", NUMBER))
    first, second = [wish.body for wish in desk.gateway.seen if wish.path == "/v1/pseudonyms/evaluate"]
    assert first != second


def test_the_assisted_door_sends_the_identifier_only_when_asked_to(desk: Desk) -> None:
    ask(desk, identifier=("cn-rid", NUMBER), assisted=True)
    assert json.loads(desk.gateway.seen[-1].body)["subject"] == {"identifier": {"kind": "cn-rid", "value": NUMBER}}
    assert "/v1/pseudonyms/evaluate" not in desk.gateway.paths()


def test_optional_members_are_absent_not_empty(desk: Desk) -> None:
    ask(desk)
    assert json.loads(desk.gateway.seen[-1].body) == {"exchange": "X02", "purpose": "P02", "door": "normal"}
    ask(desk, case="case-a", fields=["enrolled"], reason="injury", door=Door.EMERGENCY)
    assert json.loads(desk.gateway.seen[-1].body) == {
        "exchange": "X02",
        "purpose": "P02",
        "door": "emergency",
        "case": "case-a",
        "fields": ["enrolled"],
        "reason": "injury",
    }


def test_both_an_identifier_and_a_pseudonym_are_refused_before_anything_is_sent(desk: Desk) -> None:
    with pytest.raises(ValueError, match="not both"):
        ask(desk, identifier=("cn-rid", NUMBER), pseudonym="cao1qqq")
    assert desk.gateway.seen == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"exchange": "X01"}, "answer_other"),
        ({"purpose": "P03"}, "answer_other"),
        ({"labels": {}}, "labels_missing"),
        ({"labels": {"exchange": "X02", "purpose": "P02", "onward": "no"}}, "labels_missing"),
        ({"labels": {"exchange": "X02", "purpose": "P02", "until": "2026", "onward": "yes"}}, "labels_missing"),
        ({"labels": {"exchange": "X01", "purpose": "P02", "until": "2026", "onward": "no"}}, "answer_other"),
        ({"labels": {"exchange": "X02", "purpose": "P09", "until": "2026", "onward": "no"}}, "answer_other"),
        ({"request": "rq-2"}, "answer_other"),
        ({"provider": ME.text}, "sender_changed"),
        ({"provider": "nobody"}, "answer_malformed"),
        ({"request": 5}, "answer_malformed"),
        ({"lines": "x"}, "answer_malformed"),
        ({"lines": [{"line": 1, "references": {}, "fields": {}}]}, "seal_invalid"),
    ],
)
def test_an_answer_to_something_else_is_rejected(desk: Desk, change: dict[str, Any], code: str) -> None:
    desk.gateway.answer["/v1/query"] = lambda _: query_answer(desk, **change)
    rejected(desk, code)


def test_an_answer_without_a_receipt_is_rejected(desk: Desk) -> None:
    desk.gateway.answer["/v1/query"] = lambda _: incoming(query_answer(desk))
    rejected(desk, "receipt_missing")


def test_a_line_about_another_child_of_the_same_scope_is_rejected(desk: Desk) -> None:
    desk.gateway.answer["/v1/query"] = lambda _: query_answer(
        desk, lines=[{**desk.sealed_line({"enrolled": "Y"}), "subject": "cao1ppp"}]
    )
    rejected(desk, "answer_other", pseudonym="cao1qqq")
    assert ask(desk, pseudonym="cao1ppp").records[0].subject == "cao1ppp"


@pytest.mark.parametrize(
    "info",
    [{"exchange": "X01"}, {"request": "rq-2"}, {"sender": ME}, {"recipient": SCHOOL}],
)
def test_a_line_that_was_sealed_for_another_purpose_is_rejected(desk: Desk, info: dict[str, Any]) -> None:
    desk.gateway.answer["/v1/query"] = lambda _: query_answer(desk, lines=[desk.sealed_line({"sealed_a": "1"}, **info)])
    rejected(desk, "seal_invalid")


def test_a_changed_value_is_rejected(desk: Desk) -> None:
    def changed(_: Any) -> dict[str, Any]:
        line = desk.sealed_line({"enrolled": "N", "sealed_grade": "7"})
        line["fields"]["enrolled"]["v"] = "Y"
        return query_answer(desk, lines=[line])

    desk.gateway.answer["/v1/query"] = changed
    rejected(desk, "seal_invalid")


def test_a_whole_answer_to_an_earlier_request_is_rejected(desk: Desk) -> None:
    """The gateway has kept it and enters it in the log once more: lines, binding and receipt all fit each other."""
    ask(desk)
    earlier = query_answer(desk)
    desk.gateway.answer["/v1/query"] = lambda _: earlier
    rejected(desk, "answer_other")
    # Under the name of the present request its lines are bound to another.
    desk.gateway.answer["/v1/query"] = lambda _: {**earlier, "request": desk.gateway.asked}
    rejected(desk, "seal_invalid")


def test_a_dropped_field_leaves_the_rest_valid(desk: Desk) -> None:
    def dropped(_: Any) -> dict[str, Any]:
        line = desk.sealed_line({"enrolled": "Y", "sealed_grade": "7"})
        del line["fields"]["sealed_grade"]
        return query_answer(desk, lines=[line])

    desk.gateway.answer["/v1/query"] = dropped
    assert ask(desk).values == {"enrolled": "Y"}


def test_a_line_sealed_for_a_key_that_is_gone_is_rejected_and_an_older_pair_still_opens(desk: Desk) -> None:
    desk.gateway.answer["/v1/query"] = lambda _: query_answer(desk)
    fresh = SealingPair.generate("x25519")
    rejected(desk.rebuilt(sealing=(fresh,)), "sealing_key_missing")
    assert ask(desk.rebuilt(sealing=(fresh, desk.pair))).values["sealed_grade"] == "7"


# --- senders ------------------------------------------------------------------------------------------------------------


def test_a_senders_key_that_nobody_pinned_is_not_trusted(desk: Desk) -> None:
    rejected(desk.rebuilt(senders={}, log_vkey=None), "sender_unpinned")


def test_a_senders_key_that_the_log_proves_is_pinned_on_first_use(desk: Desk) -> None:
    desk.gateway.announce(SCHOOL, desk.gateway.provider)
    trusting = desk.rebuilt(senders={})
    assert ask(trusting).values["enrolled"] == "Y"
    assert ask(trusting).values["enrolled"] == "Y"
    assert desk.gateway.paths().count(f"/v1/keys/senders/{desk.gateway.provider.thumbprint}") == 1


@pytest.mark.parametrize("change", [{"code": "sealing_key"}, {"manifest": "AAAA"}])
def test_a_senders_key_that_the_log_does_not_hold_is_not_trusted(desk: Desk, change: dict[str, str]) -> None:
    desk.gateway.announce(SCHOOL, desk.gateway.provider, **change)
    rejected(desk.rebuilt(senders={}), "sender_unproved")


def test_a_key_that_the_log_holds_for_another_party_is_not_trusted(desk: Desk) -> None:
    desk.gateway.announce(ME, desk.gateway.provider)
    rejected(desk.rebuilt(senders={}), "sender_unproved")


def test_a_substituted_key_is_not_trusted(desk: Desk) -> None:
    desk.gateway.announce(SCHOOL, desk.gateway.provider)
    path = f"/v1/keys/senders/{desk.gateway.provider.thumbprint}"
    desk.gateway.answer[path] = lambda _: incoming({"jwk": SigningKey.generate().jwk(), "entry": 1})
    rejected(desk.rebuilt(senders={}), "sender_unproved")


def test_a_log_under_another_key_proves_nothing(desk: Desk) -> None:
    from gateway.proofs.notes import Signer

    desk.gateway.announce(SCHOOL, desk.gateway.provider)
    other = Signer.from_seed("runxin.example/log", b"X" * 32).verifier.vkey
    rejected(desk.rebuilt(senders={}, log_vkey=other), "receipt_invalid")


# --- the blind door's answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"points": [], "epoch": 1},
        {"points": ["AA=="], "epoch": "1"},
        {"points": [5], "epoch": 1},
        {"points": ["x"], "epoch": 0},
    ],
)
def test_a_malformed_evaluation_is_rejected(desk: Desk, answer: dict[str, Any]) -> None:
    desk.gateway.answer["/v1/pseudonyms/evaluate"] = lambda _: incoming(answer)
    rejected(desk, "answer_malformed", identifier=("cn-rid", NUMBER))
