"""共享目录与共享规则: what may be exchanged, under which rows, each row beside its sentence, now or as of an earlier version.

Rules kept here: what is shown is one version, read once per page, the active one unless an earlier one is asked for; nothing is
edited here.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.console import rule_sentences
from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import EVERYBODY, Role
from gateway.console.visits import Visit
from gateway.domain.vocabulary import Department
from gateway.flows import policy_changes
from gateway.flows.policy_changes import Line
from policies.rows import Rule
from policies.snapshot import Snapshot

READERS = EVERYBODY - {Role.SYSTEM_ADMIN}
PAGE = 40


@door("GET", "/catalogue", roles=READERS, does="Catalogue", menu="policy")
async def catalogue(visit: Visit) -> Response:
    """Every exchange, of the version that decides or of an earlier one."""
    snapshot, number, versions = await as_of(visit, visit.query("version"))
    stopped = {target for kind, target in visit.house.registry.current.stopped if kind == "exchange"}
    return visit.page(
        "catalogue.html",
        exchanges=list(snapshot.catalogue.exchanges.values()),
        stopped=stopped,
        as_of=number,
        versions=versions,
    )


@door("GET", "/catalogue/{exchange}", roles=READERS, does="One exchange")
async def exchange(visit: Visit) -> Response:
    """An exchange with its fields, its law and its rules."""
    snapshot, number, versions = await as_of(visit, visit.query("version"))
    found = snapshot.catalogue.exchanges.get(visit.path("exchange"))
    if found is None:
        raise Refused("page_unknown")
    rows = [rule for rule in snapshot.rules if rule.obj == found.id]
    above = [rule for rule in snapshot.rules if rule.obj not in snapshot.catalogue.exchanges]
    return visit.page(
        "exchange.html",
        exchange=found,
        rules=_told(visit, rows),
        above=_told(visit, above),
        as_of=number,
        versions=versions,
        stopped=("exchange", found.id) in visit.house.registry.current.stopped,
    )


@door("GET", "/rules", roles=READERS, does="Rules", menu="policy")
async def rules(visit: Visit) -> Response:
    """Every rule, filtered, by pages."""
    snapshot, number, versions = await as_of(visit, visit.query("version"))
    department, effect, after = (
        visit.query("department"),
        visit.query("effect"),
        visit.number(visit.query("after"), default=0),
    )
    if department and department not in {*map(str, Department), "all"}:
        raise Refused("form_invalid")
    if effect not in ("", "allow", "deny"):
        raise Refused("form_invalid")
    chosen = [
        (number, rule)
        for number, rule in enumerate(snapshot.rules, start=1)
        if (not department or rule.owner == department) and (not effect or rule.eft == effect)
    ]
    some = [(number, rule) for number, rule in chosen if number > (after or 0)][:PAGE]
    last = some[-1][0] if len(some) == PAGE and some[-1] != chosen[-1] else None
    part = visit.request.headers.get("hx-request") == "true" and bool(after)
    return visit.page(
        "_rule_rows.html" if part else "rules.html",
        rules=_told(visit, [rule for _, rule in some]),
        as_of=number,
        versions=versions,
        draftable=visit.may("draft_form"),
        found=len(chosen),
        more=last,
        department=department,
        effect=effect,
        departments=visit.tongue.words("department"),
    )


async def as_of(visit: Visit, version: str) -> tuple[Snapshot, int, list[Line]]:
    """(the version to show, its number, every activation): the one that decides unless `version` names another's number."""
    house = visit.house
    if house.policy_versions is None:
        return house.book.snapshot, 0, []
    lines = await policy_changes.history(house)
    deciding = next((line for line in lines if line.deciding), lines[-1])
    number = visit.number(version) or deciding.activation.number
    if number == deciding.activation.number:
        return house.book.snapshot, number, lines
    chosen = next((line for line in lines if line.activation.number == number), None)
    if chosen is None:
        raise Refused("page_unknown")
    async with house.database.read() as reading:
        edition = await house.versions.edition(reading, chosen.activation.change_id, chosen.activation.revision)
    return edition.snapshot, number, lines


def _told(visit: Visit, rows: list[Rule]) -> list[tuple[Rule, str]]:
    catalogue = visit.house.catalogue
    return [(rule, rule_sentences.sentence(visit.tongue, rule, catalogue)) for rule in rows]
