"""An `httpx2` transport in the place of a connection to an edge."""

from collections.abc import AsyncIterable
from typing import cast

import httpx2

from adapters.lanes import Answer, AnswerPacked, AnswerTooLong


class OverTransport:
    """Answers what the gateway asks of an edge by a transport; never closed, never idle for too long."""

    def __init__(self, transport):
        self.transport = transport

    async def post(self, place, signature, body, *, at_most):
        """The transport's answer, its body as it streams; a refused connection as the network says it."""
        address = f"{'https' if place.tls else 'http'}://{place.shown.decode()}{place.target.decode()}"
        try:
            answer = await self.transport.handle_async_request(
                httpx2.Request("POST", address, headers={"Order-Signature": signature.decode()}, content=body)
            )
        except httpx2.HTTPError as error:
            raise ConnectionError from error
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise AnswerPacked
        parts = []
        async for part in cast("AsyncIterable[bytes]", answer.stream):
            parts.append(part)
            if sum(map(len, parts)) > at_most:
                raise AnswerTooLong
        return Answer(answer.status_code, b"".join(parts))

    def is_usable(self):
        return True

    def close(self):
        """Nothing to end."""
