"""The gateway believes no edge and no sender: what it refuses, and how it says so."""

from dataclasses import replace

import pytest

from gateway.domain.permits import Grants
from gateway.domain.vocabulary import Door, Level, Profile
from gateway.errors import BadRequest, Denied, ProviderFault
from gateway.release.check import broken_forms, check, check_envelope
from gateway.release.labels import labels
from gateway.release.obligation_text import parse
from tests.unit.release import release_world as world

FIELDS = [
    world.field("enrolled", "yes_no"),
    world.field("grade", "code:grade"),
    world.field("guardian_name", "name", cls="contact"),
    world.field("case_id", "record_id", cls="reference"),
    world.field("diagnosis_code", "code:icd10", cls="diagnosis", values=("F32.0",)),
]
EX = world.exchange(FIELDS, profile=Profile.D1)
GRANTS = world.grants(enrolled="answer_only", grade="clear", guardian_name="mask:name.surname+sealed", case_id="clear")
VALUES = {"enrolled": "Y", "grade": "07", "guardian_name": "张*"}
PERMIT = world.permit(EX, GRANTS, regions=("3301",))
GOOD = world.line(VALUES, GRANTS, references={"case_id": "case-mfrggzdfmztwq2lk"})


def checked(*lines, missing=(), permit=PERMIT, **more):
    return check(world.release(*lines, missing=missing), permit=permit, request=world.REQUEST, **more)


def broken(*lines, missing=(), permit=PERMIT, **more):
    with pytest.raises(ProviderFault) as fault:
        checked(*lines, missing=missing, permit=permit, **more)
    assert fault.value.code == "form_violation"
    assert fault.value.facts["edge"] == world.PROVIDER.text
    return fault.value.facts["field"]


def test_a_release_as_ordered_passes_with_labels_and_without_its_region():
    result = checked(GOOD, missing=(2,), subjects={1: world.NAME, 2: world.NAME})
    assert result.fields == ("case_id", "enrolled", "grade", "guardian_name")
    assert result.missing == (2,)
    assert result.lines[0].region is None
    assert result.lines[0].values == GOOD.values
    assert result.labels["onward"] == "no"


@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_field_sealed_against_its_order_is_refused(name):
    turned = {**GRANTS, name: replace(GRANTS[name], sealed=not GRANTS[name].sealed)}
    assert broken(world.line(VALUES, turned)) == name


def test_a_field_that_nobody_granted_is_refused():
    more = {**GRANTS, "age": GRANTS["grade"]}
    assert broken(world.line({**VALUES, "age": "07"}, more)) == "age"


def test_a_digest_of_a_field_that_nobody_granted_is_refused():
    more = {**GRANTS, "age": GRANTS["grade"]}
    full = world.line({**VALUES, "age": "07"}, more)
    assert broken(replace(full, values={k: v for k, v in full.values.items() if k != "age"})) == "age"


@pytest.mark.parametrize("value", ["13", "07 ", "11010519491231002X", 7, True, ["07"]])
def test_a_value_out_of_its_form_is_refused_and_never_named(value):
    line = replace(GOOD, values={**GOOD.values, "grade": world.plain(value)})
    with pytest.raises(ProviderFault) as fault:
        checked(line)
    assert fault.value.facts == {"field": "grade", "edge": world.PROVIDER.text}


@pytest.mark.parametrize(
    "record",
    [
        "11010519491231002X",
        "G11010519491231002X",
        "L110105194912310021",
        "c:138-1234-1234",
        "case 1",
        "",
        "6222021234567894",
        "１１",
    ],
)
def test_a_reference_that_looks_like_an_identifier_is_refused(record):
    assert broken(replace(GOOD, references={"case_id": record})) == "case_id"


def test_a_reference_under_a_field_that_is_none_is_refused():
    assert broken(replace(GOOD, references={"grade": "case-1"})) == "grade"
    assert broken(replace(GOOD, references={"plan_id": "case-1"})) == "plan_id"


def test_a_record_id_inside_the_seal_is_refused():
    assert broken(world.line({**VALUES, "case_id": "c-1"}, GRANTS)) == "case_id"


@pytest.mark.parametrize("region", ["330203", "340106", "659002"])
def test_a_record_outside_the_region_looks_like_an_absent_one(region):
    outside = checked(replace(GOOD, region=region))
    absent = checked(missing=(1,))
    assert outside == absent


def test_a_record_without_a_region_is_outside_unless_any_region_is_permitted():
    assert checked(replace(GOOD, region=None)).missing == (1,)
    anywhere = world.permit(EX, GRANTS, regions=("",))
    assert checked(replace(GOOD, region=None), permit=anywhere).missing == ()


def test_no_region_at_all_is_permitted_by_no_prefix():
    assert checked(GOOD, permit=world.permit(EX, GRANTS, regions=())).missing == (1,)


def test_a_region_that_is_none_is_refused():
    assert broken(replace(GOOD, region="990101")) == "region"


def test_an_outside_record_is_still_checked():
    line = replace(GOOD, region="340106", values={**GOOD.values, "grade": world.plain("77")})
    assert broken(line) == "grade"


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"request": "rq-2"}, "request"),
        ({"exchange_id": "X98"}, "exchange"),
    ],
)
def test_an_answer_to_another_order_is_refused(change, name):
    answer = world.release(GOOD)
    answer = replace(
        answer, request=change.get("request", answer.request), exchange=change.get("exchange_id", answer.exchange)
    )
    with pytest.raises(ProviderFault) as fault:
        check(answer, permit=PERMIT, request=world.REQUEST)
    assert fault.value.facts["field"] == name


@pytest.mark.parametrize(
    "bound",
    [
        world.info(request="rq-2"),
        world.info(sender=world.RECIPIENT),
        world.info(recipient=world.PROVIDER),
        world.info(exchange_id="X98"),
    ],
)
def test_a_seal_bound_to_something_else_is_refused(bound):
    assert broken(world.line(VALUES, GRANTS, bound=bound)) == "seal"


def test_a_line_without_a_seal_or_without_a_digest_is_refused():
    assert broken(replace(GOOD, sealing=None)) == "seal"
    bare = replace(GOOD.sealing, digests={k: v for k, v in GOOD.sealing.digests.items() if k != "grade"})
    assert broken(replace(GOOD, sealing=bare)) == "seal"


def test_line_numbers_are_those_ordered():
    assert broken(GOOD, GOOD) == "line"
    assert broken(GOOD, missing=(1,)) == "line"
    assert broken(GOOD, subjects={1: world.NAME, 2: world.NAME}) == "line"
    assert broken(GOOD, subjects={2: world.NAME}) == "line"
    assert broken(GOOD, subjects={1: "somebody-else"}) == "line"


def test_a_granted_field_under_the_floor_is_refused_all_the_same():
    bare = world.grants(guardian_name="clear")
    assert broken(world.line({"guardian_name": "张晓明"}, bare), permit=world.permit(EX, bare)) == "guardian_name"


def test_a_diagnosis_passes_from_a_medical_institution_only():
    granted = world.grants(diagnosis_code="clear+sealed")
    permit = world.permit(EX, granted)
    line = world.line({"diagnosis_code": "F32.0"}, granted)
    assert broken(line, permit=permit) == "diagnosis_code"
    assert checked(line, permit=permit, medical=True).fields == ("diagnosis_code",)


def test_a_public_telephone_of_a_directory_passes_and_a_person_s_does_not():
    granted = world.grants(phone="clear")
    for personal, passes in ((False, True), (True, False)):
        ex = world.exchange([world.field("phone", "phone")], profile=Profile.NONE, personal=personal)
        line = world.line({"phone": "13812341234"}, granted)
        permit = world.permit(ex, granted)
        if passes:
            assert checked(line, permit=permit).fields == ("phone",)
        else:
            assert broken(line, permit=permit) == "phone"


def test_the_recipient_finds_a_sealed_value_that_is_out_of_form():
    assert broken_forms({"guardian_name": "张*", "grade": "07"}, exchange=EX, grants=GRANTS) == ()
    assert broken_forms({"guardian_name": "张晓明", "x": 1}, exchange=EX, grants=GRANTS) == ("guardian_name", "x")


# --- deliveries ----------------------------------------------------------------------------------------------------------

PUSH = world.exchange(
    [
        world.field("risk_band", "band", required=True, values=("attention", "warning", "crisis")),
        world.field("urgency", "code:urgency", gate=True, required=True),
        world.field("guardian_contacted", "yes_no", gate=True, required=True),
        world.field("case_id", "record_id", cls="reference"),
    ],
    gates=[world.GATE],
)
PUSHED = world.grants(risk_band="clear+sealed", urgency="clear", guardian_contacted="clear", case_id="clear")
SIGNAL = {"risk_band": "warning", "urgency": "soon", "guardian_contacted": "Y"}


def pushed(values, granted=PUSHED, **more):
    bound = world.info(request="sp-1")
    return world.line(values, granted, bound=bound, references={"case_id": "case-1"}, **more)


def admit(line, *, door=Door.NORMAL, regions=("3301",), granted=PUSHED, **more):
    permits = {1: world.permit(PUSH, granted, regions=regions, door=door)}
    return check_envelope(world.envelope(line), exchange=PUSH, permits=permits, **more)


def test_gate_fields_are_read_and_dropped_and_everything_else_is_sealed():
    admitted = admit(pushed(SIGNAL), door=Door.NORMAL, recipient_kid=world.KEY.kid)
    assert admitted.fields == ("case_id", "risk_band")
    assert admitted.gates == ("guardian_contacted", "urgency")
    assert set(admitted.lines[0].values) == {"risk_band"}
    assert admitted.lines[0].region is None


def test_a_warning_before_the_guardian_was_spoken_to_is_denied_in_the_normal_door():
    line = pushed({**SIGNAL, "guardian_contacted": "N"})
    with pytest.raises(Denied) as denied:
        admit(line)
    assert denied.value.code == "guardian_not_contacted"
    assert admit(line, door=Door.EMERGENCY).fields


@pytest.mark.parametrize("value", ["yes", True, "", ["Y"]])
def test_a_gate_field_out_of_form_is_refused(value):
    line = pushed(SIGNAL)
    line = replace(line, values={**line.values, "guardian_contacted": world.plain(value)})
    with pytest.raises(BadRequest) as refused:
        admit(line)
    assert refused.value.code == "envelope_invalid"
    assert refused.value.facts == {"field": "guardian_contacted", "edge": world.PROVIDER.text}


@pytest.mark.parametrize("name", ["risk_band", "urgency"])
def test_an_unsealed_field_and_a_sealed_gate_are_refused(name):
    turned = {**PUSHED, name: replace(PUSHED[name], sealed=not PUSHED[name].sealed)}
    with pytest.raises(BadRequest) as refused:
        admit(pushed(SIGNAL, turned))
    assert refused.value.facts["field"] == name


def test_an_unsealed_field_is_refused_even_where_the_permit_forgot_to_order_the_seal():
    forgot = {**PUSHED, "risk_band": replace(PUSHED["risk_band"], sealed=False)}
    with pytest.raises(BadRequest) as refused:
        admit(pushed(SIGNAL, forgot), granted=forgot)
    assert refused.value.facts["field"] == "risk_band"


@pytest.mark.parametrize("name", sorted(SIGNAL))
def test_a_required_field_that_is_absent_is_named(name):
    with pytest.raises(BadRequest) as refused:
        admit(pushed({k: v for k, v in SIGNAL.items() if k != name}))
    assert (refused.value.code, refused.value.facts["field"]) == ("field_required", name)


def test_the_region_of_a_sent_record_is_asked_for_and_held_against_the_permit():
    with pytest.raises(BadRequest) as refused:
        admit(pushed(SIGNAL, region=None))
    assert refused.value.code == "region_required"
    with pytest.raises(Denied) as denied:
        admit(pushed(SIGNAL, region="340106"))
    assert denied.value.code == "region"
    assert admit(pushed(SIGNAL, region=None), regions=("",)).lines


def test_an_envelope_of_another_frame_is_refused():
    line = pushed(SIGNAL)
    for envelope, more in (
        (replace(world.envelope(line), permit="sp-2"), {}),
        (replace(world.envelope(line), exchange="X98"), {}),
        (replace(world.envelope(line), sender=world.RECIPIENT), {}),
        (replace(world.envelope(line), lines=()), {}),
        (replace(world.envelope(line), lines=(line, line)), {}),
        (world.envelope(line), {"recipient_kid": "0" * 16}),
        (world.envelope(line), {"door": Door.EMERGENCY}),
    ):
        with pytest.raises(BadRequest) as refused:
            check_envelope(envelope, exchange=PUSH, permits={1: world.permit(PUSH, PUSHED)}, **more)
        assert refused.value.code == "envelope_invalid"


def test_a_line_without_a_permit_is_refused():
    with pytest.raises(BadRequest):
        check_envelope(world.envelope(pushed(SIGNAL)), exchange=PUSH, permits={})


# --- labels ----------------------------------------------------------------------------------------------------------------


def test_labels_name_exchange_purpose_expiry_level_and_the_ban_on_passing_on():
    assert labels(EX, "P01", world.UNTIL) == {
        "exchange": "X99",
        "purpose": "P01",
        "until": "2026-11-22T05:00:00Z",
        "onward": "no",
        "level": "L5",
        "profile": "D1",
        "gbt42460": "2",
    }


@pytest.mark.parametrize(
    ("profile", "obligation", "level"),
    [
        (Profile.D0, "mask:name.surname", "1"),
        (Profile.D1, "clear+sealed", "1"),
        (Profile.D1, "mask:name.surname", "2"),
        (Profile.Q, "mask:name.surname", "2"),
        (Profile.D3, "mask:name.surname", "3"),
        (Profile.D4, "mask:name.surname", "4"),
        (Profile.NONE, "mask:name.surname", "1"),
    ],
)
def test_the_level_is_never_better_than_what_the_grants_let_out(profile, obligation, level):
    ex = world.exchange(FIELDS, profile=profile)
    assert labels(ex, "P01", world.UNTIL, world.grants(guardian_name=obligation))["gbt42460"] == level


def test_a_directory_of_organisations_has_no_level():
    ex = world.exchange(FIELDS, profile=Profile.NONE, personal=False, level=Level.L1)
    assert labels(ex, "P05", world.UNTIL)["gbt42460"] == "none"


def test_what_a_line_must_hold_follows_each_definition_of_an_exchange_and_each_set_of_grants():
    dated = world.exchange([world.field("enrolled", "date"), *FIELDS[1:]], profile=Profile.D1)
    assert hash(dated) == hash(EX)
    first, later = world.line({"enrolled": "Y"}, GRANTS), world.line({"enrolled": "2026-11-01"}, GRANTS)
    plain = world.grants(enrolled="clear")
    as_answer, as_date = world.permit(EX, plain), world.permit(dated, plain)
    for _ in range(2):
        assert checked(first, permit=as_answer).fields == ("enrolled",)
        assert broken(later, permit=as_answer) == "enrolled"
        assert checked(later, permit=as_date).fields == ("enrolled",)
        assert broken(first, permit=as_date) == "enrolled"
    plain["enrolled"] = parse("clear+sealed")
    assert broken(first, permit=as_answer) == "enrolled"


def test_grants_are_a_copy_that_stays_what_it_was():
    given = world.grants(enrolled="clear", grade="clear")
    fixed = Grants(given)
    assert (fixed, len(fixed), list(fixed), Grants.of(fixed)) == (given, 2, ["enrolled", "grade"], fixed)
    assert hash(fixed) == hash(Grants(dict(reversed(given.items()))))
    assert repr(fixed) == f"Grants({given})"
    del given["grade"]
    assert "grade" in fixed
