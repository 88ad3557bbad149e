"""Follows rotations: whenever the gateway understands a newer epoch of the department's open scope, the directory is converted to it,
and when the older epoch ends its names are forgotten. Nobody has to be at the edge for this.

Rules kept here: a record is found by both names as long as both are understood; the gateway is told `finished` only when nothing is left
behind, because it then goes on to name children in the new epoch; the loop outlives every error.
"""

from __future__ import annotations

import asyncio

from adapters.directory import Directory
from adapters.edge.log import EdgeLog
from adapters.edge.port import GatewayPort
from gateway.errors import GatewayError

EVERY = 30.0
"""Seconds between two looks."""


class Follower:
    """One directory's follower."""

    def __init__(self, gateway: GatewayPort, directory: Directory, log: EdgeLog | None = None) -> None:
        self._gateway = gateway
        self._directory = directory
        self._log = log
        self._told = 0

    async def run(self, stop: asyncio.Event, *, every: float = EVERY) -> None:
        """Look and follow until told to stop."""
        while not stop.is_set():
            try:
                await self.once()
            except Exception as error:
                # Whatever goes wrong, a later round may succeed; the log tells the code, never a message.
                self._note("fault", code=error.code if isinstance(error, GatewayError) else "gateway_unreachable")
            try:
                await asyncio.wait_for(stop.wait(), every)
            except TimeoutError:
                continue

    async def once(self) -> int:
        """One look; how many names were converted. Raises what the gateway's port raises."""
        accepted = await self._gateway.epochs()
        if not accepted:
            return 0
        newest, converted = accepted[-1], 0
        lost = self._directory.forget(accepted)
        if lost:
            # The overlap ended while this edge was away; the next enrolment names these records anew.
            self._note("fault", code="directory_outdated", lines=lost)
        while batch := self._directory.behind(newest):
            self._directory.follow(batch, await self._gateway.convert(batch, newest, finished=False))
            converted += len(batch)
        if len(accepted) > 1 and (converted or self._told != newest):
            await self._gateway.convert([], newest, finished=True)
            self._told = newest
        if converted:
            self._note("followed", epoch=newest, lines=converted)
        return converted

    def _note(self, event: str, **members: str | int) -> None:
        if self._log is not None:
            self._log.note(event, **members)
