"""停用开关: stopping an exchange or a client at once, and letting it run again (C59).

Rules kept here: whoever stops is named in the entry that takes effect in the same transaction; every worker refuses within a
second; a system administrator stops clients, the security administrator both.
"""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import EVERYBODY, Role
from gateway.console.visits import Visit
from gateway.identity import enrolment
from gateway.store import console as store

STOPPERS = frozenset({Role.SECURITY_ADMIN, Role.SYSTEM_ADMIN})


@door("GET", "/switches", roles=EVERYBODY, does="Kill switches", menu="policy")
async def switches(visit: Visit) -> Response:
    """What is stopped, and what could be."""
    async with visit.house.database.read() as reading:
        thrown = await store.thrown_switches(reading)
    clients, departments = visit.house.registry.current.clients, visit.tongue.words("department")
    return visit.page(
        "switches.html",
        thrown=thrown,
        exchanges=list(visit.house.catalogue.exchanges.values()),
        clients=[(name, departments[client.party.department]) for name, client in sorted(clients.items())],
        why_not={
            (name, kind): visit.why_not(name, partial(require_kind, visit, kind))
            for name in ("switch_stop", "switch_resume")
            for kind in ("exchange", "client")
        },
    )


@door("POST", "/switches/stop", roles=STOPPERS, does="Stop an exchange or a client")
async def switch_stop(visit: Visit) -> Response:
    """Throw the switch; needs a reason."""
    kind, target = _meant(visit)
    draft, effect = enrolment.stop(kind, target, by=_by(visit, visit.prose("reason")), now=visit.now)
    await visit.house.log.append(draft, effect=effect)
    visit.house.registry.forget()
    return visit.go("switches")


@door("POST", "/switches/resume", roles=STOPPERS, does="Let an exchange or a client run again")
async def switch_resume(visit: Visit) -> Response:
    """Reset the switch."""
    kind, target = _meant(visit)
    draft, effect = enrolment.resume(kind, target, by=_by(visit, visit.prose("reason")))
    await visit.house.log.append(draft, effect=effect)
    visit.house.registry.forget()
    return visit.go("switches")


def require_kind(visit: Visit, kind: str) -> None:
    """`Refused("switch_client_only")` where a system administrator would stop an exchange."""
    if kind == "exchange" and visit.account.role is Role.SYSTEM_ADMIN:
        raise Refused("switch_client_only")


def _meant(visit: Visit) -> tuple[str, str]:
    kind, target = visit.chosen("kind", ("exchange", "client")), visit.form.get("target", "")
    require_kind(visit, kind)
    known = visit.house.catalogue.exchanges if kind == "exchange" else visit.house.registry.current.clients
    if target not in known:
        raise Refused("switch_unknown")
    return kind, target


def _by(visit: Visit, reason: str) -> str:
    return f"{visit.account.actor}: {reason}"[:90]
