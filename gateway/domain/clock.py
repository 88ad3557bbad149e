"""Time as a port, so that every deadline is testable. All law-facing times are Asia/Shanghai."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")


class Clock(Protocol):
    """Wall time. `now` is timezone-aware UTC."""

    def now(self) -> datetime:
        """The present moment, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, UTC."""
        return datetime.now(UTC)


def policy_time(moment: datetime) -> str:
    """Fixed-width UTC ISO text (`2026-11-22T04:15:00Z`): string order is time order, as rules compare it."""
    # A part of the ISO text: `strftime` takes twice as long, and every request asks.
    return f"{moment.astimezone(UTC).isoformat()[:19]}Z"
