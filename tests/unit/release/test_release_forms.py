"""Every form by example: what a value becomes in it, what has no place in it, and what the other side recognises."""

import pytest

from gateway.release.form import NotInForm, Surroundings, all_known, all_match
from gateway.release.forms import form_of
from gateway.release.forms_time import AGE_BANDS
from gateway.release.obligation_text import parse
from tests.unit.release import release_world as world

HERE = Surroundings(world.TODAY, bytes(8) + bytes(range(24)), {"云溪学堂": "primary", "odd": "nonsense"})
NONE = object()


def form(kind, text, values=()):
    obligation = parse(text)
    return form_of(kind, obligation.transform, obligation.form, values)


def applied(kind, text, value, values=()):
    try:
        return form(kind, text, values).apply(value, HERE)
    except NotInForm:
        return NONE


SHOWN = [
    ("yes_no", "clear", True, "Y"),
    ("yes_no", "clear", False, "N"),
    ("yes_no", "answer_only", "Y", "Y"),
    ("date", "clear", "2024-02-29", "2024-02-29"),
    ("date", "clear", "1900-01-01", "1900-01-01"),
    ("date", "clear", "2099-12-31", "2099-12-31"),
    ("date", "generalise:date.month", "2024-02-29", "2024-02"),
    ("date", "generalise:date.year", "2024-02-29", "2024"),
    ("date", "generalise:date.age_band", "2026-11-22", "0-7"),
    ("date", "generalise:date.age_band", "2018-11-23", "0-7"),
    ("date", "generalise:date.age_band", "2018-11-22", "8-13"),
    ("date", "generalise:date.age_band", "2012-11-23", "8-13"),
    ("date", "generalise:date.age_band", "2012-11-22", "14-15"),
    ("date", "generalise:date.age_band", "2010-11-22", "16-17"),
    ("date", "generalise:date.age_band", "2010-12-01", "14-15"),
    ("date", "generalise:date.age_band", "2008-11-22", "18+"),
    ("date", "generalise:date.shift=30", "2026-06-30", "2026-05-31"),
    ("instant", "clear", "2026-11-20T08:30:00+08:00", "2026-11-20T08:30:00+08:00"),
    ("instant", "clear", "2026-11-20T08:30Z", "2026-11-20T08:30Z"),
    ("instant", "generalise:date.day", "2026-11-20T08:30Z", "2026-11-20"),
    ("instant", "generalise:date.month", "2026-11-20T08:30Z", "2026-11"),
    ("instant", "generalise:date.year", "2026-11-20T08:30Z", "2026"),
    ("period", "clear", "2026", "2026"),
    ("period", "clear", "2026-Q3", "2026-Q3"),
    ("period", "clear", "2026-09", "2026-09"),
    ("period", "clear", "2026-09-01/2026-10-31", "2026-09-01/2026-10-31"),
    ("period", "clear", "2025/2026", "2025/2026"),
    ("period", "generalise:date.month", "2026-09-01/2026-10-31", "2026-09/2026-10"),
    ("period", "generalise:date.month", "2026-09-01/2026-09-30", "2026-09"),
    ("period", "generalise:date.month", "2026-Q3", "2026-Q3"),
    ("period", "generalise:date.year", "2026-Q3", "2026"),
    ("period", "generalise:date.year", "2025-09-01/2026-10-31", "2025/2026"),
    ("integer", "clear", 0, 0),
    ("integer", "clear", 999_999_999, 999_999_999),
    ("integer", "generalise:integer.band=10", 37, "30-39"),
    ("integer", "generalise:integer.band=10", 40, "40-49"),
    ("integer", "generalise:integer.band=1", 5, "5-5"),
    ("band", "clear", "6-11", "6-11"),
    ("band", "clear", "18+", "18+"),
    ("code:sex", "clear", "1", "1"),
    ("codes:status_class", "clear", ["orphan", "left_behind", "orphan"], ["left_behind", "orphan"]),
    ("codes:status_class", "clear", [], []),
    ("codes:status_class", "answer_only:class=orphan", ["left_behind", "orphan"], "orphan"),
    ("code:status_class", "answer_only:class=orphan", "orphan", "orphan"),
    ("org_code", "clear", "91350100M000100Y43", "91350100M000100Y43"),
    ("school", "clear+sealed", "云溪镇中心小学", "云溪镇中心小学"),
    ("school", "generalise:school.type", "云溪学堂", "primary"),
    ("school", "generalise:school.type", "云溪镇中心小学", "primary"),
    ("school", "generalise:school.type", "云溪幼儿园", "kindergarten"),
    ("school", "generalise:school.type", "清河培智学校", "special"),
    ("school", "generalise:school.type", "清河职业高级中学", "vocational"),
    ("school", "generalise:school.type", "清河九年一贯制学校", "nine_year"),
    ("school", "generalise:school.type", "清河初级中学", "junior"),
    ("school", "generalise:school.type", "清河高级中学", "senior"),
    ("school", "generalise:school.type", "清河中学", "secondary"),
    ("region", "clear", "330106109203", "330106109203"),
    ("region", "generalise:region.township", "330106109203", "330106109"),
    ("region", "generalise:region.township", "330106", "330106"),
    ("region", "generalise:region.county", "330106109203", "330106"),
    ("region", "generalise:region.city", "330106109203", "3301"),
    ("region", "generalise:region.province", "660106109203", "66"),
    ("region", "generalise:region.county", "330106", "330106"),
    ("period", "clear", "2026-09-01/2026-09-01", "2026-09-01/2026-09-01"),
    ("name", "clear+sealed", "阿依古丽·买买提", "阿依古丽·买买提"),
    ("name", "clear+sealed", "Anna O'Neil", "Anna O'Neil"),
    ("name", "mask:name.surname", "张晓明", "张*"),
    ("name", "mask:name.surname", "张三", "张*"),
    ("name", "mask:name.surname", "欧阳晓明", "欧阳*"),
    ("name", "mask:name.surname", "欧阳", "欧*"),
    ("name", "mask:name.surname", "阿依古丽·买买提", "阿*"),
    ("name", "mask:name.surname", "张" * 50, "张*"),
    ("phone", "clear+sealed", "+86 138-1234-1234", "13812341234"),
    ("phone", "clear+sealed", "059187654321", "0591-87654321"),
    ("phone", "clear+sealed", "0591-8765432", "0591-8765432"),
    ("phone", "clear+sealed", "4001234567", "400-123-4567"),
    ("phone", "clear+sealed", "12355", "12355"),
    ("phone", "clear+sealed", "110", "110"),
    ("phone", "mask:phone.middle4", "13812341234", "138****1234"),
    ("phone", "mask:phone.middle4", "86 138 1234 1234", "138****1234"),
    ("phone", "mask:phone.middle4", "0591-87654321", "0591-****4321"),
    ("id_number", "clear+sealed", " 11010519491231002x ", "11010519491231002X"),
    ("id_number", "clear+sealed", "EA1234567", "EA1234567"),
    ("id_number", "mask:id.last4", "11010519491231002X", "*" * 14 + "002X"),
    ("id_number", "mask:id.last4", "11010519491231002x", "*" * 14 + "002X"),
    ("id_number", "mask:id.last4", "ea1234567", "*" * 14 + "4567"),
    ("address", "clear+sealed", "清河路1号", "清河路1号"),
    ("address", "generalise:address.township", "浙江省杭州市西湖区云溪镇清风村3组12号", "浙江省杭州市西湖区云溪镇"),
    ("address", "mask:address.township", "湖南省长沙市宁乡市玉潭街道新康路", "湖南省长沙市宁乡市玉潭街道"),
    ("address", "generalise:address.township", "河南省 新乡市 红旗区 洪门镇 1号", "河南省新乡市红旗区洪门镇"),
    (
        "address",
        "generalise:address.township",
        "内蒙古自治区锡林郭勒盟正蓝旗那日图苏木3号",
        "内蒙古自治区锡林郭勒盟正蓝旗那日图苏木",
    ),
    ("text", "clear+sealed", "谈", "谈"),
    ("text", "clear+sealed", "谈" * 4000, "谈" * 4000),
    ("record_id", "clear", "case-1", "case-1"),
    ("record_id", "pseudonymise", "A" * 64, "A" * 64),
]


@pytest.mark.parametrize(("kind", "text", "value", "shown"), SHOWN)
def test_a_value_in_its_form_and_recognised_there(kind, text, value, shown):
    assert applied(kind, text, value) == shown
    found = form(kind, text)
    assert found.recognises(shown)
    assert found.recognises_all([shown, shown])
    if found.apply_all is not None:
        assert list(found.apply_all([value, value]) or [shown, shown]) == [shown, shown]


NOWHERE = [
    ("yes_no", "clear", "y"),
    ("yes_no", "clear", 1),
    ("yes_no", "clear", ["Y"]),
    ("date", "clear", "2023-02-29"),
    ("date", "clear", "1899-12-31"),
    ("date", "clear", "2100-01-01"),
    ("date", "clear", "2023-2-9"),
    ("date", "clear", 20230209),
    ("date", "generalise:date.month", "2023-02-29"),
    ("date", "generalise:date.month", "2023-13-01"),
    ("date", "generalise:date.month", "2023-02"),
    ("date", "generalise:date.month", "2023/02/01"),
    ("date", "generalise:date.year", "2023-02-30"),
    ("date", "generalise:date.age_band", "2026-11-23"),
    ("instant", "clear", "2026-11-20T24:30Z"),
    ("instant", "clear", "2026-11-20T08:30"),
    ("instant", "clear", "2026-02-30T08:30Z"),
    ("instant", "clear", "2026-11-20 08:30Z"),
    ("period", "clear", "2026-Q5"),
    ("period", "clear", "2026-10-31/2026-09-01"),
    ("period", "clear", "2026-09/2026-10-01"),
    ("period", "clear", "2026-09-01"),
    ("period", "generalise:date.year", 2026),
    ("integer", "clear", -1),
    ("integer", "clear", 1_000_000_000),
    ("integer", "clear", True),
    ("integer", "clear", "7"),
    ("integer", "generalise:integer.band=10", -1),
    ("band", "clear", "6~11"),
    ("band", "clear", "12345-1"),
    ("code:sex", "clear", "3"),
    ("code:sex", "clear", ["1"]),
    ("codes:status_class", "clear", "orphan"),
    ("codes:status_class", "clear", ["nobody"]),
    ("codes:status_class", "answer_only:class=orphan", ["left_behind"]),
    ("org_code", "clear", "91350100M000100Y44"),
    ("school", "generalise:school.type", "odd"),
    ("school", "generalise:school.type", "清河大学"),
    ("school", "generalise:school.type", 7),
    ("school", "clear+sealed", ""),
    ("region", "clear", "33010"),
    ("region", "generalise:region.county", "990106"),
    ("region", "generalise:region.county", 330106),
    ("name", "clear+sealed", "张3"),
    ("name", "clear+sealed", ""),
    ("name", "clear+sealed", "张" * 51),
    ("name", "mask:name.surname", "张_三"),
    ("name", "mask:name.surname", "·张"),
    ("name", "mask:name.surname", "张·"),
    ("name", "mask:name.surname", 7),
    ("name", "mask:name.surname", "张" * 51),
    ("phone", "clear+sealed", "12812341234"),
    ("phone", "clear+sealed", "123456"),
    ("phone", "mask:phone.middle4", "12812341234"),
    ("phone", "mask:phone.middle4", "1381234123"),
    ("phone", "mask:phone.middle4", "１３８１２３４１２３４"),
    ("phone", "mask:phone.middle4", 13812341234),
    ("id_number", "clear+sealed", "110105194912310020"),
    ("id_number", "mask:id.last4", "110105194912310020"),
    ("id_number", "mask:id.last4", "ABC1234567"),
    ("id_number", "mask:id.last4", 1),
    ("address", "clear+sealed", "一号"),
    ("address", "clear+sealed", "清河路\n1号"),
    ("address", "generalise:address.township", "清河路12号"),
    ("address", "generalise:address.township", "3号楼云溪镇"),
    ("address", "generalise:address.township", "云溪花园2单元乡"),
    ("address", "generalise:address.township", ["云溪镇"]),
    ("text", "clear+sealed", ""),
    ("text", "clear+sealed", "谈" * 4001),
    ("record_id", "clear", "-case"),
    ("record_id", "clear", "A" * 65),
    ("record_id", "clear", 7),
]


@pytest.mark.parametrize(("kind", "text", "value"), NOWHERE)
def test_a_value_that_has_no_place_in_its_form(kind, text, value):
    assert applied(kind, text, value) is NONE
    together = form(kind, text).apply_all
    for values in ([value], [value, *usual(kind, text)], [*usual(kind, text), value]) if together else ():
        try:
            assert together(values) is None
        except (TypeError, AttributeError):
            continue


def usual(kind, text):
    """A value that this form takes."""
    return [value for one, ordered, value, _ in SHOWN if (one, ordered) == (kind, text)][:1]


USUAL = [
    ("name", "mask:name.surname", {"张晓明": "张*", "李四": "李*", "王" * 50: "王*", "尼玛次仁": "尼*"}),
    ("phone", "mask:phone.middle4", {"13812341234": "138****1234", "19900000000": "199****0000"}),
    (
        "id_number",
        "mask:id.last4",
        {"11010519491231002X": "*" * 14 + "002X"},
    ),
    ("address", "generalise:address.township", {"宁乡市玉潭街道新康路3号": "宁乡市玉潭街道", "云溪镇清风村": "云溪镇"}),
    ("region", "generalise:region.county", {"330106109203": "330106", "660101": "660101"}),
    ("date", "generalise:date.month", {"2024-02-28": "2024-02", "1999-12-31": "1999-12"}),
    ("date", "clear", {"2024-02-29": "2024-02-29"}),
    ("code:sex", "clear", {"1": "1", "2": "2"}),
    ("yes_no", "answer_only", {"Y": "Y", "N": "N"}),
    ("integer", "clear", {0: 0, 999_999_999: 999_999_999, 7: 7}),
]


@pytest.mark.parametrize(("kind", "text", "shown"), USUAL)
def test_usual_values_are_brought_into_their_form_together(kind, text, shown):
    assert list(form(kind, text).apply_all([*shown])) == [*shown.values()]


ODD = [
    ("name", "mask:name.surname", "欧阳晓明"),
    ("name", "mask:name.surname", "阿依古丽·买买提"),
    ("phone", "mask:phone.middle4", "0591-87654321"),
    ("phone", "mask:phone.middle4", "059187654321"),
    ("phone", "mask:phone.middle4", "86 13812341234"),
    ("id_number", "mask:id.last4", "ea1234567"),
    ("address", "generalise:address.township", "宁乡市 玉潭街道"),
    ("date", "generalise:date.month", "2024-02-29"),
    ("yes_no", "answer_only", True),
]


@pytest.mark.parametrize(("kind", "text", "value"), ODD)
def test_one_odd_value_among_usual_ones_has_all_looked_at_one_by_one(kind, text, value):
    usual_ones = next([*shown] for one, ordered, shown in USUAL if (one, ordered) == (kind, text))
    assert form(kind, text).apply_all([*usual_ones, value]) is None
    assert applied(kind, text, value) is not NONE


@pytest.mark.parametrize(
    ("sign", "kind"),
    [(sign, "kindergarten") for sign in ("幼儿园", "托儿所")]
    + [(sign, "special") for sign in ("特殊教育学校", "特教学校", "培智学校", "启智学校", "聋哑学校", "盲校", "聋校")]
    + [(sign, "vocational") for sign in ("中等职业学校", "职业技术学校", "职业高中", "职业中学", "职业中专")]
    + [(sign, "vocational") for sign in ("职业高级中学", "技工学校", "中专", "中等专业学校")]
    + [(sign, "nine_year") for sign in ("九年一贯制学校", "九年制学校")]
    + [("初级中学", "junior"), ("初中", "junior"), ("高级中学", "senior"), ("高中", "senior"), ("中学", "secondary")]
    + [("小学", "primary"), ("小学校", "primary"), ("完小", "primary")],
)
def test_a_school_s_type_is_told_by_the_end_of_its_name(sign, kind):
    assert applied("school", "generalise:school.type", "云溪" + sign) == kind
    assert applied("school", "generalise:school.type", sign + "云") is NONE
    assert applied("school", "generalise:school.type", "云溪" + sign[:-1]) in (NONE, "primary")


@pytest.mark.parametrize("phone", ["96123", "961234", "12355", "120", "400-123-4567", "010-1234567", "0591-12345678"])
def test_public_and_fixed_lines_are_telephone_numbers(phone):
    assert applied("phone", "clear+sealed", phone) == phone
    assert form("phone", "clear+sealed").recognises(phone)


@pytest.mark.parametrize("phone", ["961234567", "9612", "123456", "0591-123456", "400-1234567", "591-12345678"])
def test_other_digits_are_not_recognised_as_a_telephone_number(phone):
    assert not form("phone", "clear+sealed").recognises(phone)


def test_what_is_no_text_is_recognised_nowhere():
    for kind, text, *_ in SHOWN:
        if kind != "integer" or text != "clear":
            assert form(kind, text).recognises(7) is False
        if not kind.startswith("codes") or "class" in text:
            assert form(kind, text).recognises(["x"]) is False


FOREIGN = [
    ("yes_no", "clear", "X"),
    ("date", "generalise:date.month", "2024-00"),
    ("date", "generalise:date.month", "2024-13"),
    ("date", "generalise:date.month", "1899-12"),
    ("date", "generalise:date.year", "2100"),
    ("date", "generalise:date.age_band", "9"),
    ("date", "generalise:date.shift=30", "2023-02-29"),
    ("instant", "generalise:date.day", "2026-11-20T08:30Z"),
    ("period", "generalise:date.month", "2026-09-01/2026-10-31"),
    ("period", "generalise:date.year", "2026-09"),
    ("period", "generalise:date.year", "2026-Q3"),
    ("period", "generalise:date.year", 2026),
    ("integer", "generalise:integer.band=10", "31-40"),
    ("integer", "generalise:integer.band=10", "30-38"),
    ("integer", "generalise:integer.band=10", "030-039"),
    ("integer", "generalise:integer.band=10", "30"),
    ("integer", "generalise:integer.band=10", "-30"),
    ("integer", "generalise:integer.band=10", "３0-39"),
    ("integer", "generalise:integer.band=10", "1000000000-1000000009"),
    ("integer", "generalise:integer.band=10", "a-b"),
    ("codes:status_class", "clear", ["orphan", "left_behind"]),
    ("codes:status_class", "clear", ["orphan", "orphan"]),
    ("codes:status_class", "clear", ["nobody"]),
    ("code:status_class", "answer_only:class=orphan", "left_behind"),
    ("school", "generalise:school.type", "小学"),
    ("region", "generalise:region.township", "330106109203"),
    ("region", "generalise:region.county", "330106109"),
    ("region", "generalise:region.county", "3301"),
    ("region", "generalise:region.city", "330106"),
    ("region", "generalise:region.city", "9901"),
    ("region", "generalise:region.city", "３301"),
    ("region", "generalise:region.province", "16"),
    ("name", "mask:name.surname", "张三*"),
    ("name", "mask:name.surname", "张"),
    ("name", "mask:name.surname", "1*"),
    ("name", "mask:name.surname", "*"),
    ("name", "mask:name.surname", 7),
    ("phone", "mask:phone.middle4", "13812341234"),
    ("phone", "mask:phone.middle4", "128****1234"),
    ("phone", "mask:phone.middle4", "138****123"),
    ("phone", "mask:phone.middle4", "138****1234\n139****1234"),
    ("phone", "mask:phone.middle4", "591-****4321"),
    ("id_number", "mask:id.last4", "*" * 13 + "002X"),
    ("id_number", "mask:id.last4", "*" * 14 + "0X21"),
    ("id_number", "mask:id.last4", "1" + "*" * 13 + "002X"),
    ("address", "generalise:address.township", "云溪镇清风村"),
    ("address", "generalise:address.township", "云溪3号镇"),
    ("address", "generalise:address.township", "镇"),
    ("address", "generalise:address.township", "云" * 43 + "镇"),
    ("address", "generalise:address.township", "云溪单元镇"),
]


@pytest.mark.parametrize(("kind", "text", "value"), FOREIGN)
def test_what_no_form_gives_is_not_recognised(kind, text, value):
    found = form(kind, text)
    assert not found.recognises(value)
    try:
        together = found.recognises_all([value])
    except TypeError:
        together = False
    assert not together


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("image", "clear"),
        ("name", "clear:short"),
        ("name", "mask"),
        ("name", "mask:name.first"),
        ("name", "generalise:name.surname"),
        ("phone", "mask:phone.last4"),
        ("id_number", "mask:id.first6"),
        ("address", "mask:address.village"),
        ("address", "generalise:address.village"),
        ("region", "generalise"),
        ("region", "generalise:region.village"),
        ("date", "generalise"),
        ("date", "generalise:date.week"),
        ("date", "generalise:date.shift=0"),
        ("date", "generalise:date.shift=1000"),
        ("instant", "generalise:date.shift=9"),
        ("instant", "generalise:date.hour"),
        ("period", "generalise:date.day"),
        ("integer", "generalise:integer.band=0"),
        ("integer", "generalise:integer.band=10000"),
        ("integer", "mask:name.surname"),
        ("school", "generalise:school.size"),
        ("yes_no", "generalise:date.month"),
        ("yes_no", "answer_only:class=Y"),
        ("code:sex", "answer_only"),
        ("code:sex", "answer_only:class=orphan"),
        ("name", "answer_only:class=orphan"),
        ("code:unknown", "clear"),
        ("codes:unknown", "clear"),
        ("record_id", "pseudonymise:short"),
        ("name", "pseudonymise"),
        ("name", "suppress"),
    ],
)
def test_a_form_that_is_not_known_is_none(kind, text):
    assert form(kind, text) is None


def test_wide_forms_are_read_by_the_detectors_and_narrow_ones_are_not():
    wide = {kind for kind, text, *_ in SHOWN if form(kind, text).scan}
    assert wide == {"school", "name", "phone", "id_number", "address", "text", "record_id"}
    masked = [form(kind, text) for kind, text, *_ in SHOWN if text.startswith(("mask", "generalise"))]
    assert not any(one.scan for one in masked)


def test_a_field_with_listed_values_takes_those_and_no_others():
    assert applied("band", "clear", "crisis", ("attention", "crisis")) == "crisis"
    assert applied("band", "clear", "6-11", ("attention", "crisis")) is NONE
    assert applied("code:sex", "clear", "1", ("2",)) is NONE
    assert applied("band", "answer_only:class=crisis", "crisis", ("attention", "crisis")) == "crisis"


def test_a_date_moves_by_the_keyed_days_and_never_by_none():
    moved = []
    for step in range(60):
        here = Surroundings(world.TODAY, step.to_bytes(8, "big") + bytes(24))
        moved.append(form("date", "generalise:date.shift=30").apply("2026-06-30", here))
    days = [(world.date.fromisoformat(day) - world.date(2026, 6, 30)).days for day in moved]
    assert days == [*range(-30, 0), *range(1, 31)]


def test_a_date_at_the_end_of_the_calendar_is_not_moved_beyond_it():
    late = Surroundings(world.TODAY, (59).to_bytes(8, "big") + bytes(24))
    with pytest.raises(NotInForm):
        form("date", "generalise:date.shift=30").apply("2099-12-31", late)


def test_age_bands_are_those_of_the_consent_book():
    assert AGE_BANDS == ("0-7", "8-13", "14-15", "16-17", "18+")


def test_only_what_was_found_in_form_is_remembered_and_only_so_many():
    asked = []

    def recognises(value):
        asked.append(value)
        return value.startswith("a")

    all_in = all_known(recognises, room=2)
    assert all_in(["a1", "a2", "a3"])
    assert not all_in(["a1", "b"])
    assert not all_in(["b"])
    assert all_in(["a1", "a2"])
    assert asked == ["a1", "a2", "a3", "a1", "b", "b"]
    assert all_in(["a3"])
    assert asked[-1] == "a3"


def test_many_texts_are_matched_as_lines_and_no_text_hides_a_second_line():
    import re

    all_in = all_match(re.compile(r"a+|b"))
    assert all_in(["a", "b", "aaa"])
    assert not all_in(["a", "ab"])
    assert not all_in(["a\nb"])
    assert not all_in(["a\nb", ""])
    assert not all_in([""])
