"""Rotation: epoch by epoch, no step skipped, and a destroyed key is gone."""

import json

import pytest

from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, Denied, ProgrammingError
from keys.identifiers import identify
from keys.providers import LocalRootKey
from keys.ring import FILE_NAME, KeyRing
from keys.rotation import Phase, advance, begin, destroy, phase, prepare, retire

CHILD = identify("cn-rid", "11010519491231002X")
EDUCATION = Scope.open(Department.EDUCATION)
HEALTH = Scope.open(Department.HEALTH)


@pytest.fixture
def root():
    return LocalRootKey.generate()


@pytest.fixture
def ring(tmp_path, root):
    return KeyRing.open(tmp_path, root)


def test_a_whole_rotation_names_the_same_child_throughout(ring):
    old = ring.derive(EDUCATION, CHILD)
    gateway = ring.derive(GATEWAY_SCOPE, CHILD)

    assert prepare(ring, EDUCATION) == 2
    assert phase(ring, EDUCATION, 2) is Phase.PREPARED
    assert ring.accepted_epochs(EDUCATION) == (1,)
    with pytest.raises(BadRequest, match="pseudonym_epoch"):
        ring.convert([old], 2)

    assert begin(ring, EDUCATION) == 2
    assert phase(ring, EDUCATION, 2) is Phase.DUAL
    assert ring.current_epoch(EDUCATION) == 1
    [early] = ring.convert([old], 2)
    assert ring.translate([early, old], GATEWAY_SCOPE) == [gateway, gateway]
    assert ring.convert([early], 1) == [old]

    assert advance(ring, EDUCATION) == 2
    assert ring.derive(EDUCATION, CHILD) == early
    assert ring.translate([gateway], EDUCATION) == [early]
    assert ring.translate([old], EDUCATION) == [early]
    assert ring.translate([old, early], GATEWAY_SCOPE) == [gateway, gateway]

    assert retire(ring, EDUCATION) == 1
    assert phase(ring, EDUCATION, 1) is Phase.RETIRED
    for failing in (lambda: ring.translate([old], GATEWAY_SCOPE), lambda: ring.convert([old], 2)):
        with pytest.raises(BadRequest, match="pseudonym_epoch"):
            failing()
    assert ring.translate([early], GATEWAY_SCOPE) == [gateway]

    destroy(ring, EDUCATION, 1)
    assert phase(ring, EDUCATION, 1) is Phase.DESTROYED
    assert phase(ring, EDUCATION, 2) is Phase.CURRENT
    assert ring.accepted_epochs(EDUCATION) == (2,)


def test_a_destroyed_key_is_in_no_file_and_in_no_memory(tmp_path, root, ring):
    ring.derive(EDUCATION, CHILD)
    wrapped = json.loads((tmp_path / FILE_NAME).read_bytes())
    [old] = [key["wrapped"] for key in wrapped["keys"] if key["epoch"] == 1]
    prepare(ring, EDUCATION)
    begin(ring, EDUCATION)
    advance(ring, EDUCATION)
    retire(ring, EDUCATION)
    destroy(ring, EDUCATION, 1)
    assert all(old not in path.read_text() for path in tmp_path.iterdir())
    for opened in (ring, KeyRing.open(tmp_path, root)):
        assert [row.wrapped for row in opened.rows() if row.slot.epoch == 1] == [b""]
        assert all(slot.epoch != 1 for slot in opened._snapshot.opened)
        assert not opened._snapshot.quotients


def test_what_a_crashed_writer_left_goes_with_the_next_write(tmp_path, ring):
    ring.derive(EDUCATION, CHILD)
    stale = tmp_path / f"{FILE_NAME}.new"
    stale.write_bytes((tmp_path / FILE_NAME).read_bytes())
    prepare(ring, EDUCATION)
    assert not stale.exists()


def test_steps_come_in_order_only(ring):
    ring.current_epoch(EDUCATION)
    for early in (begin, advance, retire):
        with pytest.raises(Denied, match="rotation_order"):
            early(ring, EDUCATION)
    for epoch in (1, 2):
        with pytest.raises(Denied, match="rotation_order"):
            destroy(ring, EDUCATION, epoch)
    prepare(ring, EDUCATION)
    for early in (prepare, advance, retire):
        with pytest.raises(Denied, match="rotation_order"):
            early(ring, EDUCATION)
    begin(ring, EDUCATION)
    with pytest.raises(Denied, match="rotation_order"):
        retire(ring, EDUCATION)
    advance(ring, EDUCATION)
    for wrong in (prepare, begin, advance):
        with pytest.raises(Denied, match="rotation_order"):
            wrong(ring, EDUCATION)
    with pytest.raises(Denied, match="rotation_order"):
        destroy(ring, EDUCATION, 2)


def test_a_prepared_key_may_be_given_up_and_its_epoch_is_not_used_again(ring):
    prepare(ring, EDUCATION)
    destroy(ring, EDUCATION, 2)
    assert prepare(ring, EDUCATION) == 3


def test_rotating_one_scope_leaves_the_others_alone(ring):
    health = ring.derive(HEALTH, CHILD)
    for step in (prepare, begin, advance, retire):
        step(ring, EDUCATION)
    assert ring.derive(HEALTH, CHILD) == health
    assert ring.current_epoch(HEALTH) == 1


def test_another_process_follows_a_rotation_by_itself(tmp_path, root, ring):
    other = KeyRing.open(tmp_path, root)
    old = other.derive(EDUCATION, CHILD)
    for step in (prepare, begin, advance):
        step(ring, EDUCATION)
    assert other.current_epoch(EDUCATION) == 2
    assert other.translate([old], EDUCATION) == other.convert([old], 2) == [ring.derive(EDUCATION, CHILD)]
    retire(ring, EDUCATION)
    for refused in (lambda: other.convert([old], 2), lambda: other.translate([old], GATEWAY_SCOPE)):
        with pytest.raises(BadRequest, match="pseudonym_epoch"):
            refused()


def test_references_outlive_a_rotation(ring):
    name = ring.reference(EDUCATION, "case", "1")
    for step in (prepare, begin, advance, retire):
        step(ring, EDUCATION)
    destroy(ring, EDUCATION, 1)
    assert ring.reference(EDUCATION, "case", "1") == name


def test_conversion_is_for_one_scope_at_a_time(ring):
    with pytest.raises(ProgrammingError):
        ring.convert([ring.derive(EDUCATION, CHILD), ring.derive(HEALTH, CHILD)], 1)
    assert ring.convert([], 1) == []


def test_a_rotation_during_translations_names_no_wrong_child(tmp_path, root, ring):
    """1,000 translations while another opener of the same ring rotates the scope: none fails, none is wrong."""
    children = [identify("issued", f"ca-{number:016x}") for number in range(10)]
    expected = [ring.derive(GATEWAY_SCOPE, child) for child in children]
    held = [ring.derive(EDUCATION, child) for child in children]
    rotating = KeyRing.open(tmp_path, root)
    steps = {200: prepare, 400: begin, 600: advance}
    for turn in range(1000):
        if turn in steps:
            steps[turn](rotating, EDUCATION)
        place = turn % 10
        assert ring.translate([held[place]], GATEWAY_SCOPE) == [expected[place]]
        [back] = ring.translate([expected[place]], EDUCATION)
        assert ring.translate([back], GATEWAY_SCOPE) == [expected[place]]
        held[place] = Pseudonym(EDUCATION, back.epoch, back.point)
    retire(rotating, EDUCATION)
    destroy(rotating, EDUCATION, 1)
    assert ring.translate(held, GATEWAY_SCOPE) == expected
