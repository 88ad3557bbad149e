"""Sites and signed-in browsers; the browser tier fails where no Chromium is, unless its owner skips it."""

import os
import shutil

import pytest

from gateway.console.roles import Role
from tests.console.site import make_site, sign_in


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("console"))


@pytest.fixture(scope="session")
def stranger(site):
    """A browser that nobody has signed in with, in front of the running application."""
    with site.running() as client:
        yield client


@pytest.fixture(scope="session")
def browsers(site, stranger):
    return {role: sign_in(stranger, site, role) for role in Role}


def pytest_collection_modifyitems(items):
    if os.environ.get("BROWSER") == "skip":
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="BROWSER=skip"))


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "the browser tests were NOT RUN: there is no Chromium (BROWSER=skip leaves them out)"
    return path
