"""A rate limit on refusals before authentication: whoever is refused too often within a minute waits for the next.

Rules kept here: counts live in this process and nowhere else; memory is bounded; who was authenticated is never slowed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gateway.errors import BadRequest

REFUSALS_A_MINUTE = 120
SOURCES_AT_MOST = 10_000


@dataclass(slots=True)
class Patience:
    """Refusals per source within the running minute."""

    minute: int = 0
    counts: dict[str, int] = field(default_factory=dict, repr=False)

    def require(self, source: str) -> None:
        """`BadRequest("rate_limited")` for a source that used up this minute's refusals."""
        self._turn()
        if self.counts.get(source, 0) >= REFUSALS_A_MINUTE:
            raise BadRequest("rate_limited")

    def count(self, source: str) -> None:
        """Count one refusal."""
        self._turn()
        if source in self.counts or len(self.counts) < SOURCES_AT_MOST:
            self.counts[source] = self.counts.get(source, 0) + 1

    def _turn(self) -> None:
        minute = int(time.time() // 60)
        if minute != self.minute:
            self.minute, self.counts = minute, {}
