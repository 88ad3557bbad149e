"""Who takes part and with what: clients, edges, keys (states only), the basis room in numbers, settings with their source.

Rules kept here: no key material but public thumbprints; counts and never a case; a secret setting is shown as set or not set.
"""

from __future__ import annotations

import asyncio
import heapq
import os
from typing import Any

from pydantic import SecretStr
from starlette.responses import Response

from gateway.console.doors import door
from gateway.console.refusals import Refused
from gateway.console.roles import ADMINISTRATORS, Role
from gateway.console.tables import csv_answer
from gateway.console.visits import Visit
from gateway.domain.vocabulary import Department
from gateway.settings import Settings
from gateway.store import console as store
from keys.selftest import report

PAGE = 50
BOOK_READERS = frozenset({Role.AUDIT_ADMIN, Role.AUDITOR, Role.POLICY_OWNER, Role.SECURITY_ADMIN})
_COUNTED = (("cases", "state"), ("consents", "state"), ("reviews", "state"), ("notices", "state"))
_MORE = (("propagations", "state"), ("rights_requests", "state"), ("outbox", "state"))


@door("GET", "/parties", roles=ADMINISTRATORS, does="Clients and edges", menu="system")
async def parties(visit: Visit) -> Response:
    """Clients by pages, by name; edges."""
    registry = visit.house.registry.current
    department, after = visit.query("department"), visit.query("after")
    if department and department not in set(map(str, Department)):
        raise Refused("form_invalid")
    known = [name for name, one in registry.clients.items() if department in ("", one.party.department)]
    names = heapq.nsmallest(PAGE + 1, (name for name in known if name > after))
    part = visit.request.headers.get("hx-request") == "true" and bool(after)
    return visit.page(
        "_client_rows.html" if part else "parties.html",
        organisations=registry.organisations,
        clients=[registry.clients[name] for name in names[:PAGE]],
        found=len(known),
        more=names[PAGE - 1] if len(names) > PAGE else "",
        department=department,
        departments=visit.tongue.words("department"),
        edges=sorted(registry.edges, key=lambda one: (str(one.party.department), one.region_prefix)),
        stopped={target for kind, target in registry.stopped if kind == "client"},
    )


@door("GET", "/parties.csv", roles=ADMINISTRATORS, does="Clients as CSV")
async def parties_csv(visit: Visit) -> Response:
    """Every client as a file."""
    registry = visit.house.registry.current
    lines = (
        [one.client_id, one.party.department, one.party.organisation, one.region, one.enabled, one.thumbprint]
        for _, one in sorted(registry.clients.items())
    )
    return csv_answer("clients", ("client", "department", "organisation", "region", "enabled", "key"), lines)


@door("GET", "/keys", roles=ADMINISTRATORS, does="Keys", menu="system")
async def keys(visit: Visit) -> Response:
    """States of keys, and the self-test of every primitive."""
    registry, now = visit.house.registry.current, visit.now
    return visit.page(
        "keys.html",
        senders=sorted(registry.sender_keys.values(), key=lambda one: (one.party.text, not one.active)),
        sealing=sorted(registry.sealing_keys.values(), key=lambda one: one.party.text),
        people=_people(registry, now),
        checks=await asyncio.to_thread(
            report
        ),  # a twentieth of a second of password hashing, in which others are served
        organisations=registry.organisations,
        order_kid=visit.house.order_key.verify_key.thumbprint,
        log_vkey=visit.house.log.signer.verifier.vkey,
    )


def _people(registry: Any, now: int) -> dict[str, tuple[int, int, int]]:
    """Department -> (people's keys in force, ended, disabled). No names: who works where is no business of this page."""
    found: dict[str, tuple[int, int, int]] = {}
    for one in registry.people.values():
        good, ended, disabled = found.get(str(one.person.party.department), (0, 0, 0))
        if not one.person.enabled:
            disabled += 1
        elif one.valid_until <= now:
            ended += 1
        else:
            good += 1
        found[str(one.person.party.department)] = (good, ended, disabled)
    return found


@door("GET", "/book", roles=BOOK_READERS, does="Cases, consents, approvals", menu="policy")
async def book(visit: Visit) -> Response:
    """The basis room in numbers."""
    async with visit.house.database.read() as reading:
        counted = {table: await store.counts(reading, table, column) for table, column in (*_COUNTED, *_MORE)}
        approvals = await store.approvals_in_force(reading, visit.now * 1_000_000)
        consents = await store.counts(reading, "consents", "exchange")
    return visit.page("book.html", counted=counted, approvals=approvals, consents=consents)


@door("GET", "/settings", roles=frozenset({Role.SYSTEM_ADMIN}), does="Settings", menu="system")
async def settings(visit: Visit) -> Response:
    """Every setting with its value and where it came from."""
    current = visit.console.settings
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(current, name)
        if isinstance(value, SecretStr):
            shown = "●●●●" if value.get_secret_value() else ""
        elif name == "database" and value:
            shown = visit.house.database.url.render_as_string(hide_password=True)
        else:
            shown = str(value if value is not None else "")
        rows.append((f"RUNXIN_{name.upper()}", shown, str(field.description), _source(current, name)))
    return visit.page("settings.html", rows=rows)


def _source(current: Settings, name: str) -> str:
    if f"RUNXIN_{name.upper()}" in os.environ:
        return "environment"
    return "file" if name in current.model_fields_set else "default"
