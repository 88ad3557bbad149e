"""The departmental system's own door: it names local records, the edge turns them into a sending.

Rules kept here: loopback only, authenticated by a token of its own; values not given are read from the register; a record without a
pseudonym is not sent; what leaves is catalogue values, reduced and sealed by the SDK under the send permit; with a spool, a sending is
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
        try:
            given = read.read_json(body, limit=MAX_SENDING)
            sending = await self._sending(given)
        except BadRequest as error:
            if error.code == "wire_invalid":
                raise BadRequest("local_request_invalid", **error.facts) from None
            raise
        if self._spool is None:
            return await self._handed_in(sending)
        finished = self._spool.put(sending.key, body)
        if finished is not None:
            return finished
        return await self._tried(sending, self._spool)

    async def _tried(self, sending: Sending, spool: Spool) -> dict[str, Any]:
        """One try of a kept sending: finished, refused for good, or queued."""
        if sending.key in self._under_way:
            return {"queued": sending.key}
        self._under_way.add(sending.key)
        try:
            said = await self._handed_in(sending)
        except GatewayError as error:
            if error.code == _ACCEPTED_BEFORE:
                # The gateway has this key from a try whose answer we never heard.
                said = {"delivery": "", "receipt": "", "denied": {}, "repeated": True}
            elif error.code in PASSING:
                spool.tried(sending.key)
                self._log.note("fault", exchange=sending.exchange, code=error.code)
                return {"queued": sending.key}
            else:
                spool.forget(sending.key)
                raise
        finally:
            self._under_way.discard(sending.key)
        spool.finish(sending.key, said)
        return said

    async def catch_up(self) -> int:
        """Try what waits in the spool once; how many were finished. What is refused for good is noted and dropped."""
        done = 0
        for kept in self._spool.oldest() if self._spool is not None else ():
            try:
                sending = await self._sending(read.read_json(kept.body, limit=MAX_SENDING))
                assert self._spool is not None
                done += "queued" not in await self._tried(sending, self._spool)
            except ProviderFault as error:
                # The department's own system is away; the sending keeps its place.
                self._log.note("fault", code=error.code)
            except GatewayError as error:
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

    async def _sending(self, given: dict[str, Any]) -> Sending:
        wire = read.members(given, _MEMBERS, frozenset({"case", "reason"}))
        exchange = read.matched(wire["exchange"], read.TOKEN, "exchange")
        records = read.listing(wire["records"], "records", _record, limit=read.MAX_LINES)
        unfilled = tuple(key for key, values, _ in records if key is not None and values is None)
        found = await self._source.local_values(exchange, unfilled) if unfilled else {}
        try:
            door = Door(wire["door"])
        except ValueError:
            raise BadRequest("local_request_invalid", member="door") from None
        return Sending(
            exchange=exchange,
            purpose=read.matched(wire["purpose"], read.TOKEN, "purpose"),
            door=door,
            recipient=read.party(wire["recipient"], "recipient"),
            lines=tuple(
                self._line(key, values, region, found, child=self._source.is_about_children(exchange))
                for key, values, region in records
            ),
            key=read.matched(wire["key"], read.TOKEN, "key"),
            case=read.matched(wire["case"], read.TOKEN, "case") if "case" in wire else None,
            reason=read.text(wire["reason"], "reason") if "reason" in wire else None,
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


def _record(value: Any) -> tuple[str | None, dict[str, FieldValue] | None, str | None]:
    wire = read.members(value, frozenset(), frozenset({"record", "values", "region"}))
    key = read.text(wire["record"], "record", limit=64) if "record" in wire else None
    values = read.by_field(wire["values"], "values", read.field_value) if "values" in wire else None
    region = read.matched(wire["region"], read.REGION, "region") if "region" in wire else None
    return key, values, region
