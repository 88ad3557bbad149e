"""What holds for every record: reduced passes, deviated does not, and every transform only loses information."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.domain.orders import PlainValue, SealedValue
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Profile, Transform
from gateway.errors import ProviderFault
from gateway.release.check import broken_forms, check
from gateway.release.codes import TABLES
from gateway.release.detectors import find
from gateway.release.expected import FormBroken, expectations
from gateway.release.forms import NotInForm, Surroundings, form_of
from gateway.release.numbers import is_card_number, is_citizen_number, is_organisation_code
from gateway.release.reduce import Reducer, reduce
from tests.unit.release import release_world as world

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_CHECK = "10X98765432"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"

counties = st.sampled_from(["330106", "330203", "110105", "450328", "659001", "660101"])
days = st.dates(min_value=world.date(1990, 1, 1), max_value=world.date(2026, 11, 1)).map(lambda day: day.isoformat())


@st.composite
def citizen_numbers(draw):
    head = draw(counties) + draw(days).replace("-", "") + f"{draw(st.integers(1, 999)):03d}"
    return head + _CHECK[sum(int(c) * w for c, w in zip(head, _WEIGHTS, strict=True)) % 11]


mobiles = st.integers(13_000_000_000, 19_999_999_999).map(str)
names = st.text(alphabet="张王李欧阳娜古丽阿依买提尼玛次仁𠮷", min_size=2, max_size=5)
addresses = st.builds(
    lambda head, village, house: f"{head}{village}{house}号",
    st.sampled_from(["浙江省杭州市西湖区云溪镇", "广西壮族自治区桂林市龙胜各族自治县龙脊镇", "宁乡市玉潭街道"]),
    st.sampled_from(["清风村", "大寨村", "新华路"]),
    st.integers(1, 300),
)
SOURCES = {
    "name": names,
    "phone": mobiles,
    "id_number": citizen_numbers(),
    "address": addresses,
    "date": days,
    "instant": days.map(lambda day: f"{day}T08:30:00+08:00"),
    "period": days.map(lambda day: f"{day}/2026-11-02"),
    "region": st.builds(
        lambda c, t, v: f"{c}{t}{v}",
        counties,
        st.integers(1, 999).map("{:03d}".format),
        st.integers(1, 999).map("{:03d}".format),
    ),
    "yes_no": st.sampled_from(["Y", "N", True, False]),
    "integer": st.integers(0, 999_999_999),
    "code:sex": st.sampled_from(sorted(TABLES["sex"].codes)),
    "codes:status_class": st.lists(st.sampled_from(sorted(TABLES["status_class"].codes)), max_size=4),
    "record_id": st.from_regex(r"[a-z]{1,6}-[a-z2-7]{1,26}", fullmatch=True),
    "school": st.sampled_from(["云溪镇中心小学", "清河初级中学", "清河幼儿园"]),
}
FORMS = [
    ("name", Transform.MASK, "name.surname"),
    ("phone", Transform.MASK, "phone.middle4"),
    ("id_number", Transform.MASK, "id.last4"),
    ("address", Transform.GENERALISE, "address.township"),
    ("date", Transform.GENERALISE, "date.month"),
    ("date", Transform.GENERALISE, "date.year"),
    ("date", Transform.GENERALISE, "date.age_band"),
    ("date", Transform.GENERALISE, "date.shift=30"),
    ("instant", Transform.GENERALISE, "date.day"),
    ("period", Transform.GENERALISE, "date.month"),
    ("period", Transform.GENERALISE, "date.year"),
    ("region", Transform.GENERALISE, "region.township"),
    ("region", Transform.GENERALISE, "region.county"),
    ("region", Transform.GENERALISE, "region.city"),
    ("yes_no", Transform.ANSWER_ONLY, ""),
    ("integer", Transform.GENERALISE, "integer.band=10"),
    ("code:sex", Transform.CLEAR, ""),
    ("codes:status_class", Transform.ANSWER_ONLY, "class=orphan"),
    ("codes:status_class", Transform.CLEAR, ""),
    ("record_id", Transform.PSEUDONYMISE, ""),
    ("school", Transform.GENERALISE, "school.type"),
    ("date", Transform.CLEAR, ""),
    ("integer", Transform.CLEAR, ""),
]
LOSSY = [form for form in FORMS if form[1] in (Transform.MASK, Transform.GENERALISE) and "shift" not in form[2]]
HERE = Surroundings(world.TODAY, shift=bytes(range(32)))


@pytest.mark.parametrize(("kind", "transform", "name"), FORMS)
@QUICK
@given(data=st.data())
def test_whatever_a_form_gives_it_recognises(kind, transform, name, data):
    form = form_of(kind, transform, name)
    try:
        shown = form.apply(data.draw(SOURCES[kind]), HERE)
    except NotInForm:
        return
    assert form.recognises(shown)


@pytest.mark.parametrize(("kind", "transform", "name"), LOSSY)
@QUICK
@given(data=st.data())
def test_a_lossy_form_does_not_recognise_the_source_value(kind, transform, name, data):
    value = data.draw(SOURCES[kind])
    assert not form_of(kind, transform, name).recognises(value)


CHAINS = [
    ("region", ["region.township", "region.county", "region.city", "region.province"]),
    ("date", ["date.month", "date.year"]),
    ("instant", ["date.day", "date.month", "date.year"]),
]


@pytest.mark.parametrize(("kind", "chain"), CHAINS)
@QUICK
@given(data=st.data())
def test_a_coarser_form_is_told_by_the_finer_one_so_it_only_loses(kind, chain, data):
    one, other = data.draw(SOURCES[kind]), data.draw(SOURCES[kind])
    for finer, coarser in zip(chain, chain[1:], strict=False):
        fine = [form_of(kind, Transform.GENERALISE, finer).apply(value, HERE) for value in (one, other)]
        coarse = [form_of(kind, Transform.GENERALISE, coarser).apply(value, HERE) for value in (one, other)]
        assert fine[0].startswith(coarse[0])
        if fine[0] == fine[1]:
            assert coarse[0] == coarse[1]


@QUICK
@given(st.text(max_size=40))
def test_a_masked_name_keeps_at_most_two_characters_of_any_text(text):
    try:
        shown = form_of("name", Transform.MASK, "name.surname").apply(text, HERE)
    except NotInForm:
        return
    assert len(shown) <= 3
    assert shown.endswith("*")


# --- records ---------------------------------------------------------------------------------------------------------------

FIELDS = [
    world.field(f"f{index}_{kind.partition(':')[0]}", kind, cls="answer") for index, (kind, _, _) in enumerate(FORMS)
]
EX = world.exchange(FIELDS, profile=Profile.D2)
SEALABLE = st.booleans()


@st.composite
def orders(draw):
    """A record and the grants on it, over every form."""
    values, granted = {}, {}
    for defined, (kind, transform, name) in zip(FIELDS, FORMS, strict=True):
        if draw(st.booleans()):
            values[defined.name] = draw(SOURCES[kind])
        if draw(st.booleans()):
            sealed = draw(SEALABLE) and kind != "record_id"
            granted[defined.name] = Obligation(transform, name, sealed=sealed)
    return values, granted


def released(values, granted):
    return world.release(world.reduced_line(values, EX, granted))


@QUICK
@given(orders())
def test_what_was_reduced_always_passes_the_check(order):
    values, granted = order
    result = check(released(values, granted), permit=world.permit(EX, granted), request=world.REQUEST)
    assert set(result.fields) <= set(values) & set(granted)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(orders(), st.data())
def test_any_single_field_that_deviates_is_refused(order, data):
    values, granted = order
    answer = released(values, granted)
    line = answer.lines[0]
    unsealed = sorted(name for name, cell in line.values.items() if isinstance(cell, PlainValue))
    assume(unsealed)
    name = data.draw(st.sampled_from(unsealed))
    kind = EX.fields[name].type
    form = form_of(kind, granted[name].transform, granted[name].form)
    wrong = data.draw(
        st.one_of(
            SOURCES[kind],
            citizen_numbers(),
            mobiles,
            names,
            addresses,
            st.text(max_size=20),
            st.booleans(),
            st.lists(names, max_size=2),
            st.just(SealedValue(b"x")),
        )
    )
    if not isinstance(wrong, SealedValue):
        assume(not form.recognises(wrong))
        wrong = world.plain(wrong)
    deviated = replace(line, values={**line.values, name: wrong})
    with pytest.raises(ProviderFault) as fault:
        check(replace(answer, lines=(deviated,)), permit=world.permit(EX, granted), request=world.REQUEST)
    assert fault.value.facts == {"field": name, "edge": world.PROVIDER.text}


@QUICK
@given(orders(), st.data())
def test_a_field_of_another_line_s_order_is_refused(order, data):
    values, granted = order
    line = released(values, granted).lines[0]
    assume(line.values)
    name = data.draw(st.sampled_from(sorted(line.values)))
    fewer = {key: value for key, value in granted.items() if key != name}
    with pytest.raises(ProviderFault) as fault:
        check(world.release(line), permit=world.permit(EX, fewer), request=world.REQUEST)
    assert fault.value.facts["field"] == name


@QUICK
@given(orders())
def test_the_recipient_s_own_check_agrees_with_the_source(order):
    values, granted = order
    reduced = reduce(values, exchange=EX, grants=granted, today=world.TODAY, shift=bytes(range(32)))
    assert broken_forms(reduced.values, exchange=EX, grants=granted) == ()


# --- many at once ------------------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.text(max_size=12), st.booleans(), st.integers(-5, 10**10), st.lists(names, max_size=3), citizen_numbers()
)


@pytest.mark.parametrize(("kind", "transform", "name"), FORMS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_form_says_of_many_what_it_says_of_each(kind, transform, name, data):
    form = form_of(kind, transform, name)
    values = data.draw(st.lists(st.one_of(SOURCES[kind], ODD), min_size=1, max_size=5))
    values += [shown for value in values if (shown := applied(form, value)) is not None]
    try:
        together = form.recognises_all(values)
    except TypeError:
        together = False
    assert together == all(map(form.recognises, values))
    recognised = [value for value in values if form.recognises(value)]
    assert not recognised or form.recognises_all(recognised)


@pytest.mark.parametrize(("kind", "transform", "name"), [form for form in FORMS if form_of(*form).apply_all])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_form_makes_of_many_what_it_makes_of_each(kind, transform, name, data):
    form = form_of(kind, transform, name)
    values = data.draw(
        st.lists(st.one_of(SOURCES[kind], ODD) if data.draw(st.booleans()) else SOURCES[kind], min_size=1)
    )
    try:
        together = form.apply_all(values)
    except (TypeError, AttributeError):
        return
    if together is not None:
        assert list(together) == [applied(form, value) for value in values]


def applied(form, value):
    try:
        return form.apply(value, HERE)
    except (NotInForm, TypeError, OverflowError):
        return None


@QUICK
@given(st.lists(orders(), min_size=1, max_size=4), st.data())
def test_records_reduced_together_are_as_if_reduced_one_by_one(many, data):
    granted = many[0][1]
    records = [values for values, _ in many]
    for values in records:
        if values and data.draw(st.booleans()):
            values[data.draw(st.sampled_from(sorted(values)))] = data.draw(st.one_of(ODD, st.none()))
    reducer = Reducer(EX, granted, today=world.TODAY)
    shifts = [bytes([number]) * 32 for number in range(len(records))]
    together = reducer.reduce_all(records, shifts)
    assert together == [reducer.reduce(values, shift=shift) for values, shift in zip(records, shifts, strict=True)]


@QUICK
@given(st.lists(orders(), min_size=1, max_size=3), st.data())
def test_lines_checked_together_pass_exactly_where_each_passes(many, data):
    granted = many[0][1]
    lines = []
    for number, (values, _) in enumerate(many, 1):
        line = world.reduced_line(values, EX, granted, number=number)
        if line.values and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(line.values)))
            cell = data.draw(st.one_of(ODD.map(world.plain), st.just(SealedValue(b"x"))))
            line = replace(line, values={**line.values, name: cell})
        lines.append(line)
    expected = expectations(EX, granted, medical=True)
    try:
        for line in lines:
            expected.require_line(line)
        each = True
    except FormBroken:
        each = False
    assert expected.hold(lines) == each


# --- D1 and below ------------------------------------------------------------------------------------------------------------

CHILD = [
    world.field("child_name", "name", cls="identity"),
    world.field("child_birth_date", "date", cls="identity"),
    world.field("dob", "date", cls="observation"),
    world.field("born_at", "instant", cls="observation"),
    world.field("child_id_number", "id_number", cls="identity"),
    world.field("region", "region"),
    world.field("address", "address"),
]
ANY_FORM = st.sampled_from(
    [
        "clear",
        "clear+sealed",
        "generalise:date.month",
        "generalise:date.month+sealed",
        "generalise:date.year",
        "generalise:date.age_band",
    ]
    + [
        "generalise:date.shift=30",
        "generalise:date.day+sealed",
        "mask:id.last4",
        "mask:id.last4+sealed",
        "mask:name.surname",
        "answer_only",
        "suppress",
    ]
    + ["generalise:region.county", "generalise:address.township+sealed", "pseudonymise"]
)


@pytest.mark.parametrize("profile", [Profile.D1, Profile.D2, Profile.D3, Profile.D4, Profile.Q])
@QUICK
@given(data=st.data())
def test_no_output_of_d1_and_below_holds_a_birth_date_with_a_county(profile, data):
    number = data.draw(citizen_numbers())
    born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    record = {
        "child_name": data.draw(names),
        "child_birth_date": born,
        "dob": born,
        "born_at": f"{born}T00:10Z",
        "child_id_number": number,
        "region": number[:6],
        "address": data.draw(addresses),
    }
    granted = world.grants(**{name: data.draw(ANY_FORM, label=name) for name in record})
    ex = world.exchange(CHILD, profile=profile)
    reduced = reduce(record, exchange=ex, grants=granted, today=world.TODAY, shift=bytes(range(32)))
    for value in reduced.values.values():
        assert born not in value
        assert born[:7] not in value
        assert number[:14] not in value
        assert number[6:14] not in value


# --- digits ------------------------------------------------------------------------------------------------------------------


@QUICK
@given(citizen_numbers(), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_changed_character_breaks_an_identity_number(number, place, other):
    assert is_citizen_number(number)
    assume(other != number[place])
    assert not is_citizen_number(number[:place] + other + number[place + 1 :])


@QUICK
@given(st.text(alphabet=_USCC, min_size=9, max_size=9), counties, st.integers(0, 17), st.sampled_from(_USCC))
def test_one_changed_character_breaks_an_organisation_code(tail, county, place, other):
    head = "91" + county + tail
    total = sum(_USCC.index(c) * pow(3, i, 31) for i, c in enumerate(head))
    code = head + _USCC[(31 - total % 31) % 31]
    assert is_organisation_code(code)
    assume(other != code[place])
    assert not is_organisation_code(code[:place] + other + code[place + 1 :])


SEPARATORS = st.sampled_from(["", " ", "-", ".", "·"])
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
AROUND = st.sampled_from(["", "号", "case-", " ", "电话：", "（", "id="])


@QUICK
@given(citizen_numbers(), SEPARATORS, st.booleans(), AROUND, AROUND)
def test_an_identity_number_is_found_however_it_is_spelt(number, separator, wide, before, after):
    spelt = separator.join(number)
    text = before + (spelt.translate(WIDE) if wide else spelt) + after
    assert "id_number" in find(text)
    assert "student_number" in find(before + "G" + number + after)


@QUICK
@given(mobiles, SEPARATORS, st.booleans(), AROUND, AROUND)
def test_a_mobile_number_is_found_however_it_is_spelt(number, separator, wide, before, after):
    spelt = separator.join([number[:3], number[3:7], number[7:]])
    assert find(before + (spelt.translate(WIDE) if wide else spelt) + after) == ("phone",)


@QUICK
@given(st.integers(10**14, 10**18 - 1).map(str))
def test_a_bank_card_is_found(head):
    head = "62" + head[2:]
    cards = [head + str(digit) for digit in range(10) if is_card_number(head + str(digit))]
    assert len(cards) == (1 if 15 <= len(head) <= 18 else 0)
    for card in cards:
        assert "bank_card" in find(f"卡号{card}。")


@QUICK
@given(days, st.integers(0, 999_999_999))
def test_a_date_or_a_count_is_no_identifier(day, count):
    assert find(f"{day} 访视，共 {count} 次") == ()
