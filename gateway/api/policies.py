"""Routes of policy: explaining a request, drafting, approving, activating and rolling back; with their strict bodies.

Rules kept here: as in `bodies.py`: unknown keys are refused, sizes are bounded, nothing is read before it is authenticated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from gateway.api import bodies as b
from gateway.api.naming import Flow, Write
from gateway.domain.vocabulary import Action, ConsentState, Door
from gateway.flows import explain, policy_calls
from gateway.flows.requests import SubjectRequest
from policies.rows import Rule
from policies.sources import Edit

ChangeName = Annotated[str, Field(pattern=r"^pc-[a-z2-7]{26}$")]
Column = Annotated[str, Field(max_length=400)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class ExplainBody(b.Strict):
    """`POST /v1/policy/explain`: `con` for a made-up request, or `pseudonym` and `case` for a real child."""

    exchange: b.Exchange
    action: Literal["query", "submit", "receive"] = "query"
    door: Literal["normal", "emergency", "protective"] = "normal"
    purpose: b.Purpose | None = None
    recipient: b.PartyText | None = None
    fields: Annotated[list[Name], Field(max_length=200)] | None = None
    con: Literal["statutory", "granted", "withdrawn", "none", "emergency", "protective"] | None = None
    region: Annotated[str, Field(pattern=r"^(\d{6}|\d{9}|\d{12})$")] | None = None
    pseudonym: Annotated[str, Field(max_length=120)] | None = None
    case: b.Reference | None = None


class RuleBody(b.Strict):
    """A rule: its seventeen columns, checked against their vocabulary afterwards."""

    id: Column
    eft: Column
    sub: Column
    dom: Column
    obj: Column
    fld: Column
    act: Column
    pur: Column
    reg: Column
    con: Column
    nbf: Column
    exp: Column
    obl: Column
    code: Column
    owner: Column
    legal: Column
    reason: Column


class DraftBody(b.Strict):
    """`POST /v1/policy/drafts`. cases: TOML of `[[case]]` tables. change: the draft to revise."""

    reason: Annotated[str, Field(min_length=1, max_length=300)]
    put: Annotated[list[RuleBody], Field(max_length=2000)] | None = None
    remove: Annotated[list[Name], Field(max_length=2000)] | None = None
    cases: Annotated[str, Field(max_length=500_000)] = ""
    remove_cases: Annotated[list[Name], Field(max_length=2000)] | None = None
    change: ChangeName | None = None


class ChangeBody(b.Strict):
    """`POST /v1/policy/drafts/look` and `/give-up`."""

    change: ChangeName


class ApproveBody(b.Strict):
    """`POST /v1/policy/drafts/approve`."""

    change: ChangeName
    approval: b.Statement


class ActivateBody(b.Strict):
    """`POST /v1/policy/drafts/activate`. at: unix seconds."""

    change: ChangeName
    at: Annotated[int, Field(ge=0, le=2**40)] | None = None


class RollbackSubjectBody(b.Strict):
    """`POST /v1/policy/rollback/subject`."""

    number: Annotated[int, Field(ge=1, le=10**6)] | None = None


class RollbackBody(RollbackSubjectBody):
    """`POST /v1/policy/rollback`."""

    approval: b.Statement


def explain_request(raw: bytes) -> explain.ExplainRequest:
    """`POST /v1/policy/explain`."""
    body = b.parse(ExplainBody, raw)
    return explain.ExplainRequest(
        exchange=body.exchange,
        action=Action(body.action),
        door=Door(body.door),
        purpose=body.purpose or "",
        recipient=body.recipient or "",
        region=body.region or "",
        con=ConsentState(body.con) if body.con else None,
        subject=SubjectRequest(pseudonym=body.pseudonym) if body.pseudonym else None,
        case=body.case or "",
        fields=tuple(body.fields or ()),
    )


def draft_request(raw: bytes) -> policy_calls.DraftRequest:
    """`POST /v1/policy/drafts`."""
    body = b.parse(DraftBody, raw)
    edit = Edit(
        put=tuple(Rule(**rule.model_dump()) for rule in body.put or ()),
        remove=frozenset(body.remove or ()),
        put_cases=body.cases,
        remove_cases=frozenset(body.remove_cases or ()),
    )
    return policy_calls.DraftRequest(edit, body.reason, body.change or "")


def change_named(raw: bytes) -> str:
    """`POST /v1/policy/drafts/look` and `/give-up`."""
    return b.parse(ChangeBody, raw).change


def approve_request(raw: bytes) -> policy_calls.ApproveRequest:
    """`POST /v1/policy/drafts/approve`."""
    body = b.parse(ApproveBody, raw)
    return policy_calls.ApproveRequest(body.change, body.approval)


def activate_request(raw: bytes) -> policy_calls.ActivateRequest:
    """`POST /v1/policy/drafts/activate`."""
    body = b.parse(ActivateBody, raw)
    return policy_calls.ActivateRequest(body.change, body.at)


def rollback_subject_request(raw: bytes) -> int | None:
    """`POST /v1/policy/rollback/subject`."""
    return b.parse(RollbackSubjectBody, raw).number


def rollback_request(raw: bytes) -> policy_calls.RollbackRequest:
    """`POST /v1/policy/rollback`."""
    body = b.parse(RollbackBody, raw)
    return policy_calls.RollbackRequest(body.approval, body.number)


def add_routes(write: Write, read: Callable[[str, str, Flow], None]) -> None:
    """Put these routes beside the others."""
    write("/v1/policy/explain", "Why, and why not", ExplainBody, explain.explain, explain_request)
    write("/v1/policy/drafts", "Draft a change of rules", DraftBody, policy_calls.draft, draft_request, status=201)
    write("/v1/policy/drafts/look", "What a draft would do", ChangeBody, policy_calls.look, change_named)
    write("/v1/policy/drafts/give-up", "Close a draft", ChangeBody, policy_calls.give_up, change_named)
    write("/v1/policy/drafts/approve", "Hand in an approval", ApproveBody, policy_calls.approve, approve_request)
    write("/v1/policy/drafts/activate", "Let a draft decide", ActivateBody, policy_calls.activate, activate_request)
    write(
        "/v1/policy/rollback/subject",
        "What to sign for a rollback",
        RollbackSubjectBody,
        policy_calls.rollback_subject,
        rollback_subject_request,
    )
    write("/v1/policy/rollback", "Return to an earlier version", RollbackBody, policy_calls.roll_back, rollback_request)
    read("/v1/policy/versions", "Versions and drafts", policy_calls.versions)
