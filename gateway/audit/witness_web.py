"""How the gateway reaches witnesses over HTTP.

Rules kept here: a bounded answer, no redirect followed; whatever goes wrong on the way is "nobody answers".
"""

from __future__ import annotations

import ssl

import httpx2

LONGEST_ANSWER = 64 * 1024
_SECONDS = 8.0


class HttpWitnessWeb:
    """A `WitnessWeb` (see `gateway/audit/cosigning.py`). transport: another one than the network's, for tests."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        # The machine's own store of authorities, to which a site adds its own; and no proxy that the environment names.
        trust = ssl.create_default_context()
        self._http = httpx2.AsyncClient(timeout=_SECONDS, transport=transport, trust_env=False, verify=trust)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def get(self, url: str) -> tuple[int, bytes]:
        """(status, body). Raises `OSError`."""
        return await self._call("GET", url, None)

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """(status, body). Raises `OSError`."""
        return await self._call("POST", url, body)

    async def _call(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            async with self._http.stream(method, url, content=body) as answer:
                read = bytearray()
                async for part in answer.aiter_bytes():
                    read += part
                    if len(read) > LONGEST_ANSWER:
                        raise OSError("a witness's answer is too long")
                return answer.status_code, bytes(read)
        except httpx2.HTTPError as error:
            raise OSError(type(error).__name__) from None
