"""The edge's settings from one TOML file; every path in it is relative to the file.

Rules kept here: an unknown or missing member, or an unreadable key, refuses to start (`edge_settings`, naming the member); secrets
stand in files of their own, never in the settings.

    [edge]     organisation, department, region, port, exchanges, mapping, directory, signing_key, sealing_key, gateway_key
               host = "127.0.0.1", local_port = 0 (none), local_token = "" (file), medical = false
    [gateway]  url, issuer, client_id, client_key; pins = "" ; inbox = true
    [source]   kind = "sql", url   |   kind = "rest", base, app_key, app_secret (file)
    [limits]   seconds, attempts, at_once, queue, failures, cool_off, max_bytes (all optional)
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adapters.base.calls import Limits
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from keys.signing import VerifyKey

_EDGE = {
    "organisation", "department", "region", "port", "exchanges", "mapping", "directory", "signing_key", "sealing_key", "gateway_key",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GatewayAccess:
    """How the edge reaches the gateway as a client. inbox: whether this edge takes its party's envelopes."""

    url: str
    issuer: str
    client_id: str
    client_key: Path
    pins: Path | None
    inbox: bool


@dataclass(frozen=True, slots=True)
class SqlSource:
    """A register reached by a SQLAlchemy URL."""

    url: str


@dataclass(frozen=True, slots=True)
class RestSource:
    """A register reached by REST; app_secret: a file."""

    base: str
    app_key: str
    app_secret: Path


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """All of one edge. gateway: None for an edge that only answers orders."""

    party: Party
    region: str
    host: str
    port: int
    local_port: int
    local_token: Path | None
    medical: bool
    exchanges: Path
    mapping: Path
    directory: Path
    signing_key: Path
    sealing_key: Path
    gateway_key: VerifyKey
    gateway: GatewayAccess | None
    source: SqlSource | RestSource
    limits: Limits


def load(path: Path) -> EdgeSettings:
    """Settings from a file. Raises `GatewayFault("edge_settings", member=…)`."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise GatewayFault("edge_settings", member="file") from None
    home = path.resolve().parent
    _closed(document, "file", {"edge", "source"}, {"gateway", "limits"})
    edge = _closed(document["edge"], "edge", _EDGE, {"host", "local_port", "local_token", "medical"})
    try:
        party = Party(str(edge["organisation"]), Department(edge["department"]))
    except ValueError:
        raise GatewayFault("edge_settings", member="edge.department") from None
    return EdgeSettings(
        party=party,
        region=str(edge["region"]),
        host=edge.get("host", "127.0.0.1"),
        port=int(edge["port"]),
        local_port=int(edge.get("local_port", 0)),
        local_token=home / edge["local_token"] if edge.get("local_token") else None,
        medical=bool(edge.get("medical", False)),
        exchanges=home / edge["exchanges"],
        mapping=home / edge["mapping"],
        directory=home / edge["directory"],
        signing_key=home / edge["signing_key"],
        sealing_key=home / edge["sealing_key"],
        gateway_key=_public_key(home / edge["gateway_key"]),
        gateway=_gateway(document["gateway"], home) if "gateway" in document else None,
        source=_source(document["source"], home),
        limits=_limits(document.get("limits", {})),
    )


def _gateway(given: dict[str, Any], home: Path) -> GatewayAccess:
    _closed(given, "gateway", {"url", "issuer", "client_id", "client_key"}, {"pins", "inbox"})
    return GatewayAccess(
        url=given["url"],
        issuer=given["issuer"],
        client_id=given["client_id"],
        client_key=home / given["client_key"],
        pins=home / given["pins"] if given.get("pins") else None,
        inbox=bool(given.get("inbox", True)),
    )


def _source(given: dict[str, Any], home: Path) -> SqlSource | RestSource:
    match given.get("kind"):
        case "sql":
            _closed(given, "source", {"kind", "url"})
            return SqlSource(given["url"])
        case "rest":
            _closed(given, "source", {"kind", "base", "app_key", "app_secret"})
            return RestSource(given["base"], given["app_key"], home / given["app_secret"])
        case _:
            raise GatewayFault("edge_settings", member="source.kind")


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
