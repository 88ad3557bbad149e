"""时间线: everything about one child, or everything that one actor did, oldest first.

Rules kept here: a pseudonym and a person's name arrive in a form and never in an address; each look is an entry, in the child's own
history too, before anything is shown; details are opened where the visitor's department had a part, and the protective sequence
cannot be read here at all.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from gateway.audit.reading import actor_history, child_history, open_detail, shown
from gateway.console import telling
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import INSPECTORS
from gateway.console.visits import Visit
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest
from gateway.store import audit as store
from gateway.store.audit import EntryRow
from gateway.store.database import Reading
from keys.text import read

_ACTOR = re.compile(r"(client|person|account):[A-Za-z0-9./_-]{1,96}\Z")
SHOWN_AT_MOST = 500


@door("GET", "/timelines", roles=INSPECTORS, does="Timelines", menu="audit")
async def timelines(visit: Visit) -> Response:
    """The two forms."""
    return _page(visit, None)


@door("POST", "/timelines/child", roles=INSPECTORS, does="A child's timeline")
async def child_timeline(visit: Visit) -> Response:
    """By a department's pseudonym, or by an entry that the visitor may see."""
    reason = visit.prose("reason")
    async with visit.house.database.read() as reading:
        points = await _children(visit, reading)
    await visit.look("child", children=points, reason=reason)
    keeper = visit.house.log.keeper
    async with visit.house.database.read() as reading:
        found: dict[int, EntryRow] = {}
        for point in points:
            found |= {row.index: row for row in await child_history(reading, keeper, point)}
        lines = await _lines(visit, reading, list(found.values()), points)
    return _page(visit, lines, title="child", whole=len(found))


@door("POST", "/timelines/actor", roles=INSPECTORS, does="An actor's timeline")
async def actor_timeline(visit: Visit) -> Response:
    """By a client's, a person's or an account's name."""
    name, reason = visit.form.get("actor", "").strip(), visit.prose("reason")
    _require_own_actor(visit, name)
    await visit.look("actor", actor=name, reason=reason)
    async with visit.house.database.read() as reading:
        rows = await actor_history(reading, visit.house.log.keeper, name)
        lines = await _lines(visit, reading, rows, ())
    return _page(visit, lines, title="actor", whole=len(rows))


async def _children(visit: Visit, reading: Reading) -> tuple[bytes, ...]:
    """Gateway pseudonyms of the child (or children) meant."""
    index = visit.number(visit.form.get("entry", ""))
    if index is not None:
        from gateway.console.pages.entries import require_part

        rows = await store.get_entries(reading, index, index + 1)
        if not rows:
            raise BadRequest("entry_unknown")
        require_part(visit, rows[0])
        detail = await open_detail(reading, visit.house.log.keeper, rows[0])
        return tuple(bytes.fromhex(child) for child in detail.get("children", ()))
    chosen = visit.department or Department(visit.chosen("department", Department))
    pseudonym = read(visit.form.get("pseudonym", "").strip(), Scope.open(chosen))
    return (visit.house.ring.translate([pseudonym], GATEWAY_SCOPE)[0].point,)


async def _lines(
    visit: Visit, reading: Reading, rows: list[EntryRow], children: tuple[bytes, ...]
) -> list[dict[str, Any]]:
    lines = []
    for row in sorted(rows, key=lambda one: one.index)[-SHOWN_AT_MOST:]:
        entry = shown(row)
        own = visit.department is None or visit.department in (entry.skeleton.get("from"), entry.skeleton.get("to"))
        detail = None
        if own:
            try:
                detail = await open_detail(reading, visit.house.log.keeper, row, children)
            except BadRequest:
                detail = None  # sealed to two departments, or destroyed: the skeleton stands alone
        lines.append(
            {
                "index": row.index,
                "own": own,
                "time": int(entry.skeleton["t"]) / 1_000_000,
                "outcome": entry.skeleton["outcome"],
                "told": telling.sentence(visit.tongue, entry.skeleton, visit.house.catalogue.exchanges),
                "detail": telling.detail_lines(detail) if detail is not None else [],
            }
        )
    return lines


def _require_own_actor(visit: Visit, name: str) -> None:
    if not _ACTOR.match(name):
        raise Refused("form_invalid")
    if visit.department is None:
        return
    kind, _, rest = name.partition(":")
    registry = visit.house.registry.current
    if kind == "client":
        client = registry.clients.get(rest)
        own = client is not None and client.party.department is visit.department
    elif kind == "person":
        organisation, _, person = rest.partition("/")
        own = any(
            one.person.person_id == person
            and one.person.party.organisation == organisation
            and one.person.party.department is visit.department
            for one in registry.people.values()
        )
    else:
        own = name == visit.account.actor
    if not own:
        raise Refused("actor_foreign")


def _page(visit: Visit, lines: list[dict[str, Any]] | None, *, title: str = "", whole: int = 0) -> Response:
    return visit.page(
        "timelines.html", lines=lines, title=title, whole=whole, departments=visit.tongue.words("department")
    )
