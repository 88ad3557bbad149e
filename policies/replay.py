"""Past requests put to another version: what would have been answered otherwise?

Rules kept here: the compiled matcher answers, which a differential test holds to Casbin; equal requests of a log are asked once
and counted as often as they stand; nothing of a child is in a replayed request, only the columns that Casbin sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policies.snapshot import Request, Snapshot

Asked = tuple[Request, int]
"""A past request, and how often it was made."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """gained, lost: distinct requests with how often the log holds them. decisions: how many were put to both versions."""

    decisions: int
    gained: tuple[Asked, ...]
    lost: tuple[Asked, ...]


def replay(before: Snapshot, after: Snapshot, log: Iterable[Asked]) -> Replayed:
    """What a log's requests get from two versions. log: requests with how often each was made; equal ones add up."""
    counted: Counter[Request] = Counter()
    for request, count in log:
        counted[request] += count
    gained: list[Asked] = []
    lost: list[Asked] = []
    for request, count in counted.items():
        was, would = before.decide_compiled(request), after.decide_compiled(request)
        if was != would:
            (gained if would else lost).append((request, count))
    return Replayed(decisions=counted.total(), gained=tuple(gained), lost=tuple(lost))


def every_field(snapshot: Snapshot, log: Iterable[Asked], *, now: str) -> Iterator[Asked]:
    """Past requests without field and time as they would be put again: once for each field of their exchange.

    now: the time at which both versions are asked, fixed-width UTC text.
    """
    for request, count in log:
        exchange = snapshot.catalogue.exchanges.get(request.obj)
        for field in exchange.fields if exchange is not None else ():
            yield request._replace(fld=field, now=now), count
