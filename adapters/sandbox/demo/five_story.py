"""Steps i to n: referral, receipt, discharge, follow-up, hotline and harm clue, and five names of one child.

Rules kept here: as in the first half, every event goes through the SDK or a department's own edge and says what was expected; what
the departmental systems got is read from the systems themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from adapters.base.exchange_file import read as read_exchanges
from adapters.base.mapping import load as load_mapping
from adapters.base.source import Record, Wanted
from adapters.sandbox import fhir_data
from adapters.sandbox.cast import Cast
from adapters.sandbox.demo.auditing import step_o
from adapters.sandbox.demo.departments import DEPARTMENTS, SECRET, WEBHOOK_SECRET
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.site import OFFICERS, local_token
from adapters.sandbox.demo.stage import Stage
from adapters.sandbox.demo.story import Outcome, Story, final_state, sent, take_inbox
from adapters.sandbox.population import Child
from adapters.youth_league.register import VendorRegister
from gateway.client.configuration import load
from gateway.client.core import outbound
from gateway.client.sync import RunxinClient
from gateway.domain.orders import FieldValue
from gateway.domain.vocabulary import AgeBand, Door

_RELATION = {"51": "51", "52": "52", "61": "61", "62": "62"}


def desks_of(story: Story) -> dict[str, Desk]:
    """Who sits where in the second half."""
    return {
        "sc": story.desk("sc", "T0417", "school_psychologist"),
        "ca": story.desk("ca", "M0102", "child_supervisor"),
        "ed": story.desk("ed", "J0201", "case_worker"),
        "he": story.desk("he", *OFFICERS["he"]),
        "yl": story.desk("yl", *OFFICERS["yl"]),
        "wf": story.desk("wf", *OFFICERS["wf"]),
        "publisher": story.desk("yl", "Q0301", "case_worker"),
    }


def consented(story: Story, desk: Desk, child: Child, exchange: str, purpose: str, recipient: str) -> None:
    """What guardian and child said to an exchange, recorded by the department that sends."""
    band = child.band(story.stage.population.on)
    desk.consent(
        child,
        exchange=exchange,
        purpose=purpose,
        recipients=[recipient],
        fields=fields_of(story.stage, exchange),
        band=band,
        child_grant="granted" if band is not AgeBand.A0_7 else "not_asked",
    )


def by_edge(
    story: Story, name: str, exchange: str, purpose: str, to: Desk, child: Child, door: str = "normal"
) -> Callable[[], Outcome]:
    """A sending that the department's own system asks of its edge; the edge reads the values from the system itself. Without an edge
    the system would send by itself, and hears before it has any value to hand in whether it may.
    """
    if story.stage.embedded:
        reason = "violence" if door == "protective" else None
        desk = story.desk(name, *OFFICERS[name])
        return lambda: sent(desk, exchange, purpose, to, [(child, {})], door=Door(door), reason=reason)

    def act() -> Outcome:
        answer = local_send(
            story.stage,
            name,
            {
                "exchange": exchange,
                "purpose": purpose,
                "door": door,
                "recipient": to.party.text,
                "key": f"demo-{exchange}-{name}-{child.number}",
                "records": [{"record": DEPARTMENTS[name].record(child)}],
                **({"reason": "violence"} if door == "protective" else {}),
            },
        )
        return accepted(answer.json())

    return act


def accepted(said: Mapping[str, Any]) -> Outcome:
    """The outcome of an edge's answer."""
    if "delivery" not in said:
        return str(said.get("code", "queued")), None, ()
    return "accepted", int(said["receipt"].split()[1]), ()


@dataclass(frozen=True, slots=True)
class EdgeDesk:
    """An edge as a client of the gateway: whoever sends through it asks it what became of a sending."""

    story: Story
    name: str

    def client(self) -> RunxinClient:
        """A fresh SDK client with the edge's own configuration."""
        stage = self.story.stage
        configuration = load(stage.folder / "bodies" / self.name / "client.toml")
        return RunxinClient(configuration, exchanges=read_exchanges(stage.folder / "exchanges.json"))


def acknowledged(story: Story, step: str, exchange: str, sender: Desk | EdgeDesk, caller: str, provider: str) -> None:
    """The recipient's own system has it."""
    what = f"{exchange}, recipient"
    story.arrival(step, what, exchange, caller, provider, "acknowledged", lambda: final_state(sender, exchange))


# --- i, j: to the hospital and back ------------------------------------------------------------------------------------------


def referral(child: Child) -> dict[str, FieldValue]:
    """A school's referral of a pupil."""
    guardian = child.guardians[0]
    return {
        "case_id": "GA-2026-0031",
        "child_name": child.name,
        "child_id_type": "resident",
        "child_id_number": child.identifier or "",
        "sex": child.sex,
        "birth_date": child.born.isoformat(),
        "guardian_name": guardian.name,
        "guardian_relation": _RELATION.get(guardian.relation, "97"),
        "guardian_phone": guardian.phone,
        "reason_codes": ["screening_positive", "warning"],
        "risk_band": "warning",
        "scale": "phqa",
        "scale_total": 14,
        "scale_band": "moderate",
        "scale_date": "2026-11-10",
        "safety_flag": "N",
    }


def step_i(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X08: a referral becomes a ServiceRequest and a Task in the hospital."""
    school, hospital = desks["sc"], desks["he"]
    consented(story, school, roles.pupil, "X08", "P02", "health")
    story.sending(
        "i",
        "X08, school -> hospital",
        "X08",
        "sc",
        "accepted",
        lambda: sent(school, "X08", "P02", hospital, [(roles.pupil, referral(roles.pupil))]),
        role="pupil",
    )
    acknowledged(story, "i", "X08", school, "he", "sc")
    story.arrival(
        "i",
        "FHIR Task in the hospital",
        "X08",
        "he",
        "he",
        "Task requested",
        lambda: (task_state(story.stage, roles.pupil), None, ()),
        role="pupil",
    )


def task_state(stage: Stage, child: Child) -> str:
    """The hospital's newest task about a patient, asked over FHIR."""
    bundle = httpx2.post(
        f"{stage.addresses['health']}/Task/_search",
        content=f"patient=Patient/{DEPARTMENTS['he'].record(child)}",
        headers={"Authorization": f"Bearer {SECRET}"},
        timeout=60,
        trust_env=False,
    ).json()
    entries = bundle.get("entry", [])
    return f"Task {entries[0]['resource']['status']}" if entries else "no Task"


def staff(stage: Stage, child: Child, event: str, days: int) -> None:
    """The hospital's staff books or discharges."""
    on = stage.population.on + timedelta(days=days)
    httpx2.post(
        stage.addresses["health"].removesuffix("/fhir") + "/desk",
        json={"patient": DEPARTMENTS["he"].record(child), "event": event, "on": on.isoformat()},
        headers={"Authorization": f"Bearer {SECRET}"},
        timeout=60,
        trust_env=False,
    ).raise_for_status()


def step_j(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X09: booked, and the school learns it, without a diagnosis."""
    school, hospital = desks["sc"], desks["he"]
    staff(story.stage, roles.pupil, "booked", 25)
    consented(story, hospital, roles.pupil, "X09", "P02", "education")
    story.sending(
        "j",
        "X09, hospital -> school",
        "X09",
        "he",
        "accepted",
        by_edge(story, "he", "X09", "P02", school, roles.pupil),
        role="pupil",
    )
    story.arrival("j", "X09, school's inbox", "X09", "sc", "he", "opened", lambda: take_inbox(story, school))
    rows = [row for row in story.inboxes.get("sc", []) if row["exchange"] == "X09"]
    text = json.dumps(rows, ensure_ascii=False)
    secrets = (*fhir_data.DIAGNOSES, fhir_data.DIAGNOSIS_TEXT, fhir_data.DRUG_TEXT, fhir_data.WARD_TEXT, "diagnosis")
    story.arrival(
        "j",
        "diagnosis, drug, ward",
        "X09",
        "sc",
        "he",
        "none",
        lambda: ("none" if rows and not any(s in text for s in secrets) else "found", None, ()),
    )


# --- k, l: back home ------------------------------------------------------------------------------------------------------------


def step_k(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X10 discharge to civil affairs, X12 follow-up back to the hospital, X23 guidance for the family."""
    hospital, civil, federation = desks["he"], desks["ca"], desks["wf"]
    staff(story.stage, roles.pupil, "discharged", 26)
    consented(story, hospital, roles.pupil, "X10", "P03", "civil_affairs")
    story.sending(
        "k",
        "X10, hospital -> civil affairs",
        "X10",
        "he",
        "accepted",
        by_edge(story, "he", "X10", "P03", civil, roles.pupil),
        role="pupil",
    )
    acknowledged(story, "k", "X10", EdgeDesk(story, "he"), "ca", "he")
    consented(story, civil, roles.pupil, "X12", "P03", "health")
    visit: dict[str, FieldValue] = {
        "case_id": "GA-2026-0031",
        "visit_date": "2026-12-10",
        "mode": "visit",
        "functioning": "3",
        "observations": ["stable"],
        "safety_flag": "N",
        "next_due": "2027-01-10",
    }
    story.sending(
        "k",
        "X12, civil affairs -> hospital",
        "X12",
        "ca",
        "accepted",
        lambda: sent(civil, "X12", "P03", hospital, [(roles.pupil, visit)]),
        role="pupil",
    )
    acknowledged(story, "k", "X12", civil, "he", "ca")
    consented(story, civil, roles.pupil, "X23", "P12", "womens_federation")
    ticket: dict[str, FieldValue] = {
        "ticket_id": "PD-2026-0009",
        "guardian_name": roles.pupil.guardians[0].name,
        "guardian_phone": roles.pupil.guardians[0].phone,
        "topic_codes": ["companionship", "emotion"],
    }
    story.sending(
        "k",
        "X23, civil affairs -> women's federation",
        "X23",
        "ca",
        "accepted",
        lambda: sent(civil, "X23", "P12", federation, [(roles.pupil, ticket)]),
        role="pupil",
    )
    acknowledged(story, "k", "X23", civil, "wf", "ca")


def step_l(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X18: an operator of 12355 hands a case over; the vendor's webhook starts it, and a repeat sends nothing again."""
    league, hospital = desks["yl"], desks["he"]
    consented(story, league, roles.pupil, "X18", "P02", "health")

    def hand_over() -> Outcome:
        answer = httpx2.post(
            story.stage.addresses["youth_league"] + "/call",
            json={
                "url": story.stage.addresses["yl_local"] + "/local/webhook",
                "secret": WEBHOOK_SECRET,
                "id": "evt-0001",
                "event": {
                    "type": "case.handover",
                    "client": DEPARTMENTS["yl"].record(roles.pupil),
                    "recipient": hospital.party.text,
                },
            },
            headers={"Authorization": f"Bearer {SECRET}"},
            timeout=60,
            trust_env=False,
        )
        return accepted(answer.json()["body"])

    act = hand_over if not story.stage.embedded else by_edge(story, "yl", "X18", "P02", hospital, roles.pupil)
    story.sending("l", "X18, 12355 -> hospital", "X18", "yl", "accepted", act, role="pupil")
    acknowledged(story, "l", "X18", EdgeDesk(story, "yl"), "he", "yl")

    def repeated() -> Outcome:
        hand_over()
        with EdgeDesk(story, "yl").client() as client:
            return f"{sum(row['exchange'] == 'X18' for row in client.deliveries())} delivery", None, ()

    story.arrival("l", "the same webhook again", "X18", "yl", "yl", "1 delivery", repeated, role="pupil")


def step_m(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """X19: a harm clue from last night's 12338 file, through the protective door."""
    federation, civil = desks["wf"], desks["ca"]
    child = roles.pupil
    story.sending(
        "m",
        "X19, women's federation -> civil affairs",
        "X19",
        "wf",
        "accepted",
        by_edge(story, "wf", "X19", "P07", civil, child, door="protective"),
        role="pupil",
    )
    acknowledged(story, "m", "X19", EdgeDesk(story, "wf"), "ca", "wf")
    story.event(
        "m",
        "X16, directory of care, youth league -> women's federation",
        "X16",
        "yl",
        "yl",
        "accepted",
        lambda: published(story, desks["publisher"], federation),
    )


def published(story: Story, league: Desk, to: Desk) -> Outcome:
    """Two services of the city's directory, read from the vendor's platform as the edge reads it, sent by a case worker."""
    exchanges = read_exchanges(story.stage.folder / "exchanges.json")
    mapping = load_mapping(Path(__file__).parents[2] / "youth_league" / "mapping.toml", exchanges)

    async def read() -> Mapping[str, Record]:
        register = VendorRegister(story.stage.addresses["youth_league"], SECRET, mapping)
        try:
            fields = frozenset(mapping.exchanges["X16"].fields)
            return await register.read(Wanted("X16", ("S3301060", "S3301062"), fields))
        finally:
            await register.close()

    records = [outbound(record.values, region=record.region) for record in asyncio.run(read()).values()]
    with league.client() as client:
        made = client.send("X16", "P05", recipient=to.party, records=records)
    return "accepted", made.receipt.index, sorted({name for record in records for name in record.values})


def step_n(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """One child, five departments, five names that have nothing in common."""
    names: dict[str, str] = {}

    def five_names() -> Outcome:
        for name in ("ca", "ed", "he", "yl", "wf"):
            desk = desks[name]
            with desk.client() as client:
                (names[name],) = client.pseudonyms([desk.identifier(roles.pupil)])
        bodies = {text.rpartition("1")[2] for text in names.values()}
        return f"{len(bodies)} different", None, ()

    story.event("n", "names of one child in five departments", "", "all", "", "5 different", five_names, role="pupil")
    for name, text in names.items():
        story.teller.note(f"{story.site[name].zh}：{text[:14]}…", f"{name}: {text[:14]}…")


def local_send(stage: Stage, name: str, request: dict[str, object]) -> httpx2.Response:
    """What a department's own system asks of its edge."""
    return httpx2.post(
        f"{stage.addresses[f'{name}_local']}/local/send",
        json=request,
        headers={"Local-Token": local_token(name)},
        timeout=60,
        trust_env=False,
    )


def fields_of(stage: Stage, exchange: str) -> list[str]:
    """The catalogue's fields of an exchange, for a consent."""
    return sorted(read_exchanges(stage.folder / "exchanges.json")[exchange].fields)


def tell_five(story: Story, roles: Cast) -> None:
    """The second half."""
    story.teller.say("five")
    desks = desks_of(story)
    for chapter in (step_i, step_j, step_k, step_l, step_m, step_n):
        story.teller.chapter(chapter.__name__[-1])
        chapter(story, roles, desks)
    story.teller.chapter("o")
    step_o(story, roles, story.desk("ca", "M0990", "auditor"))
