"""The hospital's register over FHIR R4: search by POST, only the elements that are needed, update by id.

Rules kept here: ids travel in request bodies, never in a URL, and are refused where they could be more than an id; `_elements`
names what is read, so that diagnoses, drugs and wards do not even reach the adapter unless their column was asked for; every
resource is read by its published model.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx2

from adapters.base.calls import Calls
from adapters.base.fetching import Fetcher, json_object
from adapters.base.mapping import LocalMapping
from adapters.base.records import local_content, read_records
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from adapters.health import arriving, flat
from adapters.health.fhir_models import read, written
from gateway.errors import ProviderFault

BATCH = 100
PAGE = 500
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
"""FHIR's `id`. A comma, `|` or `$` in a search value means more than itself, so anything else is not searched for."""
_FHIR = "application/fhir+json"
_ELEMENTS = {
    "Patient": ("id", "address", "birthDate"),
    "Task": ("id", "status", "intent", "for", "groupIdentifier", "businessStatus", "executionPeriod", "output"),
    "Encounter": ("id", "status", "class", "subject", "identifier", "period", "hospitalization"),
    "Observation": ("id", "status", "code", "subject", "value", "component"),
}


class FhirRegister:
    """A hospital whose register is reached by FHIR. base: `https://host/fhir`; token: its bearer token."""

    def __init__(
        self,
        base: str,
        token: str,
        mapping: LocalMapping,
        calls: Calls | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._mapping = mapping
        self._calls = calls or Calls()
        self._http = Fetcher(
            base, self._calls.limits, {"Authorization": f"Bearer {token}", "Accept": _FHIR}, transport=transport
        )

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by patient id. Raises `ProviderFault`."""
        mapped = self._mapping.exchanges[wanted.exchange]
        columns = mapped.columns(wanted.fields, birth=wanted.birth)
        found: dict[str, Record] = {}
        keys = tuple(key for key in wanted.keys if _ID.fullmatch(key))
        for start in range(0, len(keys), BATCH):
            part = keys[start : start + BATCH]
            rows = await self._rows(mapped.resource.name, part, columns)
            found |= read_records(rows, mapped, replace(wanted, keys=part), made_here=True)
        return found

    async def _rows(self, resource: str, keys: Sequence[str], columns: Sequence[str]) -> Collection[flat.Row]:
        patients = await self._search("Patient", {"_id": ",".join(keys)}, _ELEMENTS["Patient"], len(keys))
        rows = {p.id: flat.patient(p) for p in patients}
        if len(rows) != len(patients):
            raise ProviderFault("provider_garbage")
        known = ",".join(f"Patient/{key}" for key in rows)
        if not rows:
            return ()
        asked = set(columns)
        if resource == "Task" and asked & flat.REFERRAL:
            tasks = await self._search("Task", {"patient": known, "_sort": "-_lastUpdated"}, _ELEMENTS["Task"])
            for key, task in _newest(tasks, lambda t: t.for_fhir).items():
                rows[key] |= flat.referral(task)
            return [row for row in rows.values() if "case_number" in row]
        if resource == "Encounter" and asked & flat.STAY:
            elements = _ELEMENTS["Encounter"] + (("reasonCode",) if "diagnosis" in asked else ())
            finished = {"subject": known, "status": "finished", "_sort": "-date"}
            stays = _newest(await self._search("Encounter", finished, elements), lambda e: e.subject)
            observed: dict[str, list[Any]] = defaultdict(list)
            for one in await self._search(
                "Observation",
                {"subject": ",".join(f"Patient/{key}" for key in stays), "category": "discharge"},
                _ELEMENTS["Observation"],
            ):
                observed[_patient_of(one.subject)].append(one)
            for key, encounter in stays.items():
                rows[key] |= flat.stay(encounter, observed[key], columns)
            return [rows[key] for key in stays if key in rows]
        return rows.values()

    async def take(self, message: Inbound) -> None:
        """Write every line as resources of its own, the same ones at every hand-out. Raises `ProviderFault`."""
        inbound = self._mapping.inbound[message.exchange]
        for line in message.lines:
            for resource in arriving.resources(message, line, local_content(line, inbound)):
                kind, number = resource["resourceType"], resource["id"]
                body = written(read(kind, resource)).encode()
                path = f"/{kind}/{number}"
                await self._calls.write(lambda path=path, body=body: self._put(path, body))  # type: ignore[misc]

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every patient's id and numbers, page by page. Raises `ProviderFault`."""
        form: dict[str, str] | None = {"_count": str(PAGE), "_elements": "id,identifier", "_sort": "_id"}
        while form is not None:
            asked = form
            bundle = await self._calls.read(lambda asked=asked: self._bundle("Patient", asked))  # type: ignore[misc]
            for patient in _entries("Patient", bundle):
                by_name = flat.numbers(patient)
                given = tuple((kind, by_name[local]) for kind, local in self._mapping.numbers if local in by_name)
                yield LocalPerson(patient.id, given)
            page = _next_page(bundle)
            form = {**asked, "_page": page} if page is not None and page != asked.get("_page") else None

    async def probe(self) -> None:
        """Raises `ProviderFault` when the server does not answer with its capability statement."""
        said = json_object(await self._calls.read(lambda: self._http.send("GET", "/metadata", expected="json")))
        if said.get("resourceType") != "CapabilityStatement" or not str(said.get("fhirVersion", "")).startswith("4."):
            raise ProviderFault("provider_garbage")

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def _search(
        self, kind: str, form: Mapping[str, str], elements: Sequence[str], most: int | None = None
    ) -> list[Any]:
        asked = {**form, "_elements": ",".join(elements), "_count": str(BATCH * 20)}
        bundle = await self._calls.read(lambda: self._bundle(kind, asked))
        found = _entries(kind, bundle)
        if _next_page(bundle) is not None or (most is not None and len(found) > most):
            raise ProviderFault("provider_too_much")
        return found

    async def _bundle(self, kind: str, form: Mapping[str, str]) -> dict[str, Any]:
        body = urlencode(form).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        said = json_object(await self._http.send("POST", f"/{kind}/_search", body, headers, "json"))
        if said.get("resourceType") != "Bundle" or said.get("type") != "searchset":
            raise ProviderFault("provider_garbage")
        return said

    async def _put(self, path: str, body: bytes) -> None:
        if await self._http.send("PUT", path, body, {"Content-Type": _FHIR}, "json") is None:
            raise ProviderFault("provider_garbage")


def _entries(kind: str, bundle: Mapping[str, Any]) -> list[Any]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise ProviderFault("provider_garbage")
    # An OperationOutcome among the entries is the server's remark, not a match.
    return [read(kind, e.get("resource")) for e in entries if e.get("search", {}).get("mode", "match") == "match"]


def _next_page(bundle: Mapping[str, Any]) -> str | None:
    """The page that follows, by the `_page` of the link `next`; the link itself is not followed, wherever it points."""
    for link in bundle.get("link", ()):
        if isinstance(link, dict) and link.get("relation") == "next":
            return str(httpx2.URL(str(link.get("url", ""))).params.get("_page", "")) or None
    return None


def _newest(resources: Iterable[Any], subject: Any) -> dict[str, Any]:
    """Patient id -> its first resource; the server sorts newest first."""
    found: dict[str, Any] = {}
    for one in resources:
        found.setdefault(_patient_of(subject(one)), one)
    return found


def _patient_of(reference: Any) -> str:
    kind, _, number = str(reference.reference if reference is not None else "").rpartition("/")
    if not kind.endswith("Patient"):
        raise ProviderFault("provider_garbage")
    return number
