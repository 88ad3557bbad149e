"""Controls of minimisation and de-identification: what may stand in what leaves, at the source and again at the gateway."""

import random

import pytest

from gateway.domain.exchanges import TableOfCounts
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Profile, Transform
from gateway.errors import BadRequest, Denied, ProviderFault
from gateway.release.aggregate import publish
from gateway.release.check import check
from gateway.release.detectors import find
from gateway.release.floor import ITEM_NAMES, is_diagnosis_field, shortfall
from gateway.release.form import Surroundings
from gateway.release.forms import form_of
from gateway.release.kanonymity import K_INSIDE, Hierarchy, anonymise, offending, require_anonymous
from gateway.release.numbers import is_citizen_number, is_organisation_code, is_region
from gateway.release.obligation_text import parse
from gateway.release.reduce import reduce
from gateway.release.scan import scan
from keys.identifiers import check_character
from policies import catalogue
from policies.book import PolicyBook
from tests.unit.release import release_world as world
from tests.unit.release.test_release_aggregate import counts, intervals

EXCHANGES = catalogue.load().exchanges
FIELDS = [
    world.field("grade", "code:grade"),
    world.field("child_name", "name", cls="identity"),
    world.field("phone", "phone", cls="contact"),
    world.field("id_number", "id_number", cls="identity"),
    world.field("summary", "text", cls="narrative"),
    world.field("photo", "image"),
    world.field("face", "face"),
    world.field("items", "scale_items"),
    world.field("diagnosis_code", "code:icd10", cls="diagnosis", values=("F32.0",)),
]
D0, D1 = (world.exchange(FIELDS, profile=profile) for profile in (Profile.D0, Profile.D1))
VALID = "11010519491231002X"


def clear(name, ex=D1):
    return shortfall(ex, ex.fields[name], Obligation(Transform.CLEAR, sealed=True))


def test_C08_a_diagnosis_is_taken_from_a_medical_institution_and_from_nobody_else():
    grants = world.grants(grade="clear", diagnosis_code="clear")
    line = world.line({"grade": "07", "diagnosis_code": "F32.0"}, grants)
    permit = world.permit(D1, grants)
    with pytest.raises(ProviderFault) as fault:
        check(world.release(line), permit=permit, request=world.REQUEST)
    assert (fault.value.code, fault.value.facts["field"]) == ("form_violation", "diagnosis_code")
    with pytest.raises(BadRequest, match="diagnosis_not_medical"):
        reduce({"diagnosis_code": "F32.0"}, exchange=D1, grants=grants)
    hospital = reduce({"diagnosis_code": "F32.0"}, exchange=D1, grants=grants, medical=True)
    assert dict(hospital.values) == {"diagnosis_code": "F32.0"}
    results = {n: f for x in ("X05", "X08", "X12") for n, f in EXCHANGES[x].fields.items() if f.field_class == "risk"}
    assert results and not any(is_diagnosis_field(field) for field in results.values())


def test_C20_fields_that_were_not_ordered_are_dropped_at_the_source_and_refused_at_the_gateway():
    grants = world.grants(grade="clear")
    reduced = reduce({"grade": "07", "income": 1, "wage": 2}, exchange=D1, grants=grants)
    assert (dict(reduced.values), reduced.surplus) == ({"grade": "07"}, 2)
    more = {**grants, "phone": parse("clear+sealed")}
    with pytest.raises(ProviderFault):
        check(
            world.release(world.line({"grade": "07", "phone": "13812341234"}, more)),
            permit=world.permit(D1, grants),
            request=world.REQUEST,
        )


@pytest.mark.parametrize("name", ["photo", "face"])
def test_C20_pictures_and_biometrics_never_leave_whatever_is_granted(name):
    assert clear(name) == clear(name, D0) == "type_refused"
    with pytest.raises(BadRequest, match="image_refused"):
        reduce({name: "/9j/4AAQ"}, exchange=D1, grants=world.grants(grade="clear"))
    assert not [f.name for x in EXCHANGES.values() for f in x.fields.values() if f.type in ("image", "photo", "face")]


@pytest.mark.parametrize(
    "text",
    [
        f"学籍号G{VALID}",
        f"L{VALID[:-1]}1",
        f"J {VALID[:-1]}3",
        f"身份证 {VALID}",
        "１１０１０５１９４９１２３１００２Ｘ",
    ],
)
def test_C22_student_and_identity_numbers_are_found_in_any_payload(text):
    assert {"student_number", "id_number"} & set(find(text))
    grants = world.grants(grade="clear", case_id="clear")
    ex = world.exchange([*FIELDS, world.field("case_id", "record_id", cls="reference")])
    line = world.line({"grade": "07"}, grants, references={"case_id": text})
    with pytest.raises(ProviderFault):
        check(world.release(line), permit=world.permit(ex, grants), request=world.REQUEST)


@pytest.mark.parametrize(
    ("type_", "obligation", "value", "expected"),
    [
        ("name", "mask:name.surname", "张晓明", "张*"),
        ("phone", "mask:phone.middle4", "13812341234", "138****1234"),
        ("id_number", "mask:id.last4", VALID, "002X"),
        (
            "address",
            "generalise:address.township",
            "浙江省杭州市西湖区文新街道文三路1号2幢",
            "浙江省杭州市西湖区文新街道",
        ),
        ("region", "generalise:region.county", "330106001002", "330106"),
        ("region", "generalise:region.township", "330106001002", "330106001"),
    ],
)
def test_C23_masked_forms_keep_what_the_profile_says_and_no_more(type_, obligation, value, expected):
    ordered = parse(obligation)
    form = form_of(type_, ordered.transform, ordered.form)
    assert form is not None
    given = form.apply(value, Surroundings(today=world.TODAY))
    assert expected in given if type_ == "id_number" else given == expected
    assert form.recognises(given) and not form.recognises(value)


def test_C23_below_full_identity_no_birth_date_leaves():
    ex = world.exchange([world.field("birth_date", "date", cls="identity")], profile=Profile.D1)
    for obligation in ("clear+sealed", "generalise:date.month", "generalise:date.shift=9"):
        assert shortfall(ex, ex.fields["birth_date"], parse(obligation)) == "profile_forbids"


def test_C24_a_unique_record_is_refused_naming_the_size_of_its_class():
    rows = [{"age": "6-11", "county": "330106", "need": need} for need in ("tutoring", "goods", "tutoring") * 4]
    require_anonymous(rows, quasi=("age", "county"), sensitive="need")
    unique = [*rows, {"age": "12-17", "county": "330106", "need": "goods"}]
    assert offending(unique, quasi=("age", "county"), sensitive="need", k=K_INSIDE)
    with pytest.raises(Denied) as refused:
        require_anonymous(unique, quasi=("age", "county"), sensitive="need")
    assert (refused.value.code, refused.value.facts["size"]) == ("k_anonymity", 1)
    same = [{"age": "6-11", "county": "330106", "need": "goods"}] * 12
    with pytest.raises(Denied):
        require_anonymous(same, quasi=("age", "county"), sensitive="need")
    with pytest.raises(Denied):
        require_anonymous(rows, quasi=("age", "county"), sensitive="need", k=20)


def test_C25_small_cells_of_overlapping_tables_are_never_recovered():
    dice, hidden = random.Random(7), 0
    declared = TableOfCounts("X28.small", ("330102", "330105", "330106"), ("primary", "junior", "senior"))
    for _ in range(40):
        first = publish(declared, "2026-09", counts(dice, declared), kept={})
        second = publish(declared, "2026-10", counts(dice, declared), kept={"2026-09": first})
        for low, high in intervals(first, second).values():
            assert high > low
            hidden += 1
        with pytest.raises(Denied):
            publish(declared, "2026-09", counts(dice, declared), kept={"2026-09": first})
    assert hidden > 100


@pytest.mark.parametrize("text", ["F32.1 复诊", "服用舍曲林", "转精神科病房", "确诊抑郁症"])
def test_C26_codes_drugs_and_wards_are_found_in_prose_and_no_such_field_goes_out_of_health(text):
    assert {"diagnosis"} <= {found.kind for found in scan(text)}
    for name in ("X09", "X10"):
        ex = EXCHANGES[name]
        prose = [f for f in ex.fields.values() if f.type == "text"]
        assert all(shortfall(ex, f, parse("clear+sealed")) for f in prose)
        assert not [f.name for f in ex.fields.values() if f.field_class in ("diagnosis", "medication", "ward")] or all(
            "diagnosis" not in rule for rule in _granted_classes(name)
        )


def _granted_classes(exchange):
    return {r.fld for r in PolicyBook.open().snapshot.rules if r.allows and r.obj == exchange}


def test_C27_answers_to_single_items_never_leave_the_measuring_unit():
    assert clear("items") == clear("items", D0) == "type_refused"
    named = world.exchange([world.field("item_scores", "codes:answers")])
    assert shortfall(named, named.fields["item_scores"], parse("clear+sealed")) == "type_refused"
    with pytest.raises(BadRequest, match="scale_items_refused"):
        reduce({"items": [1, 2, 0], "grade": "07"}, exchange=D1, grants=world.grants(grade="clear"))
    assert not [name for each in EXCHANGES.values() for name in each.fields if name in ITEM_NAMES]


def test_C28_prose_is_scanned_for_numbers_names_addresses_and_diagnoses():
    dice, missed = random.Random(28), 0
    samples = []
    for _ in range(400):
        body = f"330106{dice.randint(2009, 2019)}{dice.randint(1, 12):02d}{dice.randint(1, 28):02d}{dice.randint(0, 999):03d}"
        samples.append((f"孩子{body}{check_character(body)}今天来访", "id_number"))
        samples.append((f"电话1{dice.choice('3456789')}{dice.randint(10**8, 10**9 - 1)}，晚上打", "phone"))
    for text, kind in samples:
        missed += kind not in {found.kind for found in scan(text)}
    assert missed <= len(samples) * 0.01
    named = [f"{name}今天没来" for name in ("张晓明", "买买提·吐尔逊", "欧阳子涵")]
    found = [scan(t, known_names=["张晓明", "买买提·吐尔逊", "欧阳子涵"]) for t in named]
    assert all("name" in {one.kind for one in each} for each in found)
    assert "address" in {one.kind for one in scan("住在文三路12号")}
    assert scan("今天情绪平稳，愿意继续谈话。") == ()


def test_C56_codes_are_held_to_their_check_digits():
    assert is_citizen_number(VALID) and is_citizen_number("440524188001010014")
    assert is_organisation_code("91350100M000100Y43") and is_region("330106")
    for good, checked in ((VALID, is_citizen_number), ("91350100M000100Y43", is_organisation_code)):
        for place in range(len(good)):
            for other in "0123456789":
                if other != good[place]:
                    assert not checked(good[:place] + other + good[place + 1 :])
    for name in ("X01", "X02"):
        for field in EXCHANGES[name].fields.values():
            if field.type.startswith("code:") and field.values:
                form = form_of(field.type, Transform.CLEAR, "", field.values)
                assert form is not None and form.recognises(field.values[0]) and not form.recognises("no_such_code")


def test_C61_a_combination_that_singles_out_counts_as_identifying():
    ladder = Hierarchy(({"6": "6", "12": "12"}, {"6": "6-11", "12": "12-17"}))
    crowd = [{"age": "6", "need": need} for need in ("goods", "tutoring") * 5]
    published = anonymise([*crowd, {"age": "12", "need": "goods"}], hierarchies={"age": ladder}, sensitive="need")
    assert {row["age"] for row in published} == {"*"}
    with pytest.raises(Denied):
        anonymise([{"age": "12", "need": "goods"}], hierarchies={"age": ladder}, sensitive="need")


def test_C66_victims_codes_are_no_field_value_outside_the_protective_exchanges():
    victims = {"sexual", "neglect", "exploitation", "trafficking"}
    for each in EXCHANGES.values():
        told = {word for field in each.fields.values() for word in field.values}
        assert not told & victims or each.id in {"X19", "X20"}
