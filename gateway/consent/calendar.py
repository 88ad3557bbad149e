"""工作日历: working days of the People's Republic with 调休, month ends, and days in Asia/Shanghai.

Rules kept here: the calendar is data (`holidays.toml`); a deadline of n working days ends with the n-th working day after
the day of the event, at midnight in Asia/Shanghai; a year without a table counts Monday to Friday, which errs early, so
a deadline is never granted that the law might not give.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib import resources

from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import AgeBand

CONSENT_MONTHS = 12


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """off: days off beyond weekends; worked: weekend days made up for; announced: years whose notice has appeared."""

    off: frozenset[date]
    worked: frozenset[date]
    announced: frozenset[int]

    @classmethod
    def load(cls, text: str | None = None) -> WorkingDays:
        """From TOML text, the shipped table by default. Raises `ValueError`/`KeyError` on a table that is not of the form."""
        if text is None:
            text = resources.files("gateway.consent").joinpath("holidays.toml").read_text("utf-8")
        tables: Mapping[str, Mapping[str, list[str] | bool]] = tomllib.loads(text)
        off, worked, announced = set[date](), set[date](), set[int]()
        for year, table in tables.items():
            if table["announced"] is True:
                announced.add(int(year))
            off |= {day for span in _texts(table["off"]) for day in _days(span)}
            worked |= {day for span in _texts(table["worked"]) for day in _days(span)}
        if off & worked:
            raise ValueError("a day is both off and worked")
        return cls(frozenset(off), frozenset(worked), frozenset(announced))

    def works(self, day: date) -> bool:
        """Whether `day` is a working day."""
        return day in self.worked or (day.weekday() < 5 and day not in self.off)

    def after(self, day: date, count: int) -> date:
        """The `count`-th working day after `day` (`count` >= 1)."""
        if count < 1:
            raise ValueError("a deadline has at least one working day")
        while count:
            day += timedelta(days=1)
            count -= self.works(day)
        return day

    def due(self, moment: datetime, count: int) -> datetime:
        """The end of the `count`-th working day after the Asia/Shanghai day of `moment`."""
        return midnight_after(self.after(shanghai_day(moment), count))


def shanghai_day(moment: datetime) -> date:
    """The calendar day of a moment in Asia/Shanghai."""
    return moment.astimezone(SHANGHAI).date()


def midnight_after(day: date) -> datetime:
    """The first moment that no longer belongs to `day`, Asia/Shanghai."""
    return datetime.combine(day + timedelta(days=1), time(), SHANGHAI)


def is_month_end(day: date) -> bool:
    """Whether `day` is the last of its month."""
    return (day + timedelta(days=1)).day == 1


def month_end(year: int, month: int) -> date:
    """The last day of a month."""
    following = date(year + month // 12, month % 12 + 1, 1)
    return following - timedelta(days=1)


def latest_end(given: date, threshold: tuple[int, int] | None = None) -> date:
    """The last day that a consent given on `given` may run to: at most 12 months, on the last day of a month, and never
    later than the month before the threshold month (year, month) in which the child leaves its band. Computed by the
    department, which knows the threshold; the gateway never does.
    """
    months = given.year * 12 + given.month - 1 + CONSENT_MONTHS
    if month_end(months // 12, months % 12 + 1) > _a_year_after(given):
        months -= 1
    if threshold:
        months = min(months, threshold[0] * 12 + threshold[1] - 2)
    return month_end(months // 12, months % 12 + 1)


def band_of_month(day: date, born: tuple[int, int]) -> AgeBand | None:
    """The band that a department asserts on `day` for a child born in (year, month): the one that holds on the last day of the
    running month, None from the month of the 18th birthday on. Like `latest_end` computed by the department.

    Were a band to change on the birthday itself, a consent to the older band given early in that month would tell the day almost
    exactly. So it changes with the month, upwards, which only ever asks for more consents.
    """
    age = day.year - born[0] - (day.month < born[1])
    return next((band for band in AgeBand if age <= int(band.partition("-")[2])), None)


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year + 1, day=28)


def _texts(value: list[str] | bool) -> list[str]:
    return [] if isinstance(value, bool) else value


def _days(span: str) -> list[date]:
    first, _, last = span.partition("/")
    start, end = date.fromisoformat(first), date.fromisoformat(last or first)
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]
