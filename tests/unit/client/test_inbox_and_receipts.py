"""Taking, opening and acknowledging; and proving, offline, what was answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.client.errors import AnswerRejected
from gateway.client.receipts import check_receipt, prove
from gateway.domain.vocabulary import Door
from gateway.proofs.notes import Signer
from tests.unit.client.conftest import ME, ORIGIN, SCHOOL, Desk, incoming, query_answer


def item(desk: Desk, **changes: Any) -> dict[str, Any]:
    line = desk.sealed_line({"sealed_risk": "high"}, request="sp-7", exchange="X05")
    made = {
        "delivery": "dl-1",
        "purpose": "P01",
        "door": "normal",
        "labels": {"exchange": "X05", "purpose": "P01", "until": "2026-12-01T00:00:00Z", "onward": "no"},
        "envelope": {"permit": "sp-7", "exchange": "X05", "sender": SCHOOL.text, "recipient": ME.text, "lines": [line]},
        "receipt": {"origin": ORIGIN, "index": 12, "size": 13},
        "sender_key": desk.gateway.provider.jwk(),
    }
    return {**made, **changes}


def take(desk: Desk, **changes: Any) -> Any:
    desk.gateway.answer["/v1/inbox/take"] = lambda _: incoming({"envelopes": [item(desk, **changes)]})
    return desk.run(desk.core.take(wait=20, limit=5))


def test_an_envelope_is_taken_opened_and_acknowledged(desk: Desk) -> None:
    (received,) = take(desk)
    assert (received.delivery, received.exchange, received.sender, received.entry) == ("dl-1", "X05", SCHOOL, 12)
    polled = desk.gateway.seen[-1]
    assert json.loads(polled.body) == {"wait": 20, "limit": 5}
    assert polled.timeout == desk.configuration.timeout + 20
    (record,) = desk.run(desk.core.open(received))
    assert record.values == {"sealed_risk": "high"}
    assert "high" not in repr(record)
    desk.gateway.answer["/v1/inbox/acknowledge"] = lambda _: incoming({"delivery": "dl-1"})
    desk.run(desk.core.acknowledge("dl-1", status="rejected", code="form_violation"))
    assert json.loads(desk.gateway.seen[-1].body) == {
        "delivery": "dl-1",
        "status": "rejected",
        "code": "form_violation",
    }
    desk.run(desk.core.acknowledge("dl-1", status="stored", code=""))
    assert json.loads(desk.gateway.seen[-1].body) == {"delivery": "dl-1", "status": "stored"}


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("envelope.recipient", SCHOOL.text, "answer_other"),
        ("envelope.exchange", "X01", "answer_other"),
        ("labels.purpose", "P02", "answer_other"),
        ("labels.onward", "yes", "labels_missing"),
        ("labels", None, "labels_missing"),
        ("envelope.lines", [], "answer_malformed"),
        ("envelope", None, "answer_malformed"),
        ("receipt", None, "answer_malformed"),
        ("receipt.index", -1, "answer_malformed"),
        ("delivery", 5, "answer_malformed"),
    ],
)
def test_an_envelope_that_is_not_ours_or_not_labelled_is_rejected(desk: Desk, path: str, value: Any, code: str) -> None:
    made = json.loads(json.dumps(item(desk)))
    *parents, last = path.split(".")
    target = made
    for parent in parents:
        target = target[parent]
    target[last] = value
    desk.gateway.answer["/v1/inbox/take"] = lambda _: incoming({"envelopes": [made]})
    with pytest.raises(AnswerRejected) as caught:
        desk.run(desk.core.take(wait=0, limit=1))
    assert caught.value.code == code


def test_an_inbox_of_another_form_is_rejected(desk: Desk) -> None:
    desk.gateway.answer["/v1/inbox/take"] = lambda _: incoming({"envelopes": None})
    with pytest.raises(AnswerRejected, match="answer_malformed"):
        desk.run(desk.core.take(wait=0, limit=1))


def test_an_envelope_under_another_permit_does_not_open(desk: Desk) -> None:
    (received,) = take(desk)
    other = replace(received, envelope=replace(received.envelope, permit="sp-8"))
    with pytest.raises(AnswerRejected, match="seal_invalid"):
        desk.run(desk.core.open(other))


def test_the_key_that_comes_with_an_envelope_is_not_trusted_for_that(desk: Desk) -> None:
    careful = desk.rebuilt(senders={}, log_vkey=None)
    (received,) = take(careful)
    with pytest.raises(AnswerRejected, match="sender_unpinned"):
        careful.run(careful.core.open(received))


# --- receipts -------------------------------------------------------------------------------------------------------------


def ask(desk: Desk) -> Any:
    return desk.run(
        desk.core.ask(
            "X02",
            "P02",
            identifier=None,
            pseudonym=None,
            case=None,
            fields=None,
            reason=None,
            door=Door.NORMAL,
            assisted=False,
        )
    )


def test_a_receipt_proves_exactly_this_request_and_answer(desk: Desk) -> None:
    answer = ask(desk)
    desk.gateway.append({"kind": "heartbeat"})
    proved = desk.run(desk.core.check_receipt(answer.receipt))
    assert (proved.index, proved.skeleton["kind"], proved.checkpoint.size) == (1, "query", 3)


def test_a_receipt_for_other_bytes_proves_nothing(desk: Desk) -> None:
    answer = ask(desk)
    for changed in (
        replace(answer.receipt, request=bytes(32)),
        replace(answer.receipt, answer=bytes(32)),
        replace(answer.receipt, origin="other.example/log"),
        replace(answer.receipt, size=99),
        replace(answer.receipt, index=0),
    ):
        with pytest.raises(AnswerRejected, match="receipt_invalid"):
            desk.run(desk.core.check_receipt(changed))


def test_a_receipt_under_another_logs_key_proves_nothing(desk: Desk) -> None:
    answer = ask(desk)
    proof = desk.run(desk.core.receipt(1))
    other = Signer.from_seed(ORIGIN, b"X" * 32).verifier.vkey
    with pytest.raises(AnswerRejected, match="receipt_invalid"):
        check_receipt(answer.receipt, proof, log_vkey=other)


def test_a_proof_of_another_entry_is_no_proof_of_this_one(desk: Desk) -> None:
    answer = ask(desk)
    proof = desk.run(desk.core.receipt(0))
    with pytest.raises(AnswerRejected, match="receipt_invalid"):
        check_receipt(answer.receipt, proof, log_vkey=desk.configuration.log_vkey or "")
    with pytest.raises(AnswerRejected, match="receipt_invalid"):
        prove(replace(proof, index=1), log_vkey=desk.configuration.log_vkey or "")


@pytest.mark.parametrize("place", range(0, 200, 7))
def test_no_byte_of_a_leaf_can_be_changed(desk: Desk, place: int) -> None:
    ask(desk)
    proof = desk.run(desk.core.receipt(1))
    leaf = bytearray(proof.leaf)
    leaf[place % len(leaf)] ^= 1
    with pytest.raises(AnswerRejected, match="receipt_invalid"):
        prove(replace(proof, leaf=bytes(leaf)), log_vkey=desk.configuration.log_vkey or "")


@pytest.mark.parametrize("document", [{}, {"leaf": "AA==", "proof": 5}, {"leaf": "?", "proof": "x"}])
def test_a_proof_of_another_form_is_rejected(desk: Desk, document: dict[str, Any]) -> None:
    desk.gateway.answer["/v1/audit/receipts/5"] = lambda _: incoming(document)
    with pytest.raises(AnswerRejected, match="answer_malformed"):
        desk.run(desk.core.receipt(5))


@pytest.mark.parametrize(
    "headers",
    [
        {"audit-receipt": "x 1", "audit-salt": "AA.AA"},
        {"audit-receipt": "x a 2", "audit-salt": "AA.AA"},
        {"audit-receipt": "x 1 2"},
        {"audit-receipt": "x 1 2", "audit-salt": "?.AA"},
    ],
)
def test_a_receipt_of_another_form_is_no_receipt(desk: Desk, headers: dict[str, str]) -> None:
    answer = query_answer(desk)
    desk.gateway.answer["/v1/query"] = lambda _: replace(incoming(answer), headers=headers)
    with pytest.raises(AnswerRejected, match="receipt_missing"):
        ask(desk)


def test_without_a_pinned_log_key_nothing_can_be_checked(desk: Desk) -> None:
    answer = ask(desk)
    careless = desk.rebuilt(log_vkey=None)
    with pytest.raises(ValueError, match="no log key"):
        careless.run(careless.core.check_receipt(answer.receipt))
