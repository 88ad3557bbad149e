"""The story of the demo, steps a to h; each event says what was expected and what happened.

Rules kept here: every event goes through the SDK or the command line, as a department's own would; the summary only repeats what the
participants saw, and is checked elsewhere against the log, the inboxes and the systems' own logs; children are told apart by
the roles of `cast.py`, never by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.base.exchange_file import read as read_exchanges
from adapters.sandbox.cast import Cast
from adapters.sandbox.demo import example
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.joins import joined_children
from adapters.sandbox.demo.site import Site
from adapters.sandbox.demo.stage import Stage
from adapters.sandbox.demo.telling import Teller
from adapters.sandbox.population import Child
from gateway.client.errors import GatewayRefused
from gateway.client.sending import NothingPermitted
from gateway.client.sync import RunxinClient
from gateway.domain.orders import FieldValue
from gateway.domain.vocabulary import AgeBand, Level, Profile


class Sends(Protocol):
    """Whoever has sent something and may ask what became of it."""

    def client(self) -> RunxinClient:
        """A fresh SDK client."""
        ...


Outcome = tuple[str, int | None, Sequence[str]]
"""How an event ended: status, index of its entry where there is one, names of the fields that it was about."""

SLICE = 60
"""Children of the register slice in step d."""

X13_FIELDS = ("register_id", "plan_id", "entry_reasons", "responsible_department", "status", "next_action_due")


@dataclass(slots=True)
class Story:
    """Tells the steps and keeps the summary."""

    stage: Stage
    teller: Teller
    rows: list[dict[str, Any]] = field(default_factory=list)
    inboxes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        """Who takes part."""
        return self.stage.site

    @property
    def good(self) -> bool:
        """Whether every event ended as expected."""
        return all(row["expected"] == row["status"] for row in self.rows)

    def desk(self, name: str, person: str | None = None, function: str = "") -> Desk:
        """A body's system with an officer."""
        officer = self.site[name].officer(person, function) if person else None
        return Desk(
            self.site,
            name,
            self.stage.gateway,
            str(self.stage.public["log"]),
            self.stage.folder / "exchanges.json",
            officer,
        )

    def event(
        self,
        step: str,
        what: str,
        exchange: str,
        caller: str,
        provider: str,
        expected: str,
        act: Callable[[], Outcome],
        role: str = "",
    ) -> str:
        """Do one thing, compare, tell, note."""
        try:
            status, receipt, fields = act()
        except GatewayRefused as refused:
            status, receipt, fields = refused.code, None, ()
        except NothingPermitted as refused:
            status, receipt, fields = next(iter(refused.denied.values())), None, ()
        self.teller.told(what, expected, status, receipt)
        self.rows.append(
            {
                "step": step,
                "exchange": exchange,
                "caller": caller,
                "provider": provider,
                "expected": expected,
                "status": status,
                "receipt_index": receipt,
                "fields": sorted(fields),
                "role": role,
            }
        )
        return status

    def sending(
        self,
        step: str,
        what: str,
        exchange: str,
        caller: str,
        expected: str,
        act: Callable[[], Outcome],
        role: str = "",
        provider: str | None = None,
    ) -> str:
        """An event that hands something in; where it would be seen and may not be, it is refused whatever else were the case."""
        expected = "sighted_refused" if self.refused_as_sighted(exchange) else expected
        return self.event(step, what, exchange, caller, caller if provider is None else provider, expected, act, role)

    def arrival(
        self,
        step: str,
        what: str,
        exchange: str,
        caller: str,
        provider: str,
        expected: str,
        act: Callable[[], Outcome],
        role: str = "",
    ) -> None:
        """An event that follows from a sending; not told where the sending was to be refused."""
        if not self.refused_as_sighted(exchange):
            self.event(step, what, exchange, caller, provider, expected, act, role)

    def refused_as_sighted(self, exchange: str) -> bool:
        """Whether embedded adapters may not take part in this exchange."""
        if not self.stage.embedded:
            return False
        asked = read_exchanges(self.stage.folder / "exchanges.json")[exchange]
        return asked.profile is Profile.D0 or asked.level is Level.L5

    def save(self) -> None:
        """`.demo/summary.json`, and what the recipients opened, for the independent re-derivation."""
        (self.stage.folder / "summary.json").write_text(json.dumps(self.rows, indent=1, ensure_ascii=False), "utf-8")


# --- a, b: asking ---------------------------------------------------------------------------------------------------------


def asked(
    desk: Desk, exchange: str, purpose: str, child: Child, case: str | None, fields: Sequence[str] | None = None
) -> Outcome:
    """Ask through the SDK; the receipt is checked against the log before it counts."""
    with desk.client() as client:
        answer = client.ask(exchange, purpose, identifier=desk.identifier(child), case=case, fields=fields)
        client.check_receipt(answer.receipt)
        return "released", answer.receipt.index, list(answer.values)


def approved_case(
    desk: Desk, child: Child, exchanges: Sequence[str], approver: str, band: AgeBand | None = None
) -> str:
    """A case with a signed approval for the desk's officer."""
    assert desk.officer is not None
    case = desk.open_case(child, exchanges, [desk.party], band)
    desk.approve(case, approver, desk.officer.person_id, exchanges)
    return case


def step_a(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X02: civil affairs learns whether a child is enrolled, with an open case."""
    desk = desks["ca"]
    case = approved_case(desk, roles.pupil, ["X02"], "M0900")
    story.event(
        "a", "X02", "X02", "ca", "ed", "released", lambda: asked(desk, "X02", "P14", roles.pupil, case), role="pupil"
    )
    example.leave(desk, roles.pupil, case)


def step_b(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X01: education verifies a status and gets the one class that its purpose needs."""
    desk = desks["ed"]
    case = approved_case(desk, roles.pupil, ["X01"], "J0900")
    story.event(
        "b", "X01", "X01", "ed", "ca", "released", lambda: asked(desk, "X01", "P06", roles.pupil, case), role="pupil"
    )


# --- c: sending -------------------------------------------------------------------------------------------------------------


def warning(contacted: bool) -> dict[str, FieldValue]:
    """A school psychologist's early warning."""
    values: dict[str, FieldValue] = {
        "risk_band": "warning",
        "urgency": "soon",
        "observed_from": "2026-11-16",
        "guardian_contacted": "Y" if contacted else "N",
        "school_contact": "0571-88880000",
    }
    if contacted:
        values["guardian_contacted_at"] = "2026-11-20T17:30:00+08:00"
    return values


def sent(
    desk: Desk,
    exchange: str,
    purpose: str,
    recipient: Desk,
    records: Sequence[tuple[Child, Mapping[str, FieldValue]]],
    **extra: Any,
) -> Outcome:
    """Send through the SDK: accepted with a receipt and the names of the fields that went, or refused by code."""
    made = desk.send(exchange, purpose, recipient.party, records, **extra)
    went = {
        name
        for number in made.delivered
        for name in records[number - 1][1]
        if name not in made.withheld.get(number, {})
    }
    return "accepted", made.receipt.index, sorted(went)


def final_state(desk: Sends, exchange: str, *, seconds: float = 120.0) -> Outcome:
    """What became of the desk's newest delivery of an exchange, once it is no longer under way."""
    deadline = time.monotonic() + seconds
    state = "none"
    with desk.client() as client:
        while time.monotonic() < deadline:
            mine = [row for row in client.deliveries() if row["exchange"] == exchange]
            state = mine[0]["state"] if mine else "none"
            if state not in ("waiting", "delivered"):
                break
            time.sleep(0.3)
    return state, None, ()


def step_c(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X05 from a school: refused without guardian contact; with it delivered sealed, acknowledged."""
    school, civil = desks["sc"], desks["ca"]
    school.consent_to_warning(roles.pupil, AgeBand.A8_13, "granted")
    story.sending(
        "c",
        "X05, guardian not contacted",
        "X05",
        "sc",
        "guardian_not_contacted",
        lambda: sent(school, "X05", "P01", civil, [(roles.pupil, warning(contacted=False))]),
        role="pupil",
    )
    story.sending(
        "c",
        "X05, guardian contacted",
        "X05",
        "sc",
        "accepted",
        lambda: sent(school, "X05", "P01", civil, [(roles.pupil, warning(contacted=True))]),
        role="pupil",
    )
    story.arrival("c", "X05, recipient", "X05", "ca", "sc", "acknowledged", lambda: final_state(school, "X05"))


# --- d: the register ----------------------------------------------------------------------------------------------------------


_REASONS = {
    "01": "family_crisis",
    "02": "single_parent",
    "03": "exam_pressure",
    "04": "hardship",
    "05": "lack_of_care",
    "06": "migrant_or_left_behind",
    "07": "psychological",
    "08": "self_reported",
}
_DEPARTMENTS = {
    "MZ": "civil_affairs",
    "JY": "education",
    "WJ": "health",
    "TW": "youth_league",
    "FL": "womens_federation",
}
_STATUS = {"1": "active", "2": "paused", "3": "closed"}


def register_line(child: Child) -> dict[str, FieldValue]:
    """A line of civil affairs' register in the catalogue's words."""
    assert child.care is not None
    return {
        "register_id": child.care.register_id,
        "plan_id": child.care.plan_id,
        "entry_reasons": [_REASONS[code] for code in child.care.reasons],
        "responsible_department": _DEPARTMENTS[child.care.responsible],
        "status": _STATUS[child.care.status],
        "next_action_due": child.care.next_action.isoformat(),
    }


def step_d(story: Story, _roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X13: open for education, closed for a youth-league client that has an inbox and no directory."""
    civil, education, league = desks["ca"], desks["ed"], desks["yl"]
    listed = story.stage.population.where(
        lambda c: c.care is not None and c.county == "330106" and (c.identifier is not None)
    )[:SLICE]
    records = [(child, register_line(child)) for child in listed]
    for number, child in enumerate(listed):
        band = child.band(story.stage.population.on)
        civil.consent(
            child,
            exchange="X13",
            purpose="P04",
            recipients=["youth_league"],
            fields=X13_FIELDS,
            band=band,
            child_grant="granted" if band.view_recorded else "not_asked",
        )
        story.teller.progress("X13", number + 1, len(listed))
    story.teller.progress_done()
    story.event(
        "d", "X13 -> education", "X13", "ca", "ca", "accepted", lambda: sent(civil, "X13", "P04", education, records)
    )
    story.event("d", "X13, education's edge", "X13", "ed", "ca", "acknowledged", lambda: final_state(civil, "X13"))
    story.event(
        "d", "X13 -> youth league", "X13", "ca", "ca", "accepted", lambda: sent(civil, "X13", "P04", league, records)
    )
    story.event("d", "X13, youth league's inbox", "X13", "yl", "ca", "opened", lambda: take_inbox(story, league))
    theirs = [row for row in story.inboxes["yl"] if row["exchange"] == "X13"]
    ours = [{"subject": child.civil_key, **line} for child, line in records]
    found = joined_children(ours, theirs)
    story.event(
        "d", "equality joins that find a child", "X13", "yl", "ca", "0", lambda: (str(len(found)), None, sorted(found))
    )
    planted = [{**row, "plan_id": line["plan_id"]} for row, (_, line) in zip(theirs, records, strict=False)]
    caught = joined_children(ours, planted)
    story.event(
        "d",
        "a planted raw plan_id is found",
        "X13",
        "yl",
        "ca",
        "plan_id",
        lambda: ("plan_id" if "plan_id" in caught else "missed", None, ()),
    )


def take_inbox(story: Story, desk: Desk) -> Outcome:
    """Take, open and acknowledge what waits; what was opened is kept for the join test and the re-derivation."""
    rows = story.inboxes.setdefault(desk.name, [])
    index = None
    with desk.client() as client:
        for received in client.inbox(wait=5):
            for record in client.open(received):
                rows.append(
                    {
                        "exchange": received.exchange,
                        "subject": record.subject or "",
                        **dict(record.references),
                        **dict(record.values),
                    }
                )
            client.acknowledge(received.delivery)
            index = received.entry
    names = {name for row in rows for name in row} - {"exchange", "subject"}
    (story.stage.folder / f"inbox-{desk.name}.json").write_text(json.dumps(rows, ensure_ascii=False), "utf-8")
    return ("opened" if rows else "empty"), index, sorted(names)
