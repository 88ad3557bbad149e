"""Puts the human door in front of the house: `mount(app, house_getter, …)`, called by `gateway/app.py`.

Rules kept here: every request goes through fences, session, role and form in this order before a handler sees it; somebody who is
not signed in learns of a page only that there is a sign-in; whatever a handler raises becomes a page with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.console.accounts import Account
from gateway.console.doors import Door, doors, find_door, require_role
from gateway.console.fences import SAFE, Fences, same_origin
from gateway.console.languages import DEFAULT, TAGS, Tongue
from gateway.console.openid import client_of
from gateway.console.refusals import Refused, own_sentences
from gateway.console.rendering import Pages, serve_file
from gateway.console.sessions import SEEN_EVERY, alive, digest, token_of
from gateway.console.visits import THEMES, Visit, read_form
from gateway.console.volumes import Volumes
from gateway.console.works import Works
from gateway.errors import GatewayError, GatewayFault
from gateway.flows.house import House
from gateway.observe import REFUSALS, REQUESTS, log
from gateway.settings import Settings
from gateway.store import console as store

ROOT = "/console"
LOOK_COOKIE = "runxin-look"


class Spoken(Protocol):
    """A code's row of the machine door's table."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def en(self) -> str:
        """The English sentence."""
        ...

    @property
    def zh(self) -> str:
        """The Chinese sentence."""
        ...


class Console:
    """What every visit shares. sentences: the machine door's table. secret: seals one-time-code secrets, 32 bytes. openid: the way
    to the provider, None where the settings name none.
    """

    def __init__(
        self,
        house_getter: Callable[[], House],
        *,
        settings: Settings,
        sentences: Mapping[str, Spoken],
        secret_getter: Callable[[], bytes],
    ) -> None:
        self._house_getter = house_getter
        self._secret_getter = secret_getter
        self.settings = settings
        self.openid = client_of(settings)
        self.sentences = sentences
        self.pages = Pages()
        self.works = Works(self)
        self.volumes = Volumes()

    @property
    def house(self) -> House:
        """The rooms, once they are open."""
        return self._house_getter()

    @property
    def secret(self) -> bytes:
        """Seals one-time-code secrets."""
        return self._secret_getter()

    def url(self, name: str, **parts: Any) -> str:
        """The address of a door."""
        path = find_door(name).path
        for part, value in parts.items():
            path = path.replace(f"{{{part}:int}}", str(int(value))) if f"{{{part}:int}}" in path else path
            path = path.replace(f"{{{part}}}", _segment(value))
        return ROOT + path

    def status_of(self, error: GatewayError) -> int:
        """The status of a refusal's page."""
        found = own_sentences().get(error.code) or self.sentences.get(error.code)
        return found.status if found else 500

    # --- one request ------------------------------------------------------------------------------------------------

    def route(self, door: Door) -> Route:
        """A door as a route."""

        async def serve(request: Request) -> Response:
            language, theme = looks_of(request)
            visit = Visit(self, request, door, Tongue(language), theme)
            try:
                response = await self._serve(visit)
            except GatewayError as error:
                response = await self._refuse(visit, error)
            except Exception as error:
                # Its text may hold anything: its kind to the operator, a sentence to the visitor.
                log.error("unexpected", route=f"console.{door.name}", exc_info=error)
                response = await self._refuse(visit, GatewayFault("internal"))
            REQUESTS.labels(f"console.{door.name}", str(response.status_code)).inc()
            return response

        return Route(door.path, serve, methods=[door.method], name=door.name)

    async def _serve(self, visit: Visit) -> Response:
        door = visit.door
        if door.method not in SAFE and not same_origin(visit.request):
            raise Refused("cross_site")
        visit.who = await self._who(visit)
        if door.roles:
            if visit.who is None:
                raise Refused("signed_out")
            require_role(visit.who.role, door)
        if door.method not in SAFE:
            visit.form = await read_form(visit.request)
        async with visit.house.database.read() as reading:
            await visit.house.registry.refresh(reading)
        return await door.handler(visit)

    async def _who(self, visit: Visit) -> Account | None:
        token = token_of(visit.request)
        if not token:
            return None
        database, key = visit.house.database, digest(token)
        async with database.read() as reading:
            session = await store.find_session(reading, key)
            row = await store.find_account(reading, session.account) if session else None
        if session is None or row is None or not row.enabled or not alive(session, visit.now):
            return None
        if row.demo and not demo_allowed(visit):
            return None
        if visit.now - session.seen >= SEEN_EVERY:
            async with database.write() as writing:
                await store.session_seen(writing, key, visit.now)
        return Account.of(row)

    async def _refuse(self, visit: Visit, error: GatewayError) -> Response:
        REFUSALS.labels(error.code).inc()
        if error.code == "signed_out":
            if visit.request.headers.get("hx-request"):
                return Response(status_code=401, headers={"HX-Redirect": self.url("sign_in_page")})
            if visit.door.method in SAFE:
                return RedirectResponse(self.url("sign_in_page"), 303)
        if visit.who is not None and error.code != "audit_unavailable":
            try:
                await visit.refused(error)
            except GatewayError as failed:
                error = failed
        return visit.page("refused.html", self.status_of(error), sentence=visit.sentence(error), code=error.code)


def mount(
    app: FastAPI,
    house_getter: Callable[[], House],
    *,
    settings: Settings,
    sentences: Mapping[str, Spoken],
    secret_getter: Callable[[], bytes],
) -> Console:
    """Mount the console at `/console`. Call once, after the machine door's routes."""
    console = Console(house_getter, settings=settings, sentences=sentences, secret_getter=secret_getter)
    app.state.console = console
    routes = [Route("/static/{digest}/{name}", serve_file, methods=["GET"])]
    routes += [console.route(door) for door in doors()]
    inner = Starlette(
        routes=routes,
        middleware=[Middleware(Fences)],
        exception_handlers={HTTPException: _elsewhere, Refused: _elsewhere},
    )

    async def to_console(_request: Request) -> Response:
        return RedirectResponse(f"{ROOT}/", 307)

    app.add_route(ROOT, to_console, methods=["GET"], include_in_schema=False)
    app.mount(ROOT, inner)
    return console


def demo_allowed(visit: Visit) -> bool:
    """Whether demo accounts may be used on this connection."""
    from gateway.console.demo_accounts import LOOPBACK

    client = visit.request.client
    return visit.console.settings.demo and client is not None and client.host in LOOPBACK


def looks_of(request: Request) -> tuple[str, str]:
    """(language, theme) that the browser keeps; the defaults for anything else."""
    language, _, theme = request.cookies.get(LOOK_COOKIE, "").partition(".")
    return language if language in TAGS else DEFAULT, theme if theme in THEMES else THEMES[0]


async def _elsewhere(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return Response("没有这个页面。 There is no such page.\n", status, media_type="text/plain; charset=utf-8")


def _segment(value: Any) -> str:
    from urllib.parse import quote

    return quote(str(value), safe="")
