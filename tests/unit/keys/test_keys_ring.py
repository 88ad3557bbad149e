"""The key ring: scopes on demand, translation, references, what it refuses, and what it never shows."""

import json
import logging
import os
import pickle
import threading
import traceback

import pytest

from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department, ScopeKind
from gateway.errors import BadRequest, Denied, GatewayFault, ProgrammingError
from keys import ring_file
from keys.blind import blind, unblind
from keys.identifiers import identify
from keys.providers import LocalRootKey
from keys.ring import FILE_NAME, KeyRing
from keys.ring_file import KeyState

CHILD = identify("cn-rid", "11010519491231002X")
OTHER = identify("cn-rid", "440524188001010014")
EDUCATION = Scope.open(Department.EDUCATION)
HEALTH = Scope.open(Department.HEALTH)
CLOSED_X13 = Scope.closed(Department.YOUTH_LEAGUE, "X13")
CLOSED_X14 = Scope.closed(Department.YOUTH_LEAGUE, "X14")
BODY = Scope.closed("charity-7", "X21")


@pytest.fixture
def root():
    return LocalRootKey.generate()


@pytest.fixture
def ring(tmp_path, root):
    return KeyRing.open(tmp_path / "ring", root)


def test_a_new_scope_gets_keys_of_its_own_in_epoch_one(ring):
    assert ring.current_epoch(EDUCATION) == 1
    assert ring.derive(EDUCATION, CHILD).point != ring.derive(HEALTH, CHILD).point
    assert {(row.slot.scope, row.slot.epoch) for row in ring.rows()} == {
        ("open:education", 0),
        ("open:education", 1),
        ("open:health", 0),
        ("open:health", 1),
    }


def test_blind_door_and_assisted_door_name_a_child_alike(ring):
    blinded = blind(CHILD)
    [evaluated] = ring.evaluate(EDUCATION, [blinded.point])
    assert unblind(evaluated, blinded.unblinder) == ring.derive(EDUCATION, CHILD).point
    assert blind(CHILD).point != blinded.point


def test_translation_to_another_holder_and_back_is_the_identity(ring):
    own = [ring.derive(EDUCATION, CHILD), ring.derive(EDUCATION, OTHER)]
    gateway = ring.translate(own, GATEWAY_SCOPE)
    closed = ring.translate(gateway, CLOSED_X13)
    assert [pseudonym.scope for pseudonym in closed] == [CLOSED_X13, CLOSED_X13]
    assert ring.translate(ring.translate(closed, GATEWAY_SCOPE), EDUCATION) == own
    assert gateway == [ring.derive(GATEWAY_SCOPE, CHILD), ring.derive(GATEWAY_SCOPE, OTHER)]


def test_one_batch_may_mix_scopes(ring):
    mixed = [ring.derive(EDUCATION, CHILD), ring.derive(HEALTH, CHILD), ring.derive(EDUCATION, OTHER)]
    translated = ring.translate(mixed, GATEWAY_SCOPE)
    assert translated[0] == translated[1] != translated[2]


def test_two_scopes_of_one_holder_are_never_translated(ring):
    child = ring.derive(GATEWAY_SCOPE, CHILD)
    closed = ring.translate([child], CLOSED_X13)
    opened = ring.translate([child], Scope.open(Department.YOUTH_LEAGUE))
    for source, target in ((closed, CLOSED_X14), (opened, CLOSED_X13), (closed, Scope.open(Department.YOUTH_LEAGUE))):
        with pytest.raises(Denied, match="same_holder"):
            ring.translate(source, target)


@pytest.mark.parametrize("scope", [CLOSED_X13, BODY, GATEWAY_SCOPE])
def test_a_door_never_evaluates_a_scope_that_is_not_open(ring, scope):
    with pytest.raises(ProgrammingError):
        ring.evaluate(scope, [blind(CHILD).point])


@pytest.mark.parametrize("scope", [CLOSED_X13, BODY])
def test_a_closed_scope_is_reached_by_translation_only(ring, scope):
    with pytest.raises(ProgrammingError):
        ring.derive(scope, CHILD)


@pytest.mark.parametrize(
    "scope",
    [
        Scope("education", ScopeKind.OPEN, "X01"),
        Scope("charity-7", ScopeKind.OPEN),
        Scope("charity-7", ScopeKind.CLOSED),
        Scope("gateway", ScopeKind.OPEN),
        Scope("gateway", ScopeKind.CLOSED, "X01"),
        Scope("", ScopeKind.CLOSED, "X01"),
    ],
)
def test_a_scope_of_unknown_shape_gets_no_key(ring, scope):
    with pytest.raises(ProgrammingError):
        ring.current_epoch(scope)
    assert ring.rows() == ()


def test_an_epoch_that_never_was_is_refused(ring):
    pseudonym = ring.derive(EDUCATION, CHILD)
    for epoch in (0, 2, 99):
        with pytest.raises(BadRequest, match="pseudonym_epoch"):
            ring.translate([Pseudonym(EDUCATION, epoch, pseudonym.point)], GATEWAY_SCOPE)
    with pytest.raises(BadRequest, match="pseudonym_epoch"):
        ring.translate([Pseudonym(HEALTH, 1, pseudonym.point)], GATEWAY_SCOPE)


def test_a_batch_with_one_bad_point_answers_nothing(ring):
    good = ring.derive(EDUCATION, CHILD)
    for point in (bytes(32), b"\xff" * 32, good.point[:31] + bytes([good.point[31] | 0x80])):
        with pytest.raises(BadRequest, match="point_invalid"):
            ring.translate([good, Pseudonym(EDUCATION, 1, point)], GATEWAY_SCOPE)
        with pytest.raises(BadRequest, match="point_invalid"):
            ring.evaluate(EDUCATION, [good.point, point])


def test_a_record_is_called_differently_in_every_scope_and_kind(ring):
    names = {
        ring.reference(scope, kind, record)
        for scope in (EDUCATION, HEALTH, CLOSED_X13, CLOSED_X14)
        for kind in ("case", "plan")
        for record in ("1", "2")
    }
    assert len(names) == 16
    name = ring.reference(EDUCATION, "case", "1")
    assert name == ring.reference(EDUCATION, "case", "1")
    assert name.startswith("case-")
    assert len(name) == len("case-") + 26
    with pytest.raises(ProgrammingError):
        ring.reference(EDUCATION, "Case 1", "1")


def test_the_ring_opens_again_with_its_root_and_with_no_other(tmp_path, root, ring):
    before = ring.derive(EDUCATION, CHILD), ring.reference(EDUCATION, "case", "1")
    again = KeyRing.open(tmp_path / "ring", root)
    assert (again.derive(EDUCATION, CHILD), again.reference(EDUCATION, "case", "1")) == before
    with pytest.raises(GatewayFault, match="ring_refused"):
        KeyRing.open(tmp_path / "ring", LocalRootKey.generate())


def test_a_changed_cut_or_mixed_file_is_refused(tmp_path, root, ring):
    ring.current_epoch(EDUCATION)
    ring.current_epoch(HEALTH)
    path = tmp_path / "ring" / FILE_NAME
    whole = path.read_bytes()
    content = json.loads(whole)
    swapped = json.loads(whole)
    swapped["keys"][1]["wrapped"], swapped["keys"][3]["wrapped"] = (
        content["keys"][3]["wrapped"],
        content["keys"][1]["wrapped"],
    )
    promoted = json.loads(whole)
    promoted["keys"][0]["state"] = "retired"
    shorter = json.loads(whole)
    shorter["keys"].pop()
    for bad in (
        whole[:-40],
        b"",
        b"[]",
        b"{}",
        *(json.dumps(value).encode() for value in (swapped, promoted, shorter)),
    ):
        path.write_bytes(bad)
        with pytest.raises(GatewayFault, match="ring_refused"):
            KeyRing.open(tmp_path / "ring", root)


def test_a_wrapped_key_opens_only_in_its_own_slot(tmp_path, root, ring):
    """Even sealed as a whole by the root, a file whose rows were exchanged yields no key."""
    ring.current_epoch(EDUCATION)
    ring.current_epoch(HEALTH)
    path = tmp_path / "ring" / FILE_NAME
    rows = ring_file.load(path, root)
    education, health = (slot for slot in rows if slot.epoch == 1)
    swapped = dict(rows)
    swapped[education] = ring_file.StoredKey(education, KeyState.PRIMARY, rows[health].wrapped)
    ring_file.save(path, root, swapped.values())
    with pytest.raises(GatewayFault, match="ring_refused"):
        KeyRing.open(tmp_path / "ring", root).derive(EDUCATION, CHILD)


def test_the_file_is_the_owners_alone_or_refused(tmp_path, root, ring):
    ring.current_epoch(EDUCATION)
    path = tmp_path / "ring" / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(GatewayFault, match="key_file_mode"):
        KeyRing.open(tmp_path / "ring", root)


def test_two_processes_share_one_ring(tmp_path, root, ring):
    other = KeyRing.open(tmp_path / "ring", root)
    assert other.derive(EDUCATION, CHILD) == ring.derive(EDUCATION, CHILD)
    assert ring.translate([other.derive(HEALTH, CHILD)], GATEWAY_SCOPE) == [ring.derive(GATEWAY_SCOPE, CHILD)]


def test_threads_that_meet_a_new_scope_make_one_key(tmp_path, root):
    rings = [KeyRing.open(tmp_path / "ring", root) for _ in range(6)]
    named: list[bytes] = []
    threads = [
        threading.Thread(target=lambda ring=ring: named.append(ring.derive(EDUCATION, CHILD).point)) for ring in rings
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(named) == 6
    assert len(set(named)) == 1


@pytest.mark.parametrize("point_of_failure", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_ring_whole(tmp_path, root, ring, monkeypatch, point_of_failure):
    before = ring.derive(EDUCATION, CHILD)

    def crash(*_arguments):
        raise OSError("crash")

    monkeypatch.setattr(os, point_of_failure, crash)
    with pytest.raises(OSError, match="crash"):
        ring.current_epoch(HEALTH)
    monkeypatch.undo()
    again = KeyRing.open(tmp_path / "ring", root)
    assert again.derive(EDUCATION, CHILD) == before
    assert {row.slot.scope for row in again.rows()} == {"open:education"}
    assert again.current_epoch(HEALTH) == 1


def test_no_key_shows_itself_in_repr_pickle_log_or_traceback(ring, caplog):
    ring.derive(EDUCATION, CHILD)
    ring.translate([ring.derive(EDUCATION, CHILD)], CLOSED_X13)
    secrets = [*ring._snapshot.opened.values(), *ring._snapshot.quotients.values(), ring._root._root]
    assert len(secrets) >= 4
    for thing in (ring, ring._root, blind(CHILD)):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("keys").warning("%r %s %r %r", ring, ring, ring._root, ring._snapshot)
    shown = caplog.text + repr(blind(CHILD)) + repr(ring.rows())
    for failing in (lambda: ring.evaluate(EDUCATION, [bytes(32)]), lambda: ring.derive(CLOSED_X13, CHILD)):
        try:
            failing()
        except Exception:
            shown += traceback.format_exc()
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret) not in shown
