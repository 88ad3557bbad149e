"""Strict schemas of what the machine door takes, and their readers into the flows' values.

Rules kept here: unknown keys are refused, nothing is coerced, sizes are bounded; an error names the place, never the value;
reading happens only after the raw bytes were authenticated (the flow calls the reader).
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from gateway.domain.vocabulary import AgeBand, Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest
from gateway.flows import requests as r
from gateway.release.wire import envelope_from_wire

Exchange = Annotated[str, Field(pattern=r"^X\d{2}$")]
Purpose = Annotated[str, Field(pattern=r"^P\d{2}$")]
PartyText = Annotated[str, Field(pattern=r"^[0-9A-Z]{18}/[a-z_]{5,24}$")]
Reference = Annotated[str, Field(pattern=r"^[a-z_]{2,24}-[a-z2-7]{26}$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Code = Annotated[str, Field(pattern=r"^([a-z][a-z_]{1,47})?$")]  # no digits: a number here could be anybody's
Reason = Annotated[str, Field(pattern=r"^[a-z_]{2,48}$")]
Statement = Annotated[
    str, Field(min_length=20, max_length=16_384, pattern=r"^[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+$")
]


class Strict(BaseModel):
    """Base of every body."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class IdentifierBody(Strict):
    """Assisted door."""

    kind: Annotated[str, Field(pattern=r"^[a-z-]{2,16}$")]
    value: Annotated[str, Field(min_length=1, max_length=80)]


class SubjectBody(Strict):
    """Exactly one of the two."""

    pseudonym: Annotated[str, Field(max_length=120)] | None = None
    identifier: IdentifierBody | None = None


class QueryBody(Strict):
    """`POST /v1/query`."""

    exchange: Exchange
    purpose: Purpose
    door: Literal["normal", "emergency", "protective"] = "normal"
    subject: SubjectBody | None = None
    case: Reference | None = None
    fields: Annotated[list[FieldName], Field(min_length=1, max_length=60)] | None = None
    reason: Reason | None = None


class LineBody(Strict):
    """One child of a send permit request."""

    line: Annotated[int, Field(ge=1, le=100_000)]
    subject: SubjectBody | None = None


class SendPermitBody(Strict):
    """`POST /v1/send-permits`."""

    exchange: Exchange
    purpose: Purpose
    door: Literal["normal", "emergency", "protective"] = "normal"
    recipient: PartyText
    lines: Annotated[list[LineBody], Field(min_length=1, max_length=500)]
    case: Reference | None = None
    reason: Reason | None = None


class DeliveryBody(Strict):
    """`POST /v1/deliveries`; the envelope has its own strict codec."""

    envelope: dict[str, Any]


class InboxBody(Strict):
    """`POST /v1/inbox/take`."""

    wait: Annotated[int, Field(ge=0, le=25)] = 0
    limit: Annotated[int, Field(ge=1, le=100)] = 10


class AcknowledgeBody(Strict):
    """`POST /v1/inbox/acknowledge`."""

    delivery: Annotated[str, Field(pattern=r"^dl-[a-z2-7]{26}$")]
    status: Literal["stored", "rejected"]
    code: Code = ""


class EvaluateBody(Strict):
    """`POST /v1/pseudonyms/evaluate`."""

    points: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]], Field(min_length=1, max_length=2000)]
    grant: Annotated[str, Field(pattern=r"^gr-[a-z2-7]{26}$")] | None = None


class GrantBody(Strict):
    """`POST /v1/pseudonyms/grants`."""

    approvals: Annotated[list[Statement], Field(min_length=2, max_length=2)]


class CaseBody(Strict):
    """`POST /v1/cases`."""

    subject: SubjectBody
    exchanges: Annotated[list[Exchange], Field(min_length=1, max_length=34)]
    parties: Annotated[list[PartyText], Field(min_length=1, max_length=20)]
    region: Annotated[str, Field(pattern=r"^(\d{6}|\d{9}|\d{12})$")]
    age_band: Literal["0-7", "8-13", "14-15", "16-17"] | None = None


class CaseReferenceBody(Strict):
    """`POST /v1/cases/close`."""

    case: Reference


class StatementBody(Strict):
    """`POST /v1/cases/approvals` (`approval`) and `POST /v1/people` (`statement`)."""

    approval: Statement | None = None
    statement: Statement | None = None


class ConsentBody(Strict):
    """`POST /v1/consents`."""

    subject: SubjectBody
    statement: Statement
    approvals: Annotated[list[Statement], Field(min_length=2, max_length=4)] | None = None


class WithdrawalBody(Strict):
    """`POST /v1/consents/withdraw`."""

    consent: Reference


class SubjectOnlyBody(Strict):
    """`POST /v1/guardians/accesses`, `POST /v1/audit/children/history`."""

    subject: SubjectBody


class ReviewBody(Strict):
    """`POST /v1/reviews/close`."""

    review: Reference
    finding: Literal["justified", "unjustified"]


class EntriesBody(Strict):
    """`POST /v1/audit/entries`."""

    after: Annotated[int, Field(ge=-1)] = -1
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    kind: EntryKind | None = None
    exchange: Exchange | None = None
    door: Door | None = None
    purpose: Purpose | None = None
    outcome: Outcome | None = None
    code: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = None
    department: Department | None = None
    provider: Department | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class ActorBody(Strict):
    """`POST /v1/audit/actors/history`."""

    actor: Annotated[str, Field(pattern=r"^(client:[A-Za-z0-9._\-]{1,64}|person:[0-9A-Z]{18}/[A-Za-z0-9._\-]{1,32})$")]


BodyModel = TypeVar("BodyModel", bound=Strict)


def parse(model: type[BodyModel], raw: bytes) -> BodyModel:
    """The validated body. Raises `BadRequest` (`json_malformed`, `body_invalid` with the place and the kind of fault)."""
    try:
        _JSON.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        # Without its cause: a decoding error carries the bytes that it failed on.
        raise BadRequest("json_malformed") from None
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in _known_names(model))
        raise BadRequest("body_invalid", place=place, fault=first["type"]) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(_: str) -> None:
    raise ValueError("no JSON")


# One decoder for all: `json.loads` makes one at every call that names a hook.
_JSON = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


@cache
def _known_names(model: type[Strict]) -> frozenset[str]:
    """Names that our own schema knows: an unknown key may itself be an identifier, so it is not echoed."""
    names: set[str] = set()
    todo: list[Any] = [model]
    while todo:
        current = todo.pop()
        for name, info in getattr(current, "model_fields", {}).items():
            names.add(name)
            todo.extend(part for part in _parts(info.annotation) if isinstance(part, type))
    return frozenset(names)


def _parts(annotation: Any) -> list[Any]:
    inner = [part for argument in get_args(annotation) for part in _parts(argument)]
    return [annotation, *inner]


# --- readers: bytes -> the flows' values --------------------------------------------------------------------------------


def _subject(body: SubjectBody | None) -> r.SubjectRequest | None:
    if body is None:
        return None
    if (body.pseudonym is None) is (body.identifier is None):
        raise BadRequest("subject_missing")
    if body.identifier is not None:
        return r.SubjectRequest(identifier_kind=body.identifier.kind, identifier_value=body.identifier.value)
    return r.SubjectRequest(pseudonym=body.pseudonym)


def _one_subject(body: SubjectBody) -> r.SubjectRequest:
    subject = _subject(body)
    if subject is None:
        raise BadRequest("subject_missing")
    return subject


def query_request(raw: bytes) -> r.QueryRequest:
    """`POST /v1/query`."""
    body = parse(QueryBody, raw)
    return r.QueryRequest(
        exchange=body.exchange,
        purpose=body.purpose,
        door=Door(body.door),
        subject=_subject(body.subject),
        case=body.case,
        fields=tuple(body.fields) if body.fields is not None else None,
        reason=body.reason,
    )


def send_permit_request(raw: bytes) -> r.SendPermitRequest:
    """`POST /v1/send-permits`."""
    body = parse(SendPermitBody, raw)
    return r.SendPermitRequest(
        exchange=body.exchange,
        purpose=body.purpose,
        door=Door(body.door),
        recipient=body.recipient,
        lines=tuple((line.line, _subject(line.subject)) for line in body.lines),
        case=body.case,
        reason=body.reason,
    )


def delivery_request(raw: bytes) -> r.DeliveryRequest:
    """`POST /v1/deliveries`."""
    return r.DeliveryRequest(envelope_from_wire(parse(DeliveryBody, raw).envelope))


def inbox_request(raw: bytes) -> r.InboxRequest:
    """`POST /v1/inbox/take`."""
    body = parse(InboxBody, raw)
    return r.InboxRequest(wait=body.wait, limit=body.limit)


def acknowledge_request(raw: bytes) -> r.AcknowledgeRequest:
    """`POST /v1/inbox/acknowledge`."""
    body = parse(AcknowledgeBody, raw)
    return r.AcknowledgeRequest(delivery=body.delivery, status=body.status, code=body.code)


def evaluate_request(raw: bytes) -> r.EvaluateRequest:
    """`POST /v1/pseudonyms/evaluate`."""
    body = parse(EvaluateBody, raw)
    try:
        points = tuple(base64.urlsafe_b64decode(point + "=") for point in body.points)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("point_invalid") from error
    return r.EvaluateRequest(points=points, grant=body.grant)


def grant_request(raw: bytes) -> tuple[str, ...]:
    """`POST /v1/pseudonyms/grants`: the two signed approvals."""
    return tuple(parse(GrantBody, raw).approvals)


def case_request(raw: bytes) -> r.CaseRequest:
    """`POST /v1/cases`."""
    body = parse(CaseBody, raw)
    return r.CaseRequest(
        subject=_one_subject(body.subject),
        exchanges=frozenset(body.exchanges),
        parties=frozenset(body.parties),
        region=body.region,
        age_band=AgeBand(body.age_band) if body.age_band else None,
    )


def case_reference(raw: bytes) -> str:
    """`POST /v1/cases/close`."""
    return parse(CaseReferenceBody, raw).case


def approval_statement(raw: bytes) -> str:
    """`POST /v1/cases/approvals`."""
    statement = parse(StatementBody, raw).approval
    if statement is None:
        raise BadRequest("body_invalid", place="approval", fault="missing")
    return statement


def person_statement(raw: bytes) -> str:
    """`POST /v1/people`."""
    statement = parse(StatementBody, raw).statement
    if statement is None:
        raise BadRequest("body_invalid", place="statement", fault="missing")
    return statement


def consent_request(raw: bytes) -> r.ConsentRequest:
    """`POST /v1/consents`."""
    body = parse(ConsentBody, raw)
    return r.ConsentRequest(_one_subject(body.subject), body.statement, tuple(body.approvals or ()))


def withdrawal_request(raw: bytes) -> r.WithdrawalRequest:
    """`POST /v1/consents/withdraw`."""
    return r.WithdrawalRequest(parse(WithdrawalBody, raw).consent)


def history_request(raw: bytes) -> r.HistoryRequest:
    """`POST /v1/guardians/accesses`, `POST /v1/audit/children/history`."""
    return r.HistoryRequest(_one_subject(parse(SubjectOnlyBody, raw).subject))


def review_request(raw: bytes) -> tuple[str, str]:
    """`POST /v1/reviews/close`: review reference and finding."""
    body = parse(ReviewBody, raw)
    return body.review, body.finding


def entries_request(raw: bytes) -> r.EntriesRequest:
    """`POST /v1/audit/entries`."""
    members = parse(EntriesBody, raw).model_dump()
    since, until = members.pop("since"), members.pop("until")
    return r.EntriesRequest(
        **members, since_us=_micros(since) if since else 0, until_us=_micros(until) if until else None
    )


def actor_request(raw: bytes) -> str:
    """`POST /v1/audit/actors/history`: the actor's name as details carry it."""
    return parse(ActorBody, raw).actor


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
