"""The golden releases: what each profile lets each department have stands in files, and does not change unseen."""

import json

import pytest

from gateway.domain.vocabulary import Department, Profile
from tests.unit.release.golden_releases import FOLDER, golden, name_of

EACH = [(profile, department) for profile in Profile for department in Department]


@pytest.mark.parametrize(("profile", "department"), EACH)
def test_a_department_gets_under_a_profile_what_the_golden_file_shows(profile, department):
    kept = json.loads((FOLDER / name_of(profile, department)).read_text("utf-8"))
    assert golden(profile, department) == kept


def test_there_is_one_file_for_each_profile_and_department_and_no_other():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(name_of(*one) for one in EACH)


def test_below_full_identity_no_golden_release_shows_the_child_s_number_birthday_or_house():
    for path in FOLDER.iterdir():
        if path.name.startswith("D0-") or path.name.startswith("none-"):
            continue
        shown = path.read_text("utf-8")
        for secret in ("11010519491231002X", "19491231", "12号"):
            assert secret not in shown, path.name
