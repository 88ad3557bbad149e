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
from http import HTTPStatus
from typing import Protocol

import httpx2

from adapters.certificates import Certificates
from adapters.lanes import AnswerPacked, AnswerTooLong, Lane, Lanes
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
        signature = base64.urlsafe_b64encode(self._key.sign(body)).rstrip(b"=")
        edge = self._edge.party.text
        try:
            async with asyncio.timeout(self._timeout):
                # The request goes to the connection itself: redirects, cookies and credentials of an ordinary client are nothing
                # that an edge may have from us.
                answer = await self._lanes.post(signature, body, at_most=ANSWER_AT_MOST)
        except TimeoutError as error:
            raise ProviderFault("provider_timeout", edge=edge) from error
        except OSError as error:
            raise ProviderFault("provider_unavailable", edge=edge) from error
        except AnswerTooLong as error:
            raise ProviderFault("provider_too_much", edge=edge) from error
        except AnswerPacked as error:
            raise ProviderFault("provider_garbage", edge=edge) from error
        if answer.status != HTTPStatus.OK:
            raise self._refusal(answer.body)
        try:
            return release_from_wire(read_json(answer.body, limit=ANSWER_AT_MOST))
        except BadRequest as error:
            raise ProviderFault("provider_garbage", edge=edge) from error

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
    """Reaches every registered edge. tls: our certificate and whose we believe, renewed or not; without it those that the machine
    believes. stand_in: stands in for the network (tests).
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        timeout: float,
        tls: ssl.SSLContext | Certificates | None = None,
        stand_in: Lane | None = None,
    ) -> None:
        self._key = key
        self._timeout = timeout
        self._stand_in = stand_in
        self._tls = tls or httpx2.create_ssl_context(trust_env=False)
        if isinstance(self._tls, ssl.SSLContext):
            self._tls.set_alpn_protocols(["http/1.1"])
        self._lanes: dict[str, Lanes] = {}

    def at(self, edge: Reachable) -> RemoteEdge:
        """The provider behind a registered edge."""
        lanes = self._lanes.get(edge.url)
        if lanes is None:
            lanes = self._lanes[edge.url] = Lanes(edge.url, self._tls, stand_in=self._stand_in)
        return RemoteEdge(edge, lanes, self._key, self._timeout)

    async def close(self) -> None:
        """Close every connection."""
        for lanes in self._lanes.values():
            lanes.close()
