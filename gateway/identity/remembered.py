"""What was verified once and stays verified until it expires: tokens, officer assertions, proofs seen by this worker.

Rules kept here: bounded; an expired item is never given back; keys are digests, so no secret stays in memory for its sake.
"""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class Remembered(Generic[V]):
    """A bounded map whose items end. limit: items kept at most; the oldest go first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: dict[bytes, tuple[int, V]] = {}

    def get(self, key: bytes, now: int) -> V | None:
        """The item, unless it has ended by `now` (unix seconds)."""
        found = self._items.get(key)
        if found is None:
            return None
        ends, value = found
        if ends <= now:
            del self._items[key]
            return None
        return value

    def put(self, key: bytes, value: V, *, ends: int, now: int) -> None:
        """Keep an item until `ends` (unix seconds)."""
        if len(self._items) >= self._limit:
            self._make_room(now)
        self._items[key] = (ends, value)

    def __len__(self) -> int:
        return len(self._items)

    def _make_room(self, now: int) -> None:
        self._items = {key: item for key, item in self._items.items() if item[0] > now}
        # Still full of living items: the oldest quarter goes, so that making room stays rare.
        surplus = len(self._items) - self._limit * 3 // 4
        for key in list(self._items)[: max(surplus, 0)]:
            del self._items[key]
