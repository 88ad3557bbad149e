"""A clock that stands until a test moves it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)


@dataclass
class SteppingClock:
    """`gateway.domain.clock.Clock`."""

    moment: datetime = START

    def now(self) -> datetime:
        return self.moment

    def step(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    @property
    def seconds(self) -> int:
        return int(self.moment.timestamp())
