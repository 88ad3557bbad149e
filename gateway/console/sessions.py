"""Server-side sessions: a random token in a cookie, its digest in the database, an end that nobody can move.

Rules kept here: a session begins at sign-in with a fresh token and with nothing from before; it ends after 30 idle minutes, after
8 hours, at sign-out, and when the account's role or state changes; the cookie is HttpOnly, SameSite=Strict and, over HTTPS,
Secure under the `__Host-` prefix.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from gateway.store.console import SessionRow

IDLE_SECONDS = 30 * 60
LONGEST_SECONDS = 8 * 3600
SEEN_EVERY = 60
COOKIE = "runxin"


def new_token() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def alive(session: SessionRow, now: int) -> bool:
    """Whether a session still holds at a moment (unix seconds)."""
    return now - session.seen < IDLE_SECONDS and now - session.started < LONGEST_SECONDS


def cookie_name(request: Request, name: str = COOKIE) -> str:
    """The cookie's name on this connection."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def token_of(request: Request, name: str = COOKIE) -> str:
    """The token that the browser sent, "" for none."""
    return request.cookies.get(cookie_name(request, name), "")


def give(
    request: Request,
    response: Response,
    token: str,
    *,
    name: str = COOKIE,
    seconds: int = LONGEST_SECONDS,
    samesite: Literal["lax", "strict"] = "strict",
) -> None:
    """Hand a token to the browser, for some seconds."""
    response.set_cookie(
        cookie_name(request, name),
        token,
        max_age=seconds,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite=samesite,
    )


def take(
    request: Request, response: Response, *, name: str = COOKIE, samesite: Literal["lax", "strict"] = "strict"
) -> None:
    """Let the browser forget its token."""
    response.delete_cookie(
        cookie_name(request, name), path="/", secure=request.url.scheme == "https", httponly=True, samesite=samesite
    )
