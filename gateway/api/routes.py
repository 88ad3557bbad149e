"""The routes of the machine door: a path, a body, a flow each. Everything that matters happens in the flow."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.api import bodies as b
from gateway.api import naming, policies, wishes
from gateway.api.door import answer, described, refusal, serve
from gateway.api.shortcut import Endpoint
from gateway.errors import BadRequest
from gateway.flows import (
    acknowledge,
    blind_door,
    cases,
    consents,
    deliver,
    guardians,
    inbox,
    inspections,
    people,
    query,
    reviews,
    send_permits,
    tokens,
)
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest

router = APIRouter()
signed_endpoints: dict[tuple[str, str], Endpoint] = {}
"""Every signed route by method and path, for the shortcut."""
Flow = Callable[..., Awaitable[Any]]


def _write(
    path: str, summary: str, model: type[b.Strict], flow: Flow, read: Callable[[bytes], Any], *, status: int = 200
) -> None:
    """A signed POST: flow(house, signed, read) -> Answer, or bytes where there is no entry of its own."""

    async def handler(house: House, signed: SignedRequest) -> Response:
        done = await flow(house, signed, read)
        if isinstance(done, Answer):
            return answer(done.body, done.receipt, status)
        return answer(done, status=status)

    async def endpoint(request: Request) -> Response:
        return await serve(request, path, handler, json_body=True)

    router.add_api_route(path, endpoint, methods=["POST"], openapi_extra=described(model, summary), name=path)
    signed_endpoints["POST", path] = endpoint


_write("/v1/query", "Ask a provider (VERIFY)", b.QueryBody, query.query, b.query_request)
_write(
    "/v1/send-permits",
    "Ask how an exchange may be sent",
    b.SendPermitBody,
    send_permits.send_permit,
    b.send_permit_request,
)
_write("/v1/deliveries", "Hand in an envelope", b.DeliveryBody, deliver.hand_in, b.delivery_request, status=202)
_write("/v1/inbox/take", "Take envelopes (long poll)", b.InboxBody, inbox.take, b.inbox_request)
_write(
    "/v1/inbox/acknowledge",
    "Acknowledge an envelope",
    b.AcknowledgeBody,
    acknowledge.acknowledge,
    b.acknowledge_request,
)
_write("/v1/pseudonyms/evaluate", "The blind door", b.EvaluateBody, blind_door.evaluate, b.evaluate_request)
_write("/v1/pseudonyms/grants", "Enrolment grant", b.GrantBody, blind_door.grant, b.grant_request)
_write("/v1/cases", "Open a case", b.CaseBody, cases.open_case, b.case_request, status=201)
_write("/v1/cases/close", "Close a case", b.CaseReferenceBody, cases.close_case, b.case_reference)
_write(
    "/v1/cases/approvals", "Hand in a signed approval", b.StatementBody, cases.approve, b.approval_statement, status=201
)
_write("/v1/consents", "Record a signed consent", b.ConsentBody, consents.give, b.consent_request, status=201)
_write("/v1/consents/withdraw", "Withdraw a consent", b.WithdrawalBody, consents.withdraw, b.withdrawal_request)
_write(
    "/v1/guardians/accesses", "Who saw what, for a guardian", b.SubjectOnlyBody, guardians.accesses, b.history_request
)
_write("/v1/people", "Enrol a person's key", b.StatementBody, people.enrol, b.person_statement, status=201)
_write("/v1/reviews/close", "Close a review", b.ReviewBody, reviews.close, b.review_request)
_write("/v1/audit/entries", "Entries, by keyset (auditor)", b.EntriesBody, inspections.entries, b.entries_request)
_write(
    "/v1/audit/children/history",
    "A child's whole history (auditor)",
    b.SubjectOnlyBody,
    inspections.history,
    b.history_request,
)
_write(
    "/v1/audit/actors/history",
    "Everything that a client or a person had a part in (auditor)",
    b.ActorBody,
    inspections.actors_history,
    b.actor_request,
)


def _read(path: str, summary: str, flow: Flow) -> None:
    """A signed GET without a body."""

    async def handler(house: House, signed: SignedRequest) -> Response:
        return answer(await flow(house, signed))

    async def endpoint(request: Request) -> Response:
        return await serve(request, path, handler)

    router.add_api_route(path, endpoint, methods=["GET"], summary=summary, name=path)
    signed_endpoints["GET", path] = endpoint


_read("/v1/deliveries", "What became of my deliveries", acknowledge.deliveries_of)
_read("/v1/reviews", "Open reviews of my department", reviews.waiting)
naming.add_routes(_write, _read)
wishes.add_routes(_write, _read)
policies.add_routes(_write, _read)
_read("/v1/crypto/suites", "Algorithms and their self-tests", inspections.suites)


@router.post("/oauth/token", summary="Client credentials with private_key_jwt and DPoP")
async def token(request: Request) -> Response:
    """RFC 6749 4.4, RFC 7523, RFC 9449."""

    async def handler(house: House, signed: SignedRequest) -> Response:
        return answer(json.dumps(await tokens.issue(house, signed)).encode())

    return await serve(request, "/oauth/token", handler)


@router.get("/v1/keys/senders/{kid}", summary="A sender's public signing key")
async def sender(request: Request, kid: str) -> Response:
    """Public: the key with which a party signs what it sends, and the log entry that announced it."""

    async def handler(house: House, _signed: SignedRequest) -> Response:
        return answer(await inspections.sender_key(house, kid))

    return await serve(request, "/v1/keys/senders/{kid}", handler)


@router.get("/v1/audit/receipts/{index}", summary="The proof of one entry")
async def receipt(request: Request, index: str) -> Response:
    """Public: the leaf and a c2sp.org/tlog-proof. A leaf links nobody, so anybody may check one."""

    async def handler(house: House, _signed: SignedRequest) -> Response:
        if not (index.isascii() and index.isdigit()) or len(index) > 15:
            raise BadRequest("receipt_unknown")
        return answer(await inspections.receipt(house, int(index)))

    return await serve(request, "/v1/audit/receipts/{index}", handler)


@router.get("/v1/audit/checkpoint", summary="The newest checkpoint (C2SP tlog-checkpoint)")
async def checkpoint(request: Request) -> Response:
    """Public signed tree head."""

    async def handler(house: House, _signed: SignedRequest) -> Response:
        return Response(await inspections.checkpoint(house), media_type="text/plain; charset=utf-8")

    return await serve(request, "/v1/audit/checkpoint", handler)


@router.get("/v1/audit/tile/{path:path}", summary="Tiles and entry bundles (C2SP tlog-tiles)")
async def tile(request: Request, path: str) -> Response:
    """Public: for mirrors and verifiers."""

    async def handler(house: House, _signed: SignedRequest) -> Response:
        return Response(await inspections.tile(house, f"tile/{path}"), media_type="application/octet-stream")

    return await serve(request, "/v1/audit/tile", handler)


@router.get("/healthz", summary="The process lives")
async def healthz() -> dict[str, str]:
    """For the supervisor."""
    return {"status": "alive"}


@router.get("/readyz", summary="The log can be written")
async def readyz(request: Request) -> Response:
    """For the load balancer: database and log answer."""

    async def handler(house: House, _signed: SignedRequest) -> Response:
        await inspections.checkpoint(house)
        return answer(b'{"status":"ready"}')

    return await serve(request, "/readyz", handler)


async def not_found(_request: Request, error: Exception) -> Response:
    """404 and 405 in the house's own form, without echoing the path."""
    status = getattr(error, "status_code", 404)
    return refusal(BadRequest("method_not_allowed" if status == 405 else "not_found"))


async def not_of_the_form(_request: Request, _error: Exception) -> Response:
    """The framework's own 422 would repeat what was sent; ours does not."""
    return refusal(BadRequest("body_invalid"))
