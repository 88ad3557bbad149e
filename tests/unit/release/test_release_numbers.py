"""Numbers with a check digit, and region codes: what is one and what is nearly one."""

import pytest

from gateway.release.detectors import find, find_in
from gateway.release.numbers import (
    PROVINCES,
    are_citizen_numbers,
    is_birth_date,
    is_card_number,
    is_citizen_number,
    is_organisation_code,
    is_region,
)

CITIZENS = [
    "11010519491231002X",
    "110105194912310038",
    "440524188001010014",
    "830000201202290012",
    "330106209912310016",
]


def checked(head):
    """`head` with every check character, and the one that MOD 11-2 gives by its own arithmetic."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(head))
    return head + "10X98765432"[total % 11]


@pytest.mark.parametrize("head", [number[:17] for number in CITIZENS] + ["54321419981122987", "65912719871121999"])
def test_exactly_one_check_character_makes_a_citizen_s_number(head):
    made = [head + end for end in "0123456789X" if is_citizen_number(head + end)]
    assert made == [checked(head)]
    assert are_citizen_numbers(made)


@pytest.mark.parametrize(
    "head",
    [
        "99010519491231002",
        "00010519491231002",
        "84010519491231002",
        "11010517991231002",
        "11010521001231002",
        "11010519490230002",
        "11010519490229002",
        "11010519491301002",
        "11010519490001002",
        "1101051949123100a",
        "１1010519491231002",
    ],
)
def test_a_number_of_no_province_or_no_day_is_no_citizen_s(head):
    for end in "0123456789Xx":
        assert not is_citizen_number(head + end)
        assert not are_citizen_numbers([CITIZENS[0], head + end])


@pytest.mark.parametrize(
    "text", ["", "11010519491231002x", "11010519491231002", "11010519491231002X0", " 1010519491231002X"]
)
def test_a_citizen_s_number_has_eighteen_characters_and_a_capital_x(text):
    assert not is_citizen_number(text)


def test_somebody_born_on_a_leap_day_needs_a_leap_year():
    assert is_citizen_number(checked("11010520120229001"))
    assert is_citizen_number(checked("11010520000229001"))
    assert not is_citizen_number(checked("11010519000229001"))
    assert are_citizen_numbers([checked("11010520120229001"), CITIZENS[0]])
    assert not are_citizen_numbers([checked("11010520130229001"), CITIZENS[0]])


@pytest.mark.parametrize(
    ("digits", "is_one"),
    [
        ("18000101", True),
        ("17991231", False),
        ("20991231", True),
        ("21000101", False),
        ("20120229", True),
        ("20130229", False),
    ],
)
def test_a_birth_date_is_a_day_that_exists(digits, is_one):
    assert is_birth_date(digits) is is_one


@pytest.mark.parametrize("code", ["91350100M000100Y43", "11330106000000001B"])
def test_an_organisation_s_code_has_one_check_character(code):
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    assert [end for end in alphabet if is_organisation_code(code[:17] + end)] == [code[17]]


@pytest.mark.parametrize(
    "code", ["91350100M000100I43", "91350100M000100Y4", "91350100M000100Y434", "91A50100M000100Y43", ""]
)
def test_letters_that_are_left_out_and_other_lengths_are_no_organisation_s_code(code):
    assert not is_organisation_code(code)


@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        ("330106", True),
        ("330100", True),
        ("330000", True),
        ("330000000", True),
        ("330000000000", True),
        ("330106101", True),
        ("330106000", True),
        ("330106101201", True),
        ("330106101000", True),
        ("330106000000", True),
        ("441900003", True),
        ("650000", True),
        ("660101", True),
        ("330006", False),
        ("330000001", False),
        ("330000000001", False),
        ("330106000201", False),
        ("840106", False),
        ("000000", False),
        ("33010", False),
        ("3301061", False),
        ("3301061012", False),
        ("3301061012011", False),
        ("33010６", False),
        ("33010a", False),
        ("", False),
    ],
)
def test_a_region_has_a_known_province_and_nothing_under_an_empty_level(code, is_one):
    assert is_region(code) is is_one


def test_the_provinces_are_those_of_the_standard_and_the_corps():
    assert len(PROVINCES) == 35
    assert {"11", "54", "65", "66", "71", "81", "82"} <= PROVINCES
    assert not {"16", "83", "00", "67"} & PROVINCES


@pytest.mark.parametrize(
    "digits",
    [
        "6222021234567894",
        "6222021234567893",
        "4111111111111111",
        "378282246310005",
        "3530111333300000",
        "2221000000000009",
        "7000000000000005",
        *(f"621234567890123456{end}" for end in range(10)),
        *(f"5500000000000000{end:02d}" for end in range(20)),
        "62123456789012345670",
        "622202123456789X",
    ],
)
def test_a_card_number_has_sixteen_to_nineteen_digits_a_bank_s_first_and_luhn_s_last(digits):
    doubled = "0516273849"
    luhn = digits.isdigit() and sum(
        int(digit) if place % 2 == 0 else doubled.index(digit) for place, digit in enumerate(digits[::-1])
    )
    sound = digits.isdigit() and 16 <= len(digits) <= 19 and digits[0] in "3456" and luhn % 10 == 0
    assert is_card_number(digits) is sound


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("G110105194912310021", ("student_number", "id_number")),
        ("g 110105194912310021", ("student_number", "id_number")),
        ("1101051949123100211", ()),
        ("110105491231002", ("id_number",)),
        ("010105491231002", ()),
        ("010105194912310021", ()),
        ("110105491331002", ()),
        ("008613812341234", ("phone",)),
        ("13812341234x", ("phone",)),
        ("12812341234", ()),
        ("138,1234,1234", ("phone",)),
        ("138/1234_1234", ("phone",)),
        ("１３８１２３４１２３４", ("phone",)),
        ("१३८१२३४१२३४", ("phone",)),
        ("1\u20603812341234", ("phone",)),
        ("99 11010519491231002X 9", ("id_number",)),
        ("911010519491231002X", ("id_number",)),
        ("6222021234567894", ("bank_card",)),
        ("11010519491231002X99", ("id_number",)),
        ("9911010519491231002X99", ("id_number",)),
        ("010105194912310021", ()),
        ("010105491231002", ()),
        ("13812341234XX", ("phone",)),
        ("", ()),
    ],
)
def test_the_detectors_name_every_kind_that_stands_in_a_text(text, kinds):
    assert find(text) == kinds


def test_the_detectors_read_values_of_every_type():
    assert find_in(False) == ()
    assert find_in(13812341234) == ("phone",)
    assert find_in(["13812341234", "1"]) == ("phone",)
    assert find_in(["1381234", "1234"]) == ("phone",)
    assert find_in(["a", "b"]) == ()
