"""Every form of every transform, by field type: one table for the side that applies and the side that checks.

Types: `yes_no`, `date`, `instant`, `period`, `integer`, `band`, `code:<table>`, `codes:<table>`, `org_code`, `school`, `region`,
`name`, `phone`, `id_number`, `address`, `text`, `record_id`.

Rules kept here: `form_of` gives None for whatever it does not know, and None means that the field is withheld; a field
whose catalogue entry lists its values takes those and no others; images, biometrics and item answers have no form at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway.domain.exchanges import Field
from gateway.domain.orders import FieldValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from gateway.release import forms_identity as identity
from gateway.release import forms_time as time
from gateway.release.codes import TABLES
from gateway.release.form import Form, NotInForm, Surroundings, all_known, unchanged

__all__ = ["Form", "NotInForm", "Surroundings", "form_of", "form_of_field", "is_record_id"]

MAX_PROSE = 4000
_HIGHEST = 999_999_999
_RECORD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_RANGE = re.compile(r"[0-9]{1,4}-[0-9]{1,4}|[0-9]{1,4}\+", re.ASCII)
_CLASS = re.compile(r"class=([a-z][a-z0-9_]{0,47})", re.ASCII)
_BANDED = re.compile(r"integer\.band=([1-9][0-9]{0,3})", re.ASCII)


def form_of_field(field: Field, obligation: Obligation) -> Form | None:
    """The form that `obligation` orders for `field`, None where the pair is not understood."""
    return form_of(field.type, obligation.transform, obligation.form, field.values)


@lru_cache(maxsize=4096)
def form_of(type_: str, transform: Transform, form: str = "", values: tuple[str, ...] = ()) -> Form | None:
    """The form of a type under a transform, None where it is not understood (and so withheld).

    values: the closed list of the catalogue for this field, empty for none.
    """
    kind, _, table = type_.partition(":")
    match transform:
        case Transform.CLEAR:
            return _clear(kind, table, values) if form == "" else None
        case Transform.GENERALISE:
            return _generalised(kind, form) if form else None
        case Transform.PSEUDONYMISE:
            return _reference() if kind == "record_id" and form == "" else None
        case Transform.MASK:
            return _masked(kind, form)
        case Transform.ANSWER_ONLY:
            return _answer(kind, form, _members(table, values))
        case _:
            return None


def is_record_id(value: FieldValue) -> bool:
    """Up to 64 letters, digits, dots, colons, hyphens and underscores."""
    return isinstance(value, str) and _RECORD_ID.fullmatch(value) is not None


def _clear(kind: str, table: str, values: tuple[str, ...]) -> Form | None:
    match kind:
        case "yes_no":
            return _yes_no()
        case "date":
            return time.date_form("")
        case "instant":
            return time.instant_form("")
        case "period":
            return time.period_form("")
        case "integer":
            return Form(_integer, _is_integer, all_in=_are_integers, apply_all=unchanged(_are_integers))
        case "band":
            return _one_of(frozenset(values)) if values else Form(_range_of, _is_range)
        case "code":
            members = _members(table, values)
            return _one_of(members) if members else None
        case "codes":
            members = _members(table, values)
            return _some_of(members) if members else None
        case "org_code":
            return identity.organisation_form()
        case "region":
            return identity.region_form("")
        case "name":
            return identity.name_form("")
        case "phone":
            return identity.phone_form()
        case "id_number":
            return identity.id_number_form()
        case "address":
            return identity.address_form()
        case "school" | "text":
            return Form(_prose, _is_prose, scan=True)
        case "record_id":
            return _reference()
    return None


def _generalised(kind: str, form: str) -> Form | None:
    match kind:
        case "date":
            return time.date_form(form)
        case "instant":
            return time.instant_form(form)
        case "period":
            return time.period_form(form)
        case "address":
            return identity.coarse_address_form(form)
        case "region":
            return identity.region_form(form)
        case "org_code" | "school":
            return identity.school_type_form(form)
        case "integer":
            width = _BANDED.fullmatch(form)
            return _banded(int(width[1])) if width else None
    return None


def _masked(kind: str, form: str) -> Form | None:
    match kind:
        case "name":
            return identity.masked_name_form(form)
        case "phone":
            return identity.masked_phone_form(form)
        case "id_number":
            return identity.masked_id_form(form)
        case "address":
            return identity.coarse_address_form(form)
    return None


def _answer(kind: str, form: str, members: frozenset[str]) -> Form | None:
    if kind == "yes_no":
        return _yes_no() if form == "" else None
    wanted = _CLASS.fullmatch(form)
    if kind not in ("code", "codes", "band") or wanted is None or wanted[1] not in members:
        return None
    return _one_class(wanted[1])


def _members(table: str, values: tuple[str, ...]) -> frozenset[str]:
    if values:
        return frozenset(values)
    known = TABLES.get(table)
    return known.codes if known else frozenset()


def _yes_no() -> Form:
    def apply(value: FieldValue, _: Surroundings) -> FieldValue:
        if value == "Y" or value == "N":  # noqa: PLR1714 - a list is not hashable
            return value
        if isinstance(value, bool):
            return "Y" if value else "N"
        raise NotInForm

    all_in = frozenset("YN").issuperset
    return Form(
        apply,
        lambda value: value == "Y" or value == "N",  # noqa: PLR1714
        all_in=all_in,
        apply_all=unchanged(all_in),
    )


def _one_of(members: frozenset[str]) -> Form:
    def apply(value: FieldValue, _: Surroundings) -> str:
        if isinstance(value, str) and value in members:
            return value
        raise NotInForm

    return Form(
        apply,
        lambda value: isinstance(value, str) and value in members,
        all_in=members.issuperset,
        apply_all=unchanged(members.issuperset),
    )


def _some_of(members: frozenset[str]) -> Form:
    def apply(value: FieldValue, _: Surroundings) -> list[str]:
        if isinstance(value, list) and members.issuperset(value):
            return sorted(set(value))
        raise NotInForm

    def recognises(value: FieldValue) -> bool:
        # Sorted and without repetition: the order of a list must not carry a message.
        return isinstance(value, list) and members.issuperset(value) and value == sorted(set(value))

    selections = all_known(lambda items: isinstance(items, tuple) and recognises([*items]))

    def all_in(values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {list} and selections([*map(tuple, values)])

    return Form(apply, recognises, all_in=all_in, apply_all=unchanged(all_in))


def _one_class(wanted: str) -> Form:
    def apply(value: FieldValue, _: Surroundings) -> str:
        if value == wanted or (isinstance(value, list) and wanted in value):
            return wanted
        raise NotInForm

    return Form(apply, lambda value: value == wanted, all_in=frozenset({wanted}).issuperset)


def _banded(width: int) -> Form:
    def apply(value: FieldValue, _: Surroundings) -> str:
        low = _integer(value) // width * width
        return f"{low}-{low + width - 1}"

    def recognises(value: FieldValue) -> bool:
        if not isinstance(value, str) or not value.isascii():
            return False
        low, dash, high = value.partition("-")
        if not dash or not low.isdigit() or not high.isdigit() or str(int(low)) != low or str(int(high)) != high:
            return False
        return int(low) <= _HIGHEST and int(low) % width == 0 and int(high) == int(low) + width - 1

    return Form(apply, recognises, all_in=all_known(recognises))


def _reference() -> Form:
    def apply(value: FieldValue, _: Surroundings) -> FieldValue:
        if is_record_id(value):
            return value
        raise NotInForm

    return Form(apply, is_record_id, scan=True)


def _integer(value: FieldValue, _: Surroundings | None = None) -> int:
    # A boolean is of another type.
    if type(value) is int and 0 <= value <= _HIGHEST:
        return value
    raise NotInForm


def _is_integer(value: FieldValue) -> bool:
    # At most nine digits: no telephone or identity number fits.
    return type(value) is int and 0 <= value <= _HIGHEST


def _are_integers(values: Sequence[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) >= 0 and max(values) <= _HIGHEST


def _range_of(value: FieldValue, _: Surroundings) -> FieldValue:
    if _is_range(value):
        return value
    raise NotInForm


def _is_range(value: FieldValue) -> bool:
    return isinstance(value, str) and _RANGE.fullmatch(value) is not None


def _prose(value: FieldValue, _: Surroundings) -> FieldValue:
    if _is_prose(value):
        return value
    raise NotInForm


def _is_prose(value: FieldValue) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_PROSE
