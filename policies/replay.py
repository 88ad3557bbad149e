"""Past requests put to another version: what would have been answered otherwise?

Rules kept here: the compiled matcher answers, which a differential test holds to Casbin; equal requests of a log are asked once
and counted as often as they stand; nothing of a child is in a replayed request, only the columns that Casbin sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from policies.snapshot import Request, Snapshot


@dataclass(frozen=True, slots=True)
class Replayed:
    """gained, lost: distinct requests with how often the log holds them. decisions: how many were put to both versions."""

    decisions: int
    gained: tuple[tuple[Request, int], ...]
    lost: tuple[tuple[Request, int], ...]


def replay(before: Snapshot, after: Snapshot, log: Iterable[Request]) -> Replayed:
    """What a log's requests get from two versions."""
    counted = Counter(log)
    gained: list[tuple[Request, int]] = []
    lost: list[tuple[Request, int]] = []
    for request, count in counted.items():
        was, would = before.decide_compiled(request), after.decide_compiled(request)
        if was != would:
            (gained if would else lost).append((request, count))
    return Replayed(decisions=counted.total(), gained=tuple(gained), lost=tuple(lost))
