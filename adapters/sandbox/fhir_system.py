"""The simulated hospital (医院): a FHIR R4 server over REST, answered from memory.

Rules kept here: it knows nothing of the gateway; every request carries its bearer token and is written to its own log; a resource that
is put is validated by the published model; what its staff does (booking, discharge) comes through a door of its own.

    python -m adapters.sandbox.fhir_system --data DIR --secret-file F [--port 0] [--children N]

GET /fhir/metadata   GET /fhir/{type}/{id}   PUT /fhir/{type}/{id}   POST /fhir/{type}/_search (form)
POST /desk {"patient": id, "event": "booked"|"discharged", "on": date}   POST /knobs {…}
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from adapters.health.fhir_models import MODELS
from adapters.sandbox import fhir_data, serving
from adapters.sandbox.fhir_data import Resource, concept
from adapters.sandbox.population import build
from adapters.sandbox.processes import Running

_JSON = "application/fhir+json"
_ALWAYS = ("resourceType", "id", "meta")
Said = tuple[int, str, str]


class FhirSystem:
    """The hospital's resources by type and id, in order of their last change."""

    def __init__(self, resources: list[Resource], token: str, log: TextIO) -> None:
        self._token = f"Bearer {token}"
        self.desk = serving.Desk(log, self._authentic)
        self._kept: dict[str, dict[str, Resource]] = {kind: {} for kind in MODELS}
        self._by_patient: dict[str, dict[str, list[str]]] = {kind: {} for kind in MODELS}
        for resource in resources:
            self._keep(resource)

    def app(self) -> Starlette:
        """The ASGI application."""
        guarded = self.desk.guarded
        return Starlette(
            routes=[
                Route("/fhir/metadata", guarded(self._metadata), methods=["GET"]),
                Route("/fhir/{kind}/_search", guarded(self._search), methods=["POST"]),
                Route("/fhir/{kind}/{number}", guarded(self._read), methods=["GET"]),
                Route("/fhir/{kind}/{number}", guarded(self._update), methods=["PUT"]),
                Route("/desk", guarded(self._act), methods=["POST"]),
                Route("/knobs", self.desk.turn, methods=["POST"]),
            ]
        )

    def _authentic(self, request: Request, body: bytes) -> bool:
        del body
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token.encode())

    async def _metadata(self, request: Request, body: bytes) -> Said:
        del request, body
        return (
            200,
            _JSON,
            json.dumps({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "status": "active"}),
        )

    async def _read(self, request: Request, body: bytes) -> Said:
        del body
        found = self._kept.get(request.path_params["kind"], {}).get(request.path_params["number"])
        self.desk.note(request.url.path, {}, int(found is not None))
        return (404, _JSON, _outcome("not-found")) if found is None else (200, _JSON, _text(found))

    async def _update(self, request: Request, body: bytes) -> Said:
        kind, number = request.path_params["kind"], request.path_params["number"]
        try:
            given = json.loads(body)
            MODELS[kind].model_validate(given)
        except (ValueError, KeyError):
            return 422, _JSON, _outcome("invalid")
        if given.get("id") != number:
            return 400, _JSON, _outcome("invalid")
        new = number not in self._kept[kind]
        self._keep(given)
        self.desk.note(request.url.path, given, 1)
        return (201 if new else 200), _JSON, body.decode()

    async def _search(self, request: Request, body: bytes) -> Said:
        kind = request.path_params["kind"]
        if kind not in MODELS:
            return 404, _JSON, _outcome("not-supported")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        found = list(self._matching(kind, form))
        count, start = int(form.get("_count", "100")), int(form.get("_page", "0") or 0)
        page = found[start : start + count]
        links = [{"relation": "self", "url": str(request.url)}]
        if start + count < len(found):
            links.append({"relation": "next", "url": f"{request.url}?_page={start + count}"})
        self.desk.note(request.url.path, form, len(page))
        wanted = (*_ALWAYS, *form["_elements"].split(",")) if "_elements" in form else ()
        entries = [{"resource": self._cut(r, wanted), "search": {"mode": "match"}} for r in page]
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "link": links, "entry": entries}
        return 200, _JSON, _text(bundle)

    def _matching(self, kind: str, form: dict[str, str]) -> Iterator[Resource]:
        kept = self._kept[kind]
        category, status = form.get("category"), form.get("status")
        if "_id" in form:
            chosen = [n for n in dict.fromkeys(form["_id"].split(",")) if n in kept]
        elif (patients := form.get("patient") or form.get("subject")) is not None:
            names = [name.rpartition("/")[2] for name in patients.split(",")]
            chosen = [number for name in names for number in reversed(self._by_patient[kind].get(name, []))]
        else:
            chosen = sorted(kept)
        for number in chosen:
            resource = kept[number]
            if status is not None and resource.get("status") != status:
                continue
            codes = {c["code"] for group in resource.get("category", []) for c in group.get("coding", [])}
            if category is None or category in codes:
                yield resource

    def _cut(self, resource: Resource, wanted: tuple[str, ...]) -> Resource:
        if not wanted or self.desk.knobs.surplus:
            return resource
        return {
            n: v for n, v in resource.items() if n in wanted or any(n.startswith(w) for w in ("value",) if w in wanted)
        }

    def _keep(self, resource: Resource) -> None:
        kind, number = resource["resourceType"], resource["id"]
        subject = (resource.get("for") or resource.get("subject") or {}).get("reference", "").rpartition("/")[2]
        if subject and number not in self._kept[kind]:
            self._by_patient[kind].setdefault(subject, []).append(number)
        self._kept[kind][number] = resource

    async def _act(self, request: Request, body: bytes) -> Said:
        """What the hospital's staff does about a patient; the answer says how many resources it touched."""
        del request
        asked = json.loads(body)
        patient, on = asked["patient"], date.fromisoformat(asked["on"])
        act: Callable[[str, date], int] = self._book if asked["event"] == "booked" else self._discharge
        return 200, "application/json", json.dumps({"touched": act(patient, on)})

    def _book(self, patient: str, on: date) -> int:
        tasks = self._by_patient["Task"].get(patient, [])
        for number in tasks[-1:]:
            task = dict(self._kept["Task"][number])
            task |= {
                "status": "accepted",
                "businessStatus": concept("20"),
                "description": f"{fhir_data.DIAGNOSIS_TEXT}，{fhir_data.DRUG_TEXT}",
                "location": {"display": fhir_data.WARD_TEXT},
                "executionPeriod": {"start": f"{on.isoformat()}T09:30:00+08:00"},
                "output": [
                    {"type": concept("next-review"), "valueDate": (on + timedelta(days=28)).isoformat()},
                    {"type": concept("advice"), "valueCodeableConcept": concept("12")},
                ],
            }
            self._keep(task)
        return len(tasks[-1:])

    def _discharge(self, patient: str, on: date) -> int:
        number = f"en-{patient}-{on:%Y%m%d}"
        tasks = self._by_patient["Task"].get(patient, [])
        case = self._kept["Task"][tasks[-1]].get("groupIdentifier", {}) if tasks else {"value": f"GA-{patient}"}
        self._keep(
            {
                "resourceType": "Encounter",
                "id": number,
                "identifier": [case],
                "status": "finished",
                "class": {"code": "IMP"},
                "subject": {"reference": f"Patient/{patient}"},
                "period": {"end": f"{on.isoformat()}T10:00:00+08:00"},
                "reasonCode": [concept("F32.1", fhir_data.DIAGNOSIS_TEXT)],
                "location": [{"location": {"display": fhir_data.WARD_TEXT}}],
                "hospitalization": {"dischargeDisposition": concept("2")},
            }
        )
        said: tuple[tuple[str, Resource], ...] = (
            ("support-level", {"valueCodeableConcept": concept("2")}),
            ("medication-reminder", {"valueBoolean": True, "note": [{"text": fhir_data.DRUG_TEXT}]}),
            ("emergency-phone", {"valueString": "0571-88881234"}),
            ("follow-up-due", {"valueDateTime": (on + timedelta(days=14)).isoformat()}),
        )
        for index, (code, value) in enumerate(said):
            self._keep(
                {
                    "resourceType": "Observation",
                    "id": f"{number}-{index}",
                    "status": "final",
                    "category": [concept("discharge")],
                    "code": concept(code),
                    "subject": {"reference": f"Patient/{patient}"},
                    "encounter": {"reference": f"Encounter/{number}"},
                    **value,
                }
            )
        return 1 + len(said)


def _outcome(code: str) -> str:
    return _text({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]})


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def start(directory: Path, *, token: str, count: int = 2000) -> Running:
    """Start the hospital over a directory of its own; its address is the FHIR base. `RuntimeError` if it does not come up."""
    return serving.start("adapters.sandbox.fhir_system", directory, secret=token, count=count)


def main() -> None:
    """Build the population, serve."""
    given = serving.parser(__doc__).parse_args()
    token = given.secret_file.read_text().strip()
    made = fhir_data.resources(build(given.children, given.seed, given.on))
    serving.run(lambda log: FhirSystem(made, token, log).app(), given.data, given.port, "/fhir")


if __name__ == "__main__":
    main()
