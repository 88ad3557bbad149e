"""The tour of the console is told by its pages."""

from gateway.console.doors import doors
from tests.console.tour import PAGE, tour


def test_the_printed_tour_is_what_the_pages_show(browsers):
    told = tour(browsers)
    assert PAGE.read_text("utf-8") == told
    for door in doors():
        if door.menu:
            assert f"`/console{door.path}`" in told
