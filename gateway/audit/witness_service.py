"""A witness behind HTTP (c2sp.org/tlog-witness): `POST /add-checkpoint`, and what it cosigned last for whoever monitors it.

Rules kept here: the service adds nothing to `Witness` but the door; a body longer than any honest request is not read.
"""

from __future__ import annotations

from hashlib import sha256

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.audit.witness import Witness

LONGEST_BODY = 64 * 1024


def service(witness: Witness) -> Starlette:
    """The ASGI application of one witness."""
    origins = {sha256(origin.encode()).hexdigest(): origin for origin in witness.origins}

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_BODY:
                return Response(status_code=400)
        # In a thread: it waits for the disk before it answers.
        answer = await run_in_threadpool(witness.add_checkpoint, bytes(body))
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def latest(request: Request) -> Response:
        origin = origins.get(request.path_params["log"])
        note = witness.latest(origin) if origin else None
        return Response(note, media_type="text/plain; charset=utf-8") if note else Response(status_code=404)

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{log}/checkpoint", latest, methods=["GET"]),
        ]
    )
