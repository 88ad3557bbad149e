"""Signing in and out, and the choice of language and theme.

Rules kept here: after signing in everybody lands on the overview, wherever the browser says it wanted to go; a session token from
before is never taken over.
"""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from gateway.console import accounts, security_keys, sessions
from gateway.console.doors import door
from gateway.console.languages import TAGS
from gateway.console.mount import LOOK_COOKIE, demo_allowed
from gateway.console.refusals import Refused
from gateway.console.roles import EVERYBODY
from gateway.console.visits import THEMES, Visit
from gateway.errors import NotAuthenticated

_YEAR = 365 * 86_400


@door("GET", "/sign-in", roles=frozenset(), does="Sign-in page")
async def sign_in_page(visit: Visit) -> Response:
    """The form."""
    return sign_in_form(visit, 200)


@door("POST", "/sign-in", roles=frozenset(), does="Sign in")
async def sign_in(visit: Visit) -> Response:
    """Begin a session. A refusal says the same whatever was wrong."""
    form = visit.form
    name, password = form.get("account", "").strip()[:40], form.get("password", "")[:256]
    code = form.get("code", "").replace(" ", "")[:10]
    console, answer = visit.console, form.get("answer", "")
    signed = await security_keys.check(visit.house, console.secret, console.settings, answer) if answer else None
    try:
        _, token = await accounts.sign_in(
            visit.house, console.secret, name, password, code, demo_allowed=demo_allowed(visit), signed=signed
        )
    except (Refused, NotAuthenticated) as error:
        client = visit.request.client
        visit.house.refusals.note(client.host if client else "", error.code, now=visit.now)
        return sign_in_form(visit, 401, refusal=visit.sentence(error))
    if visit.who is not None:
        await accounts.sign_out(visit.house, visit.who, sessions.token_of(visit.request))
    response = RedirectResponse(visit.url("overview"), 303)
    sessions.give(visit.request, response, token)
    return response


@door("POST", "/sign-out", roles=EVERYBODY, does="Sign out")
async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await accounts.sign_out(visit.house, visit.account, sessions.token_of(visit.request))
    response = RedirectResponse(visit.url("sign_in_page"), 303)
    sessions.take(visit.request, response)
    return response


@door("POST", "/look", roles=frozenset(), does="Choose language and theme")
async def look(visit: Visit) -> Response:
    """Keep the choice in a cookie that says nothing else, and show where the visitor was."""
    language = visit.chosen("language", TAGS, empty=True) or visit.tongue.language
    theme = visit.chosen("theme", THEMES, empty=True) or visit.theme
    back = visit.url("overview" if visit.who else "sign_in_page")
    response = RedirectResponse(back, 303)
    response.set_cookie(
        LOOK_COOKIE,
        f"{language}.{theme}",
        max_age=_YEAR,
        path="/console",
        secure=visit.request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


def sign_in_form(visit: Visit, status: int, refusal: str = "") -> Response:
    """The sign-in page, with a refusal where there was one."""
    with_openid = visit.console.openid is not None
    return visit.page("sign_in.html", status, refusal=refusal, with_key=_with_key(visit), with_openid=with_openid)


def _with_key(visit: Visit) -> bool:
    try:
        return bool(security_keys.host(visit.console.settings))
    except Refused:
        return False
