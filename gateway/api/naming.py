"""Routes of names and keys: aliases, conversion, epochs, rotation, re-identification; with their strict bodies.

Rules kept here: as in `bodies.py`: unknown keys are refused, sizes are bounded, nothing is read before it is authenticated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from pydantic import Field

from gateway.api import bodies as b
from gateway.flows import aliases, reidentify, rotation
from gateway.flows import requests as r

PseudonymText = Annotated[str, Field(pattern=r"^[a-z]{2}[oc][0-9a-z]{20,110}$")]
Approvals = Annotated[list[b.Statement], Field(min_length=2, max_length=2)]
Flow = Callable[..., Awaitable[Any]]


class AliasBody(b.Strict):
    """`POST /v1/pseudonyms/aliases`."""

    issued: b.SubjectBody
    identified: b.SubjectBody
    approvals: Annotated[list[b.Statement], Field(max_length=2)] | None = None


class ConvertBody(b.Strict):
    """`POST /v1/pseudonyms/convert`."""

    pseudonyms: Annotated[list[PseudonymText], Field(max_length=2000)]
    exchange: b.Exchange | None = None
    epoch: Annotated[int, Field(ge=1, le=999_999)] | None = None
    finished: bool = False


class RotationBody(b.Strict):
    """`POST /v1/keys/rotations`."""

    approvals: Approvals


class ReidentificationBody(b.Strict):
    """`POST /v1/reidentifications`."""

    request: b.Statement
    approvals: Approvals


class ViewBody(b.Strict):
    """`POST /v1/reidentifications/view`."""

    reidentification: Annotated[str, Field(pattern=r"^ri-[a-z2-7]{26}$")]


def alias_request(raw: bytes) -> r.AliasRequest:
    """`POST /v1/pseudonyms/aliases`."""
    body = b.parse(AliasBody, raw)
    return r.AliasRequest(
        issued=b._one_subject(body.issued),
        identified=b._one_subject(body.identified),
        approvals=tuple(body.approvals or ()),
    )


def convert_request(raw: bytes) -> r.ConvertRequest:
    """`POST /v1/pseudonyms/convert`."""
    body = b.parse(ConvertBody, raw)
    return r.ConvertRequest(tuple(body.pseudonyms), body.exchange, body.epoch, body.finished)


def rotation_request(raw: bytes) -> r.RotationRequest:
    """`POST /v1/keys/rotations`."""
    return r.RotationRequest(tuple(b.parse(RotationBody, raw).approvals))


def reidentification_request(raw: bytes) -> r.ReidentificationRequest:
    """`POST /v1/reidentifications`."""
    body = b.parse(ReidentificationBody, raw)
    return r.ReidentificationRequest(body.request, tuple(body.approvals))


def view_request(raw: bytes) -> str:
    """`POST /v1/reidentifications/view`."""
    return b.parse(ViewBody, raw).reidentification


class Write(Protocol):
    """How `routes.py` adds a signed POST."""

    def __call__(
        self,
        path: str,
        summary: str,
        model: type[b.Strict],
        flow: Flow,
        read: Callable[[bytes], Any],
        *,
        status: int = 200,
    ) -> None:
        """Add it."""
        ...


def add_routes(write: Write, read: Callable[[str, str, Flow], None]) -> None:
    """Add the routes of this file. write, read: `routes.py`'s own makers of signed POSTs and GETs."""
    write("/v1/pseudonyms/aliases", "Join two names of one child", AliasBody, aliases.alias, alias_request, status=201)
    write("/v1/pseudonyms/convert", "Follow a rotation", ConvertBody, rotation.convert, convert_request)
    read("/v1/pseudonyms/epochs", "Epochs of my scopes", rotation.epochs)
    write("/v1/keys/rotations", "One step of a rotation", RotationBody, rotation.rotate, rotation_request)
    write(
        "/v1/reidentifications",
        "Grant a re-identification",
        ReidentificationBody,
        reidentify.grant,
        reidentification_request,
        status=201,
    )
    write("/v1/reidentifications/view", "The one view of a grant", ViewBody, reidentify.view, view_request)
