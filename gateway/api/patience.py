"""A rate limit on refusals before authentication: whoever is refused too often within a minute waits for the next.

Rules kept here: counts live in this process and nowhere else; memory is bounded; who was authenticated is never slowed, even
from an address (a proxy's, say) from which somebody else is refused without end.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field

from gateway.errors import BadRequest

REFUSALS_A_MINUTE = 120
SOURCES_AT_MOST = 10_000
WELCOME_FOR = 300  # seconds; an access token lives no longer


@dataclass(slots=True)
class Patience:
    """Refusals per source within the running minute; digests of access tokens that lately stood behind a good request."""

    minute: int = 0
    counts: dict[str, int] = field(default_factory=dict, repr=False)
    welcomed: dict[bytes, float] = field(default_factory=dict, repr=False)

    def require(self, source: str, credential: str = "") -> None:
        """`BadRequest("rate_limited")` for a source that used up this minute's refusals, unless its token was good before.

        source: the peer's address. credential: the `Authorization` header.
        """
        self._turn()
        if self.counts.get(source, 0) < REFUSALS_A_MINUTE:
            return
        if self.welcomed.get(_digest(credential), 0.0) <= time.monotonic():
            raise BadRequest("rate_limited")

    def count(self, source: str, credential: str = "") -> None:
        """Count one refusal; a token that stood behind it is good for nothing here until it is good again."""
        self._turn()
        self.welcomed.pop(_digest(credential), None)
        if source in self.counts or len(self.counts) < SOURCES_AT_MOST:
            self.counts[source] = self.counts.get(source, 0) + 1

    def welcome(self, credential: str) -> None:
        """A request was authenticated under this token."""
        if len(self.welcomed) >= SOURCES_AT_MOST:
            now = time.monotonic()
            self.welcomed = {digest: ends for digest, ends in self.welcomed.items() if ends > now}
        if len(self.welcomed) < SOURCES_AT_MOST:
            self.welcomed[_digest(credential)] = time.monotonic() + WELCOME_FOR

    def _turn(self) -> None:
        minute = int(time.time() // 60)
        if minute != self.minute:
            self.minute, self.counts = minute, {}


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "replace")).digest()
