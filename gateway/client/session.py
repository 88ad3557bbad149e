"""One signed call after another, without touching a socket: the SDK's logic is written once, as generators that yield what
shall be sent and are sent what came back. `sync.py` and `asynchronous.py` only carry.

Rules kept here: every attempt has a proof of its own; a call is repeated only where nothing can happen twice (it never left,
or it is declared repeatable), three attempts at most; a token is renewed half a minute before it ends, or once when the
gateway says so; errors keep the gateway's code and nothing of what was sent.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from gateway.client.configuration import Configuration
from gateway.client.errors import AnswerRejected, GatewayRefused, GatewayUnreachable
from gateway.client.statements import ASSERTION_KIND, client_assertion, officer_assertion, request_proof
from gateway.domain.canonical import canonical
from gateway.domain.clock import Clock, SystemClock
from gateway.domain.ids import request_id

ATTEMPTS = 3
PAUSE = 0.2
"""Seconds before the second attempt; doubled before the third."""
_RENEW_EARLY = 30
_REPEATABLE_STATUS = frozenset({503})
_TOKEN_ENDED = frozenset({"token_expired", "token_invalid"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to carry. path: absolute. timeout: seconds."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came back. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """Nothing came back. sent: whether the request may have arrived."""

    sent: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds before going on."""

    seconds: float


T = TypeVar("T")
Step = Generator[Outgoing | Pause, Incoming | Lost | None, T]
"""A piece of the SDK's logic that ends with a `T`."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A successful answer, the exact bytes that were asked with, and what the request is called."""

    sent: bytes = field(repr=False)
    incoming: Incoming = field(repr=False)
    request: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object in the body. `AnswerRejected("answer_malformed")`."""
        try:
            value = json.loads(self.incoming.body)
        except ValueError as error:
            raise AnswerRejected("answer_malformed") from error
        if not isinstance(value, dict):
            raise AnswerRejected("answer_malformed")
        return value


class Session:
    """Tokens, proofs and assertions of one client. Keeps no request and no answer."""

    def __init__(self, configuration: Configuration, clock: Clock | None = None) -> None:
        self.configuration = configuration
        self._clock = clock or SystemClock()
        self._token: tuple[str, int] | None = None
        self._assertion: tuple[str, int] | None = None

    def now(self) -> int:
        """Unix seconds."""
        return int(self._clock.now().timestamp())

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        repeatable: bool = False,
        idempotency_key: str | None = None,
        longer: float = 0,
    ) -> Step[Answered]:
        """A signed POST of a JSON body. repeatable: asking twice does no harm. longer: seconds beyond the usual timeout."""
        extra = {"idempotency-key": idempotency_key} if idempotency_key else {}
        return self._call("POST", path, canonical(dict(body)), extra, repeatable=repeatable, longer=longer)

    def get(self, path: str) -> Step[Answered]:
        """A signed GET."""
        return self._call("GET", path, b"", {}, repeatable=True, longer=0)

    def headers(self, method: str, path: str, body: bytes) -> Step[dict[str, str]]:
        """The headers of one request that somebody else will send: token, proof, officer assertion."""
        token = yield from self._current_token()
        return self._signed_headers(method, path, body, token)

    def _call(
        self, method: str, path: str, body: bytes, extra: Mapping[str, str], *, repeatable: bool, longer: float
    ) -> Step[Answered]:
        renewed = False
        attempt = 1
        while True:
            token = yield from self._current_token()
            headers = {**self._signed_headers(method, path, body, token), **extra}
            reply = yield Outgoing(method, path, headers, body, self.configuration.timeout + longer)
            again = attempt < ATTEMPTS
            match reply:
                case Lost(sent=sent) if again and (repeatable or not sent):
                    pass
                case Lost(sent=sent):
                    raise GatewayUnreachable(sent=sent)
                case Incoming(status=status) if status < 400:
                    return Answered(body, reply, request_id(headers["dpop"]))
                case Incoming(status=status) as refused:
                    refusal = refusal_in(refused)
                    if status == 401 and refusal.code in _TOKEN_ENDED and not renewed:
                        # Refused before anything happened, so a second try does nothing twice.
                        self._token, renewed = None, True
                        continue
                    if not (again and repeatable and status in _REPEATABLE_STATUS):
                        raise refusal
                case None:
                    raise TypeError("a call was resumed without its answer")
            yield Pause(PAUSE * 2 ** (attempt - 1))
            attempt += 1

    def _signed_headers(self, method: str, path: str, body: bytes, token: str) -> dict[str, str]:
        configuration = self.configuration
        proof = request_proof(
            configuration.client_key,
            method=method,
            url=configuration.origin + path,
            body=body,
            token=token,
            now=self.now(),
        )
        headers = {"authorization": f"DPoP {token}", "dpop": proof, "accept": "application/json"}
        if method == "POST":
            headers["content-type"] = "application/json"
        assertion = self._current_assertion()
        if assertion is not None:
            headers["officer-assertion"] = assertion
        return headers

    def _current_assertion(self) -> str | None:
        officer, now = self.configuration.officer, self.now()
        if officer is None:
            return None
        if self._assertion is None or self._assertion[1] <= now + _RENEW_EARLY:
            text = officer_assertion(
                officer.person_id,
                self.configuration.party,
                officer.function,
                officer.key,
                client_thumbprint=self.configuration.client_key.thumbprint,
                issuer=self.configuration.name_of_gateway,
                now=now,
                lifetime=officer.lifetime,
            )
            self._assertion = (text, now + officer.lifetime)
        return self._assertion[0]

    def _current_token(self) -> Step[str]:
        if self._token is None or self._token[1] <= self.now() + _RENEW_EARLY:
            self._token = yield from self._fetch_token()
        return self._token[0]

    def _fetch_token(self) -> Step[tuple[str, int]]:
        configuration, path = self.configuration, "/oauth/token"
        for attempt in range(1, ATTEMPTS + 1):
            now = self.now()
            assertion = client_assertion(
                configuration.client_id, configuration.client_key, issuer=configuration.name_of_gateway, now=now
            )
            body = urlencode(
                {
                    "grant_type": "client_credentials",
                    "client_assertion_type": ASSERTION_KIND,
                    "client_assertion": assertion,
                }
            ).encode()
            proof = request_proof(
                configuration.client_key, method="POST", url=configuration.origin + path, body=body, token=None, now=now
            )
            headers = {"content-type": "application/x-www-form-urlencoded", "dpop": proof, "accept": "application/json"}
            reply = yield Outgoing("POST", path, headers, body, configuration.timeout)
            if isinstance(reply, Incoming):
                if reply.status < 400:
                    return _token_in(Answered(body, reply, request_id(proof)).document, now)
                if reply.status not in _REPEATABLE_STATUS or attempt == ATTEMPTS:
                    raise refusal_in(reply)
            elif attempt == ATTEMPTS:
                raise GatewayUnreachable(sent=reply is None or reply.sent)
            yield Pause(PAUSE * 2 ** (attempt - 1))
        raise AssertionError("unreachable")


def refusal_in(incoming: Incoming) -> GatewayRefused:
    """The problem document as an exception; an answer without one has the code `http_<status>`."""
    try:
        document = json.loads(incoming.body)
        code, facts = str(document["code"]), dict(document.get("facts", {}))
    except (ValueError, KeyError, TypeError):
        return GatewayRefused(f"http_{incoming.status}", incoming.status, "", "", {})
    sentences = [str(document.get(member, "")) for member in ("detail", "detail_zh")]
    return GatewayRefused(code, incoming.status, sentences[0], sentences[1], facts)


def _token_in(document: Mapping[str, Any], now: int) -> tuple[str, int]:
    text, lifetime = document.get("access_token"), document.get("expires_in")
    if not isinstance(text, str) or not isinstance(lifetime, int) or document.get("token_type") != "DPoP":
        raise AnswerRejected("answer_malformed")
    return text, now + lifetime
