"""One bounded HTTP exchange with a departmental system: what registers over HTTP share.

Rules kept here: an answer is read up to a limit and only in the media type that is expected; no environment proxy; no redirect is
followed; whatever goes wrong becomes a `ProviderFault` with a stable code, never a text of the other side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
from pydantic_core import from_json

from adapters.base.calls import Limits
from gateway.errors import ProviderFault

_REFUSED = frozenset({401, 403, 407})
_ABSENT = frozenset({404, 410})


class Fetcher:
    """A connection pool to one base URL. headers: sent with every request; they may hold the department's own token."""

    def __init__(
        self,
        base: str,
        limits: Limits,
        headers: Mapping[str, str] | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = base.rstrip("/")
        self._most = limits.max_bytes
        self._client = httpx2.AsyncClient(
            timeout=limits.seconds,
            limits=httpx2.Limits(max_connections=limits.at_once, keepalive_expiry=30),
            headers=dict(headers or {}),
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        expected: str = "json",
    ) -> bytes | None:
        """The body of a 2xx answer whose media type names `expected` (any, where `expected` is empty); None where it is 404 or 410.

        Raises `ProviderFault`: provider_refused, provider_unavailable, provider_garbage, provider_too_much, provider_timeout.
        """
        try:
            async with self._client.stream(
                method, self._base + path, content=body, headers=dict(headers or {})
            ) as response:
                status = response.status_code
                if status in _ABSENT:
                    return None
                if status in _REFUSED:
                    raise ProviderFault("provider_refused")
                if status >= 500 or status == 429:
                    raise ProviderFault("provider_unavailable")
                if not 200 <= status < 300 or expected not in response.headers.get("content-type", ""):
                    raise ProviderFault("provider_garbage")
                return await self._limited(response)
        except httpx2.TimeoutException:
            raise ProviderFault("provider_timeout") from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise ProviderFault("provider_unavailable") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _limited(self, response: httpx2.Response) -> bytes:
        parts, size = [], 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self._most:
                raise ProviderFault("provider_too_much")
            parts.append(part)
        return b"".join(parts)


def json_object(data: bytes | None, charset: str = "utf-8") -> dict[str, Any]:
    """A JSON object. charset: "utf-8" or another of Python's. Raises `ProviderFault("provider_garbage")`, also for None."""
    try:
        text = data if data is None or charset == "utf-8" else data.decode(charset)
        # Three quarters of what the standard library's reader costs, and stricter: no NaN, no lone surrogates, 200 levels at most.
        said = from_json(text, allow_inf_nan=False) if text is not None else None
    except ValueError:
        raise ProviderFault("provider_garbage") from None
    if not isinstance(said, dict):
        raise ProviderFault("provider_garbage")
    return said


def json_rows(rows: Any) -> list[dict[str, Any]]:
    """A list of JSON objects. Raises `ProviderFault("provider_garbage")`."""
    if not isinstance(rows, list) or not {dict}.issuperset(map(type, rows)):
        raise ProviderFault("provider_garbage")
    return rows


def json_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
