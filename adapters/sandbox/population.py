"""One synthetic population, from which both departments' data derive: families, siblings, twins, and the traps of the field.

Rules kept here: the same (count, seed, on) always gives the same people; identifiers are valid and unique; a department's copy
differs from the truth only where `EducationCopy` / `CivilAffairsCopy` says so (typing errors, missing numbers); nobody here exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from adapters.sandbox import codes, names
from adapters.sandbox.schools import School, build_schools, placement
from gateway.domain.vocabulary import AgeBand

DEFAULT_DAY = date(2026, 11, 1)
REASONS = ("01", "02", "03", "04", "05", "06", "07", "08")
"""Local codes of 重点关爱 reasons: 家庭突发变故 单亲家庭 升学压力 生活困难 监护缺失 流动或留守 心理和行为异常 主动求助."""

_CLASSES = ("11", "12", "20", "31", "32", "")
_CLASS_WEIGHTS = (1, 2, 10, 15, 12, 60)


@dataclass(frozen=True, slots=True)
class Guardian:
    """A guardian of record. relation: GB/T 4761 (51 父亲, 52 母亲, 61 祖父, 62 祖母)."""

    name: str = field(repr=False)
    relation: str
    phone: str = field(repr=False)
    identifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CareEntry:
    """A line of the register of key care (重点关爱台账) with its plan. status: 1 in care, 2 watched, 3 left."""

    register_id: str
    plan_id: str
    reasons: tuple[str, ...]
    responsible: str
    status: str
    next_action: date


@dataclass(frozen=True, slots=True)
class Child:
    """A child as it is. status_class: civil affairs' code (11 孤儿, 12 事实无人抚养, 20 困境, 31 留守, 32 流动, "" none).

    identifier: citizen number or None; issued: the number that civil affairs gave to a child without one. region: 12 digits
    of the present home. in_programme: still in the programme. school: None where the child goes to none.
    """

    number: int
    family: int
    name: str = field(repr=False)
    sex: str
    ethnic: str
    born: date = field(repr=False)
    identifier: str | None = field(repr=False)
    issued: str | None = field(repr=False)
    region: str
    address: str = field(repr=False)
    guardians: tuple[Guardian, ...] = field(repr=False)
    status_class: str
    in_programme: bool
    twin: bool = False
    school: School | None = None
    stage: str = ""
    grade: str = ""
    boarding: bool = False
    enrolment: str = ""
    care: CareEntry | None = None
    updated: date = DEFAULT_DAY

    @property
    def county(self) -> str:
        """Six digits of the present home."""
        return self.region[:6]

    @property
    def civil_key(self) -> str:
        """The record key (档案编号) in the civil affairs system; meaningless elsewhere."""
        return f"MZ{self.number:07d}"

    @property
    def school_key(self) -> str:
        """The record key (学生内部编号) in the education system; never the 学籍号, which holds the citizen number."""
        return f"XS{(self.number * 7919 + 13) % 9_999_991:07d}"

    @property
    def known_to_civil_affairs(self) -> bool:
        """Civil affairs keeps a file on every child with a class, and on those that left the programme."""
        return self.status_class != ""

    @property
    def known_to_education(self) -> bool:
        """Education keeps a record of every child that a school has ever registered."""
        return self.school is not None

    def age(self, on: date) -> int:
        """Full years on a day."""
        return on.year - self.born.year - ((on.month, on.day) < (self.born.month, self.born.day))

    def band(self, on: date) -> AgeBand:
        """The age band on a day."""
        years = self.age(on)
        return (
            AgeBand.A0_7
            if years < 8
            else AgeBand.A8_13
            if years < 14
            else AgeBand.A14_15
            if years < 16
            else AgeBand.A16_17
        )


@dataclass(frozen=True, slots=True)
class Canaries:
    """What leak tests look for. names: only those with four or more Han characters."""

    names: tuple[str, ...] = field(repr=False)
    identifiers: tuple[str, ...] = field(repr=False)
    phones: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Population:
    """The people of one seed. misspelt: number -> the name as education has it; miscopied: number -> education's wrong ID."""

    children: tuple[Child, ...]
    schools: tuple[School, ...]
    on: date
    seed: int
    misspelt: dict[int, str] = field(repr=False)
    miscopied: dict[int, str] = field(repr=False)

    def canaries(self) -> Canaries:
        """Names (>= 4 Han characters), citizen numbers and phones of all children and guardians."""
        people = [(c.name, c.identifier) for c in self.children]
        people += [(g.name, g.identifier) for c in self.children for g in c.guardians]
        people += [(name, None) for name in self.misspelt.values()] + [("", wrong) for wrong in self.miscopied.values()]
        return Canaries(
            names=tuple(sorted({n for n, _ in people if names.han_characters(n) >= 4})),
            identifiers=tuple(sorted({i for _, i in people if i})),
            phones=tuple(sorted({g.phone for c in self.children for g in c.guardians})),
        )

    def where(self, *tests: Callable[[Child], bool]) -> tuple[Child, ...]:
        """Children that satisfy every test, in order of number."""
        return tuple(c for c in self.children if all(t(c) for t in tests))


def build(count: int = 2000, seed: int = 20261122, on: date = DEFAULT_DAY) -> Population:
    """Invent `count` children (at least 50, so that every kind occurs) as they are on a day. `ValueError` below that."""
    if count < 50:
        raise ValueError("a population has at least 50 children")
    random = Random(seed)
    schools = build_schools()
    numbers = _Numbers()
    children: list[Child] = []
    family = 0
    while len(children) < count:
        family += 1
        children += _family(family, len(children) + 1, random, numbers, on)[: count - len(children)]
    placed = tuple(_placed(c, schools, random, on) for c in children)
    misspelt = {c.number: names.mistyped(random, c.name) for c in placed if c.school and random.random() < 0.03}
    miscopied = {
        c.number: _miscopied(c.identifier, random)
        for c in placed
        if c.school and c.identifier and random.random() < 0.004
    }
    return Population(placed, schools, on, seed, misspelt, miscopied)


class _Numbers:
    """Gives each (county, birth date, sex) its own sequence, so that no citizen number is given twice."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, date, str], int] = {}

    def take(self, county: str, born: date, sex: str, random: Random) -> str:
        key = (county, born, sex)
        step = self._used.setdefault(key, random.randrange(20))
        self._used[key] = step + 1
        return codes.rid(county, born, (step * 2) % 998 + (1 if sex == "1" else 2))


def _family(family: int, first: int, random: Random, numbers: _Numbers, on: date) -> list[Child]:
    """One household: 1-3 children, sometimes twins, guardians shared, one address."""
    county = random.choices(tuple(codes.COUNTIES), weights=(20, 25, 40, 15))[0]
    region, address = codes.village(county, random)
    status = random.choices(_CLASSES, weights=_CLASS_WEIGHTS)[0]
    dotted, ethnic = names.dotted_family(random) if random.random() < 0.06 else ("", "01")
    last = dotted or names.surname(random)
    size = random.choices((1, 2, 3), weights=(70, 24, 6))[0]
    twins = size > 1 and random.random() < 0.12
    guardians = _guardians(last, dotted=bool(dotted), status=status, county=county, random=random, numbers=numbers)
    birth_county = county if status != "32" else random.choice(("341122", "411326", "522327"))
    oldest = on - timedelta(days=random.randrange(3 * 366, 17 * 365 + 180))
    births = [
        oldest if i == 0 or (twins and i == 1) else oldest + timedelta(days=random.randrange(400, 900) * i)
        for i in range(size)
    ]
    youngest = on - timedelta(days=3 * 366)
    children = []
    for i, born in enumerate(b for b in births if b <= youngest):
        sex = random.choice("12")
        has_id = random.random() >= 0.015
        number = first + i
        children.append(
            Child(
                number=number,
                family=family,
                sex=sex,
                ethnic=ethnic,
                born=born,
                region=region,
                address=address,
                name=names.dotted(random, dotted) if dotted else last + names.given(random, sex),
                identifier=numbers.take(birth_county, born, sex, random) if has_id else None,
                issued=None if has_id else f"ca-{random.getrandbits(128):032x}",
                guardians=guardians,
                status_class=status,
                in_programme=bool(status) and random.random() < 0.93,
                twin=twins and i < 2,
                updated=on - timedelta(days=random.randrange(200)),
            )
        )
    return children


def _guardians(
    last: str, *, dotted: bool, status: str, county: str, random: Random, numbers: _Numbers
) -> tuple[Guardian, ...]:
    """Who looks after the household: parents, or a grandparent for orphans and for those left behind."""
    relations = {"11": ("61",), "12": ("62",), "31": ("61", "51")}.get(status, ("51", "52"))
    out = []
    for relation in relations:
        sex = "1" if relation in ("51", "61") else "2"
        years = 68 if relation in ("61", "62") else 40
        born = date(2026 - years + random.randrange(-6, 6), random.randrange(1, 13), random.randrange(1, 28))
        name = (
            names.dotted(random, last) if dotted else names.adult(random, last if sex == "1" else names.surname(random))
        )
        out.append(Guardian(name, relation, codes.phone(random), numbers.take(county, born, sex, random)))
    return tuple(out)


def _placed(child: Child, schools: tuple[School, ...], random: Random, on: date) -> Child:
    """The child with its school and, for a third of those in the programme, its line in the register of key care."""
    place = placement(child.age(on), child.county, schools, random)
    if place is not None:
        school, stage, grade = place
        enrolment = random.choices(("01", "02", "03", "04"), weights=(95, 2, 1, 2))[0]
        boarding = stage in ("3", "4") and random.random() < (0.7 if child.status_class == "31" else 0.3)
        child = replace(child, school=school, stage=stage, grade=grade, enrolment=enrolment, boarding=boarding)
    if child.in_programme and random.random() < 0.34:
        care = CareEntry(
            register_id=f"TZ{random.randrange(10**9):09d}",
            plan_id=f"FA{random.randrange(10**9):09d}",
            reasons=tuple(sorted(random.sample(REASONS, random.randrange(1, 4)))),
            responsible=random.choice(("MZ", "JY", "WJ", "TW", "FL")),
            status=random.choice("112"),
            next_action=on + timedelta(days=random.randrange(5, 90)),
        )
        child = replace(child, care=care)
    return child


def _miscopied(identifier: str, random: Random) -> str:
    """A citizen number with two neighbouring, different digits swapped: its check no longer holds."""
    places = [i for i in range(6, 16) if identifier[i] != identifier[i + 1]]
    i = random.choice(places)
    return identifier[:i] + identifier[i + 1] + identifier[i] + identifier[i + 2 :]
