"""Makes an edge's folder: fresh keys, settings, the SDK's configuration, copies of what the gateway and the department gave.

Rules kept here: private keys are made here and stay here (mode 0600); what has to be registered with the gateway is returned as public
values; an existing key is never overwritten.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.domain.orders import SealingKey
from gateway.domain.parties import Party
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey, VerifyKey


@dataclass(frozen=True, slots=True)
class Plan:
    """One edge to set up. mapping: the department's TOML. exchanges: the gateway's export. source: the `[source]` table; the value of
    `app_secret` there is the secret itself and goes into a file. local_port: 0 for no local door. log_vkey: the log's public key.
    """

    party: Party
    region: str
    port: int
    mapping: Path
    exchanges: bytes
    gateway_url: str
    issuer: str
    order_key: VerifyKey
    client_id: str
    source: Mapping[str, str] = field(repr=False)
    local_port: int = 0
    local_token: str = field(default="", repr=False)
    log_vkey: str = ""
    suite: str = "x25519"
    medical: bool = False
    inbox: bool = True


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is ready. The public values are what the gateway has to register."""

    config: Path
    client: Path
    client_key: VerifyKey
    sender_key: VerifyKey
    sealing_key: SealingKey


def make_folder(home: Path, plan: Plan) -> Folder:
    """Write the folder. Raises `FileExistsError` where keys are there already."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    client_key, sender_key = SigningKey.generate(), SigningKey.generate()
    sealing = SealingPair.generate(plan.suite)
    client_key.save(home / "client.pem")
    sender_key.save(home / "signing.pem")
    sealing.save(home / "sealing.json")
    (home / "gateway-order.jwk.json").write_text(json.dumps(plan.order_key.jwk()))
    (home / "exchanges.json").write_bytes(plan.exchanges)
    shutil.copyfile(plan.mapping, home / "mapping.toml")
    source = dict(plan.source)
    if "app_secret" in source:
        _private(home / "app-secret", source["app_secret"])
        source["app_secret"] = "app-secret"  # noqa: S105 - the name of the file
    if plan.local_port:
        _private(home / "local-token", plan.local_token)
    client, config = home / "client.toml", home / "edge.toml"
    client.write_text(_client_toml(plan), encoding="utf-8")
    config.write_text(_edge_toml(plan, source), encoding="utf-8")
    return Folder(config, client, client_key.verify_key, sender_key.verify_key, sealing.sealing_key(plan.party))


def _client_toml(plan: Plan) -> str:
    members = {
        "gateway": plan.gateway_url,
        "issuer": plan.issuer,
        "client_id": plan.client_id,
        "party": plan.party.text,
        "client_key": "client.pem",
        "sender_key": "signing.pem",
        "sealing": ["sealing.json"],
    }
    if plan.log_vkey:
        members["log_vkey"] = plan.log_vkey
    return _table("", members)


def _edge_toml(plan: Plan, source: Mapping[str, str]) -> str:
    edge = {
        "organisation": plan.party.organisation,
        "department": str(plan.party.department),
        "region": plan.region,
        "port": plan.port,
        "medical": plan.medical,
        "exchanges": "exchanges.json",
        "mapping": "mapping.toml",
        "directory": "directory.sqlite",
        "signing_key": "signing.pem",
        "gateway_key": "gateway-order.jwk.json",
    }
    tables = [("edge", edge), ("source", source), ("gateway", {"client": "client.toml", "inbox": plan.inbox})]
    if plan.local_port:
        tables.append(("local", {"port": plan.local_port, "token": "local-token"}))
    return "\n".join(_table(name, members) for name, members in tables)


def _table(name: str, members: Mapping[str, object]) -> str:
    # A JSON string, number, boolean or list of strings is one of TOML as well.
    lines = [f"[{name}]"] if name else []
    return "\n".join(lines + [f"{member} = {json.dumps(value)}" for member, value in members.items()]) + "\n"


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
