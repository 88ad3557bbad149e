"""Connections from the gateway to one edge: each carries one order at a time, the one used last goes first.

The HTTP is `h11`'s, the protocol engine of the client library: it writes the request, reads the answer and says when a connection
may be used again. Only the socket under it is ours: a pool of many looks at each of its connections for every request that comes and
goes, and bounds each read and write by a timer of its own; here the whole order stands under one timer, which its caller sets.

Rules kept here: a connection that the edge closed, or on which it spoke unasked, is never used again; neither is one whose last
exchange did not end well; what arrives without end is not gathered without end; what arrives packed is not unpacked.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast
from urllib.parse import urlsplit

import h11

from adapters.certificates import Certificates

CONNECTIONS_AT_MOST = 128
"""To one edge; who comes later waits, within the time of the order."""

IDLE_SECONDS = 5.0
"""An idle connection is given up before the edge gives it up: an order must not meet a closing door."""

_HELD_AT_MOST = 256 * 1024
_HEAD_AT_MOST = 100 * 1024
_NOTHING = (b"", False)
_JSON = [(b"Content-Type", b"application/json"), (b"Accept-Encoding", b"identity")]

Header = tuple[bytes, bytes]


class AnswerTooLong(Exception):  # noqa: N818  (the answer, not a fault of ours)
    """The answer had more bytes than its reader takes; the rest was not read."""


class AnswerPacked(Exception):  # noqa: N818
    """The answer is encoded otherwise than it was asked for; it was not read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the HTTP status and the whole body."""

    status: int
    body: bytes = field(repr=False)


class Lane(Protocol):
    """One connection, or what stands in for the network in a test."""

    async def post(self, place: Place, headers: list[Header], body: bytes, *, at_most: int) -> Answer:
        """Send a JSON body and read the answer, of at most `at_most` bytes.

        Raises `AnswerTooLong`, `AnswerPacked`, `h11.ProtocolError` (no HTTP, or cut short), `OSError`.
        """
        ...

    def is_usable(self) -> bool:
        """Whether another exchange may begin on it."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where orders go. host, port, tls: what to connect to. target: the request's path. shown: the `Host` header."""

    host: str
    port: int
    tls: bool
    target: bytes
    shown: bytes


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
    def orders(self) -> Place:
        """Where orders go, read once. Raises `OSError` where the registered URL is none."""
        try:
            parts = urlsplit(self._url)
            host, port = parts.hostname or "", parts.port
            name = f"[{host}]" if ":" in host else host
            shown = (name if port is None else f"{name}:{port}").encode("ascii")
            target = f"{parts.path.rstrip('/')}/v1/orders".encode("ascii")
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("http", "https"):
            raise OSError("not an http(s) URL")
        tls = parts.scheme == "https"
        return Place(host, port or (443 if tls else 80), tls, target, shown)

    async def post(self, headers: list[Header], body: bytes, *, at_most: int) -> Answer:
        """One exchange on a connection that is free; raises what a lane raises."""
        place = self.orders
        async with self._seats:
            lane = await self._take(place)
            try:
                return await lane.post(place, headers, body, at_most=at_most)
            finally:
                if lane.is_usable():
                    self._idle.append(lane)
                else:
                    lane.close()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    async def _take(self, place: Place) -> Lane:
        while self._idle:
            lane = self._idle.pop()
            if lane.is_usable():
                return lane
            lane.close()
        return self._stand_in or await self._open(place)

    async def _open(self, place: Place) -> Lane:
        tls = self._tls.connecting if isinstance(self._tls, Certificates) else self._tls
        _, socket = await asyncio.get_running_loop().create_connection(
            _Socket, place.host, place.port, ssl=tls if place.tls else None
        )
        return _SocketLane(socket)


class _SocketLane:
    """One socket, and what HTTP has seen on it."""

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_AT_MOST)
        self._usable_until = 0.0

    async def post(self, place: Place, headers: list[Header], body: bytes, *, at_most: int) -> Answer:
        self._usable_until = 0.0  # until the answer has ended well
        http = self._http
        head = [(b"Host", place.shown), (b"Content-Length", b"%d" % len(body)), *_JSON, *headers]
        leaving = http.send(h11.Request(method=b"POST", target=place.target, headers=head)) or b""
        leaving += http.send(h11.Data(data=body)) or b""
        http.send(h11.EndOfMessage())
        # Head and body leave together: one packet, and the edge wakes up once.
        self._socket.write(leaving)
        status, parts, size = 0, [], 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self._socket.arrived())
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > at_most:
                    raise AnswerTooLong
                parts.append(event.data)
            elif isinstance(event, h11.Response):
                status = event.status_code
                if any(name == b"content-encoding" and value != b"identity" for name, value in event.headers):
                    raise AnswerPacked
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection left HTTP")
        if http.our_state is http.their_state is h11.DONE and http.trailing_data == _NOTHING:
            http.start_next_cycle()
            self._usable_until = time.monotonic() + IDLE_SECONDS
        return Answer(status, b"".join(parts))

    def is_usable(self) -> bool:
        return time.monotonic() < self._usable_until and not self._socket.has_news

    def close(self) -> None:
        self._usable_until = 0.0
        self._socket.transport.abort()


class _Socket(asyncio.Protocol):
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

    def write(self, data: bytes) -> None:
        """Send; on a socket that is closing nothing leaves, and reading says so."""
        if not self.transport.is_closing():
            self.transport.write(data)

    async def arrived(self) -> bytes:
        """What is there, or what comes next; nothing where the other side has ended. Raises `OSError`."""
        if not self._held and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if not self._held and self._error is not None:
            raise ConnectionError from self._error
        data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        if self._size > _HELD_AT_MOST:
            self.transport.resume_reading()
        self._size = 0
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
