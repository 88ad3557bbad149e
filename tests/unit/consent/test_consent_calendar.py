"""Working days with 调休, deadlines, month ends, and midnight in Asia/Shanghai."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.calendar import WorkingDays, is_month_end, latest_end, midnight_after, shanghai_day
from gateway.consent.doors import day_of
from gateway.domain.clock import SHANGHAI

DAYS = WorkingDays.load()


def test_announced_years_are_told_from_provisional_ones() -> None:
    assert DAYS.announced == {2025, 2026}


@pytest.mark.parametrize("year", [2025, 2026])
def test_make_up_days_are_weekends_and_days_off_are_thirteen_statutory_ones_and_their_bridges(year: int) -> None:
    worked = {day for day in DAYS.worked if day.year == year}
    assert worked and all(day.weekday() >= 5 for day in worked)
    weekdays_off = {day for day in DAYS.off if day.year == year and day.weekday() < 5}
    # 13 statutory days a year since 2025; weekend work pays for the rest of the weekdays off, less the statutory
    # days that fell on weekends and are made up for.
    assert len(weekdays_off) - len(worked) == 13


@pytest.mark.parametrize(
    ("start", "count", "due"),
    [
        ("2025-09-30", 1, "2025-10-09"),  # skips 国庆 and 中秋
        ("2025-09-30", 2, "2025-10-10"),
        ("2025-09-30", 3, "2025-10-11"),  # the Saturday that is worked counts
        ("2025-09-30", 10, "2025-10-21"),
        ("2026-02-13", 1, "2026-02-14"),  # a Saturday made up for before 春节
        ("2026-02-14", 1, "2026-02-24"),
        ("2026-11-20", 1, "2026-11-23"),
        ("2028-01-07", 1, "2028-01-10"),  # no table: Monday to Friday
    ],
)
def test_deadlines_count_working_days(start: str, count: int, due: str) -> None:
    assert DAYS.after(date.fromisoformat(start), count) == date.fromisoformat(due)


def test_deadline_ends_at_midnight_after_the_working_day_in_shanghai() -> None:
    almost = datetime(2026, 3, 10, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai
    assert DAYS.due(almost, 1) == datetime(2026, 3, 12, 0, 0, tzinfo=SHANGHAI)
    assert DAYS.due(almost + timedelta(seconds=1), 1) == datetime(2026, 3, 13, 0, 0, tzinfo=SHANGHAI)


def test_day_changes_at_midnight_in_shanghai_and_not_in_utc() -> None:
    assert day_of(datetime(2026, 3, 10, 15, 59, 59, tzinfo=UTC)) == "2026-03-10"
    assert day_of(datetime(2026, 3, 10, 16, 0, tzinfo=UTC)) == "2026-03-11"


@given(st.dates(date(2025, 1, 1), date(2027, 12, 1)), st.integers(1, 25))
def test_deadline_is_a_working_day_and_exactly_count_of_them_lie_in_between(day: date, count: int) -> None:
    due = DAYS.after(day, count)
    between = [day + timedelta(days=n) for n in range(1, (due - day).days + 1)]
    assert DAYS.works(due)
    assert sum(map(DAYS.works, between)) == count


@given(st.dates(date(2024, 1, 1), date(2032, 12, 31)))
def test_latest_end_is_a_month_end_within_twelve_months_and_no_month_longer_fits(day: date) -> None:
    end = latest_end(day)
    year_after = day.replace(year=day.year + 1) if (day.month, day.day) != (2, 29) else date(day.year + 1, 2, 28)
    assert is_month_end(end) and end <= year_after
    following = end + timedelta(days=1)
    assert following.replace(day=28) + timedelta(days=3) >= year_after


@given(st.dates(date(2024, 1, 1), date(2030, 12, 31)), st.integers(0, 30))
def test_consent_ends_before_the_month_in_which_the_band_changes(day: date, ahead: int) -> None:
    months = day.year * 12 + day.month - 1 + ahead
    threshold = (months // 12, months % 12 + 1)
    end = latest_end(day, threshold)
    assert end < date(*threshold, 1)
    assert midnight_after(end) <= datetime(*threshold, 1, tzinfo=SHANGHAI)


@given(st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)))
def test_midnight_after_is_the_first_moment_of_another_day(moment: datetime) -> None:
    boundary = midnight_after(shanghai_day(moment))
    assert shanghai_day(boundary) != shanghai_day(moment)
    assert shanghai_day(boundary - timedelta(microseconds=1)) == shanghai_day(moment)


@pytest.mark.parametrize(
    "text", ['[2025]\nannounced = true\noff = ["2025-01-26"]\nworked = ["2025-01-26"]', "[2025]\noff = []\nworked = []"]
)
def test_calendar_that_contradicts_itself_does_not_load(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        WorkingDays.load(text)
