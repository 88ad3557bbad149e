"""The inbox loop: take envelopes, find the local record, hand over, acknowledge.

Rules kept here: an envelope is acknowledged `stored` only after the departmental system has it; a fault that may pass is not
acknowledged, so the gateway hands the envelope out again; what can never be stored is `rejected` with its code; the loop outlives
every error.
"""

from __future__ import annotations

import asyncio

from adapters.base.source import Inbound, InboundLine, Source
from adapters.directory import Directory
from adapters.edge.log import EdgeLog
from adapters.edge.port import GatewayPort, Received
from gateway.domain.orders import Acknowledgement
from gateway.errors import GatewayError

WAIT = 20
LIMIT = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0


class Inbox:
    """One party's inbox, taken by this edge."""

    def __init__(self, gateway: GatewayPort, source: Source, directory: Directory, log: EdgeLog) -> None:
        self._gateway = gateway
        self._source = source
        self._directory = directory
        self._log = log
        self.idle = asyncio.Event()
        """Set unless an envelope is between the gateway and the departmental system just now."""
        self.idle.set()

    async def run(self, stop: asyncio.Event, wait: int = WAIT) -> None:
        """Take and hand over until told to stop. wait: seconds of one poll."""
        pause = _FIRST_PAUSE
        while not stop.is_set():
            try:
                stored = await self.once(wait=wait)
            except Exception as error:
                # Whatever goes wrong, a later round may succeed; the log tells the code, never a message.
                self._log.note("fault", code=error.code if isinstance(error, GatewayError) else "gateway_unreachable")
                stored = False
            if stored:
                pause = _FIRST_PAUSE
                continue
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def once(self, *, wait: int) -> bool:
        """One round; False when an envelope has to come again. Raises what the gateway's port raises."""
        failed: set[str] = set()
        async for received in self._gateway.inbox(wait=wait, limit=LIMIT):
            if received.delivery in failed:
                # It came again within the round: everything else has been offered, so pause before the next.
                break
            self.idle.clear()
            try:
                if not await self._hand_over(received):
                    failed.add(received.delivery)
            finally:
                self.idle.set()
        return not failed

    async def _hand_over(self, received: Received) -> bool:
        if received.later:
            self._log.note("fault", delivery=received.delivery, exchange=received.exchange, code=received.refused)
            return False
        if received.refused:
            acknowledgement = Acknowledgement(received.delivery, "rejected", received.refused)
        else:
            lines = tuple(
                InboundLine(line.number, line.subject, self._record(line.subject), line.references, line.values)
                for line in received.lines
            )
            message = Inbound(
                received.delivery, received.exchange, received.purpose, received.sender, received.labels, lines
            )
            try:
                acknowledgement = await self._source.receive(message)
            except GatewayError as error:
                self._log.note("fault", delivery=received.delivery, exchange=received.exchange, code=error.code)
                return False
        await self._gateway.acknowledge(acknowledgement)
        self._log.note(
            "received",
            delivery=received.delivery,
            exchange=received.exchange,
            lines=len(received.lines),
            unresolved=sum(1 for line in received.lines if line.subject and self._record(line.subject) is None),
            code=acknowledgement.code or acknowledgement.status,
        )
        return True

    def _record(self, subject: str | None) -> str | None:
        return self._directory.record(subject) if subject is not None else None
