"""The simulated education system (教育): REST/JSON with app-key signatures and paging, answered from memory.

Rules kept here: it knows nothing of the gateway; each request is verified (HMAC-SHA256 under the app's secret, five minutes) and
written to its own log (JSON lines) with the fields asked; knobs make it slow, faulty, or talkative, for tests and the kit only.

    python -m adapters.sandbox.education_system --port 0 --data DIR --app-key K --app-secret-file F [--children N] [knobs]

POST /openapi/v1/students/query {"keys": [..<=500], "fields": [..]} -> {"code": 0, "data": [{..}]}
POST /openapi/v1/students/page  {"page": 1.., "size": <=1000, "fields": [..]} -> {"code": 0, "total": n, "data": [{..}]}
POST /openapi/v1/messages       {"id": .., "kind": .., "student": .., "content": {..}} -> {"code": 0}   (same id: stored once)
GET  /openapi/v1/ping           -> {"code": 0}
POST /openapi/v1/knobs          {"latency_ms": .., …} -> {"code": 0}
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.sandbox import education_data, serving
from adapters.sandbox.population import DEFAULT_DAY, build
from adapters.sandbox.processes import Running, launch

_SKEW = 300
_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Knobs:
    """How the system misbehaves. latency_ms: added to every answer. error_rate: share answered 500. garbage: bytes that are no
    JSON. surplus: all columns, whatever was asked. too_much: megabytes of filling. clock_skew: seconds its clock is ahead.
    """

    latency_ms: float = 0.0
    error_rate: float = 0.0
    garbage: bool = False
    surplus: bool = False
    too_much: int = 0
    clock_skew: int = 0


def signature(secret: bytes, *, method: str, path: str, timestamp: str, nonce: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over the lines method, path, timestamp, nonce, sha256(body), as provincial platforms do it."""
    text = "\n".join((method, path, timestamp, nonce, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


class EducationSystem:
    """The system's state and its five routes. inbox: message id -> message as received."""

    def __init__(
        self, records: dict[str, education_data.Record], app_key: str, secret: bytes, log: TextIO, knobs: Knobs
    ) -> None:
        self._records = records
        self._order = sorted(records)
        self._app_key = app_key
        self._secret = secret
        self._log = log
        self._knobs = knobs
        self._seen: dict[str, float] = {}
        self._random = random.Random(1)
        self.inbox: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/openapi/v1/students/query", self._guarded(self._query), methods=["POST"]),
                Route("/openapi/v1/students/page", self._guarded(self._page), methods=["POST"]),
                Route("/openapi/v1/messages", self._guarded(self._message), methods=["POST"]),
                Route("/openapi/v1/ping", self._guarded(self._ping), methods=["GET"]),
                Route("/openapi/v1/knobs", self._guarded(self._turn, knobbed=False), methods=["POST"]),
            ]
        )

    def _guarded(
        self, answer: Callable[[dict[str, Any]], dict[str, Any]], *, knobbed: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        async def route(request: Request) -> Response:
            body = await request.body()
            if not self._signed(request, body):
                return Response('{"code":40101,"msg":"签名错误"}', status_code=401, media_type=_JSON)
            knobs = self._knobs
            if knobbed and knobs.latency_ms:
                await asyncio.sleep(knobs.latency_ms / 1000)
            if knobbed and knobs.error_rate and self._random.random() < knobs.error_rate:
                return Response('{"code":50000,"msg":"系统繁忙"}', status_code=500, media_type=_JSON)
            if knobbed and knobs.garbage:
                return Response(b"\x00\xff<html>500</html>", media_type="text/html")
            asked = json.loads(body) if body else {}
            said = answer(asked)
            if knobbed and knobs.too_much:
                said["filling"] = "填" * (knobs.too_much * 1024 * 1024 // 3)
            self._note(request.url.path, asked, said)
            return Response(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode(), media_type=_JSON)

        return route

    def _signed(self, request: Request, body: bytes) -> bool:
        """Whether the app's signature holds, is fresh by this system's clock, and its nonce is new."""
        header = request.headers
        stamp, nonce = header.get("x-timestamp", ""), header.get("x-nonce", "")
        now = time.time() + self._knobs.clock_skew
        if not (stamp.isdigit() and abs(now - int(stamp)) <= _SKEW and nonce and nonce not in self._seen):
            return False
        expected = signature(
            self._secret, method=request.method, path=request.url.path, timestamp=stamp, nonce=nonce, body=body
        )
        known = hmac.compare_digest(header.get("x-app-key", "").encode(), self._app_key.encode())
        if not (hmac.compare_digest(header.get("x-sign", "").encode(), expected.encode()) and known):
            return False
        self._seen[nonce] = now
        if len(self._seen) > 100_000:
            self._seen = {n: t for n, t in self._seen.items() if now - t <= _SKEW}
        return True

    def _query(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = (self._records.get(key) for key in asked["keys"][:500])
        return {"code": 0, "data": [self._cut(r, asked["fields"]) for r in found if r is not None]}

    def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        size = min(int(asked["size"]), 1000)
        keys = self._order[(int(asked["page"]) - 1) * size :][:size]
        return {
            "code": 0,
            "total": len(self._order),
            "data": [self._cut(self._records[k], asked["fields"]) for k in keys],
        }

    def _cut(self, record: education_data.Record, wanted: list[str]) -> dict[str, str]:
        return dict(record) if self._knobs.surplus else {name: record[name] for name in wanted if name in record}

    def _message(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.inbox.setdefault(asked["id"], asked)
        return {"code": 0}

    def _ping(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        return {"code": 0}

    def _turn(self, asked: dict[str, Any]) -> dict[str, Any]:
        known = {f.name for f in fields(Knobs)}
        self._knobs = replace(self._knobs, **{k: v for k, v in asked.items() if k in known})
        return {"code": 0}

    def _note(self, path: str, asked: dict[str, Any], said: dict[str, Any]) -> None:
        line = {"time": round(time.time(), 3), "path": path, "asked": asked, "rows": len(said.get("data", ()))}
        self._log.write(json.dumps(line, ensure_ascii=False) + "\n")


def start(
    directory: Path,
    *,
    app_key: str,
    app_secret: str,
    count: int = 2000,
    seed: int = 20261122,
    on: date = DEFAULT_DAY,
    port: int = 0,
    knobs: Knobs | None = None,
) -> Running:
    """Start the system over a directory of its own; its address is a base URL on loopback, its log `requests.jsonl` there.

    port 0 takes a free one. `RuntimeError` if it does not come up within a minute.
    """
    directory.mkdir(parents=True, exist_ok=True)
    secret = directory / "app-secret"
    secret.touch(mode=0o600)
    secret.write_text(app_secret)
    arguments = ["--data", str(directory), "--port", str(port), "--app-key", app_key, "--app-secret-file", str(secret)]
    arguments += ["--children", str(count), "--seed", str(seed), "--on", on.isoformat()]
    if knobs is not None:
        arguments += ["--knobs", json.dumps({f.name: getattr(knobs, f.name) for f in fields(Knobs)})]
    return launch("adapters.sandbox.education_system", arguments, errors=directory / "system.err")


def main() -> None:
    """Build the population, keep it in memory, serve it until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--app-key", required=True)
    parser.add_argument("--app-secret-file", type=Path, required=True)
    parser.add_argument("--children", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--on", type=date.fromisoformat, default=DEFAULT_DAY)
    parser.add_argument("--knobs", type=json.loads, default={})
    given = parser.parse_args()
    records = education_data.records(build(given.children, given.seed, given.on))
    secret = given.app_secret_file.read_bytes().strip()
    knobs = Knobs(**given.knobs)
    serving.run(lambda log: EducationSystem(records, given.app_key, secret, log, knobs).app(), given.data, given.port)


if __name__ == "__main__":
    main()
