"""Connections from the gateway to one edge: each carries one order at a time, the one used last goes first.

Answers are read by `httptools`, the parser of the server; the request is one fixed head before a body. A client library for everything
looks at each of its connections for every request that comes and goes, and bounds each read and write by a timer of its own; here the
whole order stands under one timer, which its caller sets (ADR 10).

Rules kept here: a connection that the edge closed, or on which it spoke unasked, is never used again; neither is one whose last
exchange did not end well; an answer says how long it is, so that one cut short is never taken for a whole one; what arrives without
end is not gathered without end; what arrives packed is not unpacked.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from adapters.certificates import Certificates

CONNECTIONS_AT_MOST = 128
"""To one edge; who comes later waits, within the time of the order."""

IDLE_SECONDS = 5.0
"""An idle connection is given up before the edge gives it up: an order must not meet a closing door."""

_HELD_AT_MOST = 256 * 1024
_FRAME_AT_MOST = 100 * 1024
"""Bytes of an answer that are no body: its head, and the sizes of its chunks."""

_VISIBLE = re.compile(r"[!-~]+")


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

    async def post(self, place: Place, signature: bytes, body: bytes, *, at_most: int) -> Answer:
        """Send a JSON body with its `Order-Signature` and read the answer, of at most `at_most` bytes.

        Raises `AnswerTooLong`, `AnswerPacked`, `OSError` (no connection, no HTTP, or cut short).
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
            shown = name if port is None else f"{name}:{port}"
            target = f"{parts.path.rstrip('/')}/v1/orders"
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("http", "https") or not _VISIBLE.fullmatch(shown + target):
            raise OSError("not an http(s) URL")
        tls = parts.scheme == "https"
        return Place(host, port or (443 if tls else 80), tls, target.encode("ascii"), shown.encode("ascii"))

    async def post(self, signature: bytes, body: bytes, *, at_most: int) -> Answer:
        """One exchange on a connection that is free; raises what a lane raises."""
        place = self.orders
        async with self._seats:
            lane = await self._take(place)
            try:
                return await lane.post(place, signature, body, at_most=at_most)
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
    """One socket, and until when it may carry another exchange."""

    def __init__(self, socket: _Socket) -> None:
        self._socket = socket
        self._usable_until = 0.0

    async def post(self, place: Place, signature: bytes, body: bytes, *, at_most: int) -> Answer:
        self._usable_until = 0.0  # until the answer has ended well
        # Head and body leave together: one packet, and the edge wakes up once.
        self._socket.write(
            b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\n"
            b"Order-Signature: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (place.target, place.shown, signature, len(body), body)
        )
        reading = _Reading()
        arrived = 0
        while not reading.ended:
            data = await self._socket.arrived()
            if not data:
                raise ConnectionError("the answer ended early")
            arrived += len(data)
            reading.take(data)
            if reading.packed:
                raise AnswerPacked
            if reading.size > at_most or arrived > at_most + _FRAME_AT_MOST:
                raise AnswerTooLong
        if reading.goes_on:
            self._usable_until = time.monotonic() + IDLE_SECONDS
        return Answer(reading.status, b"".join(reading.parts))

    def is_usable(self) -> bool:
        return time.monotonic() < self._usable_until and not self._socket.has_news

    def close(self) -> None:
        self._usable_until = 0.0
        self._socket.transport.abort()


class _Reading:
    """One answer as the parser reads it. ended: it is whole. goes_on: the connection may carry another exchange after it."""

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.status = 0
        self.parts: list[bytes] = []
        self.size = 0
        self.packed = False
        self.ended = False
        self.goes_on = False

    def take(self, data: bytes) -> None:
        """Read on. Raises `ConnectionError` for what is no HTTP."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            raise ConnectionError("no HTTP") from error

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        self.goes_on = False  # something after the answer, which nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        name, value = name.lower(), value.lower()
        if (name == b"content-encoding" and value != b"identity") or (
            name == b"transfer-encoding" and value != b"chunked"
        ):
            self.packed = True

    def on_body(self, part: bytes) -> None:
        if not self.ended:
            self.parts.append(part)
            self.size += len(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.ended or status < 200:  # 1xx: the answer is still to come
            return
        self.status, self.ended = status, True
        self.goes_on = self._parser.should_keep_alive()


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
