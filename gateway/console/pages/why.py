"""为何放行、为何不放行: a hypothetical request put to the version that decides, or to an earlier one, with the smallest lawful change where it is refused.

Rules kept here: the request is made up - function, region and basis are what the visitor chooses - so an answer cannot tell whether
a child, a record or a consent exists; the question is therefore no entry.
"""

from __future__ import annotations

from starlette.responses import Response

from gateway.console import rule_sentences
from gateway.console.doors import door
from gateway.console.pages.catalogue import READERS, as_of
from gateway.console.refusals import Refused
from gateway.console.visits import Visit
from gateway.domain.clock import policy_time
from gateway.domain.vocabulary import Action, ConsentState, Department, Door
from gateway.flows.policy_changes import Line
from policies import regions
from policies.explain import explain
from policies.snapshot import Request, Snapshot


@door("GET", "/why", roles=READERS, does="Why, and why not", menu="policy")
async def why(visit: Visit) -> Response:
    """The form."""
    chosen = {"region": "330106", "con": str(ConsentState.STATUTORY)}
    return _page(visit, chosen, None, await as_of(visit, ""))


@door("POST", "/why", roles=READERS, does="Ask why, or why not")
async def why_asked(visit: Visit) -> Response:
    """The answer, field by field."""
    shown = await as_of(visit, visit.form.get("version", ""))
    snapshot = shown[0]
    department = Department(visit.chosen("department", Department))
    function = visit.chosen("function", [*snapshot.catalogue.functions, "inbox"])
    exchange = snapshot.catalogue.exchanges[visit.chosen("exchange", snapshot.catalogue.exchanges)]
    region = visit.form.get("region", "").strip()
    if not regions.is_region(region):
        raise Refused("form_invalid")
    action = Action(visit.chosen("action", Action))
    purpose = visit.chosen("purpose", snapshot.catalogue.purposes, empty=True) or exchange.purpose
    request = Request(
        sub=f"{function}@{department}",
        dom=str(department),
        obj=exchange.id,
        fld="",
        act=str(action),
        pur=f"{visit.chosen('door', Door)}.{purpose}",
        reg=region,
        con=visit.chosen("con", ConsentState),
        now=policy_time(visit.house.clock.now()),
    )
    consumer = department
    if action is Action.SUBMIT and exchange.consumers:
        consumer = Department(visit.chosen("consumer", Department, empty=True) or exchange.consumers[0])
    answered = explain(snapshot, request, consumer=consumer)
    return _page(visit, dict(visit.form), (exchange, request, answered), shown)


def _page(visit: Visit, chosen: dict[str, str], answered: object, shown: tuple[Snapshot, int, list[Line]]) -> Response:
    snapshot, number, versions = shown
    catalogue, tongue = snapshot.catalogue, visit.tongue
    rows = {rule.id: rule for rule in snapshot.rules}
    functions = {name: tongue.name(one) for name, one in catalogue.functions.items()}
    return visit.page(
        "why.html",
        chosen=chosen,
        answered=answered,
        as_of=number,
        versions=versions,
        departments=tongue.words("department"),
        functions=functions | {"inbox": tongue.word("group", "inbox")},
        exchanges={one.id: f"{one.id} {tongue.name(one)}" for one in catalogue.exchanges.values()},
        purposes={code: f"{code} {tongue.word('purpose', code)}" for code in catalogue.purposes},
        doors={str(one): tongue.word("door", one) for one in Door},
        actions={str(one): tongue.word("action", one) for one in Action},
        cons={str(one): tongue.word("con", one) for one in ConsentState},
        rule_told=lambda rule: rule_sentences.sentence(tongue, rows[rule], catalogue) if rule in rows else "",
        refusal_told=lambda code: _because(visit, code),
    )


def _because(visit: Visit, code: str) -> str:
    found = visit.console.sentences.get(code)
    if found is None:
        return code
    return found.zh if visit.tongue.language == "zh" else found.en
