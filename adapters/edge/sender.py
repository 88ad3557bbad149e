"""The departmental system's own door: it names local records, the edge turns them into a sending.

Rules kept here: loopback only, authenticated by a token of its own; values not given are read from the register, once for one key;
a record without a pseudonym is not sent; what leaves is catalogue values, reduced and sealed by the SDK under the send permit; with a spool, a sending is
on disk before it is tried, and one key is delivered once.

POST /local/send  header `Local-Token`
  {"exchange", "purpose", "door", "recipient": "org/dept", "key": idempotency key,
   "records": [{"record": local key | absent, "values": {field: value} | absent, "region": "330106" | absent}],
   "case"?, "reason"?}   -> 202 {"delivery", "receipt", "denied": {"1": code}}, or {"queued": key} while the gateway is away
POST /local/webhook  (adapters/youth_league/webhook.py)
POST /local/screening  (adapters/education/screening.py)
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import Response

from adapters.base.answering import DepartmentSource
from adapters.base.source import Record
from adapters.directory import Directory
from adapters.edge.log import EdgeLog
from adapters.edge.port import GatewayPort, Sending, SendingLine
from adapters.edge.service import answer_json, limited, problem
from adapters.edge.spool import Spool
from gateway.domain.orders import FieldValue
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Door
from gateway.errors import BadRequest, Denied, GatewayError, NotAuthenticated, ProviderFault
from gateway.release import wire_reading as read

MAX_SENDING = 2 * 1024 * 1024
PASSING = frozenset(
    {"gateway_unreachable", "log_unavailable", "store_unavailable", "too_many_requests", "rate_limited"}
)
"""Codes after which the same sending may succeed later."""
_ACCEPTED_BEFORE = "idempotency_conflict"
_MEMBERS = frozenset({"exchange", "purpose", "door", "recipient", "key", "records"})


class Webhook(Protocol):
    """A vendor's call, verified and turned into a request for this door."""

    def sending(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The request. Raises `NotAuthenticated`, `BadRequest`."""
        ...


class Outcomes(Protocol):
    """A vendor's call that is kept at the edge and sends nothing."""

    async def take(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """Keep it. Raises `NotAuthenticated`, `BadRequest`."""
        ...


_Line = tuple[str | None, dict[str, FieldValue] | None, str | None]
"""Local key, values and region; each may be left to the register."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request of the departmental system, read and checked, before its register is asked for anything."""

    exchange: str
    purpose: str
    door: Door
    recipient: Party
    key: str
    records: tuple[_Line, ...] = field(repr=False)
    case: str | None
    reason: str | None = field(repr=False)


class Sender:
    """Turns local requests into sendings."""

    def __init__(
        self,
        gateway: GatewayPort,
        source: DepartmentSource,
        directory: Directory,
        *,
        region: str,
        token: bytes,
        log: EdgeLog,
        spool: Spool | None = None,
    ) -> None:
        self._gateway = gateway
        self._source = source
        self._directory = directory
        self._region = region
        self._token = token
        self._log = log
        self._spool = spool
        self._under_way: set[str] = set()

    async def send(self, body: bytes, token: str) -> dict[str, Any]:
        """Send what the departmental system asks for.

        Raises `NotAuthenticated("local_unauthorised")`, `BadRequest` (`local_request_invalid`, `local_record_unknown`) and what
        the register and the gateway raise.
        """
        if not self._token or not hmac.compare_digest(token.encode(), self._token):
            raise NotAuthenticated("local_unauthorised")
        return await self.accept(body)

    async def accept(self, body: bytes) -> dict[str, Any]:
        """Keep and try a request that was authenticated before. Raises as `send` does, `GatewayFault("spool_full")`."""
        wanted = _wanted(body)
        if self._spool is None:
            return await self._handed_in(await self._filled(wanted))
        kept_before = self._spool.waits(wanted.key)
        finished = self._spool.put(wanted.key, body)
        if finished is not None:
            return finished
        # Durable from here on: after a crash the request is found by `catch_up`, although nobody was told that it was taken.
        try:
            return await self._tried(wanted, self._spool)
        except ProviderFault:
            if not kept_before:
                self._spool.forget(wanted.key)
            raise

    async def _tried(self, wanted: Wanted, spool: Spool) -> dict[str, Any]:
        """One try of a kept request: finished, refused for good, or queued.

        The key is claimed before the register is read, so that two tries never read the same records or send them twice.
        """
        if wanted.key in self._under_way:
            return {"queued": wanted.key}
        self._under_way.add(wanted.key)
        try:
            said = await self._handed_in(await self._filled(wanted))
        except GatewayError as error:
            if error.code == _ACCEPTED_BEFORE:
                # The gateway has this key from a try whose answer we never heard.
                said = {"delivery": "", "receipt": "", "denied": {}, "repeated": True}
            elif error.code in PASSING:
                spool.tried(wanted.key)
                self._log.note("fault", exchange=wanted.exchange, code=error.code)
                return {"queued": wanted.key}
            elif isinstance(error, ProviderFault):
                # The department's own register answers wrongly: whoever called decides whether the request keeps its place.
                spool.tried(wanted.key)
                raise
            else:
                spool.forget(wanted.key)
                raise
        finally:
            self._under_way.discard(wanted.key)
        spool.finish(wanted.key, said)
        return said

    async def catch_up(self) -> int:
        """Try what waits in the spool once; how many were finished. What is refused for good is noted and dropped."""
        done = 0
        for kept in self._spool.oldest() if self._spool is not None else ():
            assert self._spool is not None
            if not self._spool.waits(kept.key):
                continue  # finished by its own call while we were busy with the ones before
            try:
                done += "queued" not in await self._tried(_wanted(kept.body), self._spool)
            except GatewayError as error:
                # A register that answers wrongly may be mended: what was taken keeps its place.
                self._log.note("fault", code=error.code)
        return done

    async def run(self, stop: asyncio.Event, every: float = 2.0) -> None:
        """Catch up until told to stop."""
        while not stop.is_set():
            try:
                await self.catch_up()
            except Exception:
                # Whatever goes wrong, a later round may succeed; the log tells the code, never a message.
                self._log.note("fault", code="edge_fault")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)

    async def _handed_in(self, sending: Sending) -> dict[str, Any]:
        sent = await self._gateway.send(sending)
        self._log.note("sent", delivery=sent.delivery, exchange=sending.exchange, lines=len(sending.lines))
        denied = {str(number): code for number, code in sent.denied.items()}
        if not sent.delivery:
            raise Denied("local_all_denied", rules=(), **{f"line_{number}": code for number, code in denied.items()})
        return {"delivery": sent.delivery, "receipt": sent.receipt, "denied": denied}

    async def _filled(self, wanted: Wanted) -> Sending:
        """The request with the register's values. Raises `BadRequest("local_record_unknown")` and what the register raises."""
        records = wanted.records
        unfilled = tuple(key for key, values, _ in records if key is not None and values is None)
        found = await self._source.local_values(wanted.exchange, unfilled) if unfilled else {}
        child = self._source.is_about_children(wanted.exchange)
        return Sending(
            exchange=wanted.exchange,
            purpose=wanted.purpose,
            door=wanted.door,
            recipient=wanted.recipient,
            lines=tuple(self._line(key, values, region, found, child=child) for key, values, region in records),
            key=wanted.key,
            case=wanted.case,
            reason=wanted.reason,
        )

    def _line(
        self,
        key: str | None,
        values: dict[str, FieldValue] | None,
        region: str | None,
        found: Mapping[str, Record],
        *,
        child: bool,
    ) -> SendingLine:
        if key is None:
            return SendingLine(None, values or {}, region or self._region)
        if not child:
            # A directory's record is no child's: it has a key of its own and no pseudonym.
            if key not in found:
                raise BadRequest("local_record_unknown")
            return SendingLine(None, found[key].values, region or found[key].region[:6])
        subject = self._directory.pseudonym(key)
        record = found.get(key)
        if subject is None or (values is None and record is None):
            raise BadRequest("local_record_unknown")
        if values is None and record is not None:
            return SendingLine(subject, record.values, record.region[:6])
        return SendingLine(subject, values or {}, region or self._region)


def build_local_app(sender: Sender, webhook: Webhook | None = None, outcomes: Outcomes | None = None) -> FastAPI:
    """The ASGI application for the departmental system, with its vendors' webhooks where there are any."""
    app = FastAPI(title="Runxin edge, local door", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/local/send")
    async def send(request: Request) -> Response:
        try:
            said = await sender.send(await limited(request, MAX_SENDING), request.headers.get("local-token", ""))
        except Exception as error:
            return problem(error)
        return answer_json(said, 202)

    if webhook is not None:

        @app.post("/local/webhook")
        async def called(request: Request) -> Response:
            try:
                wanted = webhook.sending(await limited(request, MAX_SENDING), request.headers)
                said = await sender.accept(json.dumps(wanted).encode())
            except Exception as error:
                return problem(error)
            return answer_json(said, 202)

    if outcomes is not None:

        @app.post("/local/screening")
        async def told(request: Request) -> Response:
            try:
                said = await outcomes.take(await limited(request, MAX_SENDING), request.headers)
            except Exception as error:
                return problem(error)
            return answer_json(said, 202)

    return app


def _wanted(body: bytes) -> Wanted:
    """Read a request. Raises `BadRequest("local_request_invalid")`."""
    try:
        wire = read.members(read.read_json(body, limit=MAX_SENDING), _MEMBERS, frozenset({"case", "reason"}))
        return Wanted(
            exchange=read.matched(wire["exchange"], read.TOKEN, "exchange"),
            purpose=read.matched(wire["purpose"], read.TOKEN, "purpose"),
            door=_door(wire["door"]),
            recipient=read.party(wire["recipient"], "recipient"),
            key=read.matched(wire["key"], read.TOKEN, "key"),
            records=tuple(read.listing(wire["records"], "records", _record, limit=read.MAX_LINES)),
            case=read.matched(wire["case"], read.TOKEN, "case") if "case" in wire else None,
            reason=read.text(wire["reason"], "reason") if "reason" in wire else None,
        )
    except BadRequest as error:
        if error.code == "wire_invalid":
            raise BadRequest("local_request_invalid", **error.facts) from None
        raise


def _door(value: Any) -> Door:
    try:
        return Door(value)
    except ValueError:
        raise BadRequest("local_request_invalid", member="door") from None


def _record(value: Any) -> _Line:
    wire = read.members(value, frozenset(), frozenset({"record", "values", "region"}))
    key = read.text(wire["record"], "record", limit=64) if "record" in wire else None
    values = read.by_field(wire["values"], "values", read.field_value) if "values" in wire else None
    region = read.matched(wire["region"], read.REGION, "region") if "region" in wire else None
    return key, values, region
