"""Index and Casbin together give what stock pycasbin gives on the same rows: decision and explanation."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "policies"))

import policy_worlds as worlds

from policies.book import build


def compare(seed: int, size: int, count: int, wild: float) -> dict[str, int]:
    rng = random.Random(seed ^ 0xC0FFEE)
    known = worlds.rules(seed, size, wild=wild)
    snapshot, oracle = build(worlds.CATALOGUE, known, worlds.MODEL), worlds.stock(known)
    seen = {"allowed": 0, "denied by a rule": 0, "no rule": 0}
    for _ in range(count):
        request = worlds.request(rng, known)
        expected, witness = oracle.enforce_ex(*request)
        allowed, row = snapshot.enforce(request)
        assert (allowed, list(row)) == (expected, list(witness)), request
        assert snapshot.decide_compiled(request) == expected, request
        matching = [each.id for each in known if each.allows and snapshot.matches(request, each)]
        verdict = snapshot.judge(request, [request.fld])[request.fld]
        assert [each.id for each in verdict.matching] == (matching if expected else [])
        seen["allowed" if expected else "denied by a rule" if len(witness) else "no rule"] += 1
    return seen


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([0.1, 0.5, 0.9]))
def test_index_and_casbin_equal_stock_casbin_on_any_rule_set(seed, size, wild):
    compare(seed, size, 8, wild)


def corpus(sets: int, requests: int) -> dict[str, int]:
    total: dict[str, int] = {}
    for number in range(sets):
        for outcome, count in compare(7_000 + number, 40 + 4 * number, requests, (0.2, 0.5, 0.8)[number % 3]).items():
            total[outcome] = total.get(outcome, 0) + count
    return total


def test_fixed_corpus_has_no_difference():
    total = corpus(8, 40)
    assert sum(total.values()) == 320
    assert min(total.values()) > 10, total


@pytest.mark.soak
def test_fixed_corpus_of_ten_thousand_requests_has_no_difference():
    total = corpus(52, 200)
    assert sum(total.values()) >= 10_000
    assert min(total.values()) > 500, total


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40))
def test_fields_with_equal_candidates_share_an_answer_that_each_would_get_alone(seed, size):
    rng = random.Random(seed)
    known = worlds.rules(seed, size, wild=0.7)
    snapshot = build(worlds.CATALOGUE, known, worlds.MODEL)
    request = worlds.request(rng, known)
    fields = rng.sample(worlds.FIELDS, 12)
    together = snapshot.judge(request, fields)
    for field in fields:
        alone, row = snapshot.enforce(request._replace(fld=field))
        assert together[field].allowed == alone
        assert (together[field].witness.projection if together[field].witness else []) == list(row)
