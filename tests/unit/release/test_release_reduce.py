"""Reducing at the source: only what exchange and grants name, each in its form, the rest dropped and counted."""

from datetime import date

import pytest

from gateway.domain.vocabulary import AgeBand, Profile
from gateway.errors import BadRequest
from gateway.release.reduce import reduce
from gateway.release.shift import shift_value
from tests.unit.release import release_world as world

FIELDS = [
    world.field("grade", "code:grade"),
    world.field("child_name", "name", cls="identity"),
    world.field("phone", "phone", cls="contact"),
    world.field("child_birth_date", "date", cls="identity"),
    world.field("child_id_number", "id_number", cls="identity"),
    world.field("summary", "text", cls="narrative"),
    world.field("case_id", "record_id", cls="reference"),
    world.field("diagnosis_code", "code:icd10", cls="diagnosis", values=("F32.0",)),
    world.field("instrument", "code:instrument"),
    world.field("photo", "image"),
    world.field("as_of", "date"),
]
D0 = world.exchange(FIELDS, profile=Profile.D0)
D1 = world.exchange(FIELDS, profile=Profile.D1)


def test_only_granted_fields_of_the_exchange_leave_and_the_rest_is_counted():
    reduced = reduce(
        {"grade": "07", "phone": "13812341234", "income": 1}, exchange=D1, grants=world.grants(grade="clear")
    )
    assert reduced.values == {"grade": "07"}
    assert reduced.surplus == 2
    assert reduced.surplus_names == ("income", "phone")


def test_a_grant_outside_the_exchange_gives_nothing():
    reduced = reduce({"income": 1}, exchange=D1, grants=world.grants(income="clear"))
    assert (reduced.values, reduced.withheld) == ({}, {"income": "field_unknown"})


def test_the_result_does_not_show_itself_in_a_repr():
    reduced = reduce(
        {"child_name": "张晓明", "secret_name": 1}, exchange=D1, grants=world.grants(child_name="mask:name.surname")
    )
    assert "张" not in repr(reduced)
    assert "secret" not in repr(reduced)


@pytest.mark.parametrize(
    ("exchange", "name", "value", "obligation", "code"),
    [
        (D1, "grade", "07", "scramble", "suppressed"),
        (D1, "grade", "07", "mask:name.surname", "obligation_unknown"),
        (D1, "grade", "07", "suppress", "suppressed"),
        (D1, "grade", "77", "clear", "value_invalid"),
        (D1, "grade", ["07"], "clear", "value_invalid"),
        (D1, "summary", "谈话", "clear+sealed", "text_not_sealed"),
        (D0, "summary", "谈话", "clear", "text_not_sealed"),
        (D0, "child_name", "张晓明", "clear", "identity_not_sealed"),
        (D1, "child_id_number", "11010519491231002X", "clear+sealed", "profile_forbids"),
        (D1, "child_birth_date", "2012-11-22", "clear+sealed", "profile_forbids"),
        (D1, "child_birth_date", "2012-11-22", "generalise:date.month", "profile_forbids"),
        (D1, "child_birth_date", "2012-11-22", "generalise:date.shift=9", "profile_forbids"),
        (D1, "as_of", "2026-01-01", "generalise:date.shift=9", "value_invalid"),
        (D1, "case_id", "11010519491231002X", "clear", "identifier_found"),
        (D1, "case_id", "G11010519491231002X", "clear", "identifier_found"),
        (D1, "case_id", "c-13812341234", "clear", "identifier_found"),
    ],
)
def test_a_field_is_withheld_with_a_code(exchange, name, value, obligation, code):
    reduced = reduce({name: value}, exchange=exchange, grants=world.grants(**{name: obligation}))
    assert (reduced.values, reduced.withheld) == ({}, {name: code})


def test_full_identity_and_prose_leave_sealed_under_d0():
    values = {
        "child_name": "张晓明",
        "child_id_number": "11010519491231002X",
        "summary": "13812341234 谈话",
        "child_birth_date": "2012-11-22",
    }
    granted = world.grants(
        child_name="clear+sealed",
        child_id_number="clear+sealed",
        summary="clear+sealed",
        child_birth_date="clear+sealed",
    )
    assert reduce(values, exchange=D0, grants=granted).values == values


def test_record_ids_travel_outside_the_seal():
    reduced = reduce(
        {"case_id": "c-1", "grade": "07"}, exchange=D1, grants=world.grants(case_id="clear", grade="clear")
    )
    assert reduced.references == {"case_id": "c-1"}
    assert reduced.sealable == {"grade": "07"}


def test_a_diagnosis_is_taken_from_a_medical_institution_only():
    granted = world.grants(diagnosis_code="clear+sealed")
    with pytest.raises(BadRequest) as refused:
        reduce({"diagnosis_code": "F32.0"}, exchange=D1, grants=granted)
    assert refused.value.code == "diagnosis_not_medical"
    assert reduce({"diagnosis_code": "F32.0"}, exchange=D1, grants=granted, medical=True).values == {
        "diagnosis_code": "F32.0"
    }


def test_a_diagnosis_from_elsewhere_is_refused_even_where_nobody_asked_for_it():
    with pytest.raises(BadRequest):
        reduce({"diagnosis_code": "F32.0", "grade": "07"}, exchange=D1, grants=world.grants(grade="clear"))


@pytest.mark.parametrize("name", ["items", "answers", "item_scores"])
def test_answers_to_single_items_of_a_scale_are_refused(name):
    with pytest.raises(BadRequest) as refused:
        reduce({name: ["1", "2"], "grade": "07"}, exchange=D1, grants=world.grants(grade="clear"))
    assert refused.value.code == "scale_items_refused"


def test_an_image_is_refused_by_its_type_and_by_its_look():
    for values, exchange in (
        ({"photo": "x"}, D1),
        ({"summary": b"\xff\xd8"}, D0),
        ({"grade": "/9j/4AAQSk"}, D1),
        ({"grade": "data:image/png;base64,"}, D1),
    ):
        granted = world.grants(**dict.fromkeys(values, "clear+sealed"))
        with pytest.raises(BadRequest) as refused:
            reduce(values, exchange=exchange, grants=granted)
        assert refused.value.code == "image_refused"


@pytest.mark.parametrize("band", [None, AgeBand.A0_7, AgeBand.A8_13, AgeBand.A14_15])
def test_scl_90_is_refused_below_sixteen_and_where_no_age_is_known(band):
    granted = world.grants(instrument="clear+sealed")
    with pytest.raises(BadRequest) as refused:
        reduce({"instrument": "scl90"}, exchange=D1, grants=granted, age_band=band)
    assert refused.value.code == "instrument_age"
    assert reduce({"instrument": "mht"}, exchange=D1, grants=granted, age_band=band).values


def test_scl_90_is_taken_from_sixteen():
    granted = world.grants(instrument="clear+sealed")
    assert reduce({"instrument": "scl90"}, exchange=D1, grants=granted, age_band=AgeBand.A16_17).values


def test_no_error_carries_a_value():
    for values in ({"items": ["secret"]}, {"photo": "secret"}, {"diagnosis_code": "secret"}):
        with pytest.raises(BadRequest) as refused:
            reduce(values, exchange=D1, grants={})
        assert "secret" not in f"{refused.value} {refused.value.facts}"


def test_one_child_s_dates_move_together_and_apart_from_other_purposes():
    key = bytes(range(32))
    granted = world.grants(as_of="generalise:date.shift=90")

    def moved(day, child, purpose):
        shift = shift_value(key, child=child, purpose=purpose)
        return reduce({"as_of": day}, exchange=D1, grants=granted, shift=shift).values["as_of"]

    gap = date.fromisoformat(moved("2026-06-11", "a", "P01")) - date.fromisoformat(moved("2026-06-01", "a", "P01"))
    assert gap.days == 10
    results = {moved("2026-06-01", child, purpose) for child in "abcdefgh" for purpose in ("P01", "P02")}
    assert len(results) > 8
    assert "2026-06-01" not in results


def test_a_short_shift_key_is_refused():
    with pytest.raises(ValueError):
        shift_value(b"short", child="a", purpose="P01")


def test_no_age_band_is_told_without_a_day():
    granted = world.grants(child_birth_date="generalise:date.age_band")
    assert reduce({"child_birth_date": "2012-11-22"}, exchange=D1, grants=granted).values == {}
    told = reduce({"child_birth_date": "2012-11-22"}, exchange=D1, grants=granted, today=world.TODAY)
    assert told.values == {"child_birth_date": "14-15"}
