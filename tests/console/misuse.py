"""Four weeks of work in five departments with misuse put into it, for measuring the anomaly rules.

Written and committed before any rule. Ordinary work holds what misleads: duty officers at night, case conferences, typing errors,
colleagues who cover for each other, an emergency whose case is opened late. Misuse holds what no rule can see: one careful look.
Every label is the generator's own; nothing here knows a rule or a threshold. Seeded: the same seed gives the same weeks.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from gateway.console.accesses import Access, Link, Tie
from gateway.domain.vocabulary import Department, Door, Outcome

FIRST = datetime(2026, 3, 1, 16, tzinfo=UTC)  # Monday 2 March 2026, 00:00 in Asia/Shanghai
DAYS = 28
OFFICES = {
    Department.CIVIL_AFFAIRS: ("91330106MA28A1234X", "91330108MA28A1235Y"),
    Department.EDUCATION: ("91330106MB28A1236A", "91330108MB28A1237B", "91330110MB28A1238C"),
    Department.HEALTH: ("91330106MC28A1239D", "91330108MC28A1240E"),
    Department.YOUTH_LEAGUE: ("91330106MD28A1241F",),
    Department.WOMENS_FEDERATION: ("91330106ME28A1242G", "91330108ME28A1243H"),
}
NIGHT_DUTY = (Department.HEALTH, Department.YOUTH_LEAGUE)
EXCHANGE = {
    Department.CIVIL_AFFAIRS: "X02",
    Department.EDUCATION: "X01",
    Department.HEALTH: "X01",
    Department.YOUTH_LEAGUE: "X01",
    Department.WOMENS_FEDERATION: "X01",
}
HOUR, DAY = 3600, 86_400
# kind of misuse -> incidents in four weeks
INCIDENTS = {
    "curiosity": 12,
    "at night": 5,
    "harvest": 3,
    "guessing": 3,
    "through a colleague": 4,
    "false emergency": 4,
    "stalking": 3,
    "shared login": 3,
    "one careful look": 4,
}


@dataclass
class Weeks:
    """accesses: in order of time, `index` counting from 0. misuse: index -> kind."""

    accesses: list[Access] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    misuse: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Person:
    department: Department
    organisation: str
    staff: str

    @property
    def party(self) -> str:
        return f"{self.organisation}/{self.department}"


class Writer:
    """Collects accesses with their labels; numbers them when all are there."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.rows: list[tuple[int, int, dict, str]] = []
        self.links: list[Link] = []
        self.people = [
            Person(department, office, f"S{number:03d}")
            for department, offices in OFFICES.items()
            for office in offices
            for number in range(6)
        ]
        self.children = [sha256(f"{seed}/{number}".encode()).digest() for number in range(500)]
        self.own: dict[Person, list[bytes]] = {}
        self.known: dict[str, set[bytes]] = {person.party: set() for person in self.people}

    def add(self, person: Person, child: bytes, at: float, label: str = "", **more) -> None:
        values = {"door": Door.NORMAL, "outcome": Outcome.RELEASED, "client": f"desk-{person.organisation[:8]}"} | more
        self.rows.append((int(at), len(self.rows), {"person": person, "child": child} | values, label))

    def tie(self, tie: Tie, child: bytes, party: str, begins: float, ends: float) -> None:
        self.links.append(Link(tie, child, party, int(begins), int(ends)))
        self.known[party].add(child)

    def at(self, day: int, hour: float) -> float:
        return FIRST.timestamp() + day * DAY + hour * HOUR

    def office_hour(self) -> float:
        return self.dice.triangular(8.4, 18.2, 10.5)

    def workday(self) -> int:
        return self.dice.choice([day for day in range(DAYS) if _works(day)])

    def stranger_to(self, person: Person) -> bytes:
        return self.dice.choice([child for child in self.children if child not in self.known[person.party]])

    def finished(self) -> Weeks:
        weeks = Weeks(links=self.links)
        for index, (at, _, row, label) in enumerate(sorted(self.rows, key=lambda one: one[:2])):
            person = row.pop("person")
            access = Access(
                index=index,
                at=at,
                department=person.department,
                organisation=person.organisation,
                officer=person.staff,
                exchange=EXCHANGE[person.department],
                **row,
            )
            weeks.accesses.append(access)
            if label:
                weeks.misuse[index] = label
        return weeks


def weeks(seed: int) -> Weeks:
    """Four weeks. seed: which."""
    writer = Writer(seed)
    _relations(writer)
    _ordinary(writer)
    _misleading(writer)
    for kind, count in INCIDENTS.items():
        for _ in range(count):
            MISUSE[kind](writer, kind)
    return writer.finished()


def _works(day: int) -> bool:
    return (FIRST + timedelta(days=day, hours=12)).weekday() < 5


# --- ordinary work -----------------------------------------------------------------------------------------------------


def _relations(writer: Writer) -> None:
    """Each officer keeps eight to sixteen cases; some children are known by a visit or a referral only."""
    for person in writer.people:
        cases = writer.dice.sample(writer.children, writer.dice.randint(8, 16))
        writer.own[person] = cases
        for child in cases:
            begins = writer.at(-writer.dice.randint(5, 300), 9)
            ends = writer.at(writer.dice.choice((40, 60, 90)), 0)
            tie = writer.dice.choices((Tie.CASE, Tie.VISIT, Tie.REFERRAL), (80, 10, 10))[0]
            writer.tie(tie, child, person.party, begins, ends)


def _ordinary(writer: Writer) -> None:
    dice = writer.dice
    for person in writer.people:
        for day in filter(_works, range(DAYS)):
            for _ in range(dice.choices((0, 1, 2, 3, 5), (35, 25, 20, 12, 8))[0]):
                child, at = dice.choice(writer.own[person]), writer.at(day, writer.office_hour())
                if dice.random() < 0.03:  # a typing error, then the right one
                    wrong = sha256(dice.randbytes(8)).digest()
                    writer.add(person, wrong, at - 90, outcome=Outcome.NO_RESULT, code="no_result")
                if dice.random() < 0.02:  # the approval had run out; renewed the same day
                    writer.add(person, child, at - 2 * HOUR, outcome=Outcome.DENIED, code="approval_missing")
                writer.add(person, child, at)


def _misleading(writer: Writer) -> None:
    dice = writer.dice
    for day in range(DAYS):  # somebody is on duty each night where there is a hotline or a ward
        for department in NIGHT_DUTY:
            person = dice.choice([one for one in writer.people if one.department is department])
            for _ in range(dice.choices((0, 1, 2), (60, 30, 10))[0]):
                writer.add(person, dice.choice(writer.own[person]), writer.at(day, dice.uniform(20, 31)))
    for person in dice.sample(writer.people, 12):  # a case conference goes through every case
        day = writer.workday()
        for number, child in enumerate(writer.own[person]):
            writer.add(person, child, writer.at(day, 14) + number * 240)
    for person in dice.sample(writer.people, 6):  # overtime before a deadline
        writer.add(person, dice.choice(writer.own[person]), writer.at(writer.workday(), dice.uniform(20, 22)))
    for _ in range(3):  # a colleague covers, because the officer's approval has run out
        person = dice.choice(writer.people)
        other = dice.choice([one for one in writer.people if one.party == person.party and one != person])
        child, at = dice.choice(writer.own[other]), writer.at(writer.workday(), writer.office_hour())
        writer.add(person, child, at, outcome=Outcome.DENIED, code="approval_missing")
        writer.add(other, child, at + dice.randint(5, 25) * 60)
    for number in range(8):  # true emergencies; the case of the last one is opened late
        person, child = dice.choice(writer.people), dice.choice(writer.children)
        at = writer.at(dice.randint(0, DAYS - 3), dice.uniform(0, 24))
        writer.add(person, child, at, door=Door.EMERGENCY)
        opened = at + (dice.uniform(1, 16) if number < 7 else 30) * HOUR
        writer.tie(Tie.CASE, child, person.party, opened, opened + 60 * DAY)
    for _ in range(4):  # a crisis week
        person, day = dice.choice(writer.people), dice.randint(0, DAYS - 7)
        child = dice.choice(writer.own[person])
        for _ in range(dice.randint(3, 5)):
            writer.add(person, child, writer.at(day + dice.randint(0, 6), writer.office_hour()))
    for _ in range(10):  # desk and tablet on one day, once within minutes
        person, day = dice.choice(writer.people), writer.workday()
        at = writer.at(day, writer.office_hour())
        writer.add(person, dice.choice(writer.own[person]), at)
        later = at + dice.choice((8 * 60, 50 * 60, 90 * 60, 180 * 60))
        writer.add(person, dice.choice(writer.own[person]), later, client=f"tablet-{person.organisation[:8]}")


# --- misuse --------------------------------------------------------------------------------------------------------------


def _curiosity(writer: Writer, kind: str) -> None:
    """A neighbour's, a colleague's, a known child: one or two looks in office hours."""
    person, day = writer.dice.choice(writer.people), writer.workday()
    child = writer.stranger_to(person)
    for _ in range(writer.dice.randint(1, 2)):
        writer.add(person, child, writer.at(day, writer.office_hour()), kind)


def _at_night(writer: Writer, kind: str) -> None:
    """A child of the own office, from home, by somebody who is not on duty."""
    person = writer.dice.choice([one for one in writer.people if one.department not in NIGHT_DUTY])
    at = writer.at(writer.dice.randint(0, DAYS - 1), writer.dice.uniform(22, 29))
    for number in range(writer.dice.randint(1, 3)):
        writer.add(person, writer.dice.choice(writer.own[person]), at + number * 300, kind)


def _harvest(writer: Writer, kind: str) -> None:
    """A list of the office's children, to take along."""
    person, day = writer.dice.choice(writer.people), writer.workday()
    known = sorted(writer.known[person.party])
    for number, child in enumerate(writer.dice.sample(known, min(len(known), writer.dice.randint(28, 40)))):
        writer.add(person, child, writer.at(day, 11) + number * 70, kind)


def _guessing(writer: Writer, kind: str) -> None:
    """Numbers tried one after the other."""
    person = writer.dice.choice(writer.people)
    at = writer.at(writer.workday(), writer.office_hour())
    for number in range(writer.dice.randint(8, 15)):
        wrong = sha256(writer.dice.randbytes(8)).digest()
        writer.add(person, wrong, at + number * 45, kind, outcome=Outcome.NO_RESULT, code="no_result")
    if writer.dice.random() < 0.5:
        writer.add(person, writer.stranger_to(person), at + 800, kind)


def _through_a_colleague(writer: Writer, kind: str) -> None:
    """Refused, so a colleague is asked to look."""
    person = writer.dice.choice(writer.people)
    other = writer.dice.choice([one for one in writer.people if one.party == person.party and one != person])
    child = writer.stranger_to(person) if writer.dice.random() < 0.5 else writer.dice.choice(writer.own[other])
    at = writer.at(writer.workday(), writer.office_hour())
    writer.add(person, child, at, outcome=Outcome.DENIED, code="case_missing")
    writer.add(other, child, at + writer.dice.randint(3, 28) * 60, kind)


def _false_emergency(writer: Writer, kind: str) -> None:
    """The emergency door, and nothing follows."""
    person = writer.dice.choice(writer.people)
    child = writer.stranger_to(person)
    at = writer.at(writer.dice.randint(0, DAYS - 3), writer.dice.uniform(7, 23))
    writer.add(person, child, at, kind, door=Door.EMERGENCY)


def _stalking(writer: Writer, kind: str) -> None:
    """The same child again and again, with a case as the cover."""
    person, day = writer.dice.choice(writer.people), writer.dice.randint(0, DAYS - 7)
    child = writer.dice.choice(writer.own[person])
    for _ in range(writer.dice.randint(9, 14)):
        writer.add(person, child, writer.at(day + writer.dice.randint(0, 6), writer.office_hour()), kind)


def _shared_login(writer: Writer, kind: str) -> None:
    """Two people under one name, at two desks at once."""
    person = writer.dice.choice(writer.people)
    at = writer.at(writer.workday(), writer.office_hour())
    for number in range(writer.dice.randint(3, 6)):
        client = ("desk", "tablet")[number % 2] + f"-{person.organisation[:8]}"
        writer.add(person, writer.dice.choice(writer.own[person]), at + number * 130, kind, client=client)


def _careful(writer: Writer, kind: str) -> None:
    """A colleague's case, once, in office hours."""
    person = writer.dice.choice(writer.people)
    other = writer.dice.choice([one for one in writer.people if one.party == person.party and one != person])
    writer.add(person, writer.dice.choice(writer.own[other]), writer.at(writer.workday(), writer.office_hour()), kind)


MISUSE = {
    "curiosity": _curiosity,
    "at night": _at_night,
    "harvest": _harvest,
    "guessing": _guessing,
    "through a colleague": _through_a_colleague,
    "false emergency": _false_emergency,
    "stalking": _stalking,
    "shared login": _shared_login,
    "one careful look": _careful,
}
