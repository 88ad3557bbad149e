"""Puts the guardians' page in front of the house, at `/guardian/`: a code to type, the words to read, an answer.

Rules kept here: the code comes in a form and never in an address (an address may bring it behind `#`, which stays in the browser); a GET
tells and changes nothing, so a messenger's preview uses up nothing; nothing is stored in the browser, no cookie, nothing but two own
files is loaded, and without scripts the page works as well; whoever tries codes is made to wait; it is Chinese unless the visitor asks
for English, and then every form says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.consent.notice_text import LANGUAGES
from gateway.console.fences import Fences
from gateway.console.refusals import Refused
from gateway.console.visits import read_form
from gateway.errors import GatewayError, GatewayFault, NotAuthenticated
from gateway.flows.consent_links import PAGE, Reply, answer, open_link
from gateway.flows.house import House
from gateway.guardian_page.sentences import sentence
from gateway.observe import REFUSALS, REQUESTS, log

ROOT = PAGE.rstrip("/")
STATIC = Path(str(resources.files("gateway.guardian_page"))) / "static"
MEDIA = {"page.css": "text/css", "page.js": "text/javascript"}


class Waits(Protocol):
    """The machine door's patience: refusals per source and minute."""

    def require(self, source: str) -> None:
        """`BadRequest("rate_limited")` for a source that was refused too often."""
        ...

    def count(self, source: str) -> None:
        """Count one refusal."""
        ...


class Spoken(Protocol):
    """A code's row of the machine door's table."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...


class GuardianPage:
    """What every request shares. statuses: code -> the machine door's row."""

    def __init__(
        self,
        house_getter: Callable[[], House],
        *,
        patience_getter: Callable[[], Waits],
        statuses: Mapping[str, Spoken],
    ) -> None:
        self._house_getter = house_getter
        self._patience_getter = patience_getter
        self._statuses = statuses

    def route(self, path: str, method: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        """A handler behind what stands around every request."""
        name = f"guardian.{handler.__name__}"

        async def serve(request: Request) -> Response:
            source = request.client.host if request.client else ""
            try:
                self._patience_getter().require(source)
                require_own_page(request)
                response = await handler(request)
            except NotAuthenticated as error:
                # No code, no caller: counted per source and minute, like at the machine door.
                house = self._house_getter()
                self._patience_getter().count(source)
                house.refusals.note(source, error.code, now=int(house.clock.now().timestamp()))
                response = self._refused(error, await language_of(request))
            except GatewayError as error:
                if isinstance(error, GatewayFault):
                    log.error("fault", route=name, code=error.code, exc_info=error.__cause__ or error)
                response = self._refused(error, await language_of(request))
            except Exception as error:
                # Its text may hold anything: its kind to the operator, a sentence to the visitor.
                log.error("unexpected", route=name, exc_info=error)
                response = self._refused(GatewayFault("internal"), await language_of(request))
            REQUESTS.labels(name, str(response.status_code)).inc()
            return response

        return Route(path, serve, methods=[method], name=name)

    def _refused(self, error: GatewayError, language: str) -> Response:
        REFUSALS.labels(error.code).inc()
        row = self._statuses.get(error.code)
        status = row.status if row else 400
        told = sentence(error.code, language)
        return page("refused.html", status, language, sentence=told, again=error.code == "link_unknown")

    async def enter(self, request: Request) -> Response:
        """Where the code is typed, or taken over from behind `#`."""
        return page("enter.html", 200, await language_of(request))

    async def read(self, request: Request) -> Response:
        """The words that a code opens, and the form for the answer."""
        form = await form_of(request)
        return await self._words(form.get("code", ""), await language_of(request))

    async def reply(self, request: Request) -> Response:
        """The answer."""
        form, language = await form_of(request), await language_of(request)
        said = form.get("answer")
        if said not in ("agree", "refuse"):
            return await self._words(form.get("code", ""), language, wanting="answer")
        agrees = said == "agree"
        reply = Reply(form.get("code", ""), form.get("notice", ""), agrees, form.get("view", ""), language)
        try:
            done = await answer(self._house_getter(), reply)
        except GatewayError as error:
            if error.code not in ("child_view_missing", "notice_changed"):
                raise
            wanting = "view" if error.code == "child_view_missing" else "reading"
            return await self._words(reply.code, language, wanting=wanting)
        return page("done.html", 200, language, state=done.state, number=done.receipt.index)

    async def _words(self, code: str, language: str, *, wanting: str = "") -> Response:
        opened = await open_link(self._house_getter(), code, language)
        return page(
            "words.html",
            422 if wanting else 200,
            language,
            notice=opened.notice,
            views=opened.views,
            code=code,
            wanting=wanting,
        )


def mount(
    app: FastAPI,
    house_getter: Callable[[], House],
    *,
    patience_getter: Callable[[], Waits],
    statuses: Mapping[str, Spoken],
) -> None:
    """Mount the page at `/guardian/`."""
    made = GuardianPage(house_getter, patience_getter=patience_getter, statuses=statuses)
    routes = [
        Route("/static/{digest}/{name}", serve_file, methods=["GET"]),
        made.route("/", "GET", made.enter),
        made.route("/", "POST", made.read),
        made.route("/answer", "POST", made.reply),
    ]
    inner = Starlette(routes=routes, middleware=[Middleware(Fences)], exception_handlers={HTTPException: _elsewhere})

    async def to_page(_request: Request) -> Response:
        return RedirectResponse(PAGE, 307)

    app.add_route(ROOT, to_page, methods=["GET"], include_in_schema=False)
    app.mount(ROOT, inner)


def require_own_page(request: Request) -> None:
    """A form is sent from our own page. The code in it is what counts; this only keeps other sites' forms from trying codes with a
    visitor's address. A browser too old to say where a form comes from is let in.
    """
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and request.method == "POST":
        raise Refused("form_invalid")


async def form_of(request: Request) -> dict[str, str]:
    """The form, read once a request."""
    if not hasattr(request.state, "form"):
        request.state.form = {}  # a form that cannot be read is not read again
        request.state.form = await read_form(request)
    form: dict[str, str] = request.state.form
    return form


async def language_of(request: Request) -> str:
    """The language in which a page was asked for, by its form or its address; Chinese for anything else."""
    asked = request.query_params.get("lang", "")
    if request.method == "POST":
        try:
            asked = (await form_of(request)).get("lang", "")
        except GatewayError:
            asked = ""  # what is wrong with the form is said elsewhere
    return asked if asked in LANGUAGES else LANGUAGES[0]


# --- rendering ------------------------------------------------------------------------------------------------------------


@cache
def _environment(language: str) -> Environment:
    return Environment(
        loader=PackageLoader("gateway.guardian_page", f"templates/{language}"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(template: str, status: int, language: str, **values: Any) -> Response:
    """A page in a language."""
    rendered = _environment(language).get_template(template).render(static=static_url, root=ROOT, **values)
    return HTMLResponse(rendered, status)


@cache
def _file(name: str) -> tuple[bytes, str]:
    data = (STATIC / name).read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:16]


def static_url(name: str) -> str:
    """The address of a file, with its digest."""
    return f"{ROOT}/static/{_file(name)[1]}/{name}"


async def serve_file(request: Request) -> Response:
    """A static file under the digest of its bytes, which never change."""
    name = request.path_params["name"]
    if name not in MEDIA or request.path_params["digest"] != _file(name)[1]:
        raise HTTPException(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_file(name)[0], headers=headers, media_type=MEDIA[name])


async def _elsewhere(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return Response("没有这个页面。 There is no such page.\n", status, media_type="text/plain; charset=utf-8")
