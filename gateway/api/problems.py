"""Every stable code with its status and its sentence in two languages: the only place where an error becomes public.

RFC 9457. Rules kept here: one table; a code that is not in it is a bare 500 whose detail is stripped; facts are the safe ones
that the error carries; the sentence says what to do, never what was sent.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault, NoResult, NotAuthenticated, ProviderFault

MEDIA_TYPE = "application/problem+json"


class Sentence(NamedTuple):
    """What a code means to whoever receives it."""

    status: int
    en: str
    zh: str


@cache
def sentences() -> dict[str, Sentence]:
    """The table, from `problems.toml` beside this file."""
    text = resources.files("gateway.api").joinpath("problems.toml").read_text("utf-8")
    return {code: Sentence(row["status"], row["en"], row["zh"]) for code, row in tomllib.loads(text).items()}


def default_status(error: GatewayError) -> int:
    """The status of a class of errors where the table has no row."""
    match error:
        case NotAuthenticated():
            return 401
        case NoResult():
            return 404
        case Denied():
            return 403
        case BadRequest():
            return 400
        case ProviderFault():
            return 502
        case GatewayFault():
            return 503
        case _:
            return 500


def problem(error: GatewayError) -> tuple[int, dict[str, Any]]:
    """(status, problem document). An error whose code is not in the table becomes a bare `internal`."""
    sentence = sentences().get(error.code)
    if sentence is None:
        sentence = sentences()["internal"]
        return sentence.status, _document("internal", sentence, {})
    return sentence.status, _document(error.code, sentence, error.facts)


def _document(code: str, sentence: Sentence, facts: dict[str, str | int]) -> dict[str, Any]:
    return {
        "type": f"urn:runxin:problem:{code}",
        "title": code.replace("_", " ").replace(".", " "),
        "status": sentence.status,
        "code": code,
        "detail": sentence.en,
        "detail_zh": sentence.zh,
        "facts": dict(facts),
    }
