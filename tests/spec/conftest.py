"""One finished demo, re-derived once."""

import pytest

from tests.spec.rederivation import Rederivation
from tests.support.demo import population, told_demo

__all__ = ["derived", "told_demo"]


@pytest.fixture(scope="session")
def derived(told_demo, tmp_path_factory):
    """What happened in the demo, by every source but its summary."""
    return Rederivation(told_demo, population(), tmp_path_factory.mktemp("auditor"))
