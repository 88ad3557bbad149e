"""Runs one edge as a process: the gateway's door, the department's door, the inbox; or enrols the register and ends.

Rules kept here: nothing listens before everything is validated; on SIGTERM the inbox stops taking, answers under way are finished,
then the process ends; certificates are renewed while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from adapters.base.source import Enrolment
from adapters.certificates import Certificates, RenewedTransport
from adapters.edge import assembly, settings
from adapters.edge.assembly import Edge
from adapters.edge.following import Follower
from adapters.edge.inbox import Inbox
from adapters.edge.local_door import local_door
from adapters.edge.port import GatewayPort
from adapters.edge.sdk import SdkGateway
from adapters.edge.service import OrderDoor, build_app
from adapters.edge.serving import Server, started
from gateway.errors import GatewayError, GatewayFault

DRAIN = 10.0
"""Seconds that an envelope under way may take at the end; a later one is not acknowledged and comes again."""
COLLECT_EVERY = 300.0


async def serve(config: Path) -> None:
    """Serve until told to stop. Raises `GatewayFault` when the edge refuses to start."""
    given = settings.load(config)
    certificates = Certificates(given.tls) if given.tls is not None else None
    edge = assembly.assemble(given)
    gateway = gateway_port(edge, certificates)
    door = local_door(edge, gateway) if gateway is not None else None
    servers = [
        Server(_app(edge), edge.settings.host, edge.settings.port, member="edge.port", certificates=certificates)
    ]
    if door is not None:
        servers.append(door.server)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = [asyncio.create_task(server.run_bound()) for server in servers]
    taking: list[asyncio.Task[None]] = []
    inbox: Inbox | None = None
    if gateway is not None and edge.settings.gateway is not None and edge.settings.gateway.inbox:
        inbox = Inbox(gateway, edge.source, edge.directory, edge.log)
        taking.append(asyncio.create_task(inbox.run(stop)))
    if door is not None:
        taking.append(asyncio.create_task(door.sender.run(stop)))
    if isinstance(edge.register, Collecting):
        taking.append(asyncio.create_task(collect_files(edge, edge.register, stop)))
    if gateway is not None:
        taking.append(asyncio.create_task(Follower(gateway, edge.directory, edge.log).run(stop)))
    if certificates is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, certificates.look_now)
        taking.append(
            asyncio.create_task(certificates.run(stop, lambda code: edge.log.note("certificates", code=code)))
        )
    try:
        await started(servers, serving)
        _say(
            {
                "address": f"{'https' if certificates else 'http'}://{edge.settings.host}:{edge.settings.port}",
                "request_log": str(edge.log.path),
            }
        )
        await stop.wait()
    finally:
        for server in servers:
            server.should_exit = True
        await _drained(inbox, taking)
        await asyncio.gather(*serving, *taking, return_exceptions=True)
        if door is not None:
            door.close()
        if gateway is not None:
            await gateway.close()
        await edge.close()


async def enrol(config: Path, grant: str | None) -> Enrolment:
    """Enrol the register through the blind door, telling progress as JSON lines on standard output."""
    edge = assembly.assemble(settings.load(config))
    gateway = gateway_port(edge, Certificates(edge.settings.tls) if edge.settings.tls is not None else None)
    if gateway is None:
        raise GatewayFault("edge_settings", member="gateway")
    try:
        enrolled = await edge.source.enrol(gateway.evaluate, grant, lambda state: _say(progress(state)))
        # Names that were given while a rotation runs are of the older epoch until they have followed.
        await Follower(gateway, edge.directory, edge.log).once()
        return enrolled
    finally:
        await gateway.close()
        await edge.close()


def progress(state: Enrolment) -> dict[str, int]:
    """An enrolment's state as JSON."""
    return {name: getattr(state, name) for name in Enrolment.__slots__}


def gateway_port(edge: Edge, certificates: Certificates | None) -> GatewayPort | None:
    """The gateway as the edge's own client reaches it, by its `[tls]` where there is one; None for an edge that only answers orders."""
    access = edge.settings.gateway
    if access is None:
        return None
    transport = RenewedTransport(certificates) if certificates is not None else None
    return SdkGateway(access.configuration, edge.exchanges, medical=edge.settings.medical, transport=transport)


def _app(edge: Edge) -> Any:
    return build_app(OrderDoor(edge.source, edge.settings.gateway_key, log=edge.log), edge.source)


@runtime_checkable
class Collecting(Protocol):
    """A register whose rows come in files, which have to be fetched now and then."""

    async def collect(self) -> int:
        """Land what is new; how many rows. Raises `ProviderFault`."""
        ...


async def collect_files(edge: Edge, register: Collecting, stop: asyncio.Event) -> None:
    """Fetch and land what is new, now and then, until told to stop."""
    while not stop.is_set():
        try:
            await register.collect()
        except GatewayError as error:
            edge.log.note("fault", code=error.code)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), COLLECT_EVERY)


async def _drained(inbox: Inbox | None, taking: list[asyncio.Task[None]]) -> None:
    """End the loops: an envelope that is being handed over is finished and acknowledged first, if it takes no longer than `DRAIN`."""
    if inbox is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(inbox.idle.wait(), DRAIN)
    for task in taking:
        task.cancel()


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
