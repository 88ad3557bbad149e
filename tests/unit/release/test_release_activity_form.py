"""The statistics form of the theme activity: its own columns, totals that are sums, a unit that signed."""

from dataclasses import replace
from datetime import date
from io import BytesIO

import pytest
from openpyxl import load_workbook

from gateway.errors import BadRequest
from gateway.release.activity_form import COLUMNS, TITLE, Activity, ActivityForm, read_form, write_form
from keys.signing import SigningKey, VerifyKey

SIGNER = SigningKey.generate()
KEY = VerifyKey(SIGNER.public)
FORM = ActivityForm(
    "福州市民政局",
    date(2025, 8, 25),
    (
        Activity("福州市本级", 3, 2, 4, 120, 155_500, 80, 12),
        Activity("鼓楼区", 5, 1, 0, 60, 1, 31, 7),
        Activity("台江区", 0, 0, 0, 0, 0, 0, 0),
    ),
)


def edited(**cells):
    book = load_workbook(BytesIO(write_form(FORM, signer=SIGNER)))
    for where, value in cells.items():
        book.active[where] = value
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_form_reads_back_as_it_was_filled():
    assert read_form(write_form(FORM, signer=SIGNER), unit_key=KEY) == FORM


def test_the_sheet_has_the_notice_s_title_columns_and_totals():
    sheet = load_workbook(BytesIO(write_form(FORM, signer=SIGNER))).active
    lines = [list(line) for line in sheet.iter_rows(values_only=True)]
    assert lines[0][0] == TITLE
    assert lines[1][0] == "填表单位（盖章）：福州市民政局"
    assert lines[2][0] == "截止时间：2025年8月25日"
    assert tuple(lines[3]) == COLUMNS
    assert lines[4] == [1, "福州市本级", 3, 2, 4, 120, 15.55, 80, 12]
    assert lines[7] == ["合计", None, 8, 3, 4, 180, 15.5501, 111, 19]


def test_title_columns_and_look_are_those_of_the_notice():
    assert TITLE == "2025年“润心伴成长 同心护未来” 主题活动情况统计表"
    assert COLUMNS == (
        "序号",
        "地区",
        "举办困境儿童关爱主题活动(场次)",
        "开展困境儿童心理辅导活动(场次)",
        "链接多少家社工机构开展困境儿童关爱帮扶服务",
        "走访慰问困境儿童数量(人次)",
        "当地发放慰问金金额(万元)",
        "帮扶解困境儿童数量(人数)",
        "帮助留守、困境儿童解难事数量(件数)",
    )
    sheet = load_workbook(BytesIO(write_form(FORM, signer=SIGNER))).active
    assert sheet.title == "统计表"
    assert sorted(map(str, sheet.merged_cells.ranges)) == ["A1:I1", "A2:I2", "A3:I3"]
    assert (sheet["A1"].font.bold, sheet["A1"].font.size, sheet["A1"].alignment.horizontal) == (True, 14, "center")
    head = sheet["C4"].alignment
    assert (head.wrap_text, head.horizontal, head.vertical) == (True, "center", "center")
    assert not sheet["C5"].alignment.wrap_text
    assert [sheet.column_dimensions[letter].width for letter in "ABCDEFGHI"] == [8, 18, 16, 16, 20, 16, 16, 16, 20]


def test_a_total_that_is_no_sum_is_named_by_its_column():
    for column, letter in enumerate("CDEFGHI", 3):
        with pytest.raises(BadRequest) as refused:
            read_form(edited(**{f"{letter}8": 9999}), unit_key=KEY)
        assert (refused.value.code, refused.value.facts) == ("form_totals", {"column": column})


def test_a_form_of_one_area_and_of_five_hundred_reads_back_and_one_more_does_not():
    one = replace(FORM, rows=FORM.rows[:1])
    assert read_form(write_form(one, signer=SIGNER), unit_key=KEY) == one
    letters = "甲乙丙丁戊己庚辛壬癸"
    places = [f"区{a}{b}{c}" for a in letters for b in letters for c in letters]
    many = replace(FORM, rows=tuple(replace(FORM.rows[0], place=place) for place in places[:500]))
    assert read_form(write_form(many, signer=SIGNER), unit_key=KEY) == many
    with pytest.raises(BadRequest):
        write_form(
            replace(FORM, rows=tuple(replace(FORM.rows[0], place=place) for place in places[:501])), signer=SIGNER
        )


@pytest.mark.parametrize(
    ("place", "sound"), [("区", False), ("鼓楼", True), ("区" * 30, True), ("区" * 31, False), ("A区", False)]
)
def test_a_place_is_two_to_thirty_chinese_characters(place, sound):
    form = replace(FORM, rows=(replace(FORM.rows[0], place=place),))
    if sound:
        assert read_form(write_form(form, signer=SIGNER), unit_key=KEY) == form
    else:
        with pytest.raises(BadRequest) as refused:
            write_form(form, signer=SIGNER)
        assert refused.value.code == "form_invalid"


def test_counts_end_below_a_million_million():
    most = replace(FORM, rows=(replace(FORM.rows[0], visits=10**12 - 1),))
    assert read_form(write_form(most, signer=SIGNER), unit_key=KEY) == most
    with pytest.raises(BadRequest):
        write_form(replace(FORM, rows=(replace(FORM.rows[0], visits=10**12),)), signer=SIGNER)


@pytest.mark.parametrize("value", [True, "3", float("1e300")])
def test_a_cell_that_is_no_count_is_refused(value):
    with pytest.raises(BadRequest):
        read_form(edited(C5=value), unit_key=KEY)


def test_opening_and_saving_a_form_does_no_harm():
    assert read_form(edited(), unit_key=KEY) == FORM


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"C8": 9}, "form_totals"),
        ({"G8": 15.55}, "form_totals"),
        ({"C5": 4}, "form_totals"),
        ({"C5": 4, "C8": 9}, "form_signature"),
        ({"A2": "填表单位（盖章）：厦门市民政局"}, "form_signature"),
        ({"A3": "截止时间：2025年8月26日"}, "form_signature"),
        ({"A9": "单位签名：AAAA"}, "form_signature"),
        ({"A9": "单位签名：签"}, "form_signature"),
        ({"C5": "=1+2"}, "form_invalid"),
        ({"C5": 3.5}, "form_invalid"),
        ({"C5": -3}, "form_invalid"),
        ({"C5": None}, "form_invalid"),
        ({"B5": "=cmd()"}, "form_invalid"),
        ({"B6": "福州市本级"}, "form_invalid"),
        ({"A5": 2}, "form_invalid"),
        ({"G5": 15.55001}, "form_invalid"),
        ({"A3": "截止时间：2025年13月1日"}, "form_invalid"),
        ({"A3": "截止：今天"}, "form_columns"),
        ({"D4": "活动"}, "form_columns"),
        ({"A1": "统计表"}, "form_columns"),
        ({"J5": "备注"}, "form_columns"),
        ({"A8": "总计"}, "form_columns"),
    ],
)
def test_a_form_that_does_not_hold_together_is_refused(cells, code):
    with pytest.raises(BadRequest) as refused:
        read_form(edited(**cells), unit_key=KEY)
    assert refused.value.code == code


def test_another_unit_s_key_does_not_verify():
    with pytest.raises(BadRequest) as refused:
        read_form(write_form(FORM, signer=SIGNER), unit_key=VerifyKey(SigningKey.generate().public))
    assert refused.value.code == "form_signature"


@pytest.mark.parametrize("data", [b"", b"PK", b"x" * 2_000_000])
def test_what_is_no_workbook_is_refused(data):
    with pytest.raises(BadRequest) as refused:
        read_form(data, unit_key=KEY)
    assert refused.value.code == "form_unreadable"


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (FORM.rows[0], FORM.rows[0]),
        (replace(FORM.rows[0], place="=1"),),
        (replace(FORM.rows[0], visits=-1),),
        (replace(FORM.rows[0], visits=1.5),),
    ],
)
def test_an_unsound_form_is_not_written(rows):
    with pytest.raises(BadRequest):
        write_form(replace(FORM, rows=rows), signer=SIGNER)
