"""The pages, one module a subject. `arranged` puts every handler behind its door.

Rules kept here: a module that is not in the list is not imported, so its doors do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from gateway.console.doors import Door

ORDER = (
    "overview",
    "review",
    "reviews",
    "approvals",
    "findings",
    "questions",
    "sample",
    "entries",
    "timelines",
    "matrix",
    "verification",
    "exports",
    "reidentifications",
    "catalogue",
    "drafts",
    "versions",
    "why",
    "switches",
    "parties",
    "accounts",
    "security",
    "entering",
    "openid",
)


def arranged(found: Mapping[str, Door]) -> tuple[Door, ...]:
    """The doors in the order in which the menu and the printed matrix show them."""
    places = {import_module(f"{__name__}.{name}").__name__: place for place, name in enumerate(ORDER)}
    return tuple(sorted(found.values(), key=lambda door: places[door.handler.__module__]))
