"""The shipped rules answer every case as written down, and the cases notice when a rule changes."""

import pytest

from policies import expectations, mutants
from policies.book import PolicyBook, build

BOOK = PolicyBook.open()
CASES = expectations.read()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shipped_rules_answer_the_case(case):
    assert case.difference(BOOK.snapshot) == ""


def test_at_least_150_cases_cover_every_served_exchange():
    assert len(CASES) >= 150
    served = {each.id for each in BOOK.catalogue.exchanges.values() if each.state == "served"}
    assert served == {case.request.obj for case in CASES if case.grants}


def score(every, capsys):
    found = mutants.score(BOOK.snapshot.rules, BOOK.catalogue, CASES, build, every=every)
    with capsys.disabled():
        print(f"\nrule mutants caught: {found.caught} of {found.total} ({found.ratio:.1%}); {found.survivors[:6]}")
    return found


def test_cases_catch_nine_of_ten_sampled_rule_mutants(capsys):
    assert score(25, capsys).ratio >= 0.9


@pytest.mark.soak
def test_cases_catch_nine_of_ten_rule_mutants(capsys):
    assert score(1, capsys).ratio >= 0.9


def test_a_wrong_expectation_fails():
    case = next(case for case in CASES if case.grants)
    import dataclasses

    wrong = dataclasses.replace(case, grants={**case.grants, "no_such": "clear"})
    assert "expected" in wrong.difference(BOOK.snapshot)
