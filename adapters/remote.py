"""The gateway's side of an edge: sends a signed order, reads the release that comes back.

Rules kept here: a bounded wait for the whole answer, and a bounded answer; whatever goes wrong becomes a `ProviderFault` with a stable code that
names the edge, never what it said; an order is not repeated, because the caller may ask again and each ask is recorded.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import Protocol, cast

import httpx2

from gateway.domain.canonical import canonical
from gateway.domain.orders import Order, Release
from gateway.domain.parties import Party
from gateway.errors import BadRequest, Denied, ProviderFault
from gateway.release.wire import release_from_wire, to_wire
from gateway.release.wire_reading import read_json
from keys.signing import SigningKey

ANSWER_AT_MOST = 4 * 1024 * 1024
PASSED_ON = frozenset({"age_band_contradicted"})
PROVIDER_CODES = frozenset(
    {
        "provider_timeout",
        "provider_unavailable",
        "provider_garbage",
        "provider_too_much",
        "provider_busy",
        "provider_circuit_open",
        "provider_code_unknown",
    }
)


class Reachable(Protocol):
    """A registered edge: where it listens and for whom it speaks."""

    @property
    def party(self) -> Party:
        """Organisation and department."""
        ...

    @property
    def url(self) -> str:
        """Base URL."""
        ...


class RemoteEdge:
    """One provider behind its edge."""

    def __init__(self, edge: Reachable, transport: httpx2.AsyncBaseTransport, key: SigningKey, timeout: float) -> None:
        self._edge = edge
        self._transport = transport
        self._key = key
        self._timeout = timeout

    async def fetch(self, order: Order) -> Release:
        """The release for this order, unchecked.

        Raises `ProviderFault`: provider_timeout, provider_unavailable, provider_garbage, provider_too_much,
        provider_refused; `Denied("age_band_contradicted")` where the provider's register contradicts the band.
        """
        body = canonical(to_wire(order))
        headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "order-signature": base64.urlsafe_b64encode(self._key.sign(body)).decode("ascii").rstrip("="),
        }
        edge = self._edge.party.text
        try:
            async with asyncio.timeout(self._timeout):
                status, answer = await self._ask(body, headers)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise ProviderFault("provider_timeout", edge=edge) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ProviderFault("provider_unavailable", edge=edge) from error
        if status != httpx2.codes.OK:
            raise self._refusal(answer)
        try:
            return release_from_wire(read_json(answer, limit=ANSWER_AT_MOST))
        except BadRequest as error:
            raise ProviderFault("provider_garbage", edge=edge) from error

    async def _ask(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body, read as they arrive: whoever sends without end, or packed, is cut off.

        The request goes to the transport itself: redirects, cookies and credentials of an ordinary client are nothing that an
        edge may have from us.
        """
        seconds = self._timeout
        request = httpx2.Request(
            "POST",
            f"{self._edge.url}/v1/orders",
            content=body,
            headers=headers,
            extensions={"timeout": {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds}},
        )
        response = await self._transport.handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ProviderFault("provider_garbage", edge=self._edge.party.text)
            parts, size = [], 0
            async for part in cast("httpx2.AsyncByteStream", response.stream):
                size += len(part)
                if size > ANSWER_AT_MOST:
                    raise ProviderFault("provider_too_much", edge=self._edge.party.text)
                parts.append(part)
            return response.status_code, b"".join(parts)
        finally:
            await response.aclose()

    def _refusal(self, answer: bytes) -> ProviderFault | Denied:
        code = ""
        with contextlib.suppress(ValueError, AttributeError, RecursionError):
            code = str(json.loads(answer).get("code", ""))
        if code in PASSED_ON:
            return Denied(code)
        if code in PROVIDER_CODES:
            return ProviderFault(code, edge=self._edge.party.text)
        return ProviderFault("provider_refused", edge=self._edge.party.text)


class RemoteEdges:
    """Reaches every registered edge over one connection pool."""

    def __init__(self, key: SigningKey, *, timeout: float, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._key = key
        self._timeout = timeout
        limits = httpx2.Limits(max_connections=128, max_keepalive_connections=64)
        self._transport = transport or httpx2.AsyncHTTPTransport(limits=limits, trust_env=False)

    def at(self, edge: Reachable) -> RemoteEdge:
        """The provider behind a registered edge."""
        return RemoteEdge(edge, self._transport, self._key, self._timeout)

    async def close(self) -> None:
        """Close the pool."""
        await self._transport.aclose()
