"""The tour of the console is told by its pages, and no page that somebody can open is left out."""

import pytest

from gateway.console.doors import doors
from gateway.console.roles import Role
from tests.console.site import leave_waiting, make_site, sign_in
from tests.console.tour import BEGINS, PAGE, TOUR, screens, table, tour, with_table

# Answers that are no screen (files, and what a screen fetches), the way in and out, and pages that stand only while somebody works on
# what they are about, which their lists lead to.
NO_SCREEN = {"entry_proof", "verification_head", "export_pack"}
WAY_IN = {"sign_in_page", "openid_begin", "openid_back", "openid_out"}
UNDER_WAY = {"matter", "finding", "draft"}


@pytest.fixture(scope="module")
def visitors(tmp_path_factory):
    site = make_site(tmp_path_factory.mktemp("tour"))
    leave_waiting(site)
    with site.running() as client:
        yield {role: sign_in(client, site, role) for role in Role}


def test_the_printed_tour_is_what_the_pages_show(visitors):
    told = tour(visitors)
    assert PAGE.read_text("utf-8") == told
    for door in doors():
        if door.menu:
            assert f"`/console{door.path}`" in told


def test_the_table_of_screens_in_the_tour_is_what_the_pages_show(visitors):
    text = TOUR.read_text("utf-8")
    assert text.count(BEGINS) == 1
    assert with_table(text, table(visitors)) == text


def test_every_page_is_in_the_tour_or_is_known_to_be_no_screen():
    pages = {door.name for door in doors() if door.method == "GET" and not door.path.endswith(".csv")}
    assert pages == {door.name for door, _ in screens()} | NO_SCREEN | WAY_IN | UNDER_WAY
