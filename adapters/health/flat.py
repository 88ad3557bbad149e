"""A hospital's resources as flat rows: local column -> value. What has no column here stays in the hospital.

A row is a patient with its newest referral (`Task`) or its newest finished stay (`Encounter` with `Observation`s):
    patient region birth | case_number business_status booked_for review_on advice |
    returns_to returns_on support_level warning_signs medication emergency_phone follow_up_due | diagnosis

Rules kept here: free text (`note`, `reasonCode.text`, `display`, narratives), drug names and ward names are never looked at; a
diagnosis is read only where its column was asked for, and then its code alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]

IDENTITY = {"resident": "urn:oid:2.16.156.10011.1.3", "issued": "urn:runxin:issued-number"}
"""Identifier systems: the citizen number's object identifier in Chinese health standards; numbers issued by civil affairs."""
REGION = "urn:oid:2.16.156.10011.2.3.4.1"
"""GB/T 2260 in `Address.extension`; `Address.district` where a system has no extension."""

REFERRAL = frozenset({"case_number", "business_status", "booked_for", "review_on", "advice"})
STAY = frozenset(
    {
        "case_number", "returns_to", "returns_on", "support_level", "warning_signs", "medication", "emergency_phone",
        "follow_up_due", "diagnosis",
    }
)  # fmt: skip
OBSERVED = {
    "support-level": "support_level",
    "warning-signs": "warning_signs",
    "medication-reminder": "medication",
    "emergency-phone": "emergency_phone",
    "follow-up-due": "follow_up_due",
}
"""Code of an Observation -> column."""


def patient(resource: Any) -> Row:
    """Key, region and birth date. A patient without a region gives no "region", so that the reader refuses the row."""
    row: Row = {"patient": resource.id}
    for address in resource.address or ():
        code = next((e.valueCode or e.valueString for e in address.extension or () if e.url == REGION), None)
        if code or address.district:
            row["region"] = str(code or address.district)
            break
    if resource.birthDate is not None:
        row["birth"] = resource.birthDate
    return row


def numbers(resource: Any) -> dict[str, str]:
    """Identifier name (`resident`, `issued`) -> value."""
    by_system = {i.system: i.value for i in resource.identifier or () if i.value}
    return {name: by_system[system] for name, system in IDENTITY.items() if system in by_system}


def referral(task: Any) -> Row:
    """The columns of a referral's task."""
    row: Row = {}
    if task.groupIdentifier is not None:
        row["case_number"] = task.groupIdentifier.value
    if (status := code_of(task.businessStatus)) is not None:
        row["business_status"] = status
    if task.executionPeriod is not None and task.executionPeriod.start is not None:
        row["booked_for"] = task.executionPeriod.start
    for output in task.output or ():
        match code_of(output.type):
            case "next-review":
                row["review_on"] = output.valueDate
            case "advice" if (advice := code_of(output.valueCodeableConcept)) is not None:
                row["advice"] = ",".join(filter(None, (row.get("advice"), advice)))
    return row


def stay(encounter: Any, observations: Iterable[Any], columns: Sequence[str]) -> Row:
    """The columns of a finished stay and of what was observed at its end."""
    row: Row = {}
    if encounter.identifier:
        row["case_number"] = encounter.identifier[0].value
    if encounter.period is not None and encounter.period.end is not None:
        row["returns_on"] = encounter.period.end
    if encounter.hospitalization is not None:
        row["returns_to"] = code_of(encounter.hospitalization.dischargeDisposition)
    for observed in observations:
        column = OBSERVED.get(code_of(observed.code) or "")
        if column is not None:
            row[column] = _value(observed)
    if "diagnosis" in columns and encounter.reasonCode:
        row["diagnosis"] = code_of(encounter.reasonCode[0])
    return {name: value for name, value in row.items() if value is not None}


def code_of(concept: Any) -> str | None:
    """The first code of a CodeableConcept; its text and displays are not looked at."""
    coding = concept.coding if concept is not None else None
    return str(coding[0].code) if coding and coding[0].code is not None else None


def _value(observed: Any) -> Any:
    if observed.component:
        return ",".join(c for c in (code_of(part.valueCodeableConcept) for part in observed.component) if c)
    if observed.valueBoolean is not None:
        return observed.valueBoolean
    if observed.valueDateTime is not None:
        return observed.valueDateTime
    return code_of(observed.valueCodeableConcept) or observed.valueString
