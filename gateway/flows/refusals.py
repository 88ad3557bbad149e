"""Before step (1) succeeds nothing is recorded per request: one `auth.refused` entry per source and minute instead.

Rules kept here: a source is a keyed hash of the peer's address, so the log names no address; memory is bounded, and what
does not fit is counted under one common source; a minute is rolled up after it has ended, once; what could not be written
is kept for the next time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter

from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import EntryKind, Outcome

CROWD = "crowd"
"""The common source of a minute in which too many sources were refused."""


class Refusals:
    """Counts refusals in this worker. key: secret of the deployment, 32 bytes. sources: most sources told apart a minute."""

    def __init__(self, *, key: bytes, sources: int = 10_000) -> None:
        self._key = key
        self._most = sources
        self._minutes: dict[int, dict[str, Counter[str]]] = {}
        self._unwritten: list[EntryDraft] = []

    def note(self, source: str, code: str, *, now: int) -> None:
        """Count one refusal. source: the peer's address. now: unix seconds."""
        minute = self._minutes.setdefault(now // 60, {})
        name = hmac.new(self._key, source.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]
        if name not in minute and len(minute) >= self._most:
            name = CROWD
        minute.setdefault(name, Counter())[code] += 1

    def due(self, *, now: int) -> list[EntryDraft]:
        """Take the minutes that have ended, as drafts for the log's append."""
        ended = sorted(minute for minute in self._minutes if minute < now // 60)
        fresh = [
            _roll_up(source, minute, codes)
            for minute in ended
            for source, codes in sorted(self._minutes.pop(minute).items())
        ]
        taken, self._unwritten = [*self._unwritten, *fresh], []
        return taken

    def keep(self, drafts: list[EntryDraft]) -> None:
        """Take back drafts that the log would not take; the oldest go first where there are too many."""
        self._unwritten = [*drafts, *self._unwritten][-self._most :]


def _roll_up(source: str, minute: int, codes: Counter[str]) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.AUTH_REFUSED,
        outcome=Outcome.DENIED,
        code="auth_refused",
        detail={
            "source": source,
            "minute": minute,
            "refusals": codes.total(),
            "codes": {code: str(count) for code, count in sorted(codes.items())},
        },
    )
