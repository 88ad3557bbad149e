"""Watches what an edge is about to have named, before it goes to the blind door: does it look like a register, or like guessing?

The gateway sees blinded points and can only count them. The edge sees the identifiers, so two signs of counting through are
found here and nowhere else: numbers that follow one another (a register's children are strewn over years, a guesser's are not),
and the same numbers again and again.

Rules kept here: nothing is kept but keyed digests and counts, in memory, for one run; a finding stops the run before the batch that
shows it leaves the department; it names the sign and the share, never an identifier.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import Denied
from keys.identifiers import Identifier

_RESIDENT = b"cn-rid:"
_DIGITS = 17
_BIRTH = slice(6, 14)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a sign is a finding. least: how many identifiers have to be seen first. sequential: share of resident numbers, in
    thousandths, that directly follow or precede another one seen of the same area and birthday, or whose neighbours differ in
    the birthday alone by a day. repeated: share, in thousandths, of identifiers that were seen before. memory: identifiers remembered.

    In a county with 15 births a day and 1,000 numbers a day about 3 % have such a neighbour; a guesser's nearly all have one.
    """

    least: int = 200
    sequential: int = 300
    repeated: int = 100
    memory: int = 200_000


class OracleWatch:
    """One run's watch. Call `require_plausible` with every batch before it leaves."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._key = secrets.token_bytes(32)
        self._seen: OrderedDict[bytes, bool] = OrderedDict()
        self._counts: Counter[str] = Counter()

    def require_plausible(self, identifiers: Sequence[Identifier]) -> None:
        """Raises `Denied("enrolment_suspicious", sign=…, permille=…)`, sign `sequential` or `repeated`."""
        for identifier in identifiers:
            self._note(identifier.canonical)
        counts = self._counts
        self._hold("repeated", counts["repeated"], counts["all"], self._limits.repeated)
        self._hold("sequential", counts["sequential"], counts["resident"], self._limits.sequential)

    def _hold(self, sign: str, found: int, of: int, limit: int) -> None:
        if of >= self._limits.least and found * 1000 > of * limit:
            raise Denied("enrolment_suspicious", sign=sign, permille=found * 1000 // of)

    def _note(self, canonical: bytes) -> None:
        self._counts["all"] += 1
        mark = self._mark(canonical)
        if mark in self._seen:
            self._counts["repeated"] += 1
            return
        if canonical.startswith(_RESIDENT):
            self._counts["resident"] += 1
            digits = canonical[len(_RESIDENT) :][:_DIGITS].decode("ascii")
            neighbours = [self._mark(text) for text in _neighbours(digits)]
            if any(neighbour in self._seen for neighbour in neighbours):
                self._counts["sequential"] += 1
            # Remembered without the check character, which the neighbours' marks cannot know.
            self._remember(self._mark(_body(digits)))
        self._remember(mark)

    def _remember(self, mark: bytes) -> None:
        self._seen[mark] = True
        if len(self._seen) > self._limits.memory * 2:
            self._seen.popitem(last=False)

    def _mark(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")[:16]


def _body(digits: str) -> bytes:
    return b"body:" + digits.encode("ascii")


def _neighbours(digits: str) -> list[bytes]:
    """The numbers that a guesser's loop would have tried just before or after: last digits by one or two (the parity tells the
    sex), or the birthday by a day with the rest unchanged.
    """
    head, serial, born = digits[:14], int(digits[14:]), int(digits[_BIRTH])
    near = [f"{head}{serial + step:03d}" for step in (-2, -1, 1, 2) if 0 <= serial + step <= 999]
    near += [f"{digits[:6]}{born + step:08d}{digits[14:]}" for step in (-1, 1)]
    return [_body(text) for text in near]
