"""No birth date in any file of the store, however it is written; a planted one is found.

Sixty children with birthdays are given consents by departments that know those birthdays; then the raw bytes of every
database file are searched for each day as text in four forms and for its midnights as stored microseconds and seconds.
"""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.consent.calendar import latest_end
from gateway.domain.clock import SHANGHAI
from gateway.store.basis import micros
from gateway.store.basis_tables import consents
from gateway.store.database import Database
from tests.unit.consent.basis_world import CA, ED_BUREAU, NOON, X05, World, caller, child

pytestmark = pytest.mark.anyio

SCHOOL = caller(ED_BUREAU, "wu")
THRESHOLDS = (8, 14, 16, 18)
BANDS = {8: "0-7", 14: "8-13", 16: "14-15", 18: "16-17"}


def traces(day: date) -> list[bytes]:
    """The forms in which a birthday, or the birthday on which a band changes, could stand in a file."""
    found = []
    for years in (0, *THRESHOLDS):
        try:
            then = day.replace(year=day.year + years)
        except ValueError:
            continue
        midnight = micros(datetime(then.year, then.month, then.day, tzinfo=SHANGHAI))
        texts = [
            then.isoformat(),
            then.strftime("%Y%m%d"),
            then.strftime("%Y/%m/%d"),
            f"{then.year}年{then.month}月{then.day}日",
        ]
        found += [text.encode() for text in texts]
        # SQLite stores integers big-endian in the fewest of 4, 6 or 8 bytes; microseconds of our days need 8.
        found += [midnight.to_bytes(8, "big"), (midnight // 1_000_000).to_bytes(8, "big")]
    return found


def files_of(directory: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(directory.glob("basis.db*")))


async def test_store_of_many_consents_holds_no_birthday_and_a_planted_one_is_found(
    world: World, tmp_path: Path
) -> None:
    chance = random.Random(20260310)
    birthdays = []
    for number in range(60):
        born = date(2009, 1, 1) + timedelta(days=chance.randrange(17 * 365))
        # A birthday on the first of a month has the end of the month before as its lawful last day; leave such out.
        born = born.replace(day=max(born.day, 2))
        age = NOON.year - born.year - ((NOON.month, NOON.day) < (born.month, born.day))
        if (NOON.year - born.year in THRESHOLDS and NOON.month == born.month) or age >= 17:
            continue
        threshold = next(years for years in THRESHOLDS if years > age)
        ends = latest_end(NOON.date(), (born.year + threshold, born.month))
        if ends < NOON.date():
            continue
        await world.give(SCHOOL, X05, CA, child(number), age_band=BANDS[threshold], ends=ends.isoformat())
        birthdays.append(born)
    assert len(birthdays) > 40
    await world.database.close()
    stored = files_of(tmp_path)
    assert not [born for born in birthdays for trace in traces(born) if trace in stored]

    planted = birthdays[7]
    again = Database(f"sqlite+aiosqlite:///{tmp_path}/basis.db")
    threshold_day = datetime(planted.year + 14, planted.month, planted.day, tzinfo=SHANGHAI)
    async with again.write() as writing:
        await writing.connection.execute(consents.update().values(ends=micros(threshold_day)))
    await again.close()
    assert any(trace in files_of(tmp_path) for trace in traces(planted))
