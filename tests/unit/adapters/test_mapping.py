"""A mapping that does not fit the catalogue refuses to start; a local value is never guessed at."""

import copy
import re
import tomllib
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import exchange_file, mapping
from adapters.base.values import day, reader, text
from gateway.errors import GatewayFault, ProviderFault
from policies.catalogue import load

ROOT = Path(__file__).resolve().parents[3]
EXCHANGES = load().exchanges
FILE = ROOT / "adapters/education/mapping.toml"
DOCUMENT = tomllib.loads(FILE.read_text())


@pytest.mark.parametrize("department", ["civil_affairs", "education"])
def test_the_shipped_mappings_fit_the_catalogue(department):
    read = mapping.load(ROOT / "adapters" / department / "mapping.toml", EXCHANGES)
    assert read.department == department
    for name, mapped in read.exchanges.items():
        assert set(mapped.fields) <= set(EXCHANGES[name].fields)


def changed(*path, value):
    document = copy.deepcopy(DOCUMENT)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


REFUSED = {
    "field_unknown": (("exchanges", "X02", "fields", "home_address"), {"local": "jtzz"}),
    "exchange_unknown": (("exchanges", "X99"), {"resource": "pupils", "fields": {}}),
    "exchange_not_provided": (("exchanges", "X01"), {"resource": "pupils", "fields": {}}),
    "exchange_not_consumed": (("inbound", "X05"), {}),
    "required_field_unmapped": (("exchanges", "X02", "fields", "as_of"), None),
    "resource_unknown": (("exchanges", "X02", "resource"), "teachers"),
    "code_table_unknown": (("exchanges", "X02", "fields", "stage"), {"local": "xd", "codes": "stages"}),
    "code_outside_catalogue": (("codes", "stage", "9"), "university"),
    "form_unknown": (("exchanges", "X02", "fields", "as_of"), {"local": "gxrq", "form": "moon"}),
    "local_name_invalid": (("resources", "pupils", "key"), 'xsbh"; DROP TABLE x; --'),
    "member_unknown": (("exchanges", "X02", "fields", "stage"), {"local": "xd", "default": "primary"}),
    "member_missing": (("resources", "pupils", "region"), None),
    "department_unknown": (("department",), "police"),
    "charset_unknown": (("charset",), "ebcdic"),
    "identifier_kind_unknown": (("identity", "numbers"), [{"kind": "fingerprint", "local": "zw"}]),
    "inbound_fields_differ": (("inbound", "X13", "plan_id"), None),
    "code_table_invalid": (("codes", "stage"), {}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_wrong_mapping_refuses_to_start(reason):
    path, value = REFUSED[reason]
    with pytest.raises(GatewayFault) as caught:
        mapping.parse(changed(*path, value=value), EXCHANGES)
    assert (caught.value.code, caught.value.facts["reason"]) == ("mapping_invalid", reason)


def test_an_unreadable_mapping_refuses_to_start(tmp_path):
    broken = tmp_path / "mapping.toml"
    broken.write_text("department = ")
    for path in (broken, tmp_path / "none.toml"):
        with pytest.raises(GatewayFault, match="mapping_invalid"):
            mapping.load(path, EXCHANGES)


def test_only_the_columns_of_wanted_fields_are_named():
    mapped = mapping.parse(DOCUMENT, EXCHANGES).exchanges["X02"]
    assert mapped.columns(frozenset({"enrolled", "status"}), birth=False) == ("xsbh", "xxqh", "zxzt")
    assert mapped.columns(frozenset({"grade"}), birth=True) == ("xsbh", "xxqh", "csrq", "nj")


def test_an_unmapped_code_is_a_fault_that_names_the_catalogue_field_only():
    stage = mapping.parse(DOCUMENT, EXCHANGES).exchanges["X02"].fields["stage"]
    assert stage.read("2") == "primary"
    assert stage.read("") is None
    with pytest.raises(ProviderFault) as caught:
        stage.read("大学")
    assert (caught.value.code, caught.value.facts) == ("provider_code_unknown", {"field": "stage"})


def test_a_code_may_say_nothing_of_a_field():
    grade = mapping.parse(DOCUMENT, EXCHANGES).exchanges["X02"].fields["grade"]
    assert grade.read("11") is None


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ("20261122", "date", "2026-11-22"),
        ("2026-11-22", "date", "2026-11-22"),
        (date(2026, 11, 22), "date", "2026-11-22"),
        (datetime(2026, 11, 22, 8, 0), "instant", "2026-11-22T00:00:00Z"),
        ("2026-11-22 08:00", "instant", "2026-11-22T00:00:00Z"),
        ("7", "integer", 7),
        ("是", "yes_no", "Y"),
        (True, "yes_no", "Y"),
        (" 阿卜杜热合曼·买买提江 ", "text", "阿卜杜热合曼·买买提江"),
        ("𬱖", "text", "𬱖"),
        (None, "date", None),
    ],
)
def test_local_forms_are_read(value, form, expected):
    assert reader(form=form, codes=None, split=None)(value) == expected


@pytest.mark.parametrize(
    ("value", "form"),
    [("2026-13-01", "date"), ("gestern", "date"), ("x\x00y", "text"), ({"a": 1}, "text"), ("x" * 5000, "text"),
     ("3.5", "integer"), (1.5, "integer"), ("vielleicht", "yes_no"), ("\ud800", "text")],
)  # fmt: skip
def test_an_unreadable_value_is_garbage(value, form):
    read = mapping.FieldMapping("as_of", "gxrq", form)
    with pytest.raises(ProviderFault) as caught:
        read.read(value)
    assert caught.value.code in ("provider_garbage", "provider_code_unknown")
    assert caught.value.facts == {"field": "as_of"}


@given(
    st.text("0123456789-W \u0665", max_size=11)
    | st.from_regex(r" ?[0-9]{4}-?[01][0-9]-?[0-3][0-9] ?", fullmatch=True)
    | st.from_regex(r"[0-9]{4}-?W[0-5][0-9](-?[1-7])?", fullmatch=True)
)
def test_a_date_is_eight_digits_or_ten_characters_and_nothing_else(value):
    plain = value.strip()
    written = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}", plain)
    try:
        assert day(value).isoformat().replace("-", "") == plain.replace("-", "")
        assert written
    except ValueError:
        assert not written or not _is_a_day(plain.replace("-", ""))


def _is_a_day(digits):
    try:
        datetime.strptime(digits, "%Y%m%d")  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return False
    return True


@given(st.text())
def test_text_is_read_whole_or_refused(value):
    try:
        read = text(value)
    except ValueError:
        return
    assert text(read) == read
    assert not any(ord(c) < 9 for c in read)


def test_exchange_definitions_survive_their_file(tmp_path):
    path = tmp_path / "exchanges.json"
    exchange_file.write(EXCHANGES.values(), path)
    back = exchange_file.read(path)
    assert back == dict(EXCHANGES)
    assert [list(e.fields) for e in back.values()] == [list(EXCHANGES[n].fields) for n in back]


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"version":1}', b'{"version":2,"exchanges":[]}', b'{"version":1,"exchanges":[{}]}']
)
def test_a_damaged_exchange_file_refuses_to_start(tmp_path, damage):
    path = tmp_path / "exchanges.json"
    path.write_bytes(damage)
    with pytest.raises(GatewayFault, match="exchange_file_invalid"):
        exchange_file.read(path)
