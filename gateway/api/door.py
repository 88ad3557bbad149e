"""What every route of the machine door does around its flow: bounded raw body, receipt headers, problems, roll-ups.

Rules kept here: the body reaches a flow as the bytes that arrived; nobody parses it before it is authenticated; a refusal
before authentication is counted per source and minute and never recorded per request; nothing of a request is logged but
its route and the kind of what failed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from gateway.api.patience import Patience
from gateway.api.problems import MEDIA_TYPE, problem
from gateway.domain.entries import Receipt
from gateway.errors import BadRequest, GatewayError, GatewayFault, NotAuthenticated
from gateway.flows.account import is_outage
from gateway.flows.house import House
from gateway.flows.requests import SignedRequest
from gateway.observe import REFUSALS, REQUESTS, SECONDS, log
from gateway.release.wire_reading import unpadded

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

BODY_AT_MOST = 8 * 1024 * 1024
Handler = Callable[[House, SignedRequest], Awaitable[Response]]


async def serve(request: Request, route: str, handler: Handler, *, json_body: bool = False) -> Response:
    """Run one flow behind the door; whatever it raises becomes a problem document."""
    started = time.perf_counter()
    house: House = request.app.state.house
    patience: Patience = request.app.state.patience
    client = request.scope.get("client")
    source = client[0] if client else ""
    headers = _headers(request)
    credential = headers.get("authorization", "")
    authenticated = json_body  # only signed routes take JSON; a public one proves nothing about whoever asks
    try:
        signed = await _arrived(request, headers, source, patience, json_body=json_body)
        response = await handler(house, signed)
    except (NotAuthenticated, TurnedAway) as error:
        # Step (1) did not succeed: no entry, the minute's roll-up counts it.
        authenticated = False
        patience.count(source, credential)
        house.refusals.note(source, error.code, now=int(house.clock.now().timestamp()))
        response = refusal(error)
    except GatewayFault as error:
        # What lies behind it is for the operator: its kind, never its text.
        log.error("fault", route=route, code=error.code, exc_info=error.__cause__ or error)
        response = refusal(error)
    except GatewayError as error:
        response = refusal(error)
    except Exception as error:
        log.error("unexpected", route=route, exc_info=error)
        response = refusal(GatewayFault("audit_unavailable" if is_outage(error) else "internal"))
    if authenticated and response.status_code < 500:
        patience.welcome(credential)
    answered, seconds = _measures(route, response.status_code)
    answered.inc()
    seconds.observe(time.perf_counter() - started)
    return response


@lru_cache(maxsize=4096)
def _measures(route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, str(status)), SECONDS.labels(route)


class TurnedAway(BadRequest):
    """Refused at the door, before anybody looked who it was: too large, of another type, too often."""


async def _arrived(
    request: Request, headers: dict[str, str], source: str, patience: Patience, *, json_body: bool
) -> SignedRequest:
    """The request as it came. Raises `TurnedAway`."""
    try:
        patience.require(source, headers.get("authorization", ""))
        if len(headers) < len(request.scope["headers"]):
            _require_single(request.scope["headers"])
        signed = SignedRequest(
            method=request.method,
            path=request.scope["path"],  # never by way of a URL: the Host header would have a part in it
            headers=headers,
            body=await _raw_body(request, headers.get("content-length", "0")),
            source=source,
        )
        if json_body:
            require_json(signed)
    except BadRequest as error:
        raise TurnedAway(error.code, **error.facts) from None
    return signed


def refusal(error: GatewayError) -> Response:
    """The problem document of an error."""
    status, document = problem(error)
    REFUSALS.labels(document["code"]).inc()
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'DPoP algs="EdDSA"'
    if status in (429, 503):
        headers["Retry-After"] = str(error.facts.get("retry_after", 60 if status == 429 else 5))
    return Response(json.dumps(document, ensure_ascii=False), status, headers, MEDIA_TYPE)


def answer(body: bytes, receipt: Receipt | None = None, status: int = 200) -> Response:
    """The exact body bytes, with the receipt in headers."""
    headers = {"Cache-Control": "no-store"}
    if receipt is not None:
        headers["Audit-Receipt"] = receipt.header
        headers["Audit-Salt"] = f"{unpadded(receipt.request_salt)}.{unpadded(receipt.answer_salt)}"
    return Response(body, status, headers, "application/json")


def _headers(request: Request) -> dict[str, str]:
    """Headers by their names, which ASGI has in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}


_SINGLE = frozenset({b"authorization", b"dpop", b"officer-assertion", b"content-type", b"idempotency-key"})


def _require_single(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """A header sent twice is refused where it matters, because two readers might differ."""
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in _SINGLE):
        raise NotAuthenticated("header_repeated")


async def _raw_body(request: Request, declared: str) -> bytes:
    """The body as it arrived. declared: its length as the request states it."""
    if not (declared.isascii() and declared.isdigit()) or int(declared) > BODY_AT_MOST:
        raise BadRequest("body_too_large")
    parts, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_AT_MOST:
            raise BadRequest("body_too_large")
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def require_json(signed: SignedRequest) -> None:
    """`application/json` only; a browser form cannot be made to speak to this door."""
    if signed.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("media_type")


def described(model: type[Any], summary: str) -> dict[str, Any]:
    """OpenAPI for a route whose body is read raw."""
    return {
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": model.model_json_schema(ref_template="#/components/schemas/{model}")}
            },
        },
        "responses": {
            "default": {"description": "Problem document (RFC 9457)", "content": {MEDIA_TYPE: {}}},
        },
    }
