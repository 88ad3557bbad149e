"""Puts one edge together from its settings: the only place of `adapters/` that names concrete classes.

Rules kept here: everything is validated before anything listens; a mapping for another department than the settings' refuses to start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.base import exchange_file, mapping
from adapters.base.answering import DepartmentSource, Office
from adapters.base.calls import Calls
from adapters.base.faults import mapping_refusal
from adapters.base.mapping import LocalMapping
from adapters.base.source import Register
from adapters.directory import Directory
from adapters.edge.log import EdgeLog
from adapters.edge.settings import EdgeSettings, RestSource, SqlSource
from gateway.domain.exchanges import Exchange
from gateway.errors import GatewayFault


@dataclass(frozen=True, slots=True)
class Edge:
    """The parts of one edge."""

    settings: EdgeSettings
    exchanges: Mapping[str, Exchange]
    mapping: LocalMapping
    register: Register
    directory: Directory
    source: DepartmentSource
    log: EdgeLog

    async def close(self) -> None:
        """Release connections and files."""
        await self.register.close()
        self.directory.close()
        self.log.close()


def assemble(settings: EdgeSettings) -> Edge:
    """Build an edge. Raises `GatewayFault`: `exchange_file_invalid`, `mapping_invalid`, `directory_invalid`, `edge_settings`."""
    exchanges = exchange_file.read(settings.exchanges)
    local = mapping.load(settings.mapping, exchanges)
    if local.department is not settings.party.department:
        raise mapping_refusal("another_department")
    register = _register(settings, local)
    directory = Directory(settings.directory, settings.party.department)
    office = Office(settings.party, settings.region, settings.signing_key, settings.medical)
    source = DepartmentSource(office, exchanges=exchanges, mapping=local, register=register, directory=directory)
    return Edge(settings, exchanges, local, register, directory, source, EdgeLog(settings.log))


def _register(settings: EdgeSettings, local: LocalMapping) -> Register:
    calls = Calls(settings.limits)
    match settings.source:
        case SqlSource(url):
            # Each protocol's library is loaded only where it is spoken.
            from adapters.civil_affairs.register import SqlRegister

            return SqlRegister(url, local, calls)
        case RestSource(base, app_key, secret):
            from adapters.education.register import RestRegister
            from adapters.education.signature import AppKey

            try:
                key = AppKey(app_key, secret.read_bytes().strip())
            except OSError:
                raise GatewayFault("edge_settings", member="source.app_secret") from None
            return RestRegister(base, key, local, calls)
