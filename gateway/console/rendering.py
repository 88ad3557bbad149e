"""Templates: autoescaped, in the visitor's language, with the same few values on every page.

Rules kept here: nothing is marked safe that came from outside; a name that a template does not know is an error and not an empty
place; static files are served under their digest and may be kept for ever.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.console.doors import Door, doors
from gateway.console.languages import catalogue
from gateway.console.refusals import Refused
from gateway.console.vendoring import VENDOR, missing

if TYPE_CHECKING:
    from gateway.console.visits import Visit

STATIC = Path(str(resources.files("gateway.console"))) / "static"
_SHORTEST_TO_PACK = 1024
MENU = ("work", "audit", "policy", "system")


class Pages:
    """Renders templates and serves the files that they load."""

    def __init__(self) -> None:
        self._environments = {language: _environment(language) for language in ("zh", "en")}

    def render(self, visit: Visit, template: str, status: int, values: dict[str, Any]) -> Response:
        """A page for a visit."""
        environment = self._environments[visit.tongue.language]
        html = environment.get_template(template).render(
            visit=visit,
            tongue=visit.tongue,
            word=visit.tongue.word,
            url=visit.url,
            static=static_url,
            menu=menu_for(visit),
            front_end_missing=missing(),
            **values,
        )
        return HTMLResponse(html, status)


def menu_for(visit: Visit) -> list[tuple[str, list[Door]]]:
    """The doors of the menu that the visitor's role opens, by group."""
    if visit.who is None:
        return []
    shown = [door for door in doors() if door.menu and visit.who.role in door.roles]
    groups = [(group, [door for door in shown if door.menu == group]) for group in MENU]
    return [(group, members) for group, members in groups if members]


def _environment(language: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("gateway.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translations = catalogue(language)
    environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        translations.gettext, translations.ngettext, newstyle=True
    )
    return environment


# --- files ------------------------------------------------------------------------------------------------------------


@cache
def _file(name: str) -> tuple[bytes, bytes, str, str] | None:
    """(bytes, gzip bytes, media type, digest) of a static or third-party file."""
    for folder in (STATIC, VENDOR):
        path = folder / name
        if "/" not in name and path.is_file():
            data = path.read_bytes()
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            packed = gzip.compress(data, 9, mtime=0) if len(data) >= _SHORTEST_TO_PACK else b""
            return data, packed, kind, hashlib.sha256(data).hexdigest()[:16]
    return None


def static_url(name: str) -> str:
    """The address of a file, with its digest."""
    found = _file(name)
    return f"/console/static/{found[3] if found else 'missing'}/{name}"


async def serve_file(request: Request) -> Response:
    """A static file. Its address holds its digest, so it never changes."""
    found = _file(request.path_params["name"])
    if found is None:
        raise Refused("page_unknown")
    data, packed, kind, digest = found
    fresh = request.path_params["digest"] == digest
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable" if fresh else "no-store",
        "Vary": "Accept-Encoding",
    }
    if packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=kind)
    return Response(data, headers=headers, media_type=kind)
