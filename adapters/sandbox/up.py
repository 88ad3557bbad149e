"""All simulated systems at once, over one invented population.

Rules kept here: whatever was started is stopped, also when a later one does not come up; secrets lie in the folder, mode 0600.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from adapters.sandbox import (
    civil_affairs_system,
    education_system,
    fhir_system,
    sftp_system,
    soap_system,
    vendor_system,
)
from adapters.sandbox.processes import Running

SECRET = "sandbox-only"  # noqa: S105 - the sandbox's own, on loopback


def serve(folder: Path, children: int, told: Callable[[str, str], None]) -> None:
    """Start, tell each system's name and address, wait for SIGINT or SIGTERM, stop. `RuntimeError` if one does not come up."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        for name, start in (
            ("civil_affairs sql", lambda: civil_affairs_system.start(folder / "civil_affairs", count=children)),
            ("education rest", lambda: _education(folder, children)),
            ("health fhir", lambda: fhir_system.start(folder / "health", token=SECRET, count=children)),
            ("health soap", lambda: soap_system.start(folder / "health-soap", token=SECRET, count=children)),
            ("youth_league rest", lambda: vendor_system.start(folder / "youth_league", token=SECRET, count=children)),
            ("womens_federation sftp", lambda: sftp_system.start(folder / "womens_federation", count=children)),
        ):
            running = stack.enter_context(start())  # type: ignore[no-untyped-call]
            told(name, running.address)
        stop.wait()


def _education(folder: Path, children: int) -> Running:
    return education_system.start(folder / "education", app_key="edge", app_secret=SECRET, count=children)
