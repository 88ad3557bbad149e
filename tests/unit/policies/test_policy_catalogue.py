"""The catalogue refuses what the law or the house forbids, with a sentence that names the place."""

import shutil

import pytest

from policies import catalogue
from policies.catalogue import CatalogueError


@pytest.fixture
def home(tmp_path):
    copied = tmp_path / "catalogue"
    shutil.copytree(catalogue.HOME, copied, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copied


def edit(home, name, old, new, count=1):
    path = home / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")


def test_all_34_exchanges_load_and_thirteen_are_served():
    loaded = catalogue.load()
    assert sorted(loaded.exchanges) == [f"X{n:02d}" for n in range(1, 35)]
    served = {each.id for each in loaded.exchanges.values() if each.state == "served"}
    assert served == {f"X{n:02d}" for n in (1, 2, 5, 8, 9, 10, 12, 13, 16, 18, 19, 20, 23)}


def test_every_exchange_names_responsible_posts_of_both_sides():
    for each in catalogue.load().exchanges.values():
        assert set(each.responsible) == {"provider", "consumer"}
        assert all(each.responsible.values())


def test_l4_and_l5_carry_an_assessment():
    for each in catalogue.load().exchanges.values():
        assert (each.assessment is not None) == (each.level in ("L4", "L5"))


def test_peoples_organisations_get_closed_scopes_of_the_register():
    scopes = catalogue.load().exchanges["X13"].scopes
    assert scopes["youth_league"] == scopes["womens_federation"] == "closed"
    assert scopes["education"] == scopes["health"] == "open"


def test_warning_needs_the_guardian_contacted_in_the_normal_door_only():
    (gate,) = catalogue.load().exchanges["X05"].gates
    assert (gate.field, gate.equals, gate.code, gate.doors) == (
        "guardian_contacted",
        ("Y",),
        "guardian_not_contacted",
        {"normal"},
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("exchanges/X01.toml", 'zh = "困境', 'surprise = 1\nzh = "困境', "unknown key `surprise`"),
        ("exchanges/X02.toml", "statute = true", "statute = false", "PIPL 34"),
        ("exchanges/X05.toml", 'assessment = "PIA-2026-X05"', "", "impact assessment"),
        ("exchanges/X05.toml", "PIA-2026-X05", "PIA-2026-X01", "impact assessment"),
        ("assessments.toml", 'exchange = "X05"\nstate = "approved"', 'exchange = "X05"\nstate = "draft"', "assessment"),
        ("exchanges/X01.toml", 'consumer = "', 'consumer = ""\nx = "', "`consumer` must be a text"),
        ("exchanges/X01.toml", 'purpose = "P06"', 'purpose = "P66"', "no known purpose"),
        ("exchanges/X01.toml", 'type = "yes_no"', 'type = "photo"', "no known type"),
        ("exchanges/X01.toml", 'class = "answer"', 'class = "secret"', "no known field class"),
        ("exchanges/X01.toml", 'consent = "N"', 'consent = "maybe"', "unknown word"),
        ("exchanges/X01.toml", "[consumers.education]", "[consumers.police]", "no known department"),
        ("exchanges/X05.toml", 'field = "guardian_contacted"', 'field = "risk_band"', "gate field"),
        ("exchanges/X05.toml", "gate = true", "gate = false", "class is gate"),
        ("exchanges/X01.toml", 'id = "X01"', 'id = "X02"', "name of the file"),
        ("exchanges/X25.toml", 'state = "declared"', 'state = "served"', "stays declared"),
        ("exchanges/X03.toml", 'state = "declared"', 'state = "served"', "COMPARE stays declared"),
        ("exchanges/X16.toml", "personal = false", "personal = true", "no personal information"),
        ("departments.toml", "governmental = false", "governmental = true", "settled by law"),
        ("exchanges/X09.toml", 'class = "progress"', 'class = "answer"', "another class elsewhere"),
        (
            "exchanges/X04.toml",
            'columns = ["not_screened", "low", "medium", "high"]',
            'columns = ["low"]',
            "two rows and two",
        ),
        ("exchanges/X04.toml", 'columns = ["not_screened"', 'threshold = 3\ncolumns = ["not_screened"', "5 at least"),
        ("exchanges/X04.toml", '"not_screened"', '"=1+1"', "small letters"),
        ("exchanges/X04.toml", "personal = false", "personal = true", "without personal information|no personal"),
        ("exchanges/X15.toml", 'values = ["0-7", "8-13"] },', 'values = ["0-7"] },', "hold each value"),
        ("exchanges/X15.toml", 'name = "14+"', 'name = "0-13"', "a name of its own"),
        ("exchanges/X15.toml", 'digits = ["6", "4"]', 'digits = ["4", "6"]', "finest first"),
        ("exchanges/X15.toml", "[generalisation.fields.language]", "[generalisation.fields.need_type]", "sensitive"),
    ],
)
def test_what_is_not_right_does_not_load(home, name, old, new, says):
    # every citation must lose its statute for the exchange to have none
    edit(home, name, old, new, count=-1 if "statute" in old else 1)
    with pytest.raises(CatalogueError, match=says):
        catalogue.load(home)


def test_digest_changes_with_any_byte_of_the_catalogue(home):
    before = catalogue.load(home).digest
    edit(home, "exchanges/X16.toml", 'seed = "', 'seed = "（修订）')
    assert catalogue.load(home).digest != before


def test_purposes_hold_none_for_attention_traffic_or_fundraising():
    assert sorted(catalogue.load().purposes) == [f"P{n:02d}" for n in range(1, 15)]
