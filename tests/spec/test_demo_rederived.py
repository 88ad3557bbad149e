"""The demo's summary is not allowed to vouch for itself: what happened is recomputed from the log, the inboxes and the systems' logs.

Sources: the auditor's export and opened details; the recipients' envelopes, opened again with their own keys; the departmental
systems' own request logs; the recorded bytes, which tie the three together by the digests in the log.
"""

import copy
import json
from collections import Counter

import pytest

from gateway.domain.vocabulary import EntryKind
from tests.spec import rederived_systems as systems
from tests.spec.rederivation import CONSEQUENCES, Rederivation, differences
from tests.spec.rederived_log import changed, pinned_vkey, verdict
from tests.spec.rederived_truth import EDUCATION_REASONS, enrolment, register_line, standing
from tests.support.demo import population

pytestmark = pytest.mark.timeout(900)

CODES = {
    "e": [
        "purpose",
        "case_missing",
        "region",
        "no_result",
        "consent_withdrawn",
        "child_consent_missing",
        "approval_self",
    ]
    + ["officer_key_unknown"],
}


@pytest.fixture(scope="module")
def derived(told_demo, tmp_path_factory):
    return Rederivation(told_demo, population(), tmp_path_factory.mktemp("auditor"))


@pytest.fixture
def summary(told_demo):
    return json.loads((told_demo / "summary.json").read_text("utf-8"))


def questions(derived, *, answered):
    """(call, entry) of every question that was answered, or that reached a provider at all."""
    outcomes = ("released",) if answered else ("released", "no_result")
    tied = ((call, derived.entry_of.get(call.place)) for call in derived.desk_calls if call.path == "/v1/query")
    return [(call, entry) for call, entry in tied if entry is not None and entry.word("outcome") in outcomes]


# --- the summary ----------------------------------------------------------------------------------------------------------


def test_summary_is_what_happened(derived, summary):
    assert differences(derived.events, summary) == []


def test_every_step_of_the_story_happened(derived):
    assert sorted({event.step for event in derived.events}) == list("abcdefgh")
    for step, codes in CODES.items():
        assert [event.status for event in derived.events if event.step == step] == codes


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
    ],
)  # fmt: skip
def test_doctored_summary_is_caught(derived, summary, what, doctor):
    rows = copy.deepcopy(summary)
    honest = differences(derived.events, rows)
    doctor(rows)
    assert differences(derived.events, rows) != honest, what


def row_of(rows, status):
    return next(row for row in rows if row["status"] == status)


# --- the log -------------------------------------------------------------------------------------------------------------


def test_export_verifies_under_the_key_that_participants_pinned(told_demo):
    passed, said = verdict(told_demo / "audit-export", pinned_vkey(told_demo))
    assert passed, said


@pytest.mark.parametrize("index", [0, 7, 55, -1])
def test_changed_byte_of_any_entry_is_named(told_demo, derived, tmp_path, index):
    place = index % len(derived.exported)
    for byte in (1, 40):
        broken = changed(told_demo / "audit-export", tmp_path / f"{byte}", place, byte=byte)
        passed, said = verdict(broken, pinned_vkey(told_demo))
        assert not passed
        assert f"entry {place}" in said


def test_opened_details_belong_to_the_verified_export(derived):
    assert len(derived.exported) > 100
    assert [entry.skeleton for entry in derived.entries[: len(derived.exported)]] == derived.exported


def test_details_in_the_export_are_those_that_the_auditor_opens(told_demo, derived):
    shown = sorted((told_demo / "audit-export" / "details").glob("*"), key=lambda path: int(path.name))
    point = next(entry for entry in derived.entries if entry.word("kind") == EntryKind.AUDIT_EXPORT).children[0]
    for path in shown:
        salted = path.read_bytes()
        entry = derived.entries[int(path.name)]
        assert json.loads(salted[32:])["facts"] == entry.facts
    asked_for = {entry.index for entry in derived.entries if entry.facts and entry.children == (point,)}
    assert {index for index in asked_for if index < len(derived.exported)} <= {int(path.name) for path in shown}


def test_only_protective_details_stay_sealed(derived):
    sealed = [entry for entry in derived.entries if entry.sealed]
    assert sealed
    assert {entry.sealed for entry in sealed} == {"detail_escrowed"}
    assert {entry.word("door") for entry in sealed} == {"protective"}
    assert all(entry.sealed for entry in derived.entries if entry.word("door") == "protective")


def test_every_authenticated_request_that_matters_is_exactly_one_entry(derived):
    """Reads of one's own tray and of public proofs leave none; a long poll leaves one where something was handed out."""
    silent = ("/v1/keys/senders/", "/v1/audit/receipts/", "/v1/deliveries", "/v1/reviews")
    for call in derived.calls:
        entry = derived.entry_of.get(call.place)
        nothing_handed_out = call.path == "/v1/inbox/take" and not call.said.get("envelopes")
        if (
            call.method == "GET"
            or not call.client
            or call.status == 401
            or call.path == "/oauth/token"
            or nothing_handed_out
        ):
            assert entry is None or not call.path.startswith(silent)
            continue
        assert entry is not None, f"{call.path} answered {call.status} {call.code} without an entry"
        assert entry.is_about(call) or call.path == "/v1/inbox/take"
    about = [entry.index for entry in derived.entry_of.values()]
    assert len(about) == len(set(about))
    untied = [
        entry.index
        for entry in derived.entries
        if "request" in entry.skeleton and entry.word("kind") not in CONSEQUENCES and entry.index not in about
    ]
    assert untied == [], "entries of requests that nobody made"


def test_each_refusal_is_one_entry_with_the_code_that_the_caller_read(derived):
    refused = [call for call in derived.calls if call.status >= 400 and call.status != 401]
    assert len(refused) == len(CODES["e"])  # step e but the 401, and the guardian who was not contacted
    for call in refused:
        assert derived.entry_of[call.place].word("code") == call.code
        assert derived.entry_of[call.place].word("outcome") == ("no_result" if call.code == "no_result" else "denied")
    denied = [
        e for e in derived.entries if e.word("outcome") in ("denied", "no_result") and e.word("kind") != "auth.refused"
    ]
    assert len(denied) == len(refused)


def test_receipts_cover_the_exact_bytes_of_request_and_answer(derived):
    stated = [call for call in derived.calls if call.receipt is not None]
    assert len(stated) > 50
    for call in stated:
        entry = derived.entries[call.receipt]
        assert entry.is_about(call)
        assert entry.is_answered_by(call)


def test_entries_stand_in_the_order_in_which_the_desks_asked(derived):
    order = [derived.entry_of[call.place].index for call in derived.desk_calls if call.place in derived.entry_of]
    assert order == sorted(order)
    times = [entry.skeleton["t"] for entry in derived.entries]
    assert times == sorted(set(times))


def test_entry_says_who_asked_as_the_proofs_do(derived):
    for call in derived.calls:
        entry = derived.entry_of.get(call.place)
        if entry is None or entry.facts is None:
            continue
        assert entry.facts["client"] == call.client
        body = call.client.rsplit("-", 1)[0]
        assert entry.facts["organisation"] == derived.recipients.party_of[body].split("/")[0]
        if call.officer:
            assert (entry.facts["officer"], entry.facts["function"]) == (call.officer["sub"], call.officer["function"])
        assert call.headers["dpop"] in entry.facts["evidence"]


def test_log_calls_each_child_by_one_name_whichever_department_asks(derived):
    found = derived.children_by_point
    roles = derived.truth.roles
    assert {roles.pupil.number, roles.other.number, roles.teen.number, roles.outside.number} <= set(found.values())
    assert len(found) == len(set(found.values()))


def test_refusal_before_authentication_is_only_in_the_minutes_roll_up(derived):
    unauthenticated = Counter(call.code for call in derived.calls if call.status == 401)
    assert unauthenticated == {"officer_key_unknown": 1}
    rolled = Counter()
    for entry in derived.entries:
        if entry.word("kind") == "auth.refused":
            codes = {code: int(count) for code, count in entry.facts["codes"].items()}
            assert entry.facts["refusals"] == sum(codes.values())
            rolled.update(codes)
        else:
            assert entry.word("code") != "officer_key_unknown"
    assert rolled == unauthenticated


def test_emergency_left_a_notice_owed_and_a_review(derived):
    (accepted,) = (e for e in derived.entries if e.word("kind") == "accepted" and e.word("door") == "emergency")
    for kind in CONSEQUENCES:
        (one,) = (e for e in derived.entries if e.word("kind") == kind and e.word("door") == "emergency")
        assert one.facts["about"] == accepted.facts["delivery"]
        assert one.facts["request"] == accepted.facts["request"]


def test_every_delivery_went_its_way_in_the_log(derived):
    """accepted, delivered, acknowledged: once each and in this order, with the same fields out as in."""
    told = [entry for entry in derived.entries if entry.word("kind") == "accepted" and entry.word("outcome") == "done"]
    assert len(told) == 5
    for entry in told:
        if entry.facts is None:
            continue
        way = [e for e in derived.entries if e.facts and e.facts.get("delivery") == entry.facts["delivery"]]
        assert [e.word("kind") for e in way] == ["accepted", "delivered", "acknowledged"]
        assert way[0].facts["fields"] == way[1].facts["fields"]
        handed = derived.handed[entry.facts["delivery"]]
        assert handed.permit == entry.facts["permit"]
        assert (
            sorted({name for line in handed.lines for name in (*line.values, *line.references)})
            == way[1].facts["fields"]
        )
    protective = [e.word("kind") for e in derived.entries if e.word("door") == "protective"]
    assert protective == ["send_permit", "accepted", "review.opened", "delivered", "acknowledged"]


# --- what the recipients got ----------------------------------------------------------------------------------------------


def test_answers_are_the_truth_about_the_child_that_was_named(derived):
    truths = {"X02": enrolment, "X01": standing}
    for call, entry in questions(derived, answered=True):
        (child,) = derived.named(call)
        (line,) = derived.recipients.answered(call)
        truth = truths[call.asked["exchange"]](child)
        assert dict(line.values) == {name: value for name, value in truth.items() if value != ""}
        assert sorted(line.values) == entry.facts["fields"]
        assert line.subject == call.asked["subject"]["pseudonym"]
        assert entry.facts["request"] == call.said["request"]


def test_recipients_hold_the_children_that_the_senders_meant(derived):
    for call in derived.desk_calls:
        if call.path != "/v1/deliveries" or call.status != 202:
            continue
        handed = derived.handed[call.said["delivery"]]
        meant = derived.named(call)
        numbers = [line["line"] for line in call.asked["envelope"]["lines"]]
        assert sorted(numbers) == list(range(1, len(meant) + 1))
        assert [line.number for line in handed.lines] == numbers
        for line, child in zip(handed.lines, meant, strict=True):
            assert child is not None
            if handed.taker == "yl":
                assert line.subject.startswith("ylc")  # closed: no directory could tell
                continue
            there = derived.truth.child(handed.taker, line.subject)
            known = child.known_to_civil_affairs if handed.taker == "ca" else child.known_to_education
            clean = child.number not in derived.truth.population.miscopied
            assert there == (child if known and clean else None)


def test_register_slice_is_true_and_its_record_ids_join_nothing(derived):
    slices = {handed.taker: handed for handed in derived.handed.values() if handed.exchange == "X13"}
    assert set(slices) == {"ed", "yl"}
    (children,) = {event.children for event in derived.events if event.exchange == "X13" and event.status == "accepted"}
    people = [derived.truth.population.children[number - 1] for number in children]
    ids = {taker: set() for taker in slices}
    for taker, handed in slices.items():
        for line, child in zip(handed.lines, people, strict=True):
            truth = register_line(child)
            for name, value in line.values.items():
                got = sorted(value) if isinstance(value, list) else value
                assert got == truth[name] or (taker, name, got) == ("yl", "next_action_due", truth[name][:7])
            assert set(line.references) == {"register_id", "plan_id"}
            assert not set(line.references.values()) & {truth["register_id"], truth["plan_id"]}
            ids[taker] |= set(line.references.values())
        assert len(ids[taker]) == 2 * len(people)
    assert not ids["ed"] & ids["yl"]
    assert {name for line in slices["ed"].lines for name in line.values} == set(truth) - {"register_id", "plan_id"}
    assert {name for line in slices["yl"].lines for name in line.values} == {"next_action_due", "status"}


def test_fields_that_only_a_rule_reads_do_not_travel_on(derived):
    warnings = [handed for handed in derived.handed.values() if handed.exchange == "X05"]
    assert len(warnings) == 2
    for handed in warnings:
        assert not {"guardian_contacted", "urgency"} & {name for line in handed.lines for name in line.values}


# --- what the systems were asked and told ------------------------------------------------------------------------------------


def test_edges_were_given_an_order_for_each_question_that_was_permitted_and_for_no_other(derived):
    reached = questions(derived, answered=False)
    ordered = [call for name in ("ca", "ed") for call in derived.orders[name]]
    assert Counter(call.asked["request"] for call in ordered) == Counter(entry.facts["request"] for _, entry in reached)
    for call, entry in reached:
        (order,) = (one.asked for one in ordered if one.asked["request"] == entry.facts["request"])
        provider = next(name for name in ("ca", "ed") if derived.recipients.party_of[name] == order["provider"])
        (line,) = order["lines"]
        assert [derived.truth.child(provider, line["subject"])] == derived.named(call)
        if entry.word("outcome") == "released":
            assert set(entry.facts["fields"]) <= set(order["grants"])


def test_education_was_asked_for_exactly_the_children_and_columns_that_permitted_questions_needed(derived):
    expected = [systems.Asked((), frozenset(systems.PUPIL_IDENTITY))]
    for order in derived.orders["ed"]:
        child = derived.truth.child("ed", order.asked["lines"][0]["subject"])
        columns = {systems.PUPIL_COLUMNS[name] for name in order.asked["grants"]} | systems.PUPIL_FRAME
        expected.append(systems.Asked((child.school_key,), frozenset(columns)))
    assert list(derived.education.asked) == expected
    assert derived.education.other == ()
    asked_for = {derived.truth.by_key[key].number for asked in derived.education.asked for key in asked.keys}
    assert asked_for == {derived.truth.roles.pupil.number, derived.truth.roles.outside.number}


def test_civil_affairs_was_asked_for_exactly_the_children_and_columns_that_permitted_questions_needed(derived):
    (register, *rest) = derived.civil.asked
    assert register == systems.Asked((), frozenset(systems.FILE_IDENTITY))
    expected = []
    for order in derived.orders["ca"]:
        child = derived.truth.child("ca", order.asked["lines"][0]["subject"])
        columns = {systems.FILE_COLUMNS[name] for name in order.asked["grants"]} | systems.FILE_FRAME
        expected.append(systems.Asked((child.civil_key,), frozenset(columns)))
    assert rest == expected
    assert derived.civil.other == ()
    assert {derived.truth.by_key[key].number for asked in rest for key in asked.keys} == {
        derived.truth.roles.pupil.number
    }


def test_refused_steps_asked_no_system_for_anything(derived):
    refused = {derived.entry_of[call.place].facts["request"] for call in derived.calls if call.status == 403}
    assert len(refused) == 7
    assert not refused & {call.asked["request"] for name in ("ca", "ed") for call in derived.orders[name]}


def test_civil_affairs_took_in_exactly_what_was_sealed_for_it(derived):
    names = {"X05": systems.WARNING_MESSAGE, "X20": systems.REPORT_MESSAGE}
    expected = [(handed, line) for handed in derived.handed.values() if handed.taker == "ca" for line in handed.lines]
    assert len(expected) == len(derived.civil.told) == 3
    for told, (handed, line) in zip(derived.civil.told, expected, strict=True):
        assert (told.message, told.exchange) == (f"{handed.delivery}:{line.number}", handed.exchange)
        assert told.record == derived.truth.child("ca", line.subject).civil_key
        content = {names[told.exchange][local]: value for local, value in told.content.items()}
        if "risk_band" in content:
            content["risk_band"] = systems.RISK[content["risk_band"]]
        assert content == {**line.values, **line.references}


def test_education_took_in_exactly_what_was_sealed_for_it(derived):
    (handed,) = (one for one in derived.handed.values() if one.taker == "ed")
    lines = {f"{handed.delivery}:{line.number}": line for line in handed.lines}
    assert sorted(told.message for told in derived.education.told) == sorted(lines)
    for told in derived.education.told:
        line = lines[told.message]
        child = derived.truth.child("ed", line.subject)
        assert (told.record, told.alias) == ((child.school_key, "") if child else ("", line.subject))
        content = {systems.REGISTER_MESSAGE[local]: value for local, value in told.content.items()}
        content["entry_reasons"] = [EDUCATION_REASONS[code] for code in content["entry_reasons"]]
        assert content == {**line.values, **line.references}
