"""The edge's own log: one JSON line per order, envelope and sending, for the department's administrator.

Rules kept here: ids of requests and deliveries, names of exchanges, counts, codes and durations only; no pseudonym, no record key, no
value; the members are closed.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

_MEMBERS = frozenset(
    {"request", "delivery", "exchange", "lines", "released", "missing", "surplus", "unresolved", "code", "ms", "epoch"}
)


class EdgeLog:
    """Appends to a file (mode 0600). `event` says what happened: `order`, `received`, `sent`, `followed`, `certificates`, `fault`."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self.path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, event: str, **members: str | float) -> None:
        """Write one line. `ValueError` for a member that is not on the list."""
        if unknown := set(members) - _MEMBERS:
            raise ValueError(f"{min(unknown)} is not for the log")
        line = {"time": round(time.time(), 3), "event": event, **members}
        self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
