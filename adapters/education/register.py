"""The education register over REST/JSON: batch reads by local key, paging for enrolment, one message per received line.

Rules kept here: keys and fields travel in signed bodies, never in a URL; an answer is read up to a limit and only as JSON; only fields of
the order are asked for, and what comes unasked is dropped here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2

from adapters.base.calls import Calls
from adapters.base.fetching import json_bytes, json_object, json_rows
from adapters.base.mapping import ExchangeMapping, LocalMapping
from adapters.base.records import local_content, read_records
from adapters.base.source import Inbound, LocalPerson, Record, Wanted
from adapters.education import screening
from adapters.education.screening import Screenings
from adapters.education.signature import AppKey
from gateway.errors import ProviderFault

BATCH = 500
PAGE = 500
_ROOT = "/openapi/v1"


class RestRegister:
    """A department whose register is reached by REST. base: `http(s)://host:port`; `calls`: limits for this system.

    screenings: outcomes that the schools' screening vendor told, where there is one.
    """

    def __init__(
        self,
        base: str,
        app_key: AppKey,
        mapping: LocalMapping,
        calls: Calls | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        screenings: Screenings | None = None,
    ) -> None:
        self.screenings = screenings
        self._mapping = mapping
        self._app_key = app_key
        self._calls = calls or Calls()
        limits = httpx2.Limits(max_connections=self._calls.limits.at_once, keepalive_expiry=30)
        self._base = httpx2.URL(base.rstrip("/"))
        # A handful of paths; parsing them for every call would cost as much as the signature.
        self._urls: dict[str, httpx2.URL] = {}
        self._client = httpx2.AsyncClient(
            timeout=self._calls.limits.seconds, limits=limits, transport=transport, trust_env=False
        )

    async def read(self, wanted: Wanted) -> Mapping[str, Record]:
        """Records by key. Raises `ProviderFault`."""
        mapped = self._mapping.exchanges[wanted.exchange]
        columns = list(mapped.columns(wanted.fields, birth=wanted.birth))
        found: dict[str, Record] = {}
        for start in range(0, len(wanted.keys), BATCH):
            part = replace(wanted, keys=wanted.keys[start : start + BATCH])
            if mapped.resource.name == screening.RESOURCE:
                found |= await self._screened(mapped, part, columns)
                continue
            rows = await self._read(
                f"{_ROOT}/{mapped.resource.name}/query", {"keys": list(part.keys), "fields": columns}
            )
            found |= read_records(rows, mapped, part)
        return found

    async def _screened(self, mapped: ExchangeMapping, wanted: Wanted, columns: Sequence[str]) -> Mapping[str, Record]:
        """Pupils with an outcome of a screening: the outcome from our own store, everything else from the platform."""
        outcomes = self.screenings.rows(wanted.keys, columns) if self.screenings is not None else {}
        if not outcomes:
            return {}
        keys, key = tuple(outcomes), mapped.resource.key
        told = frozenset(screening.COLUMNS.values())
        asked = {"keys": list(keys), "fields": [name for name in columns if name not in told]}
        rows = await self._read(f"{_ROOT}/{self._mapping.identity.name}/query", asked)
        # Nothing that the platform says stands in for what the vendor told.
        whole = [
            {name: value for name, value in row.items() if name not in told} | outcomes.get(str(row.get(key)), {})
            for row in rows
        ]
        return read_records(whole, mapped, replace(wanted, keys=keys))

    async def take(self, message: Inbound) -> None:
        """Hand every line of a message over, once per id. Raises `ProviderFault`."""
        inbound = self._mapping.inbound[message.exchange]
        for line in message.lines:
            body = {
                "id": f"{message.delivery}:{line.number}",
                "kind": message.exchange,
                "student": line.record or "",
                "alias": "" if line.record else line.subject or "",
                "content": local_content(line, inbound),
            }
            await self._calls.write(lambda body=body: self._post(f"{_ROOT}/messages", body))  # type: ignore[misc]

    async def people(self) -> AsyncIterator[LocalPerson]:
        """Every record's key and numbers, page by page. Raises `ProviderFault`."""
        identity, numbers = self._mapping.identity, self._mapping.numbers
        columns = [identity.key, *(local for _, local in numbers)]
        page = 0
        while True:
            page += 1
            rows = await self._read(f"{_ROOT}/{identity.name}/page", {"page": page, "size": PAGE, "fields": columns})
            for row in rows:
                key = row.get(identity.key)
                if not isinstance(key, str) or not key:
                    raise ProviderFault("provider_garbage")
                yield LocalPerson(key, tuple((kind, str(row[local])) for kind, local in numbers if row.get(local)))
            if len(rows) < PAGE:
                return

    async def probe(self) -> None:
        """Raises `ProviderFault` when the platform does not answer."""
        await self._calls.read(lambda: self._send("GET", f"{_ROOT}/ping", b""))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        if self.screenings is not None:
            self.screenings.close()

    async def _read(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        said = await self._calls.read(lambda: self._post(path, body))
        return json_rows(said.get("data"))

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._send("POST", path, json_bytes(body))

    async def _send(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """One signed request and its JSON object, code 0. Raises `ProviderFault`."""
        headers = self._app_key.headers(method, path, body) | {"Content-Type": "application/json"}
        try:
            url = self._urls.get(path) or self._urls.setdefault(path, self._base.join(path))
            async with self._client.stream(method, url, content=body, headers=headers) as response:
                if response.status_code in (401, 403):
                    raise ProviderFault("provider_refused")
                if response.status_code >= 500:
                    raise ProviderFault("provider_unavailable")
                if response.status_code != 200 or "json" not in response.headers.get("content-type", ""):
                    raise ProviderFault("provider_garbage")
                data = await self._limited(response)
        except httpx2.TimeoutException:
            raise ProviderFault("provider_timeout") from None
        except httpx2.HTTPError:
            raise ProviderFault("provider_unavailable") from None
        said = json_object(data, self._mapping.charset)
        if said.get("code") != 0:
            raise ProviderFault("provider_garbage")
        return said

    async def _limited(self, response: httpx2.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._calls.limits.max_bytes:
                raise ProviderFault("provider_too_much")
            parts.append(part)
        return b"".join(parts)
