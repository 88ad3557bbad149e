"""The HTTP servers of an edge: bound before they serve, ended by whoever runs them.

Rules kept here: a port that is taken is a fault with a code, never the end of the process; no access log, because a departmental
machine's log is `edge.jsonl`, whose members are closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from adapters.certificates import Certificates
from gateway.errors import GatewayFault


class Server(uvicorn.Server):
    """A server that leaves signals to its process, which has more to end. member: of the settings, names the port where it is taken.

    Raises `GatewayFault("edge_settings", member=…)`.
    """

    def __init__(
        self, app: Any, host: str, port: int, *, member: str, certificates: Certificates | None = None
    ) -> None:
        context = None if certificates is None else lambda _config, _default: certificates.listening()
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                ssl_context_factory=context,
            )
        )
        try:
            self._bound = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=self.config.backlog
            )
        except OSError:
            raise GatewayFault("edge_settings", member=member) from None

    async def run_bound(self) -> None:
        """Serve until `should_exit`."""
        await self.serve(sockets=[self._bound])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def started(servers: Sequence[Server], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all serve. Raises what a task ended by."""
    while not all(server.started for server in servers):
        for task in tasks:
            if task.done():
                task.result()
                raise GatewayFault("edge_settings", member="edge.port")
        await asyncio.sleep(0.02)
