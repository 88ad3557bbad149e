"""Routes of wishes and rights: refusals, one-time links, guardians, requests of X31, notices and words to recipients; with their strict bodies.

Rules kept here: as in `bodies.py`: unknown keys are refused, sizes are bounded, nothing is read before it is authenticated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from gateway.api import bodies as b
from gateway.api.naming import Flow, Write
from gateway.consent.notices import Method
from gateway.domain.vocabulary import Department
from gateway.flows import consent_links, consents, notices, reviews, rights
from gateway.flows.requests import ConsentRequest

DepartmentName = Literal["civil_affairs", "education", "health", "youth_league", "womens_federation"]


class RefusalBody(b.Strict):
    """`POST /v1/consents/refuse`."""

    subject: b.SubjectBody
    exchange: b.Exchange
    recipients: Annotated[list[DepartmentName], Field(min_length=1, max_length=5)]


class GuardianBody(b.Strict):
    """`POST /v1/guardians/revoke`."""

    subject: b.SubjectBody
    guardian: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class RightBody(b.Strict):
    """`POST /v1/rights`."""

    subject: b.SubjectBody
    right: Literal["view", "copy", "correct", "delete", "restrict"]
    exchange: Annotated[str, Field(pattern=r"^(X\d{2}|\*)$")]
    source: b.PartyText


class GrantBody(b.Strict):
    """`POST /v1/rights/grant`."""

    right: b.Reference
    retained: bool = False


class RefuseBody(b.Strict):
    """`POST /v1/rights/refuse`."""

    right: b.Reference
    reason: Annotated[str, Field(max_length=400)]


class NoticeBody(b.Strict):
    """`POST /v1/notices/given`."""

    notice: b.Reference
    method: Literal["in_person", "letter", "telephone", "link_page"]


class PropagationBody(b.Strict):
    """`POST /v1/propagations/answer`."""

    propagation: b.Reference


class LinkBody(b.Strict):
    """`POST /v1/consents/links`: the child, and the officer's signed offer."""

    subject: b.SubjectBody
    statement: b.Statement


class LinkReferenceBody(b.Strict):
    """`POST /v1/consents/links/cancel`."""

    link: b.Reference


class ShareBody(b.Strict):
    """`POST /v1/reviews/release`."""

    review: b.Reference


def share_released(raw: bytes) -> str:
    """`POST /v1/reviews/release`: the holder's task."""
    return b.parse(ShareBody, raw).review


def link_request(raw: bytes) -> ConsentRequest:
    """`POST /v1/consents/links`."""
    body = b.parse(LinkBody, raw)
    return ConsentRequest(b._one_subject(body.subject), body.statement)


def link_reference(raw: bytes) -> str:
    """`POST /v1/consents/links/cancel`: the caller's reference."""
    return b.parse(LinkReferenceBody, raw).link


def refusal_request(raw: bytes) -> consents.RefusalRequest:
    """`POST /v1/consents/refuse`."""
    body = b.parse(RefusalBody, raw)
    recipients = frozenset(map(Department, body.recipients))
    return consents.RefusalRequest(b._one_subject(body.subject), body.exchange, recipients)


def guardian_request(raw: bytes) -> consents.GuardianRequest:
    """`POST /v1/guardians/revoke`."""
    body = b.parse(GuardianBody, raw)
    return consents.GuardianRequest(b._one_subject(body.subject), body.guardian)


def right_request(raw: bytes) -> rights.RightRequest:
    """`POST /v1/rights`."""
    body = b.parse(RightBody, raw)
    return rights.RightRequest(b._one_subject(body.subject), body.right, body.exchange, body.source)


def right_grant(raw: bytes) -> rights.RightAnswer:
    """`POST /v1/rights/grant`."""
    body = b.parse(GrantBody, raw)
    return rights.RightAnswer(body.right, retained=body.retained)


def right_refusal(raw: bytes) -> rights.RightAnswer:
    """`POST /v1/rights/refuse`."""
    body = b.parse(RefuseBody, raw)
    return rights.RightAnswer(body.right, reason=body.reason)


def notice_given(raw: bytes) -> tuple[str, Method]:
    """`POST /v1/notices/given`: the notice's reference and how."""
    body = b.parse(NoticeBody, raw)
    return body.notice, body.method


def propagation_reference(raw: bytes) -> str:
    """`POST /v1/propagations/answer`."""
    return b.parse(PropagationBody, raw).propagation


def add_routes(write: Write, read: Callable[[str, str, Flow], None]) -> None:
    """Add the routes of this file. write, read: `routes.py`'s own makers of signed POSTs and GETs."""
    write("/v1/consents/refuse", "Record a refusal", RefusalBody, consents.refuse, refusal_request, status=201)
    write(
        "/v1/consents/links",
        "Make a one-time link for guardian or child",
        LinkBody,
        consent_links.hand_over,
        link_request,
        status=201,
    )
    read("/v1/consents/links", "One-time links of my party, and what became of them", consent_links.handed_over)
    write("/v1/consents/links/cancel", "Take a link back", LinkReferenceBody, consent_links.cancel, link_reference)
    write(
        "/v1/guardians/revoke",
        "A guardian's authority ended",
        GuardianBody,
        consents.revoke_guardian,
        guardian_request,
        status=201,
    )
    write("/v1/rights", "Take in a request of guardian or child", RightBody, rights.ask, right_request, status=201)
    read("/v1/rights", "Requests that my party has to answer", rights.waiting)
    write("/v1/rights/grant", "Grant a request", GrantBody, rights.grant, right_grant)
    write("/v1/rights/refuse", "Refuse a request, with the reason", RefuseBody, rights.refuse, right_refusal)
    read("/v1/notices", "Notices that my party owes to guardians", notices.owed)
    write("/v1/notices/given", "A guardian was told", NoticeBody, notices.given, notice_given)
    read("/v1/propagations", "Words that my party must act on (X30, X31)", notices.words)
    write("/v1/propagations/answer", "My party has acted", PropagationBody, notices.answered, propagation_reference)
    write("/v1/reviews/release", "Release my share of an embargo", ShareBody, reviews.release_share, share_released)
