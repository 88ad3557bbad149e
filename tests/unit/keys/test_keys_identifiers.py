"""Identifiers become one canonical form or are refused."""

import json
from pathlib import Path

import pytest

from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from keys.identifiers import KINDS, check_character, identify, issue

NUMBERS = json.loads((Path(__file__).parents[2] / "vectors" / "gb11643.json").read_text("utf-8"))["numbers"]


def resident(body: str) -> str:
    return body + check_character(body)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_standards_own_numbers_are_canonical_already(number):
    assert identify("cn-rid", number).canonical == f"cn-rid:{number}".encode()


@pytest.mark.parametrize(
    "typed",
    [
        "11010519491231002x",
        "１１０１０５１９４９１２３１００２Ｘ",
        "１１０１０５１９４９１２３１００２ｘ",
        " 11010519491231002X\n",
    ],
)
def test_full_width_lower_case_and_surrounding_space_are_repaired(typed):
    assert identify("cn-rid", typed) == identify("cn-rid", "11010519491231002X")


def test_a_fifteen_digit_number_becomes_the_eighteen_digit_one():
    assert identify("cn-rid", "330106850412003") == identify("cn-rid", resident("33010619850412003"))


@pytest.mark.parametrize(
    "typed",
    [
        "110105194912310021",  # check character
        resident("11010519490231002"),  # 31 February
        resident("11010519491331002"),  # month 13
        resident("11010500000101002"),  # year 0
        resident("01010519491231002"),  # no such province
        resident("99010519491231002"),  # permanent residence card of no province
        "1101051949123100X2",
        "11010519491231002",  # 17 characters
        "110105194912310022X",
        "110105 19491231002X",
        "1101054912310",
        "330106851304003",  # 15 digits, month 13
        "٣٣٠١٠٦٨٥٠٤١٢٠٠٣",  # Arabic digits
        "",
        "X" * 18,
        "1" * 100_000,
    ],
)
def test_a_number_that_cannot_be_checked_is_refused(typed):
    with pytest.raises(BadRequest) as refusal:
        identify("cn-rid", typed)
    assert refusal.value.code == "identifier_invalid"
    assert not typed.strip() or typed not in repr(refusal.value) + str(refusal.value.facts)


@pytest.mark.parametrize("place", range(18))
def test_every_single_wrong_digit_is_found(place):
    number = "11010519491231002X"
    for digit in "0123456789":
        wrong = number[:place] + digit + number[place + 1 :]
        if wrong != number:
            with pytest.raises(BadRequest):
                identify("cn-rid", wrong)


@pytest.mark.parametrize("body", ["81000020100101001", "82000020100101001", "83000020100101001", "93115620100101001"])
def test_residence_permits_of_hong_kong_macao_taiwan_and_foreigners_are_resident_numbers(body):
    assert identify("cn-rid", resident(body)).kind == "cn-rid"


@pytest.mark.parametrize(
    ("kind", "typed", "canonical"),
    [
        ("cn-birth", "o330123456", b"cn-birth:O330123456"),
        ("cn-passport", "e12345678", b"cn-passport:E12345678"),
        ("cn-passport", "EA1234567", b"cn-passport:EA1234567"),
        ("cn-hkmo", "h1234567801", b"cn-hkmo:H12345678"),
        ("cn-hkmo", "M12345678", b"cn-hkmo:M12345678"),
        ("cn-tw", "12345678", b"cn-tw:12345678"),
        ("cn-tw", "１２３４５６７８０２", b"cn-tw:12345678"),
        ("issued", "CA-0123456789abcdef", b"issued:ca-0123456789abcdef"),
    ],
)
def test_other_documents_have_one_form_too(kind, typed, canonical):
    assert identify(kind, typed).canonical == canonical


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        ("cn-birth", "330123456"),
        ("cn-passport", "EI1234567"),
        ("cn-hkmo", "X12345678"),
        ("cn-tw", "1234567"),
        ("issued", "zz-0123456789abcdef"),
        ("issued", "ca-short"),
        ("cn-social", "1"),
        ("", ""),
    ],
)
def test_malformed_documents_and_unknown_kinds_are_refused(kind, typed):
    with pytest.raises(BadRequest, match="identifier_invalid"):
        identify(kind, typed)


def test_no_identifier_stands_in_a_repr():
    assert "11010519491231002X" not in repr(identify("cn-rid", "11010519491231002X"))


def test_kinds_never_collide_because_the_kind_is_part_of_the_canonical_form():
    assert identify("cn-tw", "12345678").canonical.split(b":")[0] == b"cn-tw"
    assert set(KINDS) == {"cn-rid", "cn-birth", "cn-passport", "cn-hkmo", "cn-tw", "issued"}


def test_issued_identifiers_are_fresh_and_canonical():
    first, second = issue(Department.CIVIL_AFFAIRS), issue(Department.CIVIL_AFFAIRS)
    assert first != second
    assert identify("issued", first.canonical.decode().split(":")[1]) == first
