"""A year of children's lives as the departments know them, told to the basis room under a clock of its own.

The simulator knows what the gateway must not: birthdays. It gives consents as a department would (band and last month computed from
the birthday), moves children, withdraws, opens and closes cases, uses the emergency and the protective door, and asks at
random moments, also when it should be refused. What it knows stands in `Truth`, in its own words; nothing of the room's
judgement is used to make it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from gateway.consent import uses
from gateway.consent.calendar import band_of_month, latest_end
from gateway.consent.doors import REASONS
from gateway.domain.basis import Basis
from gateway.domain.clock import SHANGHAI
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import AgeBand, Door, EntryKind, Outcome
from gateway.errors import GatewayError
from tests.unit.consent.basis_world import CA, CA_BUREAU, DAYS, ED, ED_BUREAU, X02, X05, X20, World, caller, child

FIRST = datetime(2026, 1, 1, 8, tzinfo=SHANGHAI)
THRESHOLDS = (8, 14, 16, 18)
BANDS = {8: "0-7", 14: "8-13", 16: "14-15", 18: "16-17"}
SCHOOL, CARE = caller(ED_BUREAU, "wu"), caller(CA_BUREAU)


@dataclass(slots=True)
class Life:
    """One child in the simulator's truth. Moments are the simulator's clock; an end is the first moment outside."""

    number: int
    born: date
    consents: list[dict[str, object]] = field(default_factory=list)
    withdrawals: list[datetime] = field(default_factory=list)
    cases: list[dict[str, object]] = field(default_factory=list)
    approvals: list[dict[str, object]] = field(default_factory=list)

    @property
    def child(self) -> Child:
        """As the gateway knows the child."""
        return child(10_000 + self.number)

    def age(self, day: date) -> int:
        """Full years on a day (民法典 200-205: from the birthday on)."""
        return day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))

    def band(self, day: date) -> AgeBand | None:
        """What the department asserts, None where the child is grown up by the end of the month."""
        return band_of_month(day, (self.born.year, self.born.month))

    def threshold(self, day: date) -> int:
        """The age at which the band asserted on this day ends."""
        band = self.band(day)
        assert band is not None
        return next(years for years, name in BANDS.items() if name == band)


@dataclass(frozen=True, slots=True)
class Released:
    """What left: when, about whom, under which exchange and door, with which fields and references."""

    at: datetime
    number: int
    exchange: str
    door: str
    fields: frozenset[str]
    references: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Year:
    """Runs the year. refused: code -> how often."""

    world: World
    lives: list[Life]
    dice: random.Random
    released: list[Released] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The simulator's clock."""
        return self.world.clock.moment

    async def run(self, acts: int) -> None:
        """`acts` things that happen, spread over the year in order; each child's part is drawn at random."""
        moments = sorted(FIRST + timedelta(seconds=self.dice.randrange(365 * 86_400)) for _ in range(acts))
        # Clocks near midnight, where a band or a month ends, are asked more often than chance would.
        moments += [m.replace(hour=23, minute=59, second=59) for m in moments[:: max(1, acts // 50)]]
        for moment in sorted(moments):
            self.world.clock.moment = moment
            life = self.dice.choice(self.lives)
            if life.band(moment.date()) is not None:
                await self.something(life)

    async def something(self, life: Life) -> None:
        """One thing that happens to a child."""
        acts = (
            (self.consent, 25),
            (self.warn, 30),
            (self.open_and_approve, 12),
            (self.ask, 22),
            (self.withdraw, 4),
            (self.close, 3),
            (self.emergency, 3),
            (self.protective, 1),
        )
        act = self.dice.choices([each for each, _ in acts], [weight for _, weight in acts])[0]
        try:
            await act(life)
        except GatewayError as error:
            self.refused[error.code] = self.refused.get(error.code, 0) + 1

    async def consent(self, life: Life) -> None:
        """The school records a consent to warnings; what it may assert follows from the birthday it knows."""
        today = self.now.date()
        threshold = life.threshold(today)
        ends = latest_end(today, (life.born.year + threshold, life.born.month))
        own = self.dice.random() < 0.7
        said: dict[str, object] = {
            "age_band": BANDS[threshold],
            "ends": ends.isoformat(),
            "child_grant": "granted" if own and threshold > 8 else "not_asked",
            "fields": ["a", "b"] if self.dice.random() < 0.8 else ["a"],
        }
        if threshold == 14 and not own:
            said["child_grant"] = "objects"
        await self.world.give(SCHOOL, X05, CA, life.child, **said)
        covered = datetime(ends.year, ends.month, ends.day, tzinfo=SHANGHAI) + timedelta(days=1)
        life.consents.append(
            {"at": self.now, "ends": covered, "own": said["child_grant"], "fields": frozenset(said["fields"])}  # type: ignore[arg-type]
        )

    async def withdraw(self, life: Life) -> None:
        """Guardian or child takes it back."""
        await self.world.withdraw(SCHOOL, X05, life.child)
        life.withdrawals.append(self.now)

    async def open_and_approve(self, life: Life) -> None:
        """Civil affairs opens a case; an approver signs for some days."""
        today = self.now.date()
        band = life.band(today) if self.dice.random() < 0.5 else None
        case_id = await self.world.open_case(CARE, life.child, exchanges=("X02", "X05"), band=band)
        life.cases.append({"id": case_id, "at": self.now, "closed": None})
        if self.dice.random() < 0.85:
            days = self.dice.randrange(1, 31)
            claims = self.world.approval(case_id, exchanges=("X02",), term=timedelta(days=days))
            await self.world.approve(CARE, case_id, claims)
            begins = self.now.replace(microsecond=0)
            life.approvals.append({"case": case_id, "at": begins, "ends": begins + timedelta(days=days)})

    async def close(self, life: Life) -> None:
        """A case ends: closed, or the child moved to another county."""
        for case in life.cases:
            if case["closed"] is None:
                await self.world.advance(CARE, str(case["id"]), self.dice.choice(("close", "move")))
                case["closed"] = self.now
                return

    async def ask(self, life: Life) -> None:
        """Civil affairs asks the school register, sometimes with a case of another child, sometimes with none."""
        other = self.dice.choice(self.lives)
        source = other if self.dice.random() < 0.1 else life
        case = str(self.dice.choice(source.cases)["id"]) if source.cases and self.dice.random() < 0.95 else None
        basis = await self.world.find(CARE, X02, life.child, case_id=case)
        await self.leave(life, basis, ("a", "b"))

    async def warn(self, life: Life) -> None:
        """The school sends a warning in the normal door."""
        basis = await self.world.signal(SCHOOL, life.child)
        covered = basis.consent_fields or frozenset()
        await self.leave(life, basis, tuple(sorted(covered & {"a", "b"})))

    async def emergency(self, life: Life) -> None:
        """The school sends a warning in the emergency door, one in ten without a reason."""
        reason = self.dice.choice(sorted(REASONS)) if self.dice.random() < 0.9 else None
        basis = await self.world.signal(SCHOOL, life.child, door=Door.EMERGENCY, reason=reason)
        await self.leave(life, basis, ("a", "b"))

    async def protective(self, life: Life) -> None:
        """The school reports harm."""
        basis = await self.world.find(SCHOOL, X20, life.child, recipient=CA_BUREAU, door=Door.PROTECTIVE)
        await self.leave(life, basis, ("a", "b"))

    async def leave(self, life: Life, basis: Basis, fields: tuple[str, ...]) -> None:
        """Something leaves, with what it owes."""
        effect = uses.released(
            basis,
            EntryDraft(EntryKind.QUERY, Outcome.RELEASED),
            provider=ED,
            fields=fields,
            now=self.now,
            days=DAYS,
            limits=self.world.limits,
            request="rq",
        )
        async with self.world.database.write() as writing:
            await effect(writing)
        ask = basis.ask
        self.released.append(
            Released(self.now, life.number, ask.exchange.id, str(ask.door), frozenset(fields), basis.references)
        )


def lives(count: int, dice: random.Random) -> list[Life]:
    """Children between newborn and 17 on the first day; nobody is born on a first of the month (see the spec's note)."""
    made = []
    for number in range(count):
        born = FIRST.date() - timedelta(days=dice.randrange(30, 17 * 365 + 200))
        made.append(Life(number, born.replace(day=max(2, born.day))))
    return made
