"""Every control has a test named for it or a line that says why not, and the page that maps them is up to date."""

from tests.controls.mapping import PAGE, controls, named, not_yet, page

BAR = 56


def test_every_control_is_tested_or_explained():
    known, tested, sections = set(controls()), set(named()), not_yet()
    assert known == {f"C{n:02d}" for n in range(1, 68)}
    assert tested <= known
    assert known - tested == sections["No test"]
    assert sections["Held in part"] <= tested


def test_the_bar_is_reached_and_the_rule_made_for_this_data_is_held():
    tested = set(named())
    assert len(tested) >= BAR
    assert {"C61", "C62", "C63", "C66"} <= tested


def test_the_page_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.controls.mapping`"
