"""Puts one edge together from its settings: the only place of `adapters/` that names concrete classes.

Rules kept here: everything is validated before anything listens; a mapping for another department than the settings' refuses to start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.base import exchange_file, mapping
from adapters.base.answering import DepartmentSource, Office
from adapters.base.calls import Calls
from adapters.base.faults import mapping_refusal
from adapters.base.mapping import LocalMapping
from adapters.base.source import Register
from adapters.directory import Directory
from adapters.edge.log import EdgeLog
from adapters.edge.settings import EdgeSettings
from adapters.edge.sources import (
    DropSource,
    FhirSource,
    RestSource,
    SftpSource,
    SoapSource,
    SqlSource,
    VendorSource,
)
from gateway.domain.exchanges import Exchange
from gateway.errors import GatewayFault

Rebuild = Callable[[Register], Register]


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


def assemble(
    settings: EdgeSettings, *, directory: Path | None = None, log: Path | None = None, rebuild: Rebuild | None = None
) -> Edge:
    """Build an edge. directory, log: other files than the settings'. rebuild: puts something in front of the register.

    Raises `GatewayFault`: `exchange_file_invalid`, `mapping_invalid`, `directory_invalid`, `edge_settings`.
    """
    exchanges = exchange_file.read(settings.exchanges)
    local = mapping.load(settings.mapping, exchanges)
    if local.department is not settings.party.department:
        raise mapping_refusal("another_department")
    notes = EdgeLog(log or settings.log)
    register = build_register(settings, local, notes)
    offered = rebuild(register) if rebuild is not None else register
    names = Directory(directory or settings.directory, settings.party.department)
    office = Office(settings.party, settings.region, settings.signing_key, settings.medical)
    source = DepartmentSource(office, exchanges=exchanges, mapping=local, register=offered, directory=names)
    return Edge(settings, exchanges, local, offered, names, source, notes)


def build_register(settings: EdgeSettings, local: LocalMapping, log: EdgeLog) -> Register:
    """The register that the settings name. Each protocol's library is loaded only where it is spoken."""
    calls = Calls(settings.limits)

    def refused(_file: str, code: str) -> None:
        # A file's name may hold more than a log should.
        log.note("fault", code=code)

    match settings.source:
        case SqlSource(url):
            from adapters.civil_affairs.register import SqlRegister

            return SqlRegister(url, local, calls)
        case RestSource() as rest:
            from adapters.education.register import RestRegister
            from adapters.education.screening import Screenings
            from adapters.education.signature import AppKey

            told = rest.screening_secret
            return RestRegister(
                rest.base,
                AppKey(rest.app_key, _secret(rest.app_secret, "app_secret")),
                local,
                calls,
                screenings=Screenings(rest.screenings, _secret(told, "screening_secret")) if told else None,
            )
        case FhirSource(base, token):
            from adapters.health.register import FhirRegister

            return FhirRegister(base, _secret(token, "token").decode("ascii"), local, calls)
        case SoapSource(address, token, wsdl):
            from adapters.health.soap import SoapRegister

            return SoapRegister(wsdl, address, _secret(token, "token").decode("ascii"), local, calls)
        case VendorSource(base, token, _):
            from adapters.youth_league.register import VendorRegister

            return VendorRegister(base, _secret(token, "token").decode("ascii"), local, calls)
        case SftpSource() as given:
            from adapters.base.drop import template
            from adapters.womens_federation.register import NightlyRegister
            from adapters.womens_federation.sftp import Account

            account = Account(
                host=given.host,
                port=given.port,
                user=given.user,
                host_key=_secret(given.host_key, "host_key").decode("ascii"),
                key=given.key,
                folder=given.folder,
                seconds=settings.limits.seconds,
            )
            return NightlyRegister(account, template(given.template), given.store, local, calls, noted=refused)
        case DropSource(folder, form, store):
            from adapters.base.drop import DropRegister, template

            return DropRegister(folder, template(form), store, local, noted=refused)


def _secret(path: Path, member: str) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError:
        raise GatewayFault("edge_settings", member=f"source.{member}") from None
