"""What a draft would do, whose signatures it needs, and which version decides at a moment."""

import dataclasses

import pytest

from gateway.domain.vocabulary import Department
from gateway.errors import Denied
from policies import changes, sources
from policies.book import HOME
from policies.changes import Activation, Edition, Signature
from policies.rows import RuleError
from policies.sources import Edit

ACTIVE = Edition.of(sources.read_folder(HOME))
NOW = "2026-11-22T00:00:00Z"
ROW = next(rule for rule in ACTIVE.snapshot.rules if rule.id == "X02.ca.q01")
NEW = dataclasses.replace(
    ROW, id="X02.ca.new", sub="institution_officer@civil_affairs", reason="机构工作人员核验在校情况"
)
CASE = """[[case]]
name = "X02 institution_officer@civil_affairs query normal statutory"
who = "institution_officer@civil_affairs"
action = "query"
exchange = "X02"
purpose = "P14"
con = "statutory"
fields = ["enrolled", "as_of"]
grants = { enrolled = "clear", as_of = "clear" }
entry = "query.released"
"""
AUTHOR = "org1/lin"


def drafted(edit):
    edition = Edition.of(sources.edited(ACTIVE.source, edit))
    return edition, changes.review(ACTIVE, edition, now=NOW)


def signed(reviewed, *signers):
    return [Signature(f"{name}/{number}", Department(name), reviewed.version) for number, name in enumerate(signers)]


def require_signed(reviewed, signatures):
    changes.require_signed(AUTHOR, reviewed.version, reviewed.owners, signatures)


@pytest.fixture(scope="module")
def sound():
    return drafted(Edit(put=(NEW,), put_cases=CASE))[1]


def test_a_review_shows_what_changes_and_that_nothing_else_does(sound):
    assert sound.sound
    assert sound.owners == {Department.EDUCATION}
    assert sound.difference.complete
    (change,) = sound.difference.changes
    assert (change.requests.subject, change.requests.exchange) == ("institution_officer@civil_affairs", "X02")
    assert (change.before, change.after) == ("refused", "clear")


def test_a_rule_that_no_case_covers_makes_the_draft_unsound():
    _, reviewed = drafted(Edit(put=(dataclasses.replace(NEW, sub="approver@civil_affairs"),)))
    assert {finding.code for finding in reviewed.findings} == {"no_case"}
    assert not reviewed.sound


def test_a_case_that_says_otherwise_makes_the_draft_unsound():
    _, reviewed = drafted(Edit(put=(NEW,)))
    assert reviewed.failing_cases
    with pytest.raises(Denied, match="policy_unsound"):
        changes.require_sound(reviewed)


def test_a_broken_invariant_makes_the_draft_unsound():
    harmful = dataclasses.replace(ROW, id="X13.bad", obj="X13", act="receive", pur="emergency.P04", fld="class:care")
    _, reviewed = drafted(Edit(put=(harmful,)))
    assert reviewed.breaches
    assert not reviewed.sound


def test_owner_and_one_other_department_must_sign(sound):
    for signers in ((), ("education",), ("civil_affairs", "health"), ("education", "education")):
        with pytest.raises(Denied, match="approval_missing"):
            require_signed(sound, signed(sound, *signers))
    require_signed(sound, signed(sound, "education", "health"))


def test_who_has_yet_to_sign_is_named(sound):
    assert changes.still_missing(sound.owners, []) == ("education", "another")
    assert changes.still_missing(sound.owners, signed(sound, "health")) == ("education", "another")
    assert changes.still_missing(sound.owners, signed(sound, "education")) == ("another",)
    assert changes.still_missing(sound.owners, signed(sound, "education", "health")) == ()


def test_nobody_approves_his_own(sound):
    own = Signature(AUTHOR, Department.EDUCATION, sound.version)
    with pytest.raises(Denied, match="approval_self"):
        require_signed(sound, [own, *signed(sound, "education", "health")])


def test_an_approval_of_another_version_is_void(sound):
    stale = [dataclasses.replace(each, version=ACTIVE.version) for each in signed(sound, "education", "health")]
    with pytest.raises(Denied, match="approval_stale"):
        require_signed(sound, stale)


def test_a_row_above_all_exchanges_needs_all_five_and_a_sixth_signer():
    above = next(rule for rule in ACTIVE.snapshot.rules if rule.id == "D04")
    _, reviewed = drafted(Edit(put=(dataclasses.replace(above, reason="另一理由"),)))
    five = [str(each) for each in Department]
    with pytest.raises(Denied, match="approval_missing"):
        require_signed(reviewed, signed(reviewed, *five))
    require_signed(reviewed, signed(reviewed, *five, "health"))


def test_whoever_gives_what_an_exchange_carries_answers_for_its_cases():
    _, reviewed = drafted(Edit(put_cases=CASE.replace("X02 institution_officer", "X02 once more: institution_officer")))
    assert reviewed.owners == {Department.EDUCATION}


def test_a_bad_row_does_not_compile():
    with pytest.raises(RuleError):
        drafted(Edit(put=(dataclasses.replace(NEW, sub="*"),)))


def test_the_last_activation_whose_time_has_come_decides_and_voids_what_was_to_come():
    first, later, back = Activation(1, "a", 0), Activation(2, "b", 1_000), Activation(3, "a", 500)
    assert changes.deciding([first, later], 999) is first
    assert changes.coming([first, later], 999) is later
    assert changes.deciding([first, later], 1_000) is later
    assert changes.deciding([first, later, back], 2_000) is back
    assert changes.coming([first, later, back], 999) is None
