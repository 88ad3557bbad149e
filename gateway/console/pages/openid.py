"""统一身份认证: signing in by the provider that the settings name.

Rules kept here: there are such doors only where a provider is named; nobody is sent anywhere but to that provider and to our own
overview; a session token from before is never taken over, and an attempt is forgotten whatever came of it.
"""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from gateway.console import accounts, openid, sessions
from gateway.console.doors import door
from gateway.console.mount import demo_allowed
from gateway.console.pages.entering import sign_in_form
from gateway.console.refusals import Refused
from gateway.console.visits import Visit
from gateway.errors import NotAuthenticated
from gateway.identity.openid_provider import OpenIdClient


@door("GET", "/sign-in/openid", roles=frozenset(), does="To the identity provider")
async def openid_begin(visit: Visit) -> Response:
    """Send the browser to the provider, with an attempt of its own."""
    client = _client(visit)
    url, attempt = await openid.begin(client, visit.console.settings, visit.now)
    response = RedirectResponse(url, 303)
    openid.keep(visit.request, response, visit.console.secret, attempt)
    return response


@door("GET", "/sign-in/openid/back", roles=frozenset(), does="Back from the identity provider")
async def openid_back(visit: Visit) -> Response:
    """Begin a session, if what the provider sent along holds."""
    client, console = _client(visit), visit.console
    cookie = sessions.token_of(visit.request, openid.COOKIE)
    answer = visit.request.query_params.multi_items()
    try:
        _, token = await openid.finish(
            visit.house,
            console.secret,
            client,
            console.settings,
            cookie,
            answer,
            demo_allowed=demo_allowed(visit),
        )
    except (Refused, NotAuthenticated) as error:
        peer = visit.request.client
        visit.house.refusals.note(peer.host if peer else "", error.code, now=visit.now)
        refused = error if isinstance(error, Refused) else Refused("openid_refused")
        response = sign_in_form(visit, console.status_of(refused), refusal=visit.sentence(refused))
        openid.drop(visit.request, response)
        return response
    if visit.who is not None:
        await accounts.sign_out(visit.house, visit.who, sessions.token_of(visit.request))
    # A page and not a redirect: the session's cookie does not travel on the way that began at the provider (SameSite=Strict).
    response = visit.page("signed_in.html")
    sessions.give(visit.request, response, token)
    openid.drop(visit.request, response)
    return response


@door("GET", "/sign-in/openid/out", roles=frozenset(), does="Sign out at the identity provider")
async def openid_out(visit: Visit) -> Response:
    """Send the browser to the provider, to end the session there too. Ours is ended by signing out here."""
    return RedirectResponse(await openid.end_session(_client(visit), visit.console.settings), 303)


def _client(visit: Visit) -> OpenIdClient:
    if visit.console.openid is None:
        raise Refused("openid_off")
    return visit.console.openid
