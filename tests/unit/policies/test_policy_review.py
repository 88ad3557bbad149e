"""What administrators are shown: explanations, lint, invariants, replay."""

import dataclasses

import pytest

from gateway.domain.vocabulary import Department
from policies import expectations, explain, invariants, lint, replay
from policies.book import PolicyBook, build
from policies.snapshot import Request

BOOK = PolicyBook.open()
SNAPSHOT, CATALOGUE = BOOK.snapshot, BOOK.catalogue
CASES = expectations.read()
ASKED = Request(
    "case_worker@education",
    "education",
    "X01",
    "",
    "query",
    "normal.P06",
    "330106",
    "statutory",
    "2026-11-22T00:00:00Z",
)


def changed(rule_id, **columns):
    rules = [dataclasses.replace(each, **columns) if each.id == rule_id else each for each in SNAPSHOT.rules]
    return build(CATALOGUE, rules)


def added(like, **columns):
    row = next(each for each in SNAPSHOT.rules if each.id == like)
    return build(CATALOGUE, [*SNAPSHOT.rules, dataclasses.replace(row, id="NEW.1", **columns)])


def why(request, *fields):
    return explain.explain(SNAPSHOT, request, fields, consumer=Department(request.dom))


def test_an_allowed_field_names_its_rules_and_obligation():
    (field,) = why(ASKED, "status_class").fields
    assert (field.allowed, field.rules, field.obligation) == (True, ("X01.ed.q02",), "answer_only:class=left_behind")


@pytest.mark.parametrize(
    ("change", "code", "who", "column"),
    [
        ({"pur": "normal.P01"}, "purpose", "caller", "pur"),
        ({"pur": "emergency.P06"}, "door_closed", "caller", "door"),
        ({"sub": "volunteer@education"}, "no_rule", "people_administrator", "sub"),
        ({"sub": "auditor@education"}, "rule_denied", "nobody", "sub"),
        (
            {"sub": "hotline_operator@youth_league", "dom": "youth_league", "con": "none"},
            "consent_none",
            "guardian",
            "con",
        ),
    ],
)
def test_a_refusal_names_the_smallest_lawful_change_and_who_may_make_it(change, code, who, column):
    explained = why(ASKED._replace(**change))
    assert explained.code == code
    assert {(each.remedy.who, each.remedy.column) for each in explained.fields} == {(who, column)}


def test_a_remedy_once_made_opens_the_field():
    refused = ASKED._replace(sub="hotline_operator@youth_league", dom="youth_league", con="none")
    remedy = why(refused, "in_programme").fields[0].remedy
    assert why(refused._replace(con=remedy.value), "in_programme").fields[0].allowed


def test_a_drafted_row_opens_exactly_the_field():
    refused = ASKED._replace(sub="duty_officer@education")
    row = explain.draft(SNAPSHOT, refused, "in_programme", until="2027-01-01T00:00:00Z")
    opened = build(CATALOGUE, [*SNAPSHOT.rules, row])
    explained = explain.explain(opened, refused, consumer=Department.EDUCATION)
    assert [each.field for each in explained.fields if each.allowed] == ["in_programme"]


def test_shipped_rules_are_clean():
    assert lint.lint(SNAPSHOT, CASES) == ()
    assert lint.consumers_without_rule(SNAPSHOT) == ()


@pytest.mark.parametrize(
    ("snapshot", "code"),
    [
        (changed("X01.ed.q01", obl="mask:phone.middle4"), "obligation_unbearable"),
        (changed("X05.ed.s02", obl="clear+sealed"), "obligation_unbearable"),
        (changed("X01.ed.q01", dom="health"), "dead_rule"),
        (added("X01.ed.q01", sub="duty_officer@education"), "no_case"),
    ],
)
def test_lint_finds_what_every_single_row_hides(snapshot, code):
    assert code in {finding.code for finding in lint.lint(snapshot, CASES)}


def test_free_text_below_d0_is_an_error():
    exchange = CATALOGUE.exchanges["X20"]
    below = dataclasses.replace(exchange, profile=CATALOGUE.exchanges["X13"].profile)
    catalogue = dataclasses.replace(CATALOGUE, exchanges={**CATALOGUE.exchanges, "X20": below})
    assert "free_text" in {finding.code for finding in lint.lint(build(catalogue, SNAPSHOT.rules))}


def test_all_invariants_hold_for_the_shipped_rules():
    assert len(invariants.invariants(CATALOGUE)) >= 40
    assert invariants.breaches(SNAPSHOT) == ()


@pytest.mark.parametrize(
    ("snapshot", "name"),
    [
        (build(CATALOGUE, [each for each in SNAPSHOT.rules if each.id != "D02"]), ""),
        (
            build(
                CATALOGUE,
                [
                    *(each for each in SNAPSHOT.rules if each.id != "D03"),
                    dataclasses.replace(
                        next(each for each in SNAPSHOT.rules if each.id == "X09.yl.r01"), id="N", fld="diagnosis_code"
                    ),
                ],
            ),
            "no diagnosis",
        ),
        (
            build(
                CATALOGUE,
                [
                    *(each for each in SNAPSHOT.rules if each.id != "D02"),
                    dataclasses.replace(
                        next(each for each in SNAPSHOT.rules if each.id == "X05.ca.r01"), id="N", con="none"
                    ),
                ],
            ),
            "no L5 field without basis",
        ),
        (added("X13.ed.r01", pur="emergency.P04"), "no door that the catalogue does not open: X13"),
    ],
)
def test_a_breach_comes_with_a_counterexample_that_casbin_allows(snapshot, name):
    found = [each for each in invariants.breaches(snapshot) if each.invariant.startswith(name or "-")]
    assert bool(found) == bool(name)
    for breach in found:
        each = breach.requests
        region = each.region.ljust(6, "0") if each.region else "990000"
        request = Request(
            each.subject, each.subject.partition("@")[2], each.exchange, each.fields[0], each.actions[0],
            each.purposes[0], region, each.states[0], each.since,
        )  # fmt: skip
        assert snapshot.enforce(request)[0]


def test_replay_counts_every_entry_and_names_what_is_lost():
    log = [
        (ASKED._replace(fld="in_programme"), 2),
        (ASKED._replace(fld="as_of"), 1),
        (ASKED._replace(fld="in_programme"), 1),
    ]
    after = build(CATALOGUE, [each for each in SNAPSHOT.rules if each.id != "X01.ed.q01"])
    found = replay.replay(SNAPSHOT, after, log)
    assert found.decisions == 4
    assert {(request.fld, count) for request, count in found.lost} == {("in_programme", 3), ("as_of", 1)}
    assert found.gained == ()
