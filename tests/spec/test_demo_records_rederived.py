"""What the demo's recipients hold and what the departmental systems were asked and told, held against log, orders and truth."""

from collections import Counter

import pytest

from adapters.sandbox import circles
from tests.spec import rederived_systems as systems
from tests.spec.rederived_truth import EDUCATION_REASONS, enrolment, register_line, standing

pytestmark = pytest.mark.timeout(900)

KNOWN = {
    "ca": lambda child: child.known_to_civil_affairs,
    "ed": lambda child: child.known_to_education,
    "sc": lambda child: child.known_to_education,
    "he": circles.known_to_health,
    "wf": circles.known_to_womens_federation,
}
CLOSED = {("X13", "yl"), ("X23", "wf")}
"""Who is told about a child without being told which: no directory of the taker's could tell."""
OTHERS = ("X08", "X09", "X10", "X12", "X16", "X18", "X19", "X20", "X23")


def questions(derived, *, answered):
    """(call, entry) of every question that was answered, or that reached a provider at all."""
    outcomes = ("released",) if answered else ("released", "no_result")
    tied = ((call, derived.entry_of.get(call.place)) for call in derived.desk_calls if call.path == "/v1/query")
    return [(call, entry) for call, entry in tied if entry is not None and entry.word("outcome") in outcomes]


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
    seen = []
    for call in derived.calls:
        if call.path != "/v1/deliveries" or call.status != 202:
            continue
        handed = derived.handed[call.said["delivery"]]
        seen.append(handed.exchange)
        if handed.exchange == "X16":
            assert [line.subject for line in handed.lines] == [None, None]  # a directory of care: about nobody
            continue
        meant = derived.named(call)
        numbers = [line["line"] for line in call.asked["envelope"]["lines"]]
        assert sorted(numbers) == list(range(1, len(meant) + 1))
        assert [line.number for line in handed.lines] == numbers
        for line, child in zip(handed.lines, meant, strict=True):
            assert child is not None
            if (handed.exchange, handed.taker) in CLOSED:
                assert line.subject.startswith(f"{handed.taker}c")
                assert derived.truth.child(handed.taker, line.subject) is None
                continue
            there = derived.truth.child(handed.taker, line.subject)
            clean = handed.taker not in ("ed", "sc") or child.number not in derived.truth.population.miscopied
            assert there == (child if KNOWN[handed.taker](child) and clean else None)

    assert Counter(seen) == {"X05": 2, "X13": 2} | dict.fromkeys(OTHERS, 1)


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
    ordered = [call for calls in derived.orders.values() for call in calls]
    assert not any(derived.orders[name] for name in ("he", "yl", "wf"))  # the story asks these for nothing
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
    assert not refused & {call.asked["request"] for calls in derived.orders.values() for call in calls}


def test_civil_affairs_took_in_exactly_what_was_sealed_for_it(derived):
    names = {
        "X05": systems.WARNING_MESSAGE,
        "X20": systems.REPORT_MESSAGE,
        "X10": systems.DISCHARGE_MESSAGE,
        "X19": systems.CLUE_MESSAGE,
    }
    expected = [(handed, line) for handed in derived.handed.values() if handed.taker == "ca" for line in handed.lines]
    assert len(expected) == len(derived.civil.told) == 5
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
