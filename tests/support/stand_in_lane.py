"""An `httpx2` transport in the place of a connection to an edge."""

from collections.abc import AsyncIterable
from typing import cast

import httpcore2
import httpx2


class OverTransport:
    """Answers what the gateway asks of an edge by a transport; never closed, never idle for too long."""

    def __init__(self, transport):
        self.transport = transport

    async def handle_async_request(self, request):
        """The transport's answer, its body as it streams; a refused connection as the network says it."""
        content = b"".join([part async for part in cast("AsyncIterable[bytes]", request.stream)])
        asked = httpx2.Request(
            request.method.decode(), bytes(request.url).decode(), headers=request.headers, content=content
        )
        try:
            answer = await self.transport.handle_async_request(asked)
        except httpx2.HTTPError as error:
            raise httpcore2.ConnectError from error
        return httpcore2.Response(answer.status_code, headers=answer.headers.raw, content=answer.stream)

    def is_closed(self):
        return False

    def has_expired(self):
        return False

    async def aclose(self):
        """Nothing to end."""
