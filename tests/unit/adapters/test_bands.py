"""An asserted age band is held against the register's birth date, by the month."""

from datetime import date

import pytest

from adapters.base.answering import contradicts
from gateway.consent.calendar import band_of_month
from gateway.domain.vocabulary import AgeBand

BORN = date(2012, 6, 20)


@pytest.mark.parametrize(
    ("asserted", "day", "refused"),
    [
        ("8-13", date(2026, 5, 31), False),
        ("14-15", date(2026, 5, 31), True),
        ("8-13", date(2026, 6, 19), False),
        ("14-15", date(2026, 6, 1), False),
        ("8-13", date(2026, 6, 20), True),
        ("14-15", date(2026, 6, 20), False),
        ("16-17", date(2026, 6, 20), True),
        ("16-17", date(2030, 6, 19), False),
        ("16-17", date(2030, 6, 20), True),
    ],
)
def test_a_band_is_contradicted_from_the_birthday_on_and_the_next_one_until_the_first_of_its_month(
    asserted, day, refused
):
    assert contradicts(AgeBand(asserted), BORN, day) is refused


def test_the_band_of_the_month_is_never_contradicted():
    for month in range(12 * 18):
        for day in (1, 19, 20, 28):
            today = date(2012 + (5 + month) // 12, (5 + month) % 12 + 1, day)
            band = band_of_month(today, (BORN.year, BORN.month))
            if band is not None and today >= BORN:
                assert not contradicts(band, BORN, today)
    assert band_of_month(date(2030, 6, 1), (2012, 6)) is None
