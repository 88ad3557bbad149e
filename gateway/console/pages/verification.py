"""核验: the whole log against its own signed head, begun here, left and found again; and what this browser remembers.

Rules kept here: a verification is an entry when it begins; one that fails names the first entry that is wrong.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from starlette.responses import JSONResponse, Response

from gateway.audit.receipts import consistency
from gateway.console.doors import door
from gateway.console.pages.overview import integrity
from gateway.console.refusals import Refused
from gateway.console.roles import ADMINISTRATORS, INSPECTORS
from gateway.console.visits import Visit
from gateway.console.works import Progress
from gateway.errors import GatewayFault
from gateway.store import console as store
from gateway.store.audit import get_head


@door("GET", "/verification", roles=ADMINISTRATORS | INSPECTORS, does="Verification", menu="audit")
async def verification(visit: Visit) -> Response:
    """State of the log, witnesses, past runs."""
    async with visit.house.database.read() as reading:
        log = await integrity(visit, reading)
        rows = await store.works(reading, "verification")
        cosigned = await store.newest_witnessed(reading)
    works = [(row, visit.console.works.state(row)) for row in rows]
    template = "_verifications.html" if visit.request.headers.get("hx-request") == "true" else "verification.html"
    return visit.page(
        template,
        log=log,
        works=works,
        cosigned=cosigned,
        vkey=visit.house.log.signer.verifier.vkey,
        sentence_of=_told(visit),
    )


@door("POST", "/verification", roles=INSPECTORS, does="Verify the whole log")
async def verification_run(visit: Visit) -> Response:
    """Begin a run."""
    log = visit.house.log

    async def job(_work: str, progress: Progress) -> int:
        async with log.database.read() as reading:
            head = await get_head(reading)
        await progress(0, head.size if head else 0)
        verified = await log.verify()
        await progress(verified.entries, verified.entries)
        return verified.entries - 1

    await visit.look("verification")
    await visit.console.works.begin(visit, "verification", job)
    return visit.go("verification")


@door("GET", "/verification/head", roles=ADMINISTRATORS | INSPECTORS, does="The signed head and its growth")
async def verification_head(visit: Visit) -> Response:
    """The newest checkpoint, and the proof that it grew from an older size that the browser remembers."""
    old = visit.number(visit.query("old"), default=0) or 0
    async with visit.house.database.read() as reading:
        head = await get_head(reading)
        if head is None:
            raise GatewayFault("log_head_invalid")
        if old > head.size:
            raise Refused("form_invalid")
        path = await consistency(reading, old, head.size) if old else ()
    return JSONResponse(
        {
            "checkpoint": head.checkpoint.decode(),
            "old": old,
            "path": [base64.b64encode(step).decode() for step in path],
            "vkey": visit.house.log.signer.verifier.vkey,
        }
    )


def _told(visit: Visit) -> Callable[[str], str]:
    return lambda code: visit.sentence(GatewayFault(code))
