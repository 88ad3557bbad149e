"""Rows of one answer become records: nobody answers more, twice or for somebody else, and equal-looking values are read each by itself."""

from datetime import date

import pytest

from adapters.base.mapping import ExchangeMapping, FieldMapping, InboundField, Resource
from adapters.base.records import local_content, read_records, read_table
from adapters.base.source import InboundLine, Wanted
from gateway.errors import ProviderFault

MAPPED = ExchangeMapping(
    Resource("pupils", "no", "area", "born"),
    {
        "grade": FieldMapping("grade", "nj", codes={"21": "01", "22": ""}),
        "as_of": FieldMapping("as_of", "gx", form="date"),
        "flag": FieldMapping("flag", "bz", form="yes_no"),
        "note": FieldMapping("note", "sm"),
        "signs": FieldMapping("signs", "bx", codes={"1": "one", "2": "two"}, split=","),
    },
)
GOOD = {"no": "1", "area": "330106", "nj": "21", "gx": "2026-11-01", "bz": "是", "sm": "一", "bx": "1, 2"}


def read(*rows, keys=("1", "2", "3"), **changes):
    return read_records(rows, MAPPED, Wanted("X02", keys, frozenset(MAPPED.fields), **changes))


def code(*rows, **changes):
    with pytest.raises(ProviderFault) as caught:
        read(*rows, **changes)
    return caught.value.code


def test_a_row_is_read_by_the_mapping():
    record = read(GOOD | {"born": "20150102"}, birth=True)["1"]
    assert (record.region, record.born, record.surplus) == ("330106", date(2015, 1, 2), 0)
    assert record.values == {"grade": "01", "as_of": "2026-11-01", "flag": "Y", "note": "一", "signs": ["one", "two"]}


def test_a_birth_date_that_was_not_asked_for_is_surplus_and_not_looked_at():
    record = read(GOOD | {"born": "no date at all"})["1"]
    assert (record.born, record.surplus) == (None, 1)


def test_surplus_columns_are_counted_even_where_wanted_ones_are_missing():
    row = {name: value for name, value in GOOD.items() if name != "sm"}
    assert read(row | {"xm": "名", "dh": "1"})["1"].surplus == 2
    assert read(row)["1"].surplus == 0


def test_rows_that_the_adapter_made_have_no_surplus():
    wanted = Wanted("X02", ("1",), frozenset({"note"}))
    assert read_records([GOOD], MAPPED, wanted, made_here=True)["1"].surplus == 0
    assert read_records([GOOD], MAPPED, wanted)["1"].surplus == 4


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([GOOD, GOOD], "provider_garbage"),
        ([GOOD | {"no": "9"}], "provider_garbage"),
        ([GOOD] * 4, "provider_too_much"),
        ([GOOD | {"no": " "}], "provider_garbage"),
        ([GOOD | {"no": None}], "provider_garbage"),
        ([{"area": "330106"}], "provider_garbage"),
        ([GOOD | {"area": "浙江"}], "provider_garbage"),
        ([GOOD | {"area": None}], "provider_garbage"),
        ([GOOD | {"nj": "99"}], "provider_code_unknown"),
        ([GOOD | {"gx": "2026/11"}], "provider_garbage"),
        ([GOOD | {"sm": {"a": 1}}], "provider_garbage"),
        ([GOOD | {"sm": ["a"]}], "provider_garbage"),
        ([GOOD | {"sm": "a\x00b"}], "provider_garbage"),
        ([GOOD | {"sm": "x" * 4097}], "provider_garbage"),
    ],
)
def test_what_is_no_answer_is_refused(rows, told):
    assert code(*rows) == told


def test_values_that_are_equal_and_mean_different_things_are_read_each_by_itself():
    """1, 1.0 and True are one key of a dictionary; a number with a fraction is no text, whoever came before."""
    assert code(GOOD | {"sm": 1}, GOOD | {"no": "2", "sm": 1.0}) == "provider_garbage"
    found = read(GOOD | {"bz": True}, GOOD | {"no": "2", "bz": "0"}, GOOD | {"no": "3", "bz": 1})
    assert [record.values["flag"] for record in found.values()] == ["Y", "N", "Y"]


def test_rows_of_cells_are_read_as_rows_of_names_are():
    wanted = Wanted("X02", ("1", "2", "3"), frozenset(MAPPED.fields), birth=True)
    rows = [GOOD | {"born": "2015-01-02"}, GOOD | {"no": "2", "born": None, "nj": None, "sm": "二"}]
    names = MAPPED.columns(wanted.fields, birth=True)
    found = read_table([tuple(row[name] for name in names) for row in rows], MAPPED, wanted)
    assert found == read_records(rows, MAPPED, wanted)
    assert found["2"].values == {"as_of": "2026-11-01", "flag": "Y", "note": "二", "signs": ["one", "two"]}
    assert read_table([], MAPPED, wanted) == read_records([], MAPPED, wanted) == {}


@pytest.mark.parametrize(("count", "told"), [(2, "provider_garbage"), (4, "provider_too_much")])
def test_rows_of_cells_come_once_each_and_no_more_than_asked(count, told):
    wanted = Wanted("X02", ("1", "2", "3"), frozenset({"note"}))
    with pytest.raises(ProviderFault) as caught:
        read_table([("1", "330106", "一")] * count, MAPPED, wanted)
    assert caught.value.code == told


def test_a_directory_whose_key_is_its_region_is_read():
    offices = ExchangeMapping(Resource("offices", "area", "area"), {})
    found = read_records([{"area": "330106", "xm": "名"}], offices, Wanted("X16", ("330106",)))
    assert (found["330106"].region, found["330106"].surplus) == ("330106", 1)


@pytest.mark.parametrize("asked", ["1", " 1", "e\u0301"])
def test_a_key_is_known_as_it_was_asked_for_and_as_composed_text(asked):
    assert list(read(GOOD | {"no": asked}, keys=(asked,))) == [asked]
    assert list(read(GOOD | {"no": "1 "}, keys=("1",))) == ["1"]


def test_a_record_shows_nobody():
    assert repr(read(GOOD | {"born": "20150102"}, birth=True)["1"]) == "Record(region='330106', surplus=0)"


def test_no_two_records_share_a_list():
    found = read(GOOD, GOOD | {"no": "2"})
    found["1"].values["signs"].append("three")
    assert found["2"].values["signs"] == ["one", "two"]


def test_an_error_holds_no_value_of_the_row():
    with pytest.raises(ProviderFault) as caught:
        read(GOOD | {"nj": "11010519491231002X"})
    seen, error = [], caught.value
    while error is not None:
        seen.append(repr(error))
        error = None if error.__suppress_context__ else error.__context__
    assert "11010519491231002X" not in "".join(seen)


def test_a_received_line_is_written_in_local_words():
    line = InboundLine(1, None, "1", {"case_id": "c-1"}, {"reasons": ["a", "b"], "other": 3})
    inbound = {
        "case_id": InboundField("gabh"),
        "reasons": InboundField("yy", {"a": "01"}),
        "other": InboundField("qt", {"3": "three"}),
    }
    assert local_content(line, inbound) == {"gabh": "c-1", "yy": ["01", "b"], "qt": "three"}
