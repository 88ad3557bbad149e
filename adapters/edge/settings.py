"""The edge's settings from one TOML file; every path in it is relative to the file.

Rules kept here: an unknown or missing member, or an unreadable key, refuses to start (`edge_settings`, naming the member); secrets
stand in files of their own, never in the settings.

    [edge]     organisation, department, region, port, exchanges, mapping, directory, signing_key, gateway_key (JWK of the gateway's
               order key); host = "127.0.0.1", medical = false, log = "edge.jsonl"
    [source]   see `sources.py`
    [gateway]  client (the SDK's configuration file, whose `sender_key` is this edge's `signing_key`), inbox = true   (optional)
    [local]    port, token (file): the departmental system's own door, on loopback   (optional)
    [tls]      certificate, key, authority (PEM files): mutual TLS with the gateway; needed to listen elsewhere than on loopback
    [limits]   seconds, attempts, at_once, queue, failures, cool_off, max_bytes   (all optional)
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adapters.base.calls import Limits
from adapters.certificates import CertificateFiles
from adapters.edge.sources import Source
from adapters.edge.sources import read as read_source
from gateway.client.configuration import Configuration
from gateway.client.configuration import load as load_client
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from keys.signing import SigningKey, VerifyKey

LOOPBACK = "127.0.0.1"
_EDGE = {
    "organisation", "department", "region", "port", "exchanges", "mapping", "directory", "signing_key", "gateway_key",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GatewayAccess:
    """How the edge reaches the gateway as a client. inbox: whether this edge takes its party's envelopes."""

    configuration: Configuration
    inbox: bool


@dataclass(frozen=True, slots=True)
class LocalDoor:
    """Where the departmental system sends from. token: a file; its text authenticates the system."""

    port: int
    token: Path


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """All of one edge. gateway: None for an edge that only answers orders. tls: None on loopback only."""

    party: Party
    region: str
    host: str
    port: int
    medical: bool
    log: Path
    exchanges: Path
    mapping: Path
    directory: Path
    signing_key: SigningKey
    gateway_key: VerifyKey
    gateway: GatewayAccess | None
    local: LocalDoor | None
    tls: CertificateFiles | None
    source: Source
    limits: Limits


def load(path: Path) -> EdgeSettings:
    """Settings from a file. Raises `GatewayFault("edge_settings", member=…)` and what key files raise."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise GatewayFault("edge_settings", member="file") from None
    home = path.resolve().parent
    _closed(document, "file", {"edge", "source"}, {"gateway", "local", "limits", "tls"})
    edge = _closed(document["edge"], "edge", _EDGE, {"host", "medical", "log"})
    try:
        party = Party(str(edge["organisation"]), Department(edge["department"]))
    except ValueError:
        raise GatewayFault("edge_settings", member="edge.department") from None
    signing_key = SigningKey.load(home / edge["signing_key"])
    return EdgeSettings(
        party=party,
        region=str(edge["region"]),
        host=edge.get("host", LOOPBACK),
        port=int(edge["port"]),
        medical=bool(edge.get("medical", False)),
        log=home / edge.get("log", "edge.jsonl"),
        exchanges=home / edge["exchanges"],
        mapping=home / edge["mapping"],
        directory=home / edge["directory"],
        signing_key=signing_key,
        gateway_key=_public_key(home / edge["gateway_key"]),
        gateway=_gateway(document["gateway"], home, party, signing_key) if "gateway" in document else None,
        local=_local(document["local"], home) if "local" in document else None,
        tls=_tls(document.get("tls"), home, edge.get("host", LOOPBACK)),
        source=read_source(document["source"], home, _closed),
        limits=_limits(document.get("limits", {})),
    )


def _gateway(given: dict[str, Any], home: Path, party: Party, signing_key: SigningKey) -> GatewayAccess:
    _closed(given, "gateway", {"client"}, {"inbox"})
    configuration = load_client(home / given["client"])
    # One party, one sending key: what the edge answers and what it sends bear the same signature.
    if configuration.party != party or configuration.signer.thumbprint != signing_key.thumbprint:
        raise GatewayFault("edge_settings", member="gateway.client")
    return GatewayAccess(configuration, bool(given.get("inbox", True)))


def _local(given: dict[str, Any], home: Path) -> LocalDoor:
    _closed(given, "local", {"port", "token"})
    return LocalDoor(int(given["port"]), home / given["token"])


def _tls(given: Any, home: Path, host: str) -> CertificateFiles | None:
    if given is None:
        if host not in (LOOPBACK, "::1", "localhost"):
            raise GatewayFault("edge_settings", member="tls")
        return None
    _closed(given, "tls", {"certificate", "key", "authority"})
    return CertificateFiles(home / given["certificate"], home / given["key"], home / given["authority"])


def _limits(given: dict[str, Any]) -> Limits:
    known = {f.name for f in fields(Limits)}
    _closed(given, "limits", set(), known)
    return Limits(**given)


def _public_key(path: Path) -> VerifyKey:
    try:
        return VerifyKey.from_jwk(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, BadRequest):
        raise GatewayFault("edge_settings", member="edge.gateway_key") from None


def _closed(given: Any, where: str, required: set[str], optional: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise GatewayFault("edge_settings", member=where)
    for name in sorted((required - set(given)) | (set(given) - required - (optional or set()))):
        raise GatewayFault("edge_settings", member=f"{where}.{name[:40]}")
    return given
