"""Starts a simulated system in its own process and says where it is.

Rules kept here: a system announces itself by one JSON line on standard output and nothing else goes there; whoever starts a
process stops it, by its handle.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Running:
    """A started process. address: SQLAlchemy URL or base URL. request_log: the system's own log of what it was asked."""

    process: subprocess.Popen[bytes]
    address: str
    request_log: Path

    def stop(self, seconds: float = 10.0) -> int:
        """End the process (SIGTERM, then SIGKILL after `seconds`); its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def launch(module: str, arguments: Sequence[str], *, errors: Path, seconds: float = 60.0) -> Running:
    """Run `python -m module`, wait for its announcement `{"address": …, "request_log": …}`.

    `RuntimeError` when it ends or stays silent for `seconds`; what it said is in the file `errors`.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
    }
    with errors.open("ab") as err:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=err,
            env=environment,
            start_new_session=True,
        )
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        deadline = time.monotonic() + seconds
        while not selector.select(timeout=0.2):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"{module} did not start; see {errors.name}")
        line = process.stdout.readline()
    if not line:
        process.kill()
        process.wait()
        raise RuntimeError(f"{module} did not start; see {errors.name}")
    said = json.loads(line)
    return Running(process, said["address"], Path(said["request_log"]))


def announce(address: str, request_log: Path) -> None:
    """What a started system says, once it answers."""
    sys.stdout.write(json.dumps({"address": address, "request_log": str(request_log)}) + "\n")
    sys.stdout.flush()


def free_port() -> int:
    """A loopback port that is free at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
