"""The 12355 register over the vendor's REST platform: batch reads by client number, cursor paging, tasks put once.

Rules kept here: numbers travel in bodies, never in a URL; a cursor is opaque and never followed elsewhere; only wanted columns are asked
for and what comes unasked is counted and dropped; a counsellor's notes have no column.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx2

from adapters.base.calls import Calls
from adapters.base.fetching import Fetcher, json_bytes, json_object, json_rows
from adapters.base.mapping import LocalMapping
from adapters.base.records import local_content, read_records
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from gateway.errors import ProviderFault

BATCH = 500
PAGE = 500
_JSON = {"Content-Type": "application/json"}


class VendorRegister:
    """A department whose hotline is a vendor's platform. base: `https://host`; token: the department's own."""

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
        self._http = Fetcher(base, self._calls.limits, {"Authorization": f"Bearer {token}"}, transport=transport)

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by client number (or by service number, for the directory). Raises `ProviderFault`."""
        mapped = self._mapping.exchanges[wanted.exchange]
        columns = list(mapped.columns(wanted.fields, birth=wanted.birth))
        found: dict[str, Record] = {}
        for start in range(0, len(wanted.keys), BATCH):
            keys = wanted.keys[start : start + BATCH]
            body = json_bytes({"ids": list(keys), "fields": columns})
            path = f"/v2/{mapped.resource.name}/search"
            said = await self._calls.read(lambda path=path, body=body: self._post(path, body))  # type: ignore[misc]
            found |= read_records(json_rows(said.get("items")), mapped, replace(wanted, keys=keys))
        return found

    async def take(self, message: Inbound) -> None:
        """Put every line as a task under a number of its own. Raises `ProviderFault`."""
        inbound = self._mapping.inbound[message.exchange]
        for line in message.lines:
            body = json_bytes(
                {
                    "kind": message.exchange,
                    "client": line.record or "",
                    "alias": "" if line.record else line.subject or "",
                    "content": local_content(line, inbound),
                }
            )
            path = f"/v2/tasks/{quote(message.delivery, safe='')}-{line.number}"
            await self._calls.write(lambda path=path, body=body: self._put(path, body))  # type: ignore[misc]

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every client's number and identifiers, cursor by cursor. Raises `ProviderFault`."""
        identity, numbers = self._mapping.identity, self._mapping.numbers
        columns = [identity.key, *(local for _, local in numbers)]
        cursor, seen = "", {""}
        while True:
            body = json_bytes({"cursor": cursor, "limit": PAGE, "fields": columns})
            said = await self._calls.read(
                lambda body=body: self._post(f"/v2/{identity.name}/list", body)  # type: ignore[misc]
            )
            for row in json_rows(said.get("items")):
                key = row.get(identity.key)
                if not isinstance(key, str) or not key:
                    raise ProviderFault("provider_garbage")
                yield LocalPerson(key, tuple((kind, str(row[local])) for kind, local in numbers if row.get(local)))
            following = said.get("next")
            if following is None:
                return
            # A cursor that comes again would page for ever.
            if not isinstance(following, str) or following in seen:
                raise ProviderFault("provider_garbage")
            cursor = following
            seen.add(cursor)

    async def probe(self) -> None:
        """Raises `ProviderFault` when the platform does not answer."""
        json_object(await self._calls.read(lambda: self._http.send("GET", "/v2/ping")))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def _post(self, path: str, body: bytes) -> dict[str, Any]:
        return json_object(await self._http.send("POST", path, body, _JSON))

    async def _put(self, path: str, body: bytes) -> None:
        json_object(await self._http.send("PUT", path, body, _JSON))
