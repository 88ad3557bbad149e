"""Adapters inside the gateway's own process, for trying a department out before it has a front-end machine.

Rules kept here: an embedded adapter is assembled from the same settings file as an edge and answers the same orders, but the gateway's
process sees what it reads and what it opens: every answer is labelled `sighted`, and what may not be seen there is refused by the flows
before an adapter is asked; faults become the same stable codes as an edge's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from adapters.base.source import Source
from adapters.certificates import Certificates
from adapters.edge import assembly, runner, settings
from adapters.edge.assembly import Edge
from adapters.edge.following import Follower
from adapters.edge.inbox import Inbox
from adapters.edge.local_door import local_door
from adapters.edge.serving import started
from adapters.remote import PASSED_ON, PROVIDER_CODES, Reachable
from gateway.domain.orders import Order, Release
from gateway.domain.parties import Party
from gateway.errors import Denied, GatewayError, ProviderFault
from gateway.release.wire import release_from_wire, release_to_wire

INBOX_WAIT = 2
"""Seconds of a poll of our own door: a longer one would hold up the gateway when it closes."""

Registered_contra = TypeVar("Registered_contra", bound=Reachable, contravariant=True)
"""Registered edges as the gateway keeps them."""


class Answers(Protocol):
    """A provider that answers orders."""

    async def fetch(self, order: Order) -> Release:
        """The release for an order. Raises `ProviderFault`."""
        ...


class Edges(Protocol[Registered_contra]):
    """Reaches providers that are not embedded."""

    def at(self, edge: Registered_contra) -> Answers:
        """The provider behind a registered edge."""
        ...


class EmbeddedAdapter:
    """One provider whose adapter runs here. timeout: seconds for an answer."""

    def __init__(self, party: Party, source: Source, timeout: float) -> None:
        self._party = party
        self._source = source
        self._timeout = timeout

    async def fetch(self, order: Order) -> Release:
        """The release, unchecked and labelled `sighted`. Raises what `RemoteEdge.fetch` raises."""
        try:
            async with asyncio.timeout(self._timeout):
                release = await self._source.fetch(order)
            # By way of the wire's form, so that what the flows check is exactly what an edge could have sent.
            wired = json.loads(json.dumps(release_to_wire(release)))
            return replace(release_from_wire(wired), sighted=True)
        except TimeoutError as error:
            raise ProviderFault("provider_timeout", edge=self._party.text) from error
        except GatewayError as error:
            raise self._refusal(error) from error
        except Exception as error:
            # An adapter's mistake is the provider's fault, here as behind an edge.
            raise ProviderFault("provider_refused", edge=self._party.text) from error

    def _refusal(self, error: GatewayError) -> GatewayError:
        if error.code in PASSED_ON:
            return Denied(error.code)
        code = error.code if error.code in PROVIDER_CODES else "provider_refused"
        return ProviderFault(code, edge=self._party.text)


class EmbeddedAdapters(Generic[Registered_contra]):
    """Every embedded adapter of a gateway, in front of the edges of all other parties."""

    def __init__(self, edges: Sequence[Edge], others: Edges[Registered_contra], timeout: float) -> None:
        self._edges = tuple(edges)
        self._others = others
        self._answering = {
            edge.settings.party: EmbeddedAdapter(edge.settings.party, edge.source, timeout) for edge in self._edges
        }

    @classmethod
    def open(
        cls, files: Sequence[Path], others: Edges[Registered_contra], timeout: float
    ) -> EmbeddedAdapters[Registered_contra]:
        """Assemble an adapter from each settings file of an edge. Raises what `assembly.assemble` raises."""
        return cls([assembly.assemble(settings.load(file)) for file in files], others, timeout)

    @property
    def parties(self) -> frozenset[Party]:
        """For whom adapters run here."""
        return frozenset(self._answering)

    def at(self, edge: Registered_contra) -> Answers:
        """The provider of a registered edge: embedded where there is one, else behind its URL."""
        embedded = self._answering.get(edge.party)
        return embedded if embedded is not None else self._others.at(edge)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Inboxes are taken, files collected, rotations followed and the departments' own doors open meanwhile; at the end everything
        is closed. Raises what `local_door` raises.
        """
        stop = asyncio.Event()
        at_work: list[_AtWork] = []
        try:
            for edge in self._edges:
                at_work.append(_AtWork(edge, stop))  # noqa: PERF401 - where a later one fails, those before it are closed
            await started([s for each in at_work for s in each.servers], [t for each in at_work for t in each.serving])
            yield
        finally:
            stop.set()
            for each in at_work:
                await each.close()
            for edge in self._edges:
                await edge.close()


class _AtWork:
    """What one embedded adapter does beside answering orders."""

    def __init__(self, edge: Edge, stop: asyncio.Event) -> None:
        access, tls = edge.settings.gateway, edge.settings.tls
        certificates = Certificates(tls) if tls is not None else None
        self._port = runner.gateway_port(edge, certificates)
        self._door = local_door(edge, self._port) if self._port is not None else None
        work: list[Coroutine[None, None, None]] = []
        if certificates is not None:
            work.append(certificates.run(stop, lambda code: edge.log.note("certificates", code=code)))
        if self._port is not None:
            work.append(Follower(self._port, edge.directory, edge.log).run(stop))
            if access is not None and access.inbox:
                work.append(Inbox(self._port, edge.source, edge.directory, edge.log).run(stop, wait=INBOX_WAIT))
        if self._door is not None:
            work.append(self._door.sender.run(stop))
        if isinstance(edge.register, runner.Collecting):
            work.append(runner.collect_files(edge, edge.register, stop))
        self._tasks = [asyncio.create_task(each) for each in work]
        self.servers = [self._door.server] if self._door is not None else []
        self.serving = [asyncio.create_task(server.run_bound()) for server in self.servers]

    async def close(self) -> None:
        """End it: a sending under way is finished or stays in its spool."""
        for server in self.servers:
            server.should_exit = True
        await asyncio.gather(*self.serving, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._door is not None:
            self._door.close()
        if self._port is not None:
            await self._port.close()
