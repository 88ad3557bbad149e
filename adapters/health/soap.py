"""The hospital's register over SOAP in the shape of WS/T 790.16 (双向转诊服务): documents are CDA, carried as base64.

The WSDL is the department's own file, given at set-up; it is not fetched from the service.

Rules kept here: DTDs, entities and external references are refused in every message; zeep runs in a thread with a time limit of its
own; a fault's text goes nowhere; only the wanted columns of a document are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import requests
import zeep
from lxml.etree import LxmlError
from zeep.exceptions import Error as ZeepError
from zeep.exceptions import Fault, TransportError
from zeep.transports import Transport

from adapters.base.calls import Calls
from adapters.base.mapping import LocalMapping
from adapters.base.records import local_content, read_records
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from adapters.health import cda
from gateway.errors import ProviderFault

T = TypeVar("T")

BATCH = 100
PAGE = 500
KINDS = {"Task": "referral", "Encounter": "discharge"}
"""Resource of the mapping -> kind of document."""
_TRANSPORT = {200: "provider_garbage", 401: "provider_refused", 403: "provider_refused"}
"""HTTP status of what zeep calls a transport error -> code; 200 is an answer that is no XML."""
TITLES = {"X08": "转诊申请", "X12": "随访记录", "X18": "热线转介"}


class SoapRegister:
    """A hospital whose platform speaks SOAP. wsdl: a local file; address: the endpoint; token: sent as a bearer token."""

    def __init__(self, wsdl: Path, address: str, token: str, mapping: LocalMapping, calls: Calls | None = None) -> None:
        self._mapping = mapping
        self._calls = calls or Calls()
        session = requests.Session()
        session.trust_env = False
        session.max_redirects = 0
        session.headers["Authorization"] = f"Bearer {token}"
        session.hooks["response"] = [_bounded(self._calls.limits.max_bytes)]
        session.stream = True
        seconds = self._calls.limits.seconds
        transport = Transport(session=session, timeout=seconds, operation_timeout=seconds)  # type: ignore[no-untyped-call]
        settings = zeep.Settings(
            strict=True, xml_huge_tree=False, forbid_dtd=True, forbid_entities=True, forbid_external=True
        )
        client = zeep.Client(str(wsdl), transport=transport, settings=settings)  # type: ignore[no-untyped-call]
        binding = next(iter(client.wsdl.bindings))
        self._session = session
        self._service = client.create_service(binding, address)  # type: ignore[no-untyped-call]

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by patient number. Raises `ProviderFault`."""
        mapped = self._mapping.exchanges[wanted.exchange]
        columns = mapped.columns(wanted.fields, birth=wanted.birth)
        kind = KINDS.get(mapped.resource.name, "resident")
        found: dict[str, Record] = {}
        for start in range(0, len(wanted.keys), BATCH):
            part = wanted.keys[start : start + BATCH]
            said = await self._calls.read(
                lambda part=part: self._ask(lambda: self._service.QueryDocuments(kind=kind, patientId=list(part)))  # type: ignore[misc]
            )
            if said is not None and len(said) > len(part):
                # Before so many documents are parsed.
                raise ProviderFault("provider_too_much")
            rows = [cda.row(cda.parse(bytes(given)), columns) for given in said or ()]
            found |= read_records(rows, mapped, replace(wanted, keys=part), made_here=True)
        return found

    async def take(self, message: Inbound) -> None:
        """Submit every line as a document of its own number, so that a repeat is known. Raises `ProviderFault`."""
        inbound = self._mapping.inbound[message.exchange]
        for line in message.lines:
            number = f"{message.delivery}:{line.number}"
            data = cda.document(
                TITLES.get(message.exchange, message.exchange), number, line.record, local_content(line, inbound)
            )
            said = await self._calls.write(
                lambda number=number, data=data: self._ask(  # type: ignore[misc]
                    lambda: self._service.SubmitDocument(messageId=number, document=data)
                )
            )
            # HL7 v3 acknowledgement codes: AA taken, AE error, AR refused.
            if said != "AA":
                raise ProviderFault("provider_refused" if said == "AR" else "provider_unavailable")

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every patient's number and identifiers, page by page. Raises `ProviderFault`."""
        page = 0
        while True:
            page += 1
            said = await self._calls.read(
                lambda page=page: self._ask(lambda: self._service.QueryResidents(page=page, size=PAGE))  # type: ignore[misc]
            )
            rows = said or ()
            for row in rows:
                given = {"resident": row.residentId, "issued": row.issuedId}
                numbers = tuple((kind, given[local]) for kind, local in self._mapping.numbers if given.get(local))
                yield LocalPerson(str(row.patientId), numbers)
            if len(rows) < PAGE:
                return

    async def probe(self) -> None:
        """Raises `ProviderFault` when the service does not answer."""
        await self._calls.read(lambda: self._ask(lambda: self._service.QueryResidents(page=1, size=1)))

    async def close(self) -> None:
        """Close all connections."""
        self._session.close()

    async def _ask(self, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(_said, call)


def _said(call: Callable[[], T]) -> T:
    """A call's answer; whatever goes wrong in zeep, lxml or requests is one of our codes."""
    try:
        return call()
    except Fault as fault:
        raise ProviderFault("provider_refused" if "Client" in str(fault.code) else "provider_unavailable") from None
    except TransportError as error:
        raise ProviderFault(_TRANSPORT.get(error.status_code, "provider_unavailable")) from None
    except requests.Timeout:
        raise ProviderFault("provider_timeout") from None
    except requests.RequestException:
        raise ProviderFault("provider_unavailable") from None
    except (ZeepError, LxmlError, ValueError, TypeError, AttributeError):
        raise ProviderFault("provider_garbage") from None


def _bounded(most: int) -> Callable[..., Any]:
    """A hook that reads an answer up to `most` bytes and refuses what is no XML."""

    def read(response: requests.Response, *_: object, **__: object) -> requests.Response:
        if response.status_code == requests.codes.ok and "xml" not in response.headers.get("content-type", ""):
            raise ProviderFault("provider_garbage")
        data = b""
        for part in response.iter_content(65536):
            data += part
            if len(data) > most:
                response.close()
                raise ProviderFault("provider_too_much")
        response._content = data
        return response

    return read
