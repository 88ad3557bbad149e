"""What each form shows of a value, as a table that a lawyer can read. All persons, numbers and places' houses are invented."""

import pytest

from gateway.release.forms import NotInForm, Surroundings, form_of
from gateway.release.obligation_text import parse
from tests.unit.release.release_world import TODAY

HERE = Surroundings(TODAY, shift=bytes([0] * 7 + [4]) + bytes(24), school_types={"91350100M000100Y43": "vocational"})

SHOWN = [
    # type, obligation, at the source, what leaves
    ("name", "mask:name.surname", "张晓明", "张*"),
    ("name", "mask:name.surname", "欧阳小雨", "欧阳*"),
    ("name", "mask:name.surname", "阿依古丽·买买提", "阿*"),
    ("name", "mask:name.surname", "尼玛次仁", "尼*"),
    ("name", "mask:name.surname", "Anna O'Neil", "A*"),
    ("name", "clear+sealed", "阿依古丽·买买提", "阿依古丽·买买提"),
    ("name", "clear+sealed", "𠮷田", "𠮷田"),
    ("phone", "mask:phone.middle4", "13812341234", "138****1234"),
    ("phone", "mask:phone.middle4", "+86 138 1234 1234", "138****1234"),
    ("phone", "mask:phone.middle4", "0591-87654321", "0591-****4321"),
    ("phone", "clear+sealed", "400 123 4567".replace(" ", "-"), "400-123-4567"),
    ("phone", "clear", "12355", "12355"),
    ("id_number", "mask:id.last4", "11010519491231002x", "**************002X"),
    ("id_number", "mask:id.last4", "E12345678", "**************5678"),
    ("id_number", "clear+sealed", "11010519491231002X", "11010519491231002X"),
    ("address", "generalise:address.township", "浙江省杭州市西湖区云溪镇清风村3组12号", "浙江省杭州市西湖区云溪镇"),
    ("address", "generalise:address.township", "河南省新乡市红旗区东街街道新华路3号", "河南省新乡市红旗区东街街道"),
    ("address", "generalise:address.township", "湖南省长沙市宁乡市玉潭街道5号", "湖南省长沙市宁乡市玉潭街道"),
    ("address", "generalise:address.township", "江西省景德镇市昌江区鲇鱼山镇一号", "江西省景德镇市昌江区鲇鱼山镇"),
    (
        "address",
        "generalise:address.township",
        "内蒙古自治区锡林郭勒盟西乌珠穆沁旗浩勒图高勒苏木",
        "内蒙古自治区锡林郭勒盟西乌珠穆沁旗浩勒图高勒苏木",
    ),
    (
        "address",
        "generalise:address.township",
        "广西壮族自治区桂林市龙胜各族自治县龙脊镇大寨村",
        "广西壮族自治区桂林市龙胜各族自治县龙脊镇",
    ),
    ("address", "mask:address.township", "浙江省杭州市西湖区云溪镇清风村", "浙江省杭州市西湖区云溪镇"),
    ("date", "generalise:date.age_band", "2012-11-22", "14-15"),
    ("date", "generalise:date.age_band", "2012-11-23", "8-13"),
    ("date", "generalise:date.age_band", "2018-11-22", "8-13"),
    ("date", "generalise:date.age_band", "2018-11-23", "0-7"),
    ("date", "generalise:date.age_band", "2010-11-22", "16-17"),
    ("date", "generalise:date.age_band", "2008-11-22", "18+"),
    ("date", "generalise:date.month", "2012-02-29", "2012-02"),
    ("date", "generalise:date.year", "2012-02-29", "2012"),
    ("date", "generalise:date.shift=10", "2026-03-10", "2026-03-04"),
    ("instant", "generalise:date.day", "2026-03-10T08:30:00+08:00", "2026-03-10"),
    ("instant", "clear", "2026-03-10T08:30Z", "2026-03-10T08:30Z"),
    ("period", "generalise:date.month", "2026-03-10/2026-05-01", "2026-03/2026-05"),
    ("period", "generalise:date.year", "2026-Q1", "2026"),
    ("region", "generalise:region.township", "330106101201", "330106101"),
    ("region", "generalise:region.county", "330106101201", "330106"),
    ("region", "generalise:region.city", "330106", "3301"),
    ("region", "generalise:region.county", "660100", "660100"),
    ("region", "generalise:region.township", "330106", "330106"),
    ("org_code", "clear", "91350100M000100Y43", "91350100M000100Y43"),
    ("org_code", "generalise:school.type", "91350100M000100Y43", "vocational"),
    ("school", "generalise:school.type", "云溪镇中心小学", "primary"),
    ("school", "generalise:school.type", "清河九年一贯制学校", "nine_year"),
    ("school", "generalise:school.type", "清河县特殊教育学校", "special"),
    ("school", "generalise:school.type", "清河县第二初级中学", "junior"),
    ("integer", "clear", 12, 12),
    ("integer", "generalise:integer.band=5", 12, "10-14"),
    ("yes_no", "answer_only", True, "Y"),
    ("yes_no", "answer_only", "N", "N"),
    ("yes_no", "clear", False, "N"),
    ("codes:status_class", "answer_only:class=left_behind", ["orphan", "left_behind"], "left_behind"),
    ("code:status_class", "answer_only:class=orphan", "orphan", "orphan"),
    ("codes:entry_reason", "clear", ["single_parent", "hardship", "hardship"], ["hardship", "single_parent"]),
    ("code:sex", "clear", "9", "9"),
    ("code:ethnic_group", "clear", "56", "56"),
    ("code:relation", "clear", "61", "61"),
    ("band", "clear", "10-12", "10-12"),
    ("record_id", "pseudonymise", "case-7f", "case-7f"),
]


@pytest.mark.parametrize(("kind", "obligation", "value", "shown"), SHOWN)
def test_a_form_shows_this_and_is_recognised(kind, obligation, value, shown):
    wanted = parse(obligation)
    form = form_of(kind, wanted.transform, wanted.form)
    assert form.apply(value, HERE) == shown
    assert form.recognises(shown)


WITHHELD = [
    ("name", "mask:name.surname", "张3"),
    ("phone", "mask:phone.middle4", "1381234123"),
    ("phone", "mask:phone.middle4", "12812341234"),
    ("id_number", "mask:id.last4", "110105194912310021"),
    ("id_number", "clear", "110105194902310021"),
    ("address", "generalise:address.township", "和平路3号"),
    ("address", "generalise:address.township", "3号楼云溪镇"),
    ("date", "clear", "2026-02-30"),
    ("date", "clear", "20260230"),
    ("date", "generalise:date.age_band", "2027-01-01"),
    ("region", "clear", "990106"),
    ("region", "clear", "330006"),
    ("region", "clear", "330106000201"),
    ("org_code", "clear", "91350100M000100Y44"),
    ("org_code", "generalise:school.type", "11330106000000001X"),
    ("school", "generalise:school.type", "清河培训中心"),
    ("yes_no", "answer_only", "yes"),
    ("yes_no", "answer_only", 1),
    ("codes:status_class", "answer_only:class=migrant", ["orphan"]),
    ("codes:entry_reason", "clear", ["hardship", "poor"]),
    ("codes:entry_reason", "clear", "hardship"),
    ("code:sex", "clear", "3"),
    ("code:ethnic_group", "clear", "57"),
    ("code:relation", "clear", "00"),
    ("integer", "clear", 13812341234),
    ("integer", "clear", True),
    ("integer", "clear", -1),
    ("record_id", "clear", "a b"),
]


@pytest.mark.parametrize(("kind", "obligation", "value"), WITHHELD)
def test_what_is_not_of_its_type_has_no_form(kind, obligation, value):
    wanted = parse(obligation)
    with pytest.raises(NotInForm) as refused:
        form_of(kind, wanted.transform, wanted.form).apply(value, HERE)
    assert str(value) not in str(refused.value)


NOT_UNDERSTOOD = [
    ("name", "generalise:name.initial"),
    ("name", "mask"),
    ("name", "answer_only"),
    ("text", "mask:name.surname"),
    ("date", "mask:id.last4"),
    ("date", "generalise:date.shift=0"),
    ("date", "generalise:date.shift=1000"),
    ("date", "clear:date.month"),
    ("date", "answer_only"),
    ("yes_no", "answer_only:class=orphan"),
    ("codes:status_class", "answer_only"),
    ("codes:status_class", "answer_only:class=rich"),
    ("code:no_such_table", "clear"),
    ("image", "clear"),
    ("biometric", "clear"),
    ("scale_items", "clear"),
    ("anything", "clear"),
    ("region", "generalise:region.village"),
    ("name", "pseudonymise"),
    ("date", "suppress"),
]


@pytest.mark.parametrize(("kind", "obligation"), NOT_UNDERSTOOD)
def test_a_pair_that_is_not_understood_has_no_form_at_all(kind, obligation):
    wanted = parse(obligation)
    assert form_of(kind, wanted.transform, wanted.form) is None


NOT_IN_FORM = [
    ("name", "mask:name.surname", ["张晓明", "张**", "张", "晓明*", "*", "1*", "", 1, ["张*"]]),
    ("phone", "mask:phone.middle4", ["13812341234", "138****123", "1381***1234", "238****1234", "138****12345"]),
    (
        "id_number",
        "mask:id.last4",
        ["11010519491231002X", "110105********002X", "**************002", "*************1002X"],
    ),
    (
        "address",
        "generalise:address.township",
        ["浙江省杭州市西湖区云溪镇清风村3组", "云溪镇12号", "浙江省", "云溪镇3", "云溪镇3幢小镇"],
    ),
    ("region", "generalise:region.county", ["330106101", "3301", "33", "990106", "33010a"]),
    ("region", "generalise:region.city", ["330106", "330100", "3300x"]),
    ("date", "generalise:date.month", ["2012-02-29", "2012-13", "2012", "201202"]),
    ("date", "generalise:date.year", ["2012-02", "12", "2512"]),
    ("date", "generalise:date.age_band", ["2012-02-29", "14", "8-14"]),
    ("yes_no", "answer_only", ["y", True, "", "N "]),
    ("codes:status_class", "answer_only:class=orphan", ["left_behind", ["orphan"], "orphan "]),
    ("codes:entry_reason", "clear", [["single_parent", "hardship"], ["hardship", "hardship"], ["poor"], "hardship"]),
    ("org_code", "generalise:school.type", ["91350100M000100Y43", "school"]),
    ("integer", "generalise:integer.band=5", ["12", "10-15", "11-15", "010-014", "10-14 "]),
]


@pytest.mark.parametrize(("kind", "obligation", "values"), NOT_IN_FORM)
def test_a_validator_refuses_whatever_is_finer_or_other_than_its_form(kind, obligation, values):
    wanted = parse(obligation)
    form = form_of(kind, wanted.transform, wanted.form)
    assert [value for value in values if form.recognises(value)] == []


def test_the_catalogue_s_own_values_close_a_list():
    clear = parse("clear").transform
    assert form_of("code:urgency", clear, "", ("soon",)).recognises("soon")
    assert not form_of("code:urgency", clear, "", ("soon",)).recognises("routine")
    assert form_of("code:not_a_table", clear, "", ("x",)).recognises("x")
