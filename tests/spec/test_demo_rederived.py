"""The demo's summary is not allowed to vouch for itself: what happened is recomputed from the log, the inboxes and the systems' logs.

Sources: the auditor's export and opened details; the recipients' envelopes, opened again with their own keys; the departmental
systems' own request logs; the recorded bytes, which tie the three together by the digests in the log.
"""

import copy
import json

import pytest

from tests.spec.rederivation import REFUSED, differences

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def summary(told_demo):
    return json.loads((told_demo / "summary.json").read_text("utf-8"))


def test_summary_is_what_happened(derived, summary):
    assert differences(derived.events, summary) == []


def test_every_step_of_the_story_happened(derived):
    assert sorted({event.step for event in derived.events}) == list("abcdefghijklmno")
    assert [event.status for event in derived.events if event.step == "e"] == REFUSED


@pytest.mark.parametrize(
    ("what", "doctor"),
    [
        ("one status changed", lambda rows: rows[0].update(status="no_result")),
        ("a refusal turned into a release", lambda rows: row_of(rows, "region").update(status="released", expected="released")),
        ("one field added", lambda rows: rows[1]["fields"].append("name")),
        ("one field left out", lambda rows: rows[0]["fields"].pop()),
        ("one row dropped", lambda rows: rows.pop(12)),
        ("the last row dropped", lambda rows: rows.pop()),
        ("a row told twice", lambda rows: rows.insert(3, dict(rows[3]))),
        ("two rows swapped", lambda rows: rows.insert(11, rows.pop(12))),
        ("another entry named", lambda rows: rows[0].update(receipt_index=rows[0]["receipt_index"] + 1)),
        ("another caller", lambda rows: row_of(rows, "region").update(caller="ca")),
        ("another child", lambda rows: rows[0].update(role="other")),
        ("another exchange", lambda rows: rows[0].update(exchange="X01")),
        ("a member of its own", lambda rows: rows[0].update(comment="as expected")),
        ("no task in the hospital", lambda rows: row_of(rows, "Task requested").update(status="no Task", expected="no Task")),
        ("a task further than it is", lambda rows: row_of(rows, "Task requested").update(status="Task accepted")),
        ("a referral's field left out", lambda rows: row_of_exchange(rows, "X08")["fields"].remove("child_id_number")),
        ("a diagnosis among the receipt's fields", lambda rows: opened(rows, "X09")["fields"].append("diagnosis_code")),
        ("the receipt opened by somebody else", lambda rows: opened(rows, "X09").update(caller="yl")),
        ("another entry for the discharge", lambda rows: row_of_exchange(rows, "X10").update(receipt_index=1)),
        ("the follow-up told about another child", lambda rows: row_of_exchange(rows, "X12").update(role="teen")),
        ("a hand-over that went twice", lambda rows: row_of(rows, "1 delivery").update(status="2 delivery")),
        ("the clue sent by another body", lambda rows: row_of_exchange(rows, "X19").update(caller="he", provider="he")),
        ("the clue's arrival left out", lambda rows: rows.remove(last_of(rows, "X19"))),
        ("an arrival of the directory that no sender learnt of", lambda rows: rows.append(last_of(rows, "X19") | {"exchange": "X16"})),
        ("a name in common", lambda rows: row_of(rows, "5 different").update(status="4 different", expected="4 different")),
        ("another second export", lambda rows: rows[-2].update(receipt_index=rows[-2]["receipt_index"] - 1)),
        ("a second export that fails", lambda rows: rows[-1].update(status="failed")),
    ],
)  # fmt: skip
def test_doctored_summary_is_caught(derived, summary, what, doctor):
    rows = copy.deepcopy(summary)
    honest = differences(derived.events, rows)
    doctor(rows)
    assert differences(derived.events, rows) != honest, what


def row_of_exchange(rows, exchange):
    return next(row for row in rows if row["exchange"] == exchange)


def last_of(rows, exchange):
    return next(row for row in reversed(rows) if row["exchange"] == exchange)


def opened(rows, exchange):
    return next(row for row in rows if row["exchange"] == exchange and row["status"] == "opened")


def row_of(rows, status):
    return next(row for row in rows if row["status"] == status)
