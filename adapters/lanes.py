"""Connections from the gateway to one edge: each carries one order at a time, the one used last goes first.

The HTTP is `httpcore2`'s, the engine of the client library; only the socket under it is ours. A pool of many looks at each of its
connections for every request that comes and goes, and bounds each read and write by a timer of its own: here the whole order
stands under one timer, which its caller sets.

Rules kept here: a connection that the edge closed, or on which it spoke unasked, is never used again; neither is one whose last
exchange did not end well; what arrives without end is not gathered without end.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cached_property
from typing import Any, Protocol, cast

import httpcore2

from adapters.certificates import Certificates

CONNECTIONS_AT_MOST = 128
"""To one edge; who comes later waits, within the time of the order."""

IDLE_SECONDS = 5.0
"""An idle connection is given up before the edge gives it up: an order must not meet a closing door."""

_HELD_AT_MOST = 256 * 1024


class Lane(Protocol):
    """One connection: `httpcore2.AsyncHTTP11Connection`, or what stands in for the network in a test."""

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request; its answer, the body still to be read."""
        ...

    def is_closed(self) -> bool:
        """Whether it ended."""
        ...

    def has_expired(self) -> bool:
        """Whether it was idle for too long, or the other side closed it or spoke unasked."""
        ...

    async def aclose(self) -> None:
        """End it."""
        ...


class Lanes:
    """The connections to one edge. url: its base URL. tls: for `https`; of `Certificates` each new connection bears those then in force.
    stand_in: stands in for the network (tests).
    """

    def __init__(self, url: str, tls: ssl.SSLContext | Certificates, *, stand_in: Lane | None = None) -> None:
        self._url = url
        self._tls = tls
        self._stand_in = stand_in
        self._idle: list[Lane] = []
        self._seats = asyncio.Semaphore(CONNECTIONS_AT_MOST)

    @cached_property
    def orders(self) -> httpcore2.URL:
        """Where orders go, read once. Raises `OSError` where the registered URL is none."""
        try:
            url = httpcore2.URL(f"{self._url}/v1/orders")
            known = url.scheme in (b"http", b"https") and bool(url.host)
        except (ValueError, TypeError):
            known = False
        if not known:
            raise OSError("not an http(s) URL")
        return url

    @cached_property
    def host(self) -> tuple[bytes, bytes]:
        """The `Host` header of every order."""
        url = self.orders
        name = b"[%b]" % url.host if b":" in url.host else url.host
        return (b"Host", name if url.port is None else b"%b:%d" % (name, url.port))

    async def take(self) -> Lane:
        """A connection for one exchange, to be given back whatever comes of it. Raises `OSError` where there is none to be had."""
        await self._seats.acquire()
        try:
            while self._idle:
                lane = self._idle.pop()
                if not lane.is_closed() and not lane.has_expired():
                    return lane
                await lane.aclose()
            return self._stand_in or await self._open()
        except BaseException:
            self._seats.release()
            raise

    def give_back(self, lane: Lane) -> None:
        """After its answer was closed. One that ended badly is closed by now and not kept."""
        if not lane.is_closed():
            self._idle.append(lane)
        self._seats.release()

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _open(self) -> Lane:
        origin = self.orders.origin
        tls = self._tls.connecting if isinstance(self._tls, Certificates) else self._tls
        _, wire = await asyncio.get_running_loop().create_connection(
            _Wire, origin.host.decode("ascii"), origin.port, ssl=tls if origin.scheme == b"https" else None
        )
        return httpcore2.AsyncHTTP11Connection(origin, _Stream(wire), keepalive_expiry=IDLE_SECONDS)


class _Wire(asyncio.Protocol):
    """What arrives on a socket, held until it is asked for."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, but says so to nobody

    def data_received(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size > _HELD_AT_MOST:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended, self._error = True, error
        self._wake()

    @property
    def has_news(self) -> bool:
        """Whether anything is there to be read: between two exchanges, nothing may be."""
        return bool(self._held) or self._ended

    async def arrived(self) -> bytes:
        """What is there, or what comes next; nothing where the other side has ended."""
        if not self._held and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._held and self._error is not None:
            raise httpcore2.ReadError from self._error
        data = b"".join(self._held)
        self._held.clear()
        if self._size > _HELD_AT_MOST:
            self.transport.resume_reading()
        self._size = 0
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Stream(httpcore2.AsyncNetworkStream):
    """A socket as `httpcore2` uses it. Head and body of an order leave together, when their answer is waited for: one packet, and
    the edge wakes up once.
    """

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._leaving: list[bytes] = []

    # The arguments are the library's; the timer is the whole order's.
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        if self._leaving:
            leaving = b"".join(self._leaving)
            self._leaving.clear()
            if not self._wire.transport.is_closing():
                self._wire.transport.write(leaving)
        return await self._wire.arrived()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        if buffer:
            self._leaving.append(buffer)

    async def aclose(self) -> None:
        self._wire.transport.abort()

    def get_extra_info(self, info: str) -> Any:
        return self._wire.has_news if info == "is_readable" else None
