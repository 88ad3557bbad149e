"""再识别: who is this child? An officer's signed request, two people of two other departments, one view, fifteen minutes.

Rules kept here: the application functions decide (`flows/reidentify_desk.py`); a pseudonym travels in a form and never in an address;
a request is shown to whoever signed it and to other departments, whose signatures it needs; the answer comes sealed and is opened in
the browser with the organisation's own key, which never comes here; it is shown once and kept nowhere.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from starlette.responses import Response

from gateway.client.statements import reidentification as what_is_asked
from gateway.console.doors import door
from gateway.console.pages.drafts import by
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.console.visits import Visit
from gateway.domain.canonical import canonical
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department, ScopeKind
from gateway.errors import BadRequest, Denied
from gateway.flows import reidentify, reidentify_desk
from gateway.flows.recognise import scope_of
from gateway.flows.reidentify_desk import Waiting
from gateway.identity.approvals import subject_digest
from keys.text import read as read_pseudonym

ASKERS = frozenset({Role.AUDITOR})
SIGNERS = ASKERS | {Role.POLICY_OWNER}
LONGEST_CASE = 60


@door("GET", "/reidentifications", roles=SIGNERS, does="Re-identification", menu="audit")
async def reidentifications(visit: Visit) -> Response:
    """Requests that wait for signatures, and the form of a new one."""
    rows = [one for one in await reidentify_desk.waiting(visit.house) if _concerned(visit, one)]
    return visit.page(
        "reidentifications.html",
        rows=rows,
        exchanges=_closed_scopes(visit),
        sources=_sources(visit),
        why=visit.why_not("reidentify_write"),
    )


@door("POST", "/reidentifications/write", roles=ASKERS, does="Write a re-identification request")
async def reidentify_write(visit: Visit) -> Response:
    """The request as it has to be signed; nothing is kept yet."""
    exchange = visit.chosen("exchange", _closed_scopes(visit), empty=True)
    source = visit.chosen("source", _sources(visit))
    case, reason = visit.prose("case"), visit.prose("reason")
    if len(case) > LONGEST_CASE:
        raise Refused("form_invalid")
    pseudonym = visit.form.get("pseudonym", "").strip()[:200]
    party = _own_party(visit)
    read_pseudonym(pseudonym, scope_of(party.department, visit.house.catalogue.exchanges.get(exchange)))
    organisation, _, department = source.partition("/")
    subject = what_is_asked(
        officer_id=visit.account.person.partition("/")[2],
        party=party,
        pseudonym=pseudonym,
        source=Party(organisation, Department(department)),
        reason=f"{case}: {reason}",
        exchange=exchange,
    )
    return visit.page("reidentification_sign.html", subject=canonical(subject).decode(), digest=subject_digest(subject))


@door("POST", "/reidentifications", roles=ASKERS, does="Hand in a re-identification request")
async def reidentify_ask(visit: Visit) -> Response:
    """Keep the request that this visitor signed."""
    asked = await reidentify_desk.ask(visit.house, visit.statement, by=by(visit))
    return visit.go("reidentification", request=asked)


@door("GET", "/reidentifications/{request}", roles=SIGNERS, does="One re-identification request")
async def reidentification(visit: Visit) -> Response:
    """What is asked and why, who signed, and what may be done now. The look is an entry."""
    one, asked = await reidentify_desk.standing(visit.house, visit.path("request"))
    if not _concerned(visit, one):
        raise Refused("page_unknown")
    await visit.look("reidentification", asked=one.row.request_id)
    subject = dict(asked.subject) if asked else {}
    return visit.page(
        "reidentification.html",
        one=one,
        asked=subject,
        subject=canonical(subject).decode(),
        digest=subject_digest(subject),
        needed=reidentify_desk.NEEDED,
        why={
            "approve": visit.why_not("reidentify_approve", partial(_signable, visit, one)),
            "look": visit.why_not("reidentify_look", partial(_lookable, visit, one)),
        },
    )


@door("POST", "/reidentifications/{request}/approve", roles=SIGNERS, does="Sign a re-identification request")
async def reidentify_approve(visit: Visit) -> Response:
    """Hand in an approver's signature."""
    request = visit.path("request")
    await reidentify_desk.approve(visit.house, request, visit.statement, by=by(visit))
    return visit.go("reidentification", request=request)


@door("POST", "/reidentifications/{request}/look", roles=ASKERS, does="Look once who the child is")
async def reidentify_look(visit: Visit) -> Response:
    """The one view: what the source's register says, still sealed; this answer is the only place where it ever stands."""
    body = await reidentify_desk.look(visit.house, visit.path("request"), by=by(visit))
    answer: dict[str, Any] = json.loads(body)
    sender = reidentify.source_named(visit.house, answer["source"]).sender_key
    return visit.page(
        "reidentified.html",
        line=canonical(answer["line"]).decode(),
        source=answer["source"],
        recipient=_own_party(visit).text,
        sender=sender.jwk()["x"],
        suite=answer["line"]["seal"]["suite"],
    )


# --- what may be done now, in the server's words -------------------------------------------------------------------------


def _open(one: Waiting) -> None:
    if one.state == "expired":
        raise Denied("request_expired")


def _signable(visit: Visit, one: Waiting) -> None:
    _open(one)
    if one.state == "granted":
        raise Denied("reidentification_used")
    if visit.department == one.row.department:
        raise Denied("approval_own_department")
    if any(visit.department == signed.department for signed in one.approvals):
        raise Denied("approval_replayed")


def _lookable(visit: Visit, one: Waiting) -> None:
    if visit.account.person != one.row.officer:
        raise Denied("request_other")
    _open(one)
    if one.state == "waiting":
        raise Denied("approval_departments")


def _concerned(visit: Visit, one: Waiting) -> bool:
    return visit.account.person == one.row.officer or visit.department != one.row.department


# --- reading the form ------------------------------------------------------------------------------------------------------


def _own_party(visit: Visit) -> Party:
    organisation, _, _ = visit.account.person.partition("/")
    if visit.department is None:
        raise BadRequest("not_found")
    return Party(organisation, visit.department)


def _sources(visit: Visit) -> dict[str, str]:
    registry = visit.house.registry.current
    found = {}
    for edge in registry.edges:
        known = registry.organisations.get(edge.party.organisation)
        name = known.name if known else edge.party.organisation
        found[edge.party.text] = f"{visit.tongue.word('department', edge.party.department)} · {name}"
    return dict(sorted(found.items()))


def _closed_scopes(visit: Visit) -> dict[str, str]:
    """Exchanges in which the visitor's department calls children by names of that exchange alone."""
    exchanges = visit.house.catalogue.exchanges.values()
    return {
        one.id: f"{one.id} {visit.tongue.name(one)}"
        for one in exchanges
        if visit.department is not None and one.scopes.get(visit.department) is ScopeKind.CLOSED
    }
