"""Rules are checked column by column when written, and read back as the same bytes."""

import dataclasses

import pytest

from gateway.api.problems import sentences
from policies import catalogue, rows
from policies.rows import Rule, RuleError

CATALOGUE = catalogue.load()
GOOD = Rule(
    id="X01.test",
    eft="allow",
    sub="case_worker@education",
    dom="education",
    obj="X01",
    fld="class:answer",
    act="query",
    pur="normal.P06",
    reg="330100",
    con="statutory",
    nbf="2026-01-01T00:00:00Z",
    exp="2027-01-01T00:00:00Z",
    obl="clear+sealed;review",
    code="-",
    owner="civil_affairs",
    legal="未保法91",
    reason="试验",
)
DENY = dataclasses.replace(GOOD, id="D.test", eft="deny", sub="*", reg="*", obl="none", code="rule_denied")


def test_a_good_row_is_taken():
    assert rows.checked([GOOD, DENY], CATALOGUE) == (GOOD, DENY)


@pytest.mark.parametrize("value", ["", "a,b", 'a"b', "a\nb", "x" * 10_240, "学籍", "a b", "True) or (True"])
@pytest.mark.parametrize("column", ["sub", "dom", "obj", "fld", "act", "pur", "reg", "con", "nbf", "exp", "obl", "eft"])
def test_a_hostile_value_is_refused_naming_its_column_and_not_itself(column, value):
    with pytest.raises(RuleError, match=f"column `{column}`") as refused:
        rows.checked([dataclasses.replace(GOOD, **{column: value})], CATALOGUE)
    assert refused.value.column == column
    assert not value or value not in str(refused.value)


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("sub", {"sub": "*"}),
        ("sub", {"sub": "stranger@education"}),
        ("reg", {"reg": "33"}),
        ("exp", {"exp": "2025-01-01T00:00:00Z"}),
        ("obl", {"obl": "none"}),
        ("obl", {"obl": "clear+opened"}),
        ("obl", {"obl": "mask:face"}),
        ("obl", {"obl": "clear;dance"}),
        ("code", {"code": "rule_denied"}),
        ("pur", {"pur": "normal.P99"}),
        ("fld", {"fld": "class:secret"}),
        ("reason", {"reason": "one\ntwo"}),
        ("owner", {"owner": "police"}),
    ],
)
def test_an_allow_row_outside_its_vocabulary_is_refused(column, changes):
    with pytest.raises(RuleError) as refused:
        rows.checked([dataclasses.replace(GOOD, **changes)], CATALOGUE)
    assert refused.value.column == column


@pytest.mark.parametrize(
    ("column", "changes"),
    [
        ("obl", {"obl": "clear"}),
        ("code", {"code": "-"}),
        ("code", {"code": "no_such_code"}),
        ("reg", {"reg": "330100"}),
    ],
)
def test_a_deny_row_neither_grants_nor_leaves_a_region_out(column, changes):
    with pytest.raises(RuleError) as refused:
        rows.checked([dataclasses.replace(DENY, **changes)], CATALOGUE)
    assert refused.value.column == column


def test_every_denial_code_of_a_rule_is_one_that_callers_are_told():
    assert set(sentences()) >= rows.DENIALS


def test_an_id_is_used_once():
    with pytest.raises(RuleError, match="twice"):
        rows.checked([GOOD, GOOD], CATALOGUE)


def test_shipped_files_round_trip_byte_for_byte():
    paths = sorted(rows.HOME.glob("*.csv"))
    assert len(paths) >= 30
    for path in paths:
        text = path.read_bytes().decode("utf-8")
        assert rows.write_csv(rows.parse_csv(text)) == text


def test_a_reason_with_comma_and_quote_survives_the_round_trip():
    rule = dataclasses.replace(GOOD, reason='他说,"可以"; 好')
    assert rows.parse_csv(rows.write_csv([rule])) == [rule]


@pytest.mark.parametrize("text", ["", "id,eft\n", "\x00", rows.write_csv([]) + "a,b\n", rows.write_csv([]) + '"'])
def test_a_file_of_another_form_is_refused(text):
    with pytest.raises(RuleError):
        rows.parse_csv(text)
