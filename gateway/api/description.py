"""The OpenAPI document of the machine door.

Rules kept here: it names no outside address and loads nothing; every schema that it refers to is in it; it promises no answer
that the door does not give (the framework's own validation error never leaves).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """What `app.openapi` is to be: the document, made once."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    return openapi


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    schemas: dict[str, Any] = {}
    for operation in (each for path in document["paths"].values() for each in path.values()):
        operation["responses"].pop("422", None)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            # Bodies are read raw, so their models come as they are, with the parts that they are made of inside.
            schemas |= content["schema"].pop("$defs", {})
    document["components"] = {"schemas": dict(sorted(schemas.items()))}
    return document
