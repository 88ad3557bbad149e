"""What an officer at a desk does in the demo, through the SDK: cases, approvals, consents, asking, sending.

Rules kept here: nothing but the public SDK is used; every statement is signed with the key of the person whose word it is.
"""

from __future__ import annotations

import hashlib
import time
from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from adapters.base.exchange_file import read as read_exchanges
from adapters.sandbox.demo.site import Site
from adapters.sandbox.population import Child
from gateway.client import statements
from gateway.client.configuration import OfficerKey
from gateway.client.core import outbound
from gateway.client.sync import RunxinClient
from gateway.domain.orders import FieldValue
from gateway.domain.parties import Party
from gateway.domain.vocabulary import AgeBand, Door
from keys.signing import SigningKey

DAY = 86_400
X05_FIELDS = ("risk_band", "urgency", "observed_from", "guardian_contacted", "guardian_contacted_at", "school_contact")


@dataclass(frozen=True, slots=True)
class Desk:
    """One body's system with one officer behind it."""

    site: Site
    name: str
    gateway: str
    log_vkey: str
    exchanges: Path
    officer: OfficerKey | None

    def client(self) -> RunxinClient:
        """A fresh SDK client (its own token and assertion)."""
        configuration = self.site.configuration(self.name, self.gateway, officer=self.officer, log_vkey=self.log_vkey)
        return RunxinClient(configuration, exchanges=read_exchanges(self.exchanges))

    def acting_as(self, officer: OfficerKey | None) -> Desk:
        """The same system with another officer."""
        return replace(self, officer=officer)

    @property
    def party(self) -> Party:
        """For whom it speaks."""
        return self.site[self.name].party

    def identifier(self, child: Child) -> tuple[str, str]:
        """The child's identifier as this body knows it."""
        if child.identifier is None:
            return ("issued", child.issued or "")
        return ("cn-rid", child.identifier)

    def open_case(self, child: Child, exchanges: Sequence[str], parties: Sequence[Party], band: AgeBand | None) -> str:
        """Open a case; the reference in this department's form."""
        with self.client() as client:
            return client.open_case(
                identifier=self.identifier(child),
                exchanges=exchanges,
                parties=parties,
                region=child.county,
                age_band=band,
            )

    def approve(self, case: str, approver: str, officer: str, exchanges: Sequence[str]) -> str:
        """An approver of the body signs; the system carries it in."""
        now = int(time.time())
        body = self.site[self.name]
        subject = statements.case_access(
            case=case,
            officer_id=officer,
            organisation=body.party.organisation,
            exchanges=exchanges,
            from_=now - 60,
            until=now + 29 * DAY,
        )
        signed = statements.approval(approver, body.party, body.people[approver], subject=subject, now=now)
        with self.client() as client:
            return client.hand_in_approval(signed)

    def consent(
        self,
        child: Child,
        *,
        exchange: str,
        purpose: str,
        recipients: Sequence[str],
        fields: Sequence[str],
        band: AgeBand,
        child_grant: str,
    ) -> str:
        """Record what guardian and child said, signed by the officer who heard it."""
        assert self.officer is not None
        now = int(time.time())
        artefact: dict[str, Any] = {
            "exchange": exchange,
            "purpose": purpose,
            "recipients": list(recipients),
            "fields": sorted(fields),
            "age_band": str(band),
            "grantor": "guardian",
            "relation": child.guardians[0].relation,
            "guardian": f"g-{child.family:05d}",
            "child_grant": child_grant,
            "method": "in_person",
            "given": now,
            "ends": month_end(date.today(), 6).isoformat(),
            "notice_version": "2026-1",
            "evidence_digest": hashlib.sha256(f"{exchange}{child.number}{now}".encode()).hexdigest(),
        }
        signed = statements.consent_statement(
            self.officer.person_id, self.party, self.officer.key, artefact=artefact, now=now
        )
        with self.client() as client:
            return client.record_consent(signed, identifier=self.identifier(child))

    def consent_to_warning(self, child: Child, band: AgeBand, child_grant: str) -> str:
        """Record a consent to a school's early warning (X05) going to civil affairs."""
        return self.consent(
            child,
            exchange="X05",
            purpose="P01",
            recipients=["civil_affairs"],
            fields=X05_FIELDS,
            band=band,
            child_grant=child_grant,
        )

    def send(
        self,
        exchange: str,
        purpose: str,
        recipient: Party,
        records: Sequence[tuple[Child, Mapping[str, FieldValue]]],
        *,
        door: Door = Door.NORMAL,
        reason: str | None = None,
    ) -> Any:
        """Send records of children to a recipient."""
        with self.client() as client:
            return client.send(
                exchange,
                purpose,
                recipient=recipient,
                records=[
                    outbound(values, identifier=self.identifier(child), region=child.county)
                    for child, values in records
                ],
                door=door,
                reason=reason,
            )


def month_end(day: date, months: int) -> date:
    """The last day of the month `months` later."""
    total = day.year * 12 + day.month - 1 + months
    year, month = divmod(total, 12)
    return date(year, month + 1, monthrange(year, month + 1)[1])


def enrol_people(
    site: Site, gateway: str, log_vkey: str, exchanges: Path, people: Mapping[str, Mapping[str, Sequence[str]]]
) -> int:
    """Every body's people administrator signs for its people; the body's system carries the statements in."""
    count = 0
    for name, persons in people.items():
        body = site[name]
        desk = Desk(site, name, gateway, log_vkey, exchanges, None)
        with desk.client() as client:
            for person, functions in persons.items():
                statement = statements.person_key_statement(
                    f"{name}-admin",
                    body.admin_key,
                    person_id=person,
                    party=body.party,
                    functions=functions,
                    person_key=body.people[person].verify_key,
                    now=int(time.time()),
                )
                client.enrol_person(statement)
                count += 1
    return count


def enrolment_grant(
    site: Site, name: str, gateway: str, log_vkey: str, exchanges: Path, size: int, approvers: Sequence[str]
) -> str:
    """Two approvers sign for the size of a register; the edge gets the grant's id."""
    body = site[name]
    now = int(time.time())
    subject = statements.enrolment_grant(party=body.party, size=size, until=now + DAY - 600)
    signed = [
        statements.approval(person, body.party, key_of(site, name, person), subject=subject, now=now, lifetime=DAY)
        for person in approvers
    ]
    desk = Desk(site, name, gateway, log_vkey, exchanges, None)
    with desk.client() as client:
        return client.enrolment_grant(signed)


def key_of(site: Site, name: str, person: str) -> SigningKey:
    """A person's signing key."""
    return site[name].people[person]
