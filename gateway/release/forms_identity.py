"""Forms of names, telephone numbers, identity numbers, addresses, regions and schools.

Rules kept here: a mask shows no length; what a mask keeps is what GB/T 42460 profile D1 keeps (surname, last four digits,
township); a code is cut, never rounded up; a value that does not show where to cut is withheld.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.domain.orders import FieldValue
from gateway.release.codes import TABLES
from gateway.release.form import Form, NotInForm, Surroundings, all_known, all_match
from gateway.release.numbers import (
    CITIZEN_ENDS,
    REGION,
    are_citizen_numbers,
    is_citizen_number,
    is_organisation_code,
    is_region,
)

# Surnames of two characters, written one after the other.
_COMPOUND_SURNAMES = frozenset(
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙钟离长孙宇文"
        "司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷轩辕令狐段干百里呼延东郭南门羊舌微生梁丘"
        "左丘东门西门第五",
    )
)
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[·•・ .'-](?=[^\W\d_])){0,49}")
_LONGEST_NAME = 50
_MOBILE = re.compile(r"(?:\+?86[- ]?)?(1[3-9][0-9])[- ]?([0-9]{4})[- ]?([0-9]{4})", re.ASCII)
_MOBILE_SECONDS = frozenset("3456789")
_LANDLINE = re.compile(r"(0[0-9]{2,3})[- ]?([0-9]{3,4})([0-9]{4})", re.ASCII)
_PUBLIC_LINE = re.compile(r"(?:400-?[0-9]{3}-?[0-9]{4}|1[0-9]{2,4}|96[0-9]{3,4})", re.ASCII)
_CLEAR_PHONE = re.compile(
    r"1[3-9][0-9]{9}|0[0-9]{2,3}-[0-9]{7,8}|400-[0-9]{3}-[0-9]{4}|1[0-9]{2,4}|96[0-9]{3,4}", re.ASCII
)
_MASKED_PHONE = re.compile(r"1[3-9][0-9]\*{4}[0-9]{4}|0[0-9]{2,3}-\*{4}[0-9]{4}", re.ASCII)
_OTHER_DOCUMENT = re.compile(r"[A-Z]{1,2}[0-9]{7,10}", re.ASCII)
_STARS = "*" * 14
_MASKED_IDS = frozenset(_STARS + end for end in CITIZEN_ENDS)

# Province, prefecture, county, township, each where it is written. A county name may hold the sign of a lower level
# (新乡市, 宁乡市, 景德镇市), so the upper levels are taken off first.
_TOWNSHIP = re.compile(
    r"(?:[^\W\d]{2,8}?(?:省|自治区|特别行政区))?"
    r"(?:[^\W\d]{1,10}?(?:市|自治州|州|盟|地区))?"
    r"(?:(?:[^\W\d镇乡街路村号]{1,10}?|[^\W\d街路村号]{1,3})(?:自治县|县|自治旗|旗|林区|特区|区|市))?"
    r"[^\W\d]{1,12}?(?:街道|民族乡|苏木|镇|乡)"
)
_COARSE_ADDRESS = re.compile(r"[^\W\d_号室栋幢弄]{2,42}(?:街道|民族乡|苏木|镇|乡)")
_ADDRESS = re.compile(r"[^\x00-\x1f]{4,200}")

_SCHOOL_SIGNS = (
    ("kindergarten", ("幼儿园", "托儿所")),
    ("special", ("特殊教育学校", "特教学校", "培智学校", "启智学校", "聋哑学校", "盲校", "聋校")),
    (
        "vocational",
        (
            "中等职业学校",
            "职业技术学校",
            "职业高中",
            "职业中学",
            "职业中专",
            "职业高级中学",
            "技工学校",
            "中专",
            "中等专业学校",
        ),
    ),
    ("nine_year", ("九年一贯制学校", "九年制学校")),
    ("junior", ("初级中学", "初中")),
    ("senior", ("高级中学", "高中")),
    ("primary", ("小学", "小学校", "完小")),
    ("secondary", ("中学",)),
)
_SCHOOL_TYPES = TABLES["school_type"].codes


def name_form(name: str) -> Form | None:
    """A person's name: as it is, or `name.surname` (张*; 欧阳*; one character where the name has no Chinese surname)."""
    if name == "":
        return Form(_clear_name, is_name, scan=True)
    return None


def masked_name_form(name: str) -> Form | None:
    """`mask:name.surname`."""
    if name != "name.surname":
        return None
    return Form(_surname, is_masked_name, all_in=all_known(is_masked_name), apply_all=_surnames)


def phone_form() -> Form:
    """A telephone number in clear: 11-digit mobile, `area-number`, or a public line."""
    return Form(
        _clear_phone, lambda value: isinstance(value, str) and _CLEAR_PHONE.fullmatch(value) is not None, scan=True
    )


def masked_phone_form(name: str) -> Form | None:
    """`mask:phone.middle4`: 138****1234, 0591-****4321."""
    if name != "phone.middle4":
        return None
    return Form(
        _middle4,
        lambda value: isinstance(value, str) and _MASKED_PHONE.fullmatch(value) is not None,
        all_in=all_match(_MASKED_PHONE),
        apply_all=_middles4,
    )


def id_number_form() -> Form:
    """An identity number in clear (GB 11643), or another document's letters and digits."""
    return Form(_clear_id, is_id_number, scan=True)


def masked_id_form(name: str) -> Form | None:
    """`mask:id.last4`: fourteen stars and the last four characters, whatever the document's length."""
    if name != "id.last4":
        return None
    return Form(
        _last4,
        lambda value: isinstance(value, str) and value in _MASKED_IDS,
        all_in=_MASKED_IDS.issuperset,
        apply_all=_lasts4,
    )


def address_form() -> Form:
    """An address as it is."""
    return Form(
        _clear_address, lambda value: isinstance(value, str) and _ADDRESS.fullmatch(value) is not None, scan=True
    )


def coarse_address_form(name: str) -> Form | None:
    """`generalise:address.township`: everything after the township (街道, 镇, 乡, 苏木) is cut."""
    if name != "address.township":
        return None
    known, match = all_known(is_township), _TOWNSHIP.match

    def apply(value: FieldValue, _: Surroundings) -> str:
        if isinstance(value, str):
            found = match(value.replace(" ", "") if " " in value else value)
            if found is not None and known([town := found.group()]):
                return town
        raise NotInForm

    def apply_all(values: Sequence[Any]) -> list[FieldValue] | None:
        if " " in "".join(values):
            return None
        found = [*map(match, values)]
        if not all(found):
            return None
        towns: list[FieldValue] = [one.group() for one in found if one]
        return towns if known(towns) else None

    return Form(apply, is_township, all_in=known, apply_all=apply_all)


def region_form(name: str) -> Form | None:
    """A region code: as it is, `region.township` (9), `region.county` (6), `region.city` (4), `region.province` (2 digits).

    A code that is already coarser than the form stays as it is.
    """
    if name == "":
        return Form(_region, lambda value: isinstance(value, str) and is_region(value))
    regions = all_match(REGION)
    length = {"region.township": 9, "region.county": 6, "region.city": 4, "region.province": 2}.get(name)
    if length is None:
        return None

    def recognises(value: FieldValue) -> bool:
        if not isinstance(value, str) or not value.isascii():
            return False
        if length >= 6:
            return len(value) <= length and is_region(value)
        return len(value) == length and is_region(value.ljust(6, "0"))

    def apply(value: FieldValue, _: Surroundings) -> str:
        if isinstance(value, str) and is_region(value):
            return value[:length]
        raise NotInForm

    def apply_all(values: Sequence[Any]) -> list[FieldValue] | None:
        return [value[:length] for value in values] if regions(values) else None

    return Form(apply, recognises, all_in=all_known(recognises), apply_all=apply_all)


def organisation_form() -> Form:
    """A GB 32100 unified social credit code."""
    return Form(_organisation, lambda value: isinstance(value, str) and is_organisation_code(value))


def school_type_form(name: str) -> Form | None:
    """`generalise:school.type`: a code of table `school_type`, by the source's register or the suffix of the school's name."""
    if name != "school.type":
        return None
    return Form(
        _school_type,
        lambda value: isinstance(value, str) and value in _SCHOOL_TYPES,
        all_in=_SCHOOL_TYPES.issuperset,
    )


def is_name(value: FieldValue) -> bool:
    """Letters of any script, with middle dots, spaces, hyphens or apostrophes between them; at most 50 characters."""
    if not isinstance(value, str):
        return False
    # Letters alone need no pattern.
    return (value.isalpha() and len(value) <= _LONGEST_NAME) or _NAME.fullmatch(value) is not None


def is_masked_name(value: FieldValue) -> bool:
    """One letter, or a compound surname, and a star."""
    if not isinstance(value, str) or not value.endswith("*"):
        return False
    shown = value[:-1]
    return (len(shown) == 1 and shown.isalpha()) or shown in _COMPOUND_SURNAMES


def is_id_number(value: FieldValue) -> bool:
    """A GB 11643 number, or one or two capitals with seven to ten digits (passport, permit, birth certificate)."""
    return isinstance(value, str) and (is_citizen_number(value) or _OTHER_DOCUMENT.fullmatch(value) is not None)


def is_township(value: FieldValue) -> bool:
    """An address that ends with its township and holds no digit and no sign of a house."""
    return isinstance(value, str) and _COARSE_ADDRESS.fullmatch(value) is not None and "单元" not in value


def _clear_name(value: FieldValue, _: Surroundings) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise NotInForm
    return value


def _surname(value: FieldValue, _: Surroundings) -> str:
    if not isinstance(value, str) or not is_name(value):
        raise NotInForm
    if value[:2] in _COMPOUND_SURNAMES and len(value) > 2:
        return value[:2] + "*"
    return value[0] + "*"


def _surnames(values: Sequence[Any]) -> list[FieldValue] | None:
    # Letters alone, none empty or overlong, none with a surname of two characters: as most registers hold them.
    lengths = [*map(len, values)]
    plain = "".join(values).isalpha() and min(lengths) > 0 and max(lengths) <= _LONGEST_NAME
    if not plain or not _COMPOUND_SURNAMES.isdisjoint([value[:2] for value in values]):
        return None
    return [value[0] + "*" for value in values]


def _clear_phone(value: FieldValue, _: Surroundings) -> str:
    if isinstance(value, str):
        if mobile := _MOBILE.fullmatch(value):
            return "".join(mobile.groups())
        if line := _LANDLINE.fullmatch(value):
            return f"{line[1]}-{line[2]}{line[3]}"
        if _PUBLIC_LINE.fullmatch(value):
            return (
                value
                if not value.startswith("400")
                else f"400-{value.replace('-', '')[3:6]}-{value.replace('-', '')[6:]}"
            )
    raise NotInForm


def _middle4(value: FieldValue, _: Surroundings) -> str:
    if isinstance(value, str):
        # Eleven digits as most registers hold them, before the spellings that people use.
        if len(value) == 11 and value[0] == "1" and value[1] in _MOBILE_SECONDS and value.isdigit() and value.isascii():
            return f"{value[:3]}****{value[7:]}"
        if mobile := _MOBILE.fullmatch(value):
            return f"{mobile[1]}****{mobile[3]}"
        if line := _LANDLINE.fullmatch(value):
            return f"{line[1]}-****{line[3]}"
    raise NotInForm


def _middles4(values: Sequence[Any]) -> list[FieldValue] | None:
    digits = "".join(values)
    plain = digits.isdigit() and digits.isascii() and set(map(len, values)) == {11}
    if not plain or set(digits[::11]) != {"1"} or not _MOBILE_SECONDS.issuperset(digits[1::11]):
        return None
    return [f"{value[:3]}****{value[7:]}" for value in values]


def _clear_id(value: FieldValue, _: Surroundings) -> str:
    text = value.strip().upper() if isinstance(value, str) else ""
    if not is_id_number(text):
        raise NotInForm
    return text


def _last4(value: FieldValue, _: Surroundings) -> str:
    if not isinstance(value, str):
        raise NotInForm
    if is_citizen_number(value):
        return _STARS + value[14:]
    text = value.strip().upper()
    if not is_id_number(text):
        raise NotInForm
    return _STARS + text[-4:]


def _lasts4(values: Sequence[Any]) -> list[FieldValue] | None:
    return [_STARS + value[14:] for value in values] if are_citizen_numbers(values) else None


def _clear_address(value: FieldValue, _: Surroundings) -> str:
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        raise NotInForm
    return value


def _region(value: FieldValue, _: Surroundings) -> str:
    if not isinstance(value, str) or not is_region(value):
        raise NotInForm
    return value


def _organisation(value: FieldValue, _: Surroundings) -> str:
    if not isinstance(value, str) or not is_organisation_code(value):
        raise NotInForm
    return value


def _school_type(value: FieldValue, surroundings: Surroundings) -> str:
    if not isinstance(value, str):
        raise NotInForm
    known = surroundings.school_types.get(value)
    if known is not None and known in _SCHOOL_TYPES:
        return known
    for kind, signs in _SCHOOL_SIGNS:
        if value.endswith(signs):
            return kind
    raise NotInForm
