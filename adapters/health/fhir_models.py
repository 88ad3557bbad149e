"""FHIR R4 resources by their published models: read from JSON, refused when they are none.

Patient, ServiceRequest, Task, Observation and Encounter are the same in R4 (4.0.1) and in R4B (4.3.0), whose models
`fhir.resources` carries; R4B changed other resources (https://hl7.org/fhir/R4B/diff.html).

Rules kept here: only these five are read; a validation error's text, which may hold values, goes nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir.resources.R4B.encounter import Encounter
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.R4B.task import Task

from gateway.errors import ProviderFault

MODELS: Mapping[str, Any] = {
    "Patient": Patient,
    "ServiceRequest": ServiceRequest,
    "Task": Task,
    "Observation": Observation,
    "Encounter": Encounter,
}


def read(kind: str, given: Any) -> Any:
    """A resource as a model. Raises `ProviderFault("provider_garbage")` for another type or an invalid resource."""
    if not isinstance(given, dict) or given.get("resourceType") != kind:
        raise ProviderFault("provider_garbage")
    try:
        return MODELS[kind].model_validate(given)
    except (ValueError, TypeError, RecursionError):
        raise ProviderFault("provider_garbage") from None


def written(resource: Any) -> str:
    """A model as JSON text, without absent elements."""
    return str(resource.model_dump_json(exclude_none=True))
