"""Puts the departmental system's own door together: its sender with a spool, its vendors' webhooks, a server on loopback.

Rules kept here: the door is the same whether the adapter runs at an edge or inside the gateway; it listens on loopback only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapters.edge.assembly import Edge
from adapters.edge.port import GatewayPort
from adapters.edge.sender import Outcomes, Sender, Webhook, build_local_app
from adapters.edge.serving import Server
from adapters.edge.settings import LOOPBACK
from adapters.edge.sources import RestSource, VendorSource
from adapters.edge.spool import Spool
from gateway.errors import GatewayFault


@dataclass(frozen=True, slots=True)
class LocalDoor:
    """The door of one department: who sends, what is kept meanwhile, and the server in front, which does not serve yet."""

    sender: Sender
    spool: Spool
    server: Server

    def close(self) -> None:
        """Close the spool; the server has ended by then."""
        self.spool.close()


def local_door(edge: Edge, gateway: GatewayPort) -> LocalDoor | None:
    """The door that the settings name; None where they name none.

    Raises `GatewayFault`: `edge_settings` for an unreadable secret or a port that is taken, `directory_invalid` for a spool that is
    none.
    """
    local = edge.settings.local
    if local is None:
        return None
    token, webhook, outcomes = _secret(local.token, "local.token"), _webhook(edge), _outcomes(edge)
    spool = Spool(edge.settings.directory.with_name("spool.sqlite"))
    sender = Sender(
        gateway,
        edge.source,
        edge.directory,
        region=edge.settings.region[:6],
        token=token,
        log=edge.log,
        spool=spool,
    )
    app = build_local_app(sender, webhook, outcomes)
    try:
        return LocalDoor(sender, spool, Server(app, LOOPBACK, local.port, member="local.port"))
    except GatewayFault:
        spool.close()
        raise


def _webhook(edge: Edge) -> Webhook | None:
    source = edge.settings.source
    if not isinstance(source, VendorSource) or source.webhook_secret is None:
        return None
    from adapters.youth_league.webhook import Webhook as VendorWebhook

    return VendorWebhook(_secret(source.webhook_secret, "source.webhook_secret"))


def _outcomes(edge: Edge) -> Outcomes | None:
    if not isinstance(edge.settings.source, RestSource):
        return None
    from adapters.education.register import RestRegister

    return edge.register.screenings if isinstance(edge.register, RestRegister) else None


def _secret(path: Path, member: str) -> bytes:
    try:
        return path.read_bytes().strip()
    except OSError:
        raise GatewayFault("edge_settings", member=member) from None
