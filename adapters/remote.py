"""The gateway's side of an edge: sends a signed order, reads the release that comes back.

Rules kept here: a bounded wait for the whole answer, and a bounded answer; whatever goes wrong becomes a `ProviderFault` with a stable code that
names the edge, never what it said; an order is not repeated, because the caller may ask again and each ask is recorded.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import Protocol, cast

import httpx2

from gateway.domain.canonical import canonical
from gateway.domain.orders import Order, Release
from gateway.domain.parties import Party
from gateway.errors import BadRequest, Denied, ProviderFault
from gateway.release.wire import release_from_wire, to_wire
from gateway.release.wire_reading import read_json
from keys.signing import SigningKey

CONNECTIONS_AT_MOST = 128
"""To one edge; who comes later waits, within the time of the order."""

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

    def __init__(self, edge: Reachable, lanes: Lanes, key: SigningKey, timeout: float) -> None:
        self._edge = edge
        self._lanes = lanes
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
            self._lanes.orders,
            content=body,
            headers=headers,
            extensions={"timeout": {"connect": seconds, "read": seconds, "write": seconds, "pool": seconds}},
        )
        async with self._lanes.taken() as lane:
            response = await lane.handle_async_request(request)
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


class Lanes:
    """Connections to one edge, the one used last first.

    A pool of many looks at each of its connections for every request that comes and goes; a pool of one has nothing to look at.
    """

    def __init__(self, url: str, open_lane: Callable[[], httpx2.AsyncBaseTransport]) -> None:
        self._url = url
        self._open = open_lane
        self._idle: list[httpx2.AsyncBaseTransport] = []
        self._seats = asyncio.Semaphore(CONNECTIONS_AT_MOST)

    @cached_property
    def orders(self) -> httpx2.URL:
        """Where orders go, read once. Raises `httpx2.InvalidURL`."""
        return httpx2.URL(f"{self._url}/v1/orders")

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[httpx2.AsyncBaseTransport]:
        """A connection for one request. Whatever went wrong, its pool of one knows whether it can be used again."""
        async with self._seats:
            lane = self._idle.pop() if self._idle else self._open()
            try:
                yield lane
            finally:
                self._idle.append(lane)

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().aclose()


class RemoteEdges:
    """Reaches every registered edge. tls: our certificate and whose we believe; without it those that the machine believes.
    transport: stands in for the network (tests).
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        timeout: float,
        tls: ssl.SSLContext | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = key
        self._timeout = timeout
        self._transport = transport
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)
        self._lanes: dict[str, Lanes] = {}

    def at(self, edge: Reachable) -> RemoteEdge:
        """The provider behind a registered edge."""
        lanes = self._lanes.get(edge.url)
        if lanes is None:
            lanes = self._lanes[edge.url] = Lanes(edge.url, self._open)
        return RemoteEdge(edge, lanes, self._key, self._timeout)

    def _open(self) -> httpx2.AsyncBaseTransport:
        limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1)
        return self._transport or httpx2.AsyncHTTPTransport(verify=self._tls, limits=limits, trust_env=False)

    async def close(self) -> None:
        """Close every connection."""
        for lanes in self._lanes.values():
            await lanes.close()
