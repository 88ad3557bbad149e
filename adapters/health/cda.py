"""CDA R2 documents in the shape of WS/T 500 (discharge summary) and WS/T 790.16 (referral): read into flat rows, and written.

Rules kept here: a document with a DTD is refused, entities are not resolved, nothing is loaded, XInclude is text like any other; only
coded entries and dates with a column are read, never narrative blocks (`text`), drug or ward names; a diagnosis section is not
looked at unless its column was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree

from adapters.health.flat import Row
from gateway.domain.orders import FieldValue
from gateway.errors import ProviderFault

V3 = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
RESIDENT = "2.16.156.10011.1.3"
ISSUED = "2.16.156.10011.1.19.999"
ENTRIES = "2.16.156.10011.2.2.1"
"""OIDs: the citizen number, a number issued by civil affairs (sandbox), data elements of WS/T 363."""
MOST = 10 * 1024 * 1024
_NS = {"v": V3}
ELEMENTS = {
    "DE02.10.100": "case_number",
    "DE02.10.101": "business_status",
    "DE06.00.218": "booked_for",
    "DE06.00.219": "review_on",
    "DE06.00.220": "advice",
    "DE06.00.300": "returns_to",
    "DE06.00.017": "returns_on",
    "DE06.00.301": "support_level",
    "DE06.00.302": "warning_signs",
    "DE06.00.303": "medication",
    "DE06.00.304": "emergency_phone",
    "DE06.00.305": "follow_up_due",
    "DE05.01.024": "diagnosis",
}
"""Data element -> column. Data elements that are not here are passed over."""
_NAMESPACES: Any = {None: V3, "xsi": XSI}
_CODES = {column: element for element, column in ELEMENTS.items()}


def parse(data: bytes) -> Any:
    """The root of a document. Raises `ProviderFault`: `provider_too_much`, `provider_garbage` (DTD, entity, no XML)."""
    if len(data) > MOST:
        raise ProviderFault("provider_too_much")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise ProviderFault("provider_garbage") from None
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype or any(True for _ in root.iter(etree.Entity)):
        raise ProviderFault("provider_garbage")
    return root


def row(root: Any, columns: Iterable[str]) -> Row:
    """The wanted columns of one document. Raises `ProviderFault("provider_garbage")` for another kind of document."""
    if root.tag != f"{{{V3}}}ClinicalDocument":
        raise ProviderFault("provider_garbage")
    wanted = frozenset(columns)
    found: Row = {}
    for name, path in (
        ("patient", "v:recordTarget/v:patientRole/v:id[@root='urn:hospital']/@extension"),
        ("region", "v:recordTarget/v:patientRole/v:addr/v:county/@code"),
        ("birth", "v:recordTarget/v:patientRole/v:patient/v:birthTime/@value"),
    ):
        values = root.xpath(path, namespaces=_NS)
        if values:
            found[name] = str(values[0])
    for observation in root.iterfind(f".//{{{V3}}}entry/{{{V3}}}observation"):
        code = observation.find(f"{{{V3}}}code")
        column = ELEMENTS.get(code.get("code")) if code is not None else None
        if column is None or column not in wanted:
            continue
        values = [v for v in (_value(element) for element in observation.iterfind(f"{{{V3}}}value")) if v]
        if values:
            found[column] = ",".join(values)
    return found


def document(title: str, number: str, patient: str | None, content: Mapping[str, FieldValue]) -> bytes:
    """A document of local columns and values, as the hospital's platform takes it; every value is an attribute or text node."""
    root = etree.Element(f"{{{V3}}}ClinicalDocument", nsmap=_NAMESPACES)
    _add(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    _add(root, "id", root="urn:runxin:delivery", extension=number)
    _add(root, "title").text = title
    role = _add(_add(root, "recordTarget"), "patientRole")
    if patient is not None:
        _add(role, "id", root="urn:hospital", extension=patient)
    section = _add(_add(_add(_add(root, "component"), "structuredBody"), "component"), "section")
    for name, value in content.items():
        observation = _add(_add(section, "entry"), "observation", classCode="OBS", moodCode="EVN")
        _add(observation, "code", code=_CODES.get(name, name), codeSystem=ENTRIES)
        for part in value if isinstance(value, list) else [value]:
            element = _add(observation, "value")
            element.set(f"{{{XSI}}}type", "ST")
            element.text = _xml_text(str(part))
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _xml_text(text: str) -> str:
    """Text without what XML 1.0 cannot carry. Raises `ProviderFault("provider_refused")`: nothing is dropped silently."""
    if any(ord(c) < 0x20 and c not in "\t\n\r" for c in text):
        raise ProviderFault("provider_refused")
    return text


def _add(parent: Any, name: str, **attributes: str) -> Any:
    return etree.SubElement(parent, f"{{{V3}}}{name}", attributes)


def _value(element: Any) -> str:
    return str(element.get("code") or element.get("value") or element.text or "").strip()
