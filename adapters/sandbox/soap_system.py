"""The simulated regional health platform (区域卫生信息平台): SOAP, with CDA documents in the shape of WS/T 500 and WS/T 790.16.

Rules kept here: it knows nothing of the gateway; a submitted document is kept once per message number; its documents hold diagnoses,
drugs and wards in their sections and narratives, as real ones do.

    python -m adapters.sandbox.soap_system --data DIR --secret-file F [--port 0] [--children N]

POST /soap (SOAP 1.1)   GET /received -> {number: document as text}   POST /poison {"document": text}   POST /knobs {…}
"""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from adapters.health.cda import ENTRIES, V3
from adapters.sandbox import fhir_data, serving
from adapters.sandbox.circles import known_to_health, patient_key
from adapters.sandbox.population import Child, Population, build
from adapters.sandbox.processes import Running

_XML = "text/xml; charset=utf-8"
_T = "urn:runxin:dual-referral"
Said = tuple[int, str, str]


class SoapSystem:
    """The platform's documents by kind and patient, made when asked."""

    def __init__(self, population: Population, token: str, log: TextIO) -> None:
        self._token = f"Bearer {token}"
        self._population = population
        self._children = {patient_key(c): c for c in population.children if known_to_health(c)}
        self._order = sorted(self._children)
        self.desk = serving.Desk(log, self._authentic)
        self._received: dict[str, str] = {}
        self._poison = ""

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/soap", self.desk.guarded(self._soap), methods=["POST"]),
                Route("/received", self.desk.guarded(self._show), methods=["GET"]),
                Route("/poison", self.desk.guarded(self._poisoned), methods=["POST"]),
                Route("/knobs", self.desk.turn, methods=["POST"]),
            ]
        )

    def _authentic(self, request: Request, body: bytes) -> bool:
        del body
        return hmac.compare_digest(request.headers.get("authorization", "").encode(), self._token.encode())

    async def _show(self, request: Request, body: bytes) -> Said:
        del request, body
        return 200, "application/json", json.dumps(self._received, ensure_ascii=False)

    async def _poisoned(self, request: Request, body: bytes) -> Said:
        """From now on every queried document is this text, for tests of the reader."""
        del request
        self._poison = json.loads(body)["document"]
        return 200, "application/json", "{}"

    async def _soap(self, request: Request, body: bytes) -> Said:
        del request
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        (asked,) = etree.fromstring(body, parser).iterfind("{http://schemas.xmlsoap.org/soap/envelope/}Body/*")
        name = etree.QName(asked).localname
        given: dict[str, list[str]] = {}
        for element in asked:
            given.setdefault(etree.QName(element).localname, []).append(element.text or "")
        said, rows = getattr(self, f"_{name.lower()}")(given)
        self.desk.note(f"/soap#{name}", {k: v for k, v in given.items() if k != "document"}, rows)
        return 200, _XML, _envelope(f'<t:{name}Response xmlns:t="{_T}">{said}</t:{name}Response>')

    def _querydocuments(self, given: dict[str, list[str]]) -> tuple[str, int]:
        kind = given["kind"][0]
        found = [self._children[key] for key in given.get("patientId", []) if key in self._children]
        texts = [text for child in found if (text := document(kind, child, self._population))]
        if self._poison:
            texts = [self._poison] * len(texts)
        return "".join(f"<t:document>{_base64(text)}</t:document>" for text in texts), len(texts)

    def _queryresidents(self, given: dict[str, list[str]]) -> tuple[str, int]:
        page, size = int(given["page"][0]), int(given["size"][0])
        rows = []
        for key in self._order[(page - 1) * size :][:size]:
            child = self._children[key]
            parts = [f"<t:patientId>{key}</t:patientId>"]
            if child.identifier:
                parts.append(f"<t:residentId>{child.identifier}</t:residentId>")
            if child.issued and child.known_to_civil_affairs:
                parts.append(f"<t:issuedId>{child.issued}</t:issuedId>")
            rows.append(f"<t:resident>{''.join(parts)}</t:resident>")
        return "".join(rows), len(rows)

    def _submitdocument(self, given: dict[str, list[str]]) -> tuple[str, int]:
        text = base64.b64decode(given["document"][0]).decode()
        self._received.setdefault(given["messageId"][0], text)
        return "<t:acknowledgement>AA</t:acknowledgement>", 1


def document(kind: str, c: Child, population: Population) -> str:
    """A child's newest document of a kind, "" where there is none."""
    booked = population.on + timedelta(days=3 + c.number % 9)
    end = population.on - timedelta(days=1 + c.number % 20)
    entries: list[tuple[str, tuple[str, ...]]]
    if kind == "referral" and c.number % 7 == 0:
        entries = [
            ("DE02.10.100", (f"GA{c.number:08d}",)),
            ("DE02.10.101", (fhir_data.BUSINESS[c.number % 6],)),
            ("DE06.00.218", (f"{booked}T09:30:00+08:00",)),
            ("DE06.00.219", (f"{booked + timedelta(days=28):%Y%m%d}",)),
            ("DE06.00.220", ("11", "12")),
        ]
    elif kind == "discharge" and c.number % 11 == 0:
        entries = [
            ("DE02.10.100", (f"GA{c.number:08d}",)),
            ("DE06.00.300", ("2" if c.school else "1",)),
            ("DE06.00.017", (f"{end:%Y%m%d}",)),
            ("DE06.00.301", ("2",)),
            ("DE06.00.302", ("01", "02")),
            ("DE06.00.303", ("1",)),
            ("DE06.00.304", ("0571-88881234",)),
            ("DE06.00.305", (f"{end + timedelta(days=14):%Y%m%d}",)),
            ("DE08.50.022", (fhir_data.DRUG_TEXT,)),
            ("DE08.10.026", (fhir_data.WARD_TEXT,)),
        ]
    else:
        return ""
    entries.append(("DE05.01.024", (fhir_data.DIAGNOSES[c.number % 4],)))
    body = "".join(
        f'<entry><observation classCode="OBS" moodCode="EVN"><code code="{code}" codeSystem="{ENTRIES}"/>'
        + "".join(f'<value xsi:type="ST">{escape(value)}</value>' for value in values)
        + "</observation></entry>"
        for code, values in entries
    )
    return (
        f'<ClinicalDocument xmlns="{V3}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<recordTarget><patientRole><id root="urn:hospital" extension={quoteattr(patient_key(c))}/>'
        f'<addr><county code="{c.region}"/></addr>'
        f'<patient><name>{escape(c.name)}</name><birthTime value="{c.born:%Y%m%d}"/></patient></patientRole></recordTarget>'
        f"<component><structuredBody><component><section><text>{fhir_data.DIAGNOSIS_TEXT}，{fhir_data.DRUG_TEXT}，"
        f"{fhir_data.WARD_TEXT}</text>{body}</section></component></structuredBody></component></ClinicalDocument>"
    )


def _envelope(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def start(directory: Path, *, token: str, count: int = 2000) -> Running:
    """Start the platform over a directory of its own; its address is the SOAP endpoint. `RuntimeError` if it does not come up."""
    return serving.start("adapters.sandbox.soap_system", directory, secret=token, count=count)


def main() -> None:
    """Build the population, serve."""
    given = serving.parser(__doc__).parse_args()
    token = given.secret_file.read_text().strip()
    population = build(given.children, given.seed, given.on)
    serving.run(lambda log: SoapSystem(population, token, log).app(), given.data, given.port, "/soap")


if __name__ == "__main__":
    main()
