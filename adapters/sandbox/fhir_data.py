"""The hospital's copy of the population as FHIR R4 resources, with what must not leave: diagnoses, drugs, wards, notes.

Rules kept here: derived from the population alone; every seventh child has a referral and every eleventh a finished stay, both with a
diagnosis, a drug and a ward in them, so that a leak would show.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from adapters.health.flat import IDENTITY, REGION
from adapters.sandbox.circles import known_to_health, patient_key
from adapters.sandbox.population import Child, Population

Resource = dict[str, Any]

DIAGNOSES = ("F32.1", "F41.1", "F43.2", "F90.0")
DIAGNOSIS_TEXT = "中度抑郁发作"
DRUG_TEXT = "盐酸舍曲林片"
WARD_TEXT = "儿少心理科三病区"
BUSINESS = ("10", "20", "30", "40", "50", "90")
_LOCAL = "urn:hospital:code"


def resources(population: Population) -> list[Resource]:
    """Patients first, then what refers to them."""
    known = [c for c in population.children if known_to_health(c)]
    made = [patient(c) for c in known]
    for child in known:
        if child.number % 7 == 0:
            made += referral(child, population)
        if child.number % 11 == 0:
            made += stay(child, population)
    return made


def patient(c: Child) -> Resource:
    """A child as a hospital keeps it."""
    identifier = [{"system": IDENTITY["resident"], "value": c.identifier}] if c.identifier else []
    if c.issued and c.known_to_civil_affairs:
        identifier.append({"system": IDENTITY["issued"], "value": c.issued})
    identifier.append({"system": "urn:hospital:card", "value": f"K{c.number:08d}"})
    return {
        "resourceType": "Patient",
        "id": patient_key(c),
        "active": True,
        "identifier": identifier,
        "name": [{"text": c.name}],
        "telecom": [{"system": "phone", "value": c.guardians[0].phone}],
        "gender": "male" if c.sex == "1" else "female",
        "birthDate": c.born.isoformat(),
        "address": [{"extension": [{"url": REGION, "valueCode": c.region}], "text": c.address, "district": c.county}],
        "contact": [{"name": {"text": c.guardians[0].name}}],
    }


def concept(code: str, text: str = "") -> Resource:
    """A CodeableConcept of the hospital's own."""
    return {"coding": [{"system": _LOCAL, "code": code}]} | ({"text": text} if text else {})


def referral(c: Child, population: Population) -> list[Resource]:
    """A referral under way."""
    key = patient_key(c)
    booked = population.on + timedelta(days=3 + c.number % 9)
    return [
        {
            "resourceType": "ServiceRequest",
            "id": f"sr-{key}",
            "status": "active",
            "intent": "order",
            "subject": {"reference": f"Patient/{key}"},
            "reasonCode": [concept(DIAGNOSES[c.number % 4], DIAGNOSIS_TEXT)],
        },
        {
            "resourceType": "Task",
            "id": f"tk-{key}",
            "status": "accepted",
            "intent": "order",
            "groupIdentifier": {"system": "urn:runxin:case", "value": f"GA{c.number:08d}"},
            "businessStatus": concept(BUSINESS[c.number % 6]),
            "for": {"reference": f"Patient/{key}"},
            "focus": {"reference": f"ServiceRequest/sr-{key}"},
            "description": f"{DIAGNOSIS_TEXT}，{DRUG_TEXT}",
            "location": {"display": WARD_TEXT},
            "executionPeriod": {"start": f"{booked.isoformat()}T09:30:00+08:00"},
            "output": [
                {"type": concept("next-review"), "valueDate": (booked + timedelta(days=28)).isoformat()},
                {"type": concept("advice"), "valueCodeableConcept": concept("11")},
                {"type": concept("advice"), "valueCodeableConcept": concept("12")},
            ],
        },
    ]


def stay(c: Child, population: Population) -> list[Resource]:
    """A finished stay and what was observed at its end."""
    key, end = patient_key(c), population.on - timedelta(days=1 + c.number % 20)
    number = f"en-{key}"
    encounter: Resource = {
        "resourceType": "Encounter",
        "id": number,
        "identifier": [{"system": "urn:runxin:case", "value": f"GA{c.number:08d}"}],
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": f"Patient/{key}"},
        "period": {"start": f"{(end - timedelta(days=30)).isoformat()}T10:00:00+08:00", "end": f"{end}T10:00:00+08:00"},
        "reasonCode": [concept(DIAGNOSES[c.number % 4], DIAGNOSIS_TEXT)],
        "location": [{"location": {"display": WARD_TEXT}}],
        "hospitalization": {"dischargeDisposition": concept("2" if c.school else "1")},
    }
    said: tuple[tuple[str, Resource], ...] = (
        ("support-level", {"valueCodeableConcept": concept("2")}),
        (
            "warning-signs",
            {
                "component": [
                    {"code": concept("sign"), "valueCodeableConcept": concept("01")},
                    {"code": concept("sign"), "valueCodeableConcept": concept("02")},
                ]
            },
        ),
        ("medication-reminder", {"valueBoolean": True, "note": [{"text": DRUG_TEXT}]}),
        ("emergency-phone", {"valueString": "0571-88881234"}),
        ("follow-up-due", {"valueDateTime": (end + timedelta(days=14)).isoformat()}),
    )
    return [
        encounter,
        *(
            {
                "resourceType": "Observation",
                "id": f"ob-{key}-{index}",
                "status": "final",
                "category": [concept("discharge")],
                "code": concept(code),
                "subject": {"reference": f"Patient/{key}"},
                "encounter": {"reference": f"Encounter/{number}"},
                **value,
            }
            for index, (code, value) in enumerate(said)
        ),
    ]
