"""A simulated year: every release is re-judged from the simulator's own truth, and no file of the store knows a birthday.

Nobody is born on the first of a month here: for such a child the last lawful day of a consent is the day before the birthday
itself, so that the month's end is that day's neighbour by law and not by a leak.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.consent.book import definition
from gateway.consent.calendar import band_of_month, latest_end, month_end
from gateway.consent.doors import Limits
from gateway.domain.clock import SHANGHAI
from gateway.store.basis import micros, moment
from gateway.store.basis_tables import consents
from gateway.store.database import Database
from tests.controls.test_no_birth_date import traces
from tests.spec.simulated_year import BANDS, FIRST, THRESHOLDS, Life, Released, Year, lives
from tests.unit.consent.basis_world import X02, X05, X20, World, statements_so_far

pytestmark = pytest.mark.anyio
Z99 = 2.326


async def a_year(folder: Path, children: int, acts: int) -> Year:
    """Run it on a store in `folder`."""
    database = Database(f"sqlite+aiosqlite:///{folder}/basis.db")
    await database.create_schema()
    dice = random.Random(20260101)
    # One officer and one client act for everybody here, so the daily limits are lifted; they have tests of their own.
    most = Limits(10**6, 10**6, 10**9, 10**9, 10**9)
    year = Year(World(database, limits=most), lives(children, dice), dice)
    year.world.clock.moment = FIRST
    await year.run(acts)
    await database.close()
    return year


# --- an independent judgement, from the law and the truth ---------------------------------------------------------------


def why_not(life: Life, left: Released, known: dict[int, Life]) -> str:
    """Why this release had no basis, "" where it had one. Nothing of the basis room is used."""
    if left.door == "protective":
        return "" if left.exchange == "X20" else "door"
    if left.door == "emergency":
        return "" if left.exchange == "X05" else "door"
    if left.exchange == "X02":
        return _case_and_approval(life, left)
    if left.exchange == "X05":
        return _consents(life, left)
    return "exchange"


def _case_and_approval(life: Life, left: Released) -> str:
    named = dict(left.references).get("case")
    open_now = [c for c in life.cases if c["id"] == named and c["at"] <= left.at]  # type: ignore[operator]
    open_now = [c for c in open_now if c["closed"] is None or c["closed"] >= left.at]  # type: ignore[operator]
    if not open_now:
        return "no open case on this child"
    signed = [a for a in life.approvals if a["case"] == named and a["at"] <= left.at < a["ends"]]  # type: ignore[operator]
    return "" if signed else "no approval in force"


def _consents(life: Life, left: Released) -> str:
    since = max((at for at in life.withdrawals if at <= left.at), default=None)
    standing = [c for c in life.consents if c["at"] <= left.at < c["ends"]]  # type: ignore[operator]
    standing = [c for c in standing if since is None or c["at"] > since]  # type: ignore[operator]
    if not standing:
        return "no consent in force"
    age = life.age(left.at.astimezone(SHANGHAI).date())
    if any(c["own"] == "objects" for c in standing):
        return "the child objects"
    if age >= 14 and not any(c["own"] == "granted" for c in standing):
        return "14 or older without the child's own consent"
    for consent in standing:
        if not left.fields <= consent["fields"]:  # type: ignore[operator]
            return "a field outside a consent"
    return ""


def judged(year: Year) -> dict[str, int]:
    """Reason -> how many releases had no basis for it."""
    known = {life.number: life for life in year.lives}
    found: dict[str, int] = defaultdict(int)
    for left in year.released:
        if reason := why_not(known[left.number], left, known):
            found[reason] += 1
    return dict(found)


# --- birthdays ---------------------------------------------------------------------------------------------------------


def files_of(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# Every window of the files that has the shape of a trace, in one pass: looking for each birthday alone would take hours.
_SHAPES = (
    rb"(?=(\d{4}-\d{2}-\d{2}))",
    rb"(?=(\d{8}))",
    rb"(?=(\d{4}/\d{2}/\d{2}))",
    "(?=(\\d{4}年\\d{1,2}月\\d{1,2}日))".encode(),
    rb"(?=(\x00[\x03-\x0a].{6}))",
    rb"(?=(\x00{4}[\x30-\xa0].{3}))",
)


# Days of the year itself and of its deadlines stand in the store for what happened on them; whether they are tied to whoever's
# band changes on them is asked row by row (`tied`).
_HAPPENED = frozenset(FIRST.date() + timedelta(days=number) for number in range(-5, 440))


def found_in(
    stored: bytes, born: Iterable[date], happened: frozenset[date] = frozenset(), digests: bytes = b""
) -> list[date]:
    """Birthdays, or the days on which a band changes, that stand anywhere in the store's bytes.

    digests: known hex digests, joined. So many of them hold some birthday's eight digits by chance; such a place is none where all
    sixteen characters around the digits stand in one of them.
    """
    windows = {match[1] for shape in _SHAPES for match in re.finditer(shape, stored, re.DOTALL)}
    # Two bytes among zeros are what a page's own book-keeping looks like too; as a number such a day is looked for by `counted`.
    windows = {window for window in windows if len(window) - window.count(0) > 2}
    windows -= {trace for day in happened for trace in traces(day)[:6]}
    return [
        day
        for day in born
        if any(not _by_chance(stored, trace, digests) for trace in windows.intersection(traces(day)))
    ]


def _by_chance(stored: bytes, trace: bytes, digests: bytes) -> bool:
    if not re.fullmatch(rb"\d{8}", trace):
        return False
    return all(
        any(
            len(piece := stored[start : start + 16]) == 16 and piece in digests
            for start in range(max(0, at - 8), at + 1)
        )
        for at in (match.start() for match in re.finditer(b"(?=%s)" % trace, stored))
    )


def known_digests() -> bytes:
    """The digests that the year's signed statements and definitions must have left, computed from what was said."""
    spoken = (f"{kind}.{number}.sig" for kind in ("consent", "approval") for number in range(statements_so_far()))
    made = [hashlib.sha256(text.encode()).hexdigest() for text in spoken]
    return "|".join([*made, *(definition(exchange) for exchange in (X02, X05, X20))]).encode()


def counted(folder: Path, born: Iterable[date], happened: frozenset[date] = frozenset()) -> list[date]:
    """Birthdays, or the days on which a band changes, whose midnight is an integer in any column of any table: in seconds, milli- or
    microseconds. SQLite packs such numbers into four to eight bytes, of which the shorter cannot be told from chance in the raw files.
    """
    store, numbers = sqlite3.connect(folder / "basis.db"), set[int]()
    for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in store.execute(f"SELECT * FROM {table}"):
            numbers.update(value for value in row if isinstance(value, int))
    numbers -= {number for day in happened for number in _midnights(day)[:3]}
    return [day for day in born if not numbers.isdisjoint(_midnights(day))]


def _midnights(day: date) -> list[int]:
    days = [day.replace(year=day.year + years) for years in (0, *THRESHOLDS) if not _leap(day)]
    found = [micros(datetime(then.year, then.month, then.day, tzinfo=SHANGHAI)) for then in days]
    return [number // unit for number in found for unit in (1, 1_000, 1_000_000)]


def tied(folder: Path, year: Year, shift: int = 0) -> int:
    """Rows about a child that hold the very day on which the band of the child `shift` places on changes."""
    known: dict[bytes, set[object]] = {}
    for number, life in enumerate(year.lives):
        other = year.lives[(number + shift) % len(year.lives)]
        days = [other.born.replace(year=other.born.year + years) for years in (0, *THRESHOLDS) if not _leap(other.born)]
        midnights = [micros(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)) for day in days]
        known[life.child.key] = {*(day.isoformat() for day in days), *midnights}
    store, hits = sqlite3.connect(folder / "basis.db"), 0
    for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        names = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
        if "child" in names:
            place = names.index("child")
            rows = store.execute(f"SELECT * FROM {table}").fetchall()
            hits += sum(not known.get(row[place] or b"", set()).isdisjoint(row) for row in rows)
    return hits


def _leap(day: date) -> bool:
    return (day.month, day.day) == (2, 29)


def test_the_search_finds_a_date_among_integers_however_few_bytes_it_takes(tmp_path: Path) -> None:
    day, other = date(2022, 5, 3), date(2022, 5, 4)
    midnight = micros(datetime(2022, 5, 3, tzinfo=SHANGHAI))
    for unit in (1, 1_000, 1_000_000):
        (tmp_path / "basis.db").unlink(missing_ok=True)
        with sqlite3.connect(tmp_path / "basis.db") as store:
            store.execute("CREATE TABLE any (child BLOB, number INTEGER)")
            store.execute("INSERT INTO any VALUES (x'00', ?)", (midnight // unit,))
        assert counted(tmp_path, [day, other]) == [day]


def test_the_search_finds_every_form_of_a_date() -> None:
    day = date(2012, 6, 20)
    for trace in traces(day):
        assert found_in(b"\x07abc" + trace + b"xyz\x01", [day, date(2012, 6, 21)]) == [day]
    digest = b"0a1b2c3d4e5f20120620" + b"9" * 44
    assert found_in(b"\x07" + digest, [day], digests=digest) == []
    assert found_in(b"\x07" + digest, [day]) == [day]
    assert found_in(b"\x07" + digest + b"\x0720120620", [day], digests=digest) == [day]
    assert found_in(b"20120620" + digest[:12], [day], digests=digest) == [day]


Told = dict[int, list[tuple[str, date, date]]]
"""Child's number -> (band, day given, last day covered) of each consent row."""


def told_by(folder: Path, year: Year) -> Told:
    """What a thief of the store learns of each child's consents."""
    rows = sqlite3.connect(folder / "basis.db").execute("SELECT child, age_band, given, ends FROM consents").fetchall()
    numbers = {life.child.key: life.number for life in year.lives}
    found: Told = defaultdict(list)
    for key, band, given, ends in rows:
        until = moment(ends).astimezone(SHANGHAI) - timedelta(microseconds=1)
        found[numbers[key]].append((band, moment(given).astimezone(SHANGHAI).date(), until.date()))
    return found


def possible(told: list[tuple[str, date, date]], *, days: bool) -> tuple[date, date]:
    """First and last birthday that a child's consents leave possible.

    days: the attacker takes every date to the day, believing that bands change on birthdays; without, only band and month of each
    consent count, which the design concedes. A consent that ends before its twelve months says that the month after is the
    threshold month.
    """
    first, last = date(1900, 1, 1), date(2100, 1, 1)
    for band, given, until in told:
        low, high = map(int, band.split("-"))
        end_of_month = month_end(given.year, given.month)
        youngest, oldest = (given, given) if days else (end_of_month, end_of_month)
        last = min(last, _years_before(youngest, low))
        first = max(first, _years_before(oldest, high + 1) + timedelta(days=1))
        if until < latest_end(given):
            threshold = until + timedelta(days=1)
            exact = days and threshold.day != 1
            born = threshold.replace(year=threshold.year - high - 1)
            first = max(first, born)
            last = min(last, born if exact else month_end(born.year, born.month))
    return first, last


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


@dataclass
class Guessed:
    """right of tried; expected, variance: what band and months alone give."""

    right: int = 0
    tried: int = 0
    expected: float = 0.0
    variance: float = 0.0

    def add(self, right: bool, chance: float) -> None:
        self.right += right
        self.tried += 1
        self.expected += chance
        self.variance += chance * (1 - chance)

    def told(self, name: str) -> str:
        bound, chance = upper(self.right, self.tried), self.expected / max(1, self.tried)
        return (
            f"birthdays, {name}: {self.right} of {self.tried} guessed right, 99 % upper bound {bound:.4f}; "
            f"band and month alone {chance:.4f}"
        )

    @property
    def better(self) -> bool:
        """Whether it is more than chance would give in 99 of 100 years."""
        if self.expected < 30:  # few and rare: the bell curve would cry wolf
            below = sum(math.exp(-self.expected) * self.expected**k / math.factorial(k) for k in range(self.right))
            return 1 - below < 0.01
        return self.right > self.expected + Z99 * math.sqrt(self.variance)


def guesses(lives_: list[Life], told: Told, dice: random.Random) -> tuple[Guessed, Guessed]:
    """The best guess of every whole birthday from every date of every consent; and, of those children whose consents' days seem to
    say more than band and month, whether the birthday does lie within the days that they leave.
    """
    everybody, narrowed = Guessed(), Guessed()
    for life in lives_:
        if life.number not in told:
            continue
        coarse = possible(told[life.number], days=False)
        fine = possible(told[life.number], days=True)
        if fine[0] > fine[1]:  # what it believes contradicts itself: it falls back to the months
            fine = coarse
        fine = max(fine[0], coarse[0]), min(fine[1], coarse[1])
        if fine[0] > fine[1]:
            fine = coarse
        guess = fine[0] + timedelta(days=dice.randrange((fine[1] - fine[0]).days + 1))
        chance = 1 / ((coarse[1] - coarse[0]).days + 1)
        everybody.add(guess == life.born, chance)
        if coarse[1] - coarse[0] < timedelta(days=31) and fine != coarse:
            narrowed.add(fine[0] <= life.born <= fine[1], ((fine[1] - fine[0]).days + 1) * chance)
    return everybody, narrowed


def upper(right: int, tried: int) -> float:
    """One-sided 99 % upper bound of a share (Wilson)."""
    if not tried:
        return 1.0
    share, z = right / tried, Z99
    middle = share + z * z / (2 * tried)
    wide = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried))
    return (middle + wide) / (1 + z * z / tried)


def require_months_only(folder: Path) -> None:
    """Every end is the first moment after a month, so an end says a month and no day."""
    rows = sqlite3.connect(folder / "basis.db").execute("SELECT DISTINCT ends FROM consents").fetchall()
    ends = [moment(value).astimezone(SHANGHAI) for (value,) in rows]
    assert len(ends) > 5
    assert {(end.day, end.hour, end.minute, end.second, end.microsecond) for end in ends} == {(1, 0, 0, 0, 0)}


async def plant(folder: Path, year: Year) -> Life:
    """Write one exact threshold date, as a department that sends birthdays would."""
    last = FIRST.date() + timedelta(days=500)
    life = next(each for each in year.lives if each.consents and not _leap(each.born) and each.age(last) < 17)
    years = next(age for age in THRESHOLDS if age > life.age(last))
    day = datetime(life.born.year + years, life.born.month, life.born.day, tzinfo=SHANGHAI)
    again = Database(f"sqlite+aiosqlite:///{folder}/basis.db")
    async with again.write() as writing:
        changed = await writing.connection.execute(
            consents.update().where(consents.c.child == life.child.key).values(ends=micros(day))
        )
        assert changed.rowcount
    await again.close()
    return life


async def hold(folder: Path, children: int, acts: int) -> None:
    """The whole claim, with its figures printed."""
    year = await a_year(folder, children, acts)
    without_basis = judged(year)
    refused = sum(year.refused.values())
    print(
        f"year: {children:,} children, {len(year.released):,} releases, {refused:,} refusals, {without_basis} without basis"
    )
    assert without_basis == {}
    assert {left.door for left in year.released} == {"normal", "emergency", "protective"}
    assert {left.exchange for left in year.released} == {"X02", "X05", "X20"}
    wanted = {"consent_none", "consent_withdrawn", "child_consent_missing", "child_objects", "case_other_child"}
    assert wanted | {"approval_missing", "approval_expired", "reason_missing"} <= set(year.refused)
    require_months_only(folder)
    born = [life.born for life in year.lives if life.consents]
    digests = known_digests()
    found = found_in(files_of(folder), born, _HAPPENED, digests)
    print(
        f"birthdays: {len(found)} of {len(born):,} stand in {len(files_of(folder)) / 1e6:.0f} MB of the store's files"
    )
    assert found == []
    assert counted(folder, born, _HAPPENED) == []
    here, elsewhere = tied(folder, year), sum(tied(folder, year, shift) for shift in range(1, 11)) / 10
    print(
        f"birthdays: {here} rows hold a day on which their child's band changes, {elsewhere:.1f} that of another child"
    )
    assert here <= elsewhere + 3 * math.sqrt(elsewhere) + 3
    for name, guessed in zip(
        ("every child", "days that seem to tell"), guesses(year.lives, told_by(folder, year), year.dice)
    ):
        print(guessed.told(name))
        assert not guessed.better
    planted = await plant(folder, year)
    assert planted.born in found_in(files_of(folder), born, _HAPPENED, digests)
    assert planted.born in counted(folder, born, _HAPPENED)
    with pytest.raises(AssertionError):
        require_months_only(folder)


async def test_three_hundred_children_have_no_release_without_basis_and_no_birthday_in_the_store(
    tmp_path: Path,
) -> None:
    await hold(tmp_path, 300, 2_400)


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_ten_thousand_children_have_no_release_without_basis_and_no_birthday_in_the_store(tmp_path: Path) -> None:
    await hold(tmp_path, 10_000, 120_000)


def spoken(born: list[date], dice: random.Random, *, on_birthdays: bool) -> Told:
    """Consents of a year as departments would give them: the band changes with the month, or (planted) on the birthday."""
    found: Told = defaultdict(list)
    for number, day in enumerate(born):
        for _ in range(8):
            given = FIRST.date() + timedelta(days=dice.randrange(365))
            month = (day.year, day.month)
            band = band_of_month(given, month)
            if on_birthdays and (given.month, given.day) < (day.month, day.day):
                band = band_of_month(given.replace(day=1) - timedelta(days=1), month)
            if band is None:
                continue
            ends = latest_end(given, (day.year + int(band.split("-")[1]) + 1, day.month))
            if ends >= given:
                found[number].append((str(band), given, ends))
    return found


def test_bands_that_changed_on_the_birthday_would_tell_it_and_with_the_month_they_do_not() -> None:
    dice = random.Random(7)
    # Only those tell something whose band changes within the year.
    grown = (
        life for life in lives(14_000, dice) if life.band(FIRST.date()) != life.band(FIRST.date() + timedelta(days=360))
    )
    born = [life.born for life in grown]
    people = [Life(number, day) for number, day in enumerate(born)]
    everybody, narrowed = guesses(people, spoken(born, dice, on_birthdays=False), dice)
    assert narrowed.tried > 200
    assert not everybody.better and not narrowed.better
    _, planted = guesses(people, spoken(born, dice, on_birthdays=True), dice)
    assert planted.better, planted.told("planted")


async def test_the_independent_judgement_finds_a_release_that_had_no_basis(tmp_path: Path) -> None:
    year = await a_year(tmp_path, 40, 600)
    assert judged(year) == {}
    victim = next(left for left in year.released if left.exchange == "X05" and left.door == "normal")
    life = next(each for each in year.lives if each.number == victim.number)
    life.withdrawals.append(victim.at - timedelta(seconds=1))
    life.consents[:] = [c for c in life.consents if c["at"] < victim.at]  # type: ignore[operator]
    assert sum(judged(year).values()) >= 1


def test_bands_of_the_simulator_are_those_of_the_law() -> None:
    life = Life(1, date(2012, 6, 20))
    assert BANDS[life.threshold(date(2026, 5, 31))] == "8-13"
    assert BANDS[life.threshold(date(2026, 6, 1))] == "14-15"
    assert (life.age(date(2026, 6, 19)), life.age(date(2026, 6, 20))) == (13, 14)
    assert life.band(date(2030, 5, 31)) == "16-17"
    assert life.band(date(2030, 6, 1)) is None
