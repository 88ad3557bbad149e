"""The sender's prose is read for what does not belong; a finding is a kind and a place."""

import pytest

from gateway.release.detectors import find, find_in
from gateway.release.scan import Finding, scan

FOUND = [
    ("身份证11010519491231002X，", "id_number", "11010519491231002X"),
    ("身份证１１０１０５１９４９１２３１００２Ｘ，", "id_number", "１１０１０５１９４９１２３１００２Ｘ"),
    ("学籍号G11010519491231002X。", "student_number", "G11010519491231002X"),
    ("学籍号L110105194912310021", "student_number", "L110105194912310021"),
    ("打138 1234 1234找她", "phone", "138 1234 1234"),
    ("卡6222021234567894。", "bank_card", "6222021234567894"),
    ("住清风村3组12号，很远", "address", "住清风村3组12号"),
    ("同桌阿依古丽·买买提说", "name", "同桌阿依古丽·买买提说"),
    ("姓名：张晓明，男", "name", "张晓明"),
    ("诊断F32.1", "diagnosis", "F32.1"),
    ("医生说是抑郁症，服舍曲林", "diagnosis", "抑郁症"),
]


@pytest.mark.parametrize(("text", "kind", "piece"), FOUND)
def test_what_does_not_belong_is_marked_in_its_place(text, kind, piece):
    hits = [one for one in scan(text) if one.kind == kind]
    assert piece in [text[one.start : one.end] for one in hits]


def test_names_of_the_record_are_found_wherever_they_stand():
    assert scan("小雨和尼玛次仁一起", known_names=["尼玛次仁", "雨"]) == (Finding("name", 3, 7),)


def test_a_medical_institution_may_speak_of_illness():
    assert scan("抑郁症 F32.1", diagnosis_allowed=True) == ()


@pytest.mark.parametrize(
    "text",
    [
        "2026年11月22日家访，情绪平稳。",
        "体重42公斤，身高1.52米，第3次见面",
        "2026-11-22 08:30 至 2026-11-23 09:00",
        "得分F",
        "编号 20261122",
    ],
)
def test_ordinary_prose_raises_no_warning(text):
    assert scan(text) == ()


def test_a_finding_never_shows_the_text():
    assert "1101" not in repr(scan("身份证11010519491231002X"))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("110105491231002", ("id_number",)),
        ("110105194912310021", ("id_number",)),
        ("99911010519491231002X", ("id_number",)),
        ("1\u200b1\u200b0105194912310\u200b02X", ("id_number",)),
        ("8613812341234", ("phone",)),
        ("11010519491231002x", ("id_number",)),
        ("٠١٣٨", ()),
        ("13812341", ()),
        ("91350100M000100Y43", ()),
        ("0591-87654321", ()),
    ],
)
def test_detectors_know_numbers_by_their_arithmetic(text, kinds):
    assert find(text) == kinds


def test_detectors_read_integers_and_the_items_of_a_list_together():
    assert find_in(13812341234) == ("phone",)
    assert find_in(["138", "1234", "1234"]) == ("phone",)
    assert find_in(True) == ()


def test_a_known_name_of_two_characters_is_found_and_one_of_one_is_not():
    assert scan("张三来了", known_names=["张三"]) == (Finding("name", 0, 2),)
    assert scan("雨来了", known_names=["雨"]) == ()


@pytest.mark.parametrize("word", ["托莫西汀", "哌甲酯", "抑郁症", "精神科", "心身科", "孤独症", "舍曲林"])
def test_illnesses_wards_and_medicines_are_named_a_diagnosis(word):
    assert scan(f"听说{word}。") == (Finding("diagnosis", 2, 2 + len(word)),)


def test_a_sign_that_folds_into_several_keeps_the_places_true():
    assert scan("㍿13812341234") == (Finding("phone", 1, 12),)
