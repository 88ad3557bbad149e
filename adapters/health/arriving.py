"""Messages received by a hospital as FHIR resources: a referral or hand-over, a follow-up.

Rules kept here: a resource's id follows from delivery and line, so that a second hand-out updates what the first one made; a child
whom the hospital does not know gets a patient of its own with the identity that the message carries, or with its pseudonym alone;
every model is validated before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from adapters.base.source import Inbound, InboundLine
from adapters.health.flat import IDENTITY
from gateway.domain.orders import FieldValue

Content = Mapping[str, FieldValue]
LOCAL = "urn:hospital:referral-field"
GENDER = {"1": "male", "2": "female"}
_IDENTITY = frozenset({"name", "id_type", "id_number", "sex", "birth"})
_PRIORITY = {"crisis": "stat", "warning": "urgent", "attention": "routine"}


def resources(message: Inbound, line: InboundLine, content: Content) -> list[dict[str, Any]]:
    """The resources of one line, in the order in which they have to be written. content: local column -> value."""
    mark = sha256(f"{message.delivery}:{line.number}".encode()).hexdigest()[:32]
    made: list[dict[str, Any]] = []
    patient = line.record
    if patient is None:
        patient = f"t{mark}"
        made.append(_patient(patient, line, content))
    subject = {"reference": f"Patient/{patient}"}
    if message.exchange == "X12":
        return [*made, _follow_up(f"o{mark}", subject, content)]
    request: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": f"s{mark}",
        "identifier": [{"system": "urn:runxin:delivery", "value": f"{message.delivery}:{line.number}"}],
        "status": "active",
        "intent": "order",
        "priority": _PRIORITY.get(str(content.get("risk_band")), "routine"),
        "category": [{"coding": [{"system": "urn:runxin:exchange", "code": message.exchange}]}],
        "subject": subject,
    }
    if isinstance(reasons := content.get("reasons"), list) and reasons:
        request["reasonCode"] = [{"coding": [{"system": LOCAL, "code": str(code)}]} for code in reasons]
    task: dict[str, Any] = {
        "resourceType": "Task",
        "id": f"k{mark}",
        "status": "requested",
        "intent": "order",
        "focus": {"reference": f"ServiceRequest/{request['id']}"},
        "for": subject,
        "input": [
            {"type": {"coding": [{"system": LOCAL, "code": name}]}, "valueString": _text(value)}
            for name, value in content.items()
            if name not in _IDENTITY and _text(value)
        ],
    }
    if content.get("case_number"):
        request["requisition"] = {"system": "urn:runxin:case", "value": str(content["case_number"])}
        task["groupIdentifier"] = dict(request["requisition"])
    return [*made, request, task]


def _patient(patient: str, line: InboundLine, content: Content) -> dict[str, Any]:
    identifier = [{"system": "urn:runxin:pseudonym", "value": line.subject}] if line.subject else []
    kind = "resident" if content.get("id_type") == "resident" else "issued"
    if content.get("id_number"):
        identifier.append({"system": IDENTITY[kind], "value": str(content["id_number"])})
    made: dict[str, Any] = {"resourceType": "Patient", "id": patient, "active": True, "identifier": identifier}
    if content.get("name"):
        made["name"] = [{"text": str(content["name"])}]
    if content.get("birth"):
        made["birthDate"] = str(content["birth"])
    made["gender"] = GENDER.get(str(content.get("sex")), "unknown")
    return made


def _follow_up(number: str, subject: dict[str, str], content: Content) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": number,
        "status": "final",
        "code": {"coding": [{"system": "urn:hospital:observation", "code": "community-follow-up"}]},
        "subject": subject,
        "component": [
            {"code": {"coding": [{"system": LOCAL, "code": name}]}, "valueString": _text(value)}
            for name, value in content.items()
            if _text(value)
        ],
    }
    if content.get("visit_date"):
        made["effectiveDateTime"] = str(content["visit_date"])
    return made


def _text(value: FieldValue) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
