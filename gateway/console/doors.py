"""Every page and action of the console with the roles that may use it: one table, from which routes, menus, disabled buttons, the
printed matrix and the tests that try every door all come.

Rules kept here: a handler is reachable only through its door; a door without roles is one for people who are not signed in, and
there are few of them; what a GET shows an auditor is an entry, so is every change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from gateway.console.refusals import Refused
from gateway.console.roles import Role

if TYPE_CHECKING:
    from gateway.console.visits import Visit

Handler = Callable[["Visit"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Door:
    """One page or action. path: Starlette form, below the console's root. does: one sentence in the source language.
    menu: the group under which the menu shows it, "" for none.
    """

    name: str
    method: str
    path: str
    roles: frozenset[Role]
    does: str
    menu: str
    handler: Handler


_DOORS: dict[str, Door] = {}


def door(method: str, path: str, *, roles: frozenset[Role], does: str, menu: str = "") -> Callable[[Handler], Handler]:
    """Put a handler behind a door named like the handler."""

    def keep(handler: Handler) -> Handler:
        name = handler.__name__
        if name in _DOORS:
            raise ValueError(f"two doors are called {name}")
        _DOORS[name] = Door(name, method, path, roles, does, menu, handler)
        return handler

    return keep


def doors() -> tuple[Door, ...]:
    """Every door, in the order of the menu."""
    from gateway.console import pages

    return pages.arranged(_DOORS)


def find_door(name: str) -> Door:
    """The door of that name."""
    return _DOORS[name]


def require_role(role: Role, wanted: Door) -> None:
    """Refuse a role that a door does not name: `Refused("role_missing")`, fact `roles`."""
    if role not in wanted.roles:
        raise Refused("role_missing", roles=" ".join(sorted(wanted.roles)))
