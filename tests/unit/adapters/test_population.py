"""The synthetic population keeps its promises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sandbox import codes, names
from adapters.sandbox.cast import cast
from adapters.sandbox.education_data import records
from adapters.sandbox.population import build
from keys.identifiers import identify


@pytest.fixture(scope="module")
def people():
    return build()


def test_the_same_seed_gives_the_same_people_and_another_seed_others(people):
    assert build() == people
    assert build(seed=1).children != people.children


def test_two_thousand_children_between_three_and_seventeen(people):
    assert len(people.children) == 2000
    ages = {c.age(people.on) for c in people.children}
    assert (min(ages), max(ages)) == (3, 17)


def test_every_identifier_is_valid_and_nobody_shares_one(people):
    numbers = [c.identifier for c in people.children if c.identifier]
    numbers += list({g.identifier for c in people.children for g in c.guardians})
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert identify("cn-rid", number).kind == "cn-rid"
    for child in people.children:
        assert (child.identifier is None) != (child.issued is None)
        if child.issued:
            identify("issued", child.issued)
        else:
            assert child.identifier[6:14] == f"{child.born:%Y%m%d}"
            assert int(child.identifier[16]) % 2 == int(child.sex) % 2


def test_check_arithmetic_agrees_with_published_samples():
    # GB 11643-1999 and GB 32100-2015 samples (reference/requirements.md 3.1).
    from datetime import date

    assert codes.rid("110105", date(1949, 12, 31), 2) == "11010519491231002X"
    assert codes.rid("440524", date(1880, 1, 1), 1) == "440524188001010014"
    from adapters.sandbox.codes import _USCC_ALPHABET, _USCC_WEIGHTS

    body = "91350100M000100Y4"
    remainder = sum(_USCC_ALPHABET.index(c) * w for c, w in zip(body, _USCC_WEIGHTS, strict=True)) % 31
    assert _USCC_ALPHABET[(31 - remainder) % 31] == "3"


def test_schools_have_distinct_valid_codes(people):
    from gateway.release.wire_reading import _ORGANISATION

    assert len({s.code for s in people.schools}) == len(people.schools) == 20
    assert all(_ORGANISATION.fullmatch(s.code) and s.code[2:8] == s.county for s in people.schools)


def test_the_traps_of_the_field_occur(people):
    children = people.children
    assert {"11", "12", "20", "31", "32", ""} == {c.status_class for c in children}
    assert any("·" in c.name for c in children)
    assert any(c.issued for c in children)
    assert people.misspelt
    assert people.miscopied
    families = {}
    for c in children:
        families.setdefault(c.family, []).append(c)
    assert any(len(f) == 3 for f in families.values())
    for twins in ([c for c in f if c.twin] for f in families.values()):
        if len(twins) == 2:
            assert twins[0].born == twins[1].born
            assert twins[0].address == twins[1].address
    assert any(c.school and c.school.county != c.county for c in children)
    assert any(c.county == codes.OUTSIDE for c in children)
    assert any(c.known_to_civil_affairs and not c.in_programme for c in children)


def test_a_miscopied_number_is_never_valid(people):
    from gateway.errors import BadRequest

    for wrong in people.miscopied.values():
        with pytest.raises(BadRequest):
            identify("cn-rid", wrong)


def test_canary_names_have_at_least_four_han_characters(people):
    canaries = people.canaries()
    assert canaries.names
    assert all(names.han_characters(n) >= 4 for n in canaries.names)
    assert {c.identifier for c in people.children if c.identifier} <= set(canaries.identifiers)
    assert all(len(p) == 11 and p.startswith("154") for p in canaries.phones)
    assert any(c.name in canaries.names for c in people.children)


def test_record_keys_differ_and_join_nothing(people):
    assert len({c.school_key for c in people.children}) == len({c.civil_key for c in people.children}) == 2000
    assert all(c.school_key[2:] != c.civil_key[2:] for c in people.children)


def test_education_holds_its_own_copy(people):
    held = records(people)
    assert set(held) == {c.school_key for c in people.children if c.known_to_education}
    for c in people.children:
        if c.number in people.misspelt and c.known_to_education:
            assert held[c.school_key]["xm"] == people.misspelt[c.number] != c.name


@settings(max_examples=15, deadline=None)
@given(st.integers(50, 400), st.integers(0, 2**32))
def test_any_population_is_consistent(count, seed):
    people = build(count, seed)
    assert len(people.children) == count
    assert [c.number for c in people.children] == list(range(1, count + 1))
    numbers = [c.identifier for c in people.children if c.identifier]
    assert len(set(numbers)) == len(numbers)
    for c in people.children:
        assert 3 <= c.age(people.on) <= 17
        if c.care:
            assert c.in_programme
        if c.school:
            assert c.grade[0] == c.stage == c.school.stage


def test_a_population_too_small_is_refused_and_a_lacking_role_is_named():
    with pytest.raises(ValueError, match="at least 50"):
        build(49)
    with pytest.raises(LookupError, match="role"):
        cast(build(50, seed=3))


def test_the_cast_is_what_it_says(people):
    players = cast(people)
    assert names.han_characters(players.pupil.name) >= 4
    assert players.pupil.age(people.on) in range(8, 14)
    assert players.teen.age(people.on) in (14, 15)
    assert players.outside.school.county == codes.OUTSIDE
    assert players.outside.county.startswith(codes.PREFIX)
    assert not players.unlisted.known_to_civil_affairs
    assert not players.left.in_programme
    assert players.twins[0].born == players.twins[1].born
