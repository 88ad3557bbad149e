"""What the simulated systems over HTTP share: knobs, a log of their own, and a server that says where it is.

Rules kept here: a system logs what it was asked before it answers; knobs make it slow, faulty or talkative, for tests and the kit only;
the door that turns them listens on loopback like everything else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, TextIO

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from adapters.sandbox.population import DEFAULT_DAY
from adapters.sandbox.processes import Running, announce, free_port, launch


@dataclass(frozen=True, slots=True)
class Knobs:
    """How a system misbehaves. latency_ms: added to every answer. error_rate: share answered 500. garbage: bytes of no use. surplus:
    everything it has, whatever was asked. too_much: megabytes of filling. mime: the answer's media type, where it is not the right
    one. charset: the answer's encoding, where it is not UTF-8.
    """

    latency_ms: float = 0.0
    error_rate: float = 0.0
    garbage: bool = False
    surplus: bool = False
    too_much: int = 0
    mime: str = ""
    charset: str = ""


Answer = Callable[[Request, bytes], Awaitable[tuple[int, str, str]]]
"""(request, body) -> (status, media type, text)."""


class Desk:
    """Guards a system's routes: authentication, knobs, log."""

    def __init__(self, log: TextIO, authentic: Callable[[Request, bytes], bool]) -> None:
        self._log = log
        self._authentic = authentic
        self._random = random.Random(1)
        self.knobs = Knobs()

    def guarded(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        """A route that answers only who is authentic, as the knobs have it."""

        async def route(request: Request) -> Response:
            body = await request.body()
            if not self._authentic(request, body):
                return Response(status_code=401)
            knobs = self.knobs
            if knobs.latency_ms:
                await asyncio.sleep(knobs.latency_ms / 1000)
            if knobs.error_rate and self._random.random() < knobs.error_rate:
                return Response("busy", status_code=500)
            status, media, text = await answer(request, body)
            if knobs.garbage:
                return Response(b"\x00\xff<html>500</html>", media_type=media)
            if knobs.too_much:
                text += " " * (knobs.too_much * 1024 * 1024)
            data = text.encode(knobs.charset or "utf-8", errors="replace")
            return Response(data, status_code=status, media_type=knobs.mime or media)

        return route

    async def turn(self, request: Request) -> Response:
        """POST /knobs {"latency_ms": …}."""
        known = {f.name for f in fields(Knobs)}
        asked = json.loads(await request.body())
        self.knobs = replace(self.knobs, **{k: v for k, v in asked.items() if k in known})
        return Response(status_code=204)

    def note(self, path: str, asked: Any, rows: int) -> None:
        """One line of the system's own log."""
        line = {"time": round(time.time(), 3), "path": path, "asked": asked, "rows": rows}
        self._log.write(json.dumps(line, ensure_ascii=False) + "\n")


def parser(about: str | None) -> argparse.ArgumentParser:
    """The arguments that every simulated system takes."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--data", type=Path, required=True)
    made.add_argument("--port", type=int, default=0)
    made.add_argument("--secret-file", type=Path, required=True)
    made.add_argument("--children", type=int, default=2000)
    made.add_argument("--seed", type=int, default=20261122)
    made.add_argument("--on", type=date.fromisoformat, default=DEFAULT_DAY)
    return made


def start(module: str, directory: Path, *, secret: str, count: int = 2000, more: tuple[str, ...] = ()) -> Running:
    """Start a system over a directory of its own; its log is `requests.jsonl` there, its secret `secret`.

    `RuntimeError` if it does not come up within a minute.
    """
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / "secret"
    kept.touch(mode=0o600)
    kept.write_text(secret)
    arguments = ["--data", str(directory), "--secret-file", str(kept), "--children", str(count), *more]
    return launch(module, arguments, errors=directory / "system.err")


def run(app: Callable[[TextIO], Starlette], data: Path, port: int, path: str = "") -> None:
    """Serve until told to stop; announces base URL + `path` once it listens."""
    log_path = data.resolve() / "requests.jsonl"
    port = port or free_port()
    with log_path.open("a", encoding="utf-8", buffering=1) as log:
        config = uvicorn.Config(app(log), host="127.0.0.1", port=port, log_level="warning", access_log=False)
        _Announcing(config, f"http://127.0.0.1:{port}{path}", log_path).run()


class _Announcing(uvicorn.Server):
    """A server that says where it is once it listens."""

    def __init__(self, config: uvicorn.Config, address: str, log: Path) -> None:
        super().__init__(config)
        self._said = (address, log)

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets=sockets)
        announce(*self._said)
