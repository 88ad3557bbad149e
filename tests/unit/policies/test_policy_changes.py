"""A change becomes active only when it is sound and signed by whom it touches, and can be taken back."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.vocabulary import Department
from gateway.errors import Denied
from policies import changes, expectations
from policies.book import PolicyBook, build
from policies.changes import ChangeSet, Shelf, Signature
from policies.rows import RuleError

ACTIVE = PolicyBook.open().snapshot
CASES = expectations.read()
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROW = next(rule for rule in ACTIVE.rules if rule.id == "X02.ca.q01")
NEW = dataclasses.replace(
    ROW, id="X02.ca.new", sub="institution_officer@civil_affairs", reason="机构工作人员核验在校情况"
)
AUTHOR = "org1/lin"


def drafted(*rules, base=ACTIVE.version):
    change = ChangeSet(base=base, rules=(*ACTIVE.rules, *rules), author=AUTHOR, reason="试验")
    return change, *changes.review(change, ACTIVE, build, cases=CASES)


def signed(reviewed, *signers):
    return [Signature(f"{name}/{number}", Department(name), reviewed.version) for number, name in enumerate(signers)]


def sound_change():
    kept = tuple(case for case in CASES if case.name != "X02 institution_officer@civil_affairs query normal statutory")
    change = ChangeSet(base=ACTIVE.version, rules=(*ACTIVE.rules, NEW), author=AUTHOR, reason="试验")
    return change, *changes.review(change, ACTIVE, build, cases=kept)


def test_a_review_shows_what_changes_and_that_nothing_else_does():
    _, _, reviewed = sound_change()
    assert reviewed.sound
    assert reviewed.owners == {Department.EDUCATION}
    assert reviewed.difference.complete
    (change,) = reviewed.difference.changes
    assert (change.requests.subject, change.requests.exchange) == ("institution_officer@civil_affairs", "X02")
    assert (change.before, change.after) == ("refused", "clear")


def test_a_case_that_says_otherwise_makes_the_draft_unsound():
    change, _, reviewed = drafted(NEW)
    assert reviewed.failing_cases
    with pytest.raises(Denied, match="policy_unsound"):
        changes.require_signed(change, reviewed, signed(reviewed, "education", "civil_affairs"))


def test_a_broken_invariant_makes_the_draft_unsound():
    harmful = dataclasses.replace(ROW, id="X13.bad", obj="X13", act="receive", pur="emergency.P04", fld="class:care")
    _, _, reviewed = drafted(harmful)
    assert reviewed.breaches
    assert not reviewed.sound


def test_owner_and_one_other_department_must_sign():
    change, _, reviewed = sound_change()
    for signers in ((), ("education",), ("civil_affairs", "health"), ("education", "education")):
        with pytest.raises(Denied, match="approval_missing"):
            changes.require_signed(change, reviewed, signed(reviewed, *signers))
    changes.require_signed(change, reviewed, signed(reviewed, "education", "health"))


def test_nobody_approves_his_own():
    change, _, reviewed = sound_change()
    own = Signature(AUTHOR, Department.EDUCATION, reviewed.version)
    with pytest.raises(Denied, match="approval_self"):
        changes.require_signed(change, reviewed, [own, *signed(reviewed, "education", "health")])


def test_an_approval_of_another_version_is_void():
    change, _, reviewed = sound_change()
    stale = [dataclasses.replace(each, version=ACTIVE.version) for each in signed(reviewed, "education", "health")]
    with pytest.raises(Denied, match="approval_stale"):
        changes.require_signed(change, reviewed, stale)


def test_a_row_above_all_exchanges_needs_all_five_and_a_sixth_signer():
    above = next(rule for rule in ACTIVE.rules if rule.id == "D04")
    edited = [dataclasses.replace(each, reason="另一理由") if each is above else each for each in ACTIVE.rules]
    change = ChangeSet(ACTIVE.version, tuple(edited), AUTHOR, "试验")
    _, reviewed = changes.review(change, ACTIVE, build, cases=CASES)
    five = [str(each) for each in Department]
    with pytest.raises(Denied, match="approval_missing"):
        changes.require_signed(change, reviewed, signed(reviewed, *five))
    changes.require_signed(change, reviewed, signed(reviewed, *five, "health"))


def test_a_draft_on_another_base_is_stale_and_a_bad_row_is_refused():
    with pytest.raises(Denied, match="policy_stale"):
        drafted(NEW, base="sha256:0")
    with pytest.raises(RuleError):
        drafted(dataclasses.replace(NEW, sub="*"))


def test_activation_later_then_rollback():
    change, snapshot, reviewed = sound_change()
    shelf, later = Shelf(ACTIVE, NOW - timedelta(days=1)), NOW + timedelta(hours=8)
    shelf.activate(snapshot, change, reviewed, signed(reviewed, "education", "health"), at=later, now=NOW)
    assert shelf.at(NOW) is ACTIVE
    assert shelf.at(later) is snapshot
    assert shelf.roll_back(now=later) is ACTIVE
    assert shelf.at(later + timedelta(days=9)) is ACTIVE


def test_an_unsigned_version_does_not_reach_the_shelf():
    change, snapshot, reviewed = sound_change()
    shelf = Shelf(ACTIVE, NOW)
    with pytest.raises(Denied):
        shelf.activate(snapshot, change, reviewed, [], at=NOW, now=NOW)
    assert shelf.at(NOW) is ACTIVE
