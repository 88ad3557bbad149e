"""The edge's door towards the gateway: signed orders in, releases out.

Rules kept here: the raw bytes are verified under the pinned key before they are parsed; a stale or repeated order is refused; every refusal is a
problem document with a stable code and nothing of the request; no identifier or value is logged.
"""

from __future__ import annotations

import base64
import json
import time
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from adapters.base.faults import CODES, status_of
from adapters.base.source import Source
from adapters.edge.log import EdgeLog
from gateway.domain.clock import Clock, SystemClock
from gateway.domain.orders import Order
from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault, NotAuthenticated
from gateway.release.wire import order_from_wire, release_to_wire
from gateway.release.wire_reading import read_json
from keys.signing import VerifyKey

MAX_ORDER = 512 * 1024
SKEW = 60
LONGEST_LIFE = 300
"""Seconds: how far ahead of now an order's end may lie, so that a leaked one is soon worthless."""


class OrderDoor:
    """Checks what comes in, asks the source, and writes the answer."""

    def __init__(
        self, source: Source, gateway_key: VerifyKey, clock: Clock | None = None, log: EdgeLog | None = None
    ) -> None:
        self._source = source
        self._gateway_key = gateway_key
        self._clock = clock or SystemClock()
        self._log = log
        self._answered: dict[bytes, int] = {}
        self._forget_at = 0

    async def answer(self, body: bytes, signature: str) -> bytes:
        """The release for a signed order, as JSON bytes.

        Raises `NotAuthenticated("order_unsigned")`, `BadRequest`, `Denied` (`order_stale`, `order_replayed`) and what the source
        raises.
        """
        if len(body) > MAX_ORDER:
            raise BadRequest("order_too_large")
        self._require_signed(body, signature)
        order = order_from_wire(read_json(body, limit=MAX_ORDER))
        self._require_fresh(order, sha256(body).digest())
        started = time.perf_counter()
        try:
            release = await self._source.fetch(order)
        except GatewayError as error:
            self._note(order, started, code=error.code)
            raise
        self._note(order, started, released=len(release.lines), missing=len(release.missing), surplus=release.surplus)
        return json.dumps(release_to_wire(release), ensure_ascii=False, separators=(",", ":")).encode()

    def _note(self, order: Order, started: float, **members: str | int) -> None:
        if self._log is not None:
            took = round((time.perf_counter() - started) * 1000, 2)
            self._log.note(
                "order", request=order.request, exchange=order.exchange, lines=len(order.lines), ms=took, **members
            )

    def _require_signed(self, body: bytes, signature: str) -> None:
        try:
            raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
            self._gateway_key.verify(raw, body)
        except (ValueError, BadRequest):
            raise NotAuthenticated("order_unsigned") from None

    def _require_fresh(self, order: Order, digest: bytes) -> None:
        """The order has not ended, does not claim too long a life, and was not handed in before (the gateway repeats none)."""
        now = int(self._clock.now().timestamp())
        if not now - SKEW <= order.expires_at <= now + LONGEST_LIFE + SKEW:
            raise Denied("order_stale")
        if digest in self._answered:
            raise Denied("order_replayed")
        if now >= self._forget_at:
            self._answered = {d: end for d, end in self._answered.items() if end >= now - SKEW}
            self._forget_at = now + SKEW
        self._answered[digest] = order.expires_at


def build_app(door: OrderDoor, source: Source) -> FastAPI:
    """The edge's ASGI application for the gateway: `POST /v1/orders`, `GET /health`, `GET /describe`."""
    app = FastAPI(title="Runxin edge", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/v1/orders")
    async def orders(request: Request) -> Response:
        try:
            answer = await door.answer(await limited(request, MAX_ORDER), request.headers.get("order-signature", ""))
        except Exception as error:
            return problem(error)
        return Response(answer, media_type="application/json")

    @app.get("/health")
    async def health() -> Response:
        state = await source.health()
        body = {"ok": state.ok} if state.ok else {"ok": False, "code": state.code}
        return answer_json(body, 200 if state.ok else 503)

    @app.get("/describe")
    async def describe() -> Response:
        said = source.describe()
        return answer_json(
            {
                "party": said.party.text,
                "region": said.region,
                "provides": {name: list(fields) for name, fields in said.provides.items()},
                "receives": list(said.receives),
                "epoch": said.epoch,
                "enrolled": said.enrolled,
            }
        )

    return app


async def limited(request: Request, most: int) -> bytes:
    """The body, read up to `most` bytes. Raises `BadRequest("order_too_large")`."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise BadRequest("order_too_large")
        parts.append(part)
    return b"".join(parts)


def answer_json(body: dict[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, ensure_ascii=False).encode(), status_code=status, media_type="application/json")


def problem(error: Exception) -> Response:
    """A problem document (RFC 9457). What we did not foresee says only that we failed, so that no value slips into a body."""
    known = error if isinstance(error, GatewayError) else GatewayFault("edge_fault")
    status = status_of(known)
    said = CODES.get(known.code)
    body = {
        "type": f"urn:runxin:problem:{known.code}",
        "title": said.en if said else known.code,
        "detail_zh": said.zh if said else "前置机处理失败",
        "status": status,
        "code": known.code,
        "facts": known.facts,
    }
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, status_code=status, media_type="application/problem+json")
