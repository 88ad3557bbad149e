"""Signed routes found by their exact path, before the framework puts its layers around each request and looks for dependencies, models
and mounted parts that they have not.

Rules kept here: the routes stay registered with the framework, which describes them and answers for every other method and path;
what a shortcut calls is the same endpoint; an endpoint turns whatever is raised into a problem document itself and bounds the body it
reads (`door.serve`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class WithShortcuts(FastAPI):
    """The application. shortcuts: endpoints by (method, path); the rest of the arguments are the framework's."""

    def __init__(self, shortcuts: Mapping[tuple[str, str], Endpoint], **options: Any) -> None:
        super().__init__(**options)
        self._shortcuts = shortcuts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer here, or hand on."""
        endpoint = self._shortcuts.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
