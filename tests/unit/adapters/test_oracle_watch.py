"""The watch at the edge: guessing looks like guessing, a register like a register."""

import random

import pytest

from adapters.base.source import LocalPerson
from adapters.directory import BATCH, Directory
from adapters.oracle_watch import Limits, OracleWatch
from adapters.sandbox.population import build
from gateway.domain.vocabulary import Department
from gateway.errors import Denied
from keys.identifiers import check_character, identify

pytestmark = pytest.mark.anyio


def resident(area, born, serial):
    body = f"{area}{born}{serial:03d}"
    return identify("cn-rid", body + check_character(body))


def found(identifiers, limits=None):
    watch = OracleWatch(limits)
    for start in range(0, len(identifiers), BATCH):
        watch.require_plausible(identifiers[start : start + BATCH])


def refused(identifiers):
    with pytest.raises(Denied) as caught:
        found(identifiers)
    assert caught.value.code == "enrolment_suspicious"
    return caught.value.facts


def test_serials_counted_through_are_found():
    facts = refused([resident("330106", "20160504", serial) for serial in range(300)])
    assert facts["sign"] == "sequential"
    assert facts["permille"] > 900


def test_one_sex_counted_through_is_found():
    assert refused([resident("330106", "20160504", serial) for serial in range(1, 600, 2)])["sign"] == "sequential"


def test_counting_backwards_and_in_disorder_is_found():
    numbers = [resident("330106", "20160504", serial) for serial in range(400)]
    refused(numbers[::-1])
    random.Random(1).shuffle(numbers)
    refused(numbers)


def test_birthdays_counted_through_are_found():
    numbers = [resident("330106", f"2016{month:02d}{day:02d}", 77) for month in range(1, 13) for day in range(1, 29)]
    assert refused(numbers)["sign"] == "sequential"


def test_the_same_numbers_again_are_found():
    numbers = [resident("330106", "20160504", 7 * serial) for serial in range(140)]
    assert refused(numbers + numbers)["sign"] == "repeated"


def test_a_dense_countys_whole_register_is_no_guessing():
    draw = random.Random(2)
    births = 15
    numbers = [
        resident("330106", f"{year}{month:02d}{day:02d}", serial)
        for year in (2014, 2015)
        for month in range(1, 13)
        for day in range(1, 29)
        for serial in draw.sample(range(1000), births)
    ]
    found(numbers)


def test_a_few_siblings_in_a_small_register_are_no_guessing():
    found([resident("330106", "20160504", serial) for serial in range(Limits().least - 1)])


def test_the_finding_names_no_number():
    with pytest.raises(Denied) as caught:
        found([resident("330106", "20160504", serial) for serial in range(300)])
    assert set(caught.value.facts) == {"sign", "permille"}
    assert "3301" not in repr(caught.value) + str(caught.value.facts)


async def test_a_guessers_list_never_reaches_the_door(tmp_path):
    directory = Directory(tmp_path / "directory.sqlite", Department.EDUCATION)
    asked = []

    async def evaluate(points, grant):
        asked.append(len(points))
        raise AssertionError("the door was asked")

    async def guesses():
        for serial in range(BATCH):
            kind, _, value = resident("330106", "20160504", serial).canonical.decode().partition(":")
            yield LocalPerson(f"G{serial}", ((kind, value),))

    with pytest.raises(Denied, match="enrolment_suspicious"):
        await directory.enrol(guesses(), evaluate, None)
    directory.close()
    assert asked == []


def test_the_simulated_population_passes():
    numbers = [identify("cn-rid", c.identifier) for c in build(5000).children if c.identifier]
    found(numbers)
