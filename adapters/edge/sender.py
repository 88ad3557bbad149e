"""The departmental system's own door: it names local records, the edge turns them into a sending.

Rules kept here: loopback only, authenticated by a token of its own; values not given are read from the register; a record without a
pseudonym is not sent; what leaves is catalogue values, reduced and sealed by the SDK under the send permit.

POST /local/send  header `Local-Token`
  {"exchange", "purpose", "door", "recipient": "org/dept", "key": idempotency key,
   "records": [{"record": local key | absent, "values": {field: value} | absent, "region": "330106" | absent}],
   "case"?, "reason"?}   -> 202 {"delivery", "receipt", "denied": {"1": code}}
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from adapters.base.answering import DepartmentSource
from adapters.base.source import Record
from adapters.directory import Directory
from adapters.edge.log import EdgeLog
from adapters.edge.port import GatewayPort, Sending, SendingLine
from adapters.edge.service import answer_json, limited, problem
from gateway.domain.orders import FieldValue
from gateway.domain.vocabulary import Door
from gateway.errors import BadRequest, Denied, NotAuthenticated
from gateway.release import wire_reading as read

MAX_SENDING = 2 * 1024 * 1024
_MEMBERS = frozenset({"exchange", "purpose", "door", "recipient", "key", "records"})


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
    ) -> None:
        self._gateway = gateway
        self._source = source
        self._directory = directory
        self._region = region
        self._token = token
        self._log = log

    async def send(self, body: bytes, token: str) -> dict[str, Any]:
        """Send what the departmental system asks for.

        Raises `NotAuthenticated("local_unauthorised")`, `BadRequest` (`local_request_invalid`, `local_record_unknown`) and what
        the register and the gateway raise.
        """
        if not self._token or not hmac.compare_digest(token.encode(), self._token):
            raise NotAuthenticated("local_unauthorised")
        try:
            sending = await self._sending(read.read_json(body, limit=MAX_SENDING))
        except BadRequest as error:
            if error.code == "wire_invalid":
                raise BadRequest("local_request_invalid", **error.facts) from None
            raise
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


def build_local_app(sender: Sender) -> FastAPI:
    """The ASGI application for the departmental system."""
    app = FastAPI(title="Runxin edge, local door", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/local/send")
    async def send(request: Request) -> Response:
        try:
            said = await sender.send(await limited(request, MAX_SENDING), request.headers.get("local-token", ""))
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
