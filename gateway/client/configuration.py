"""Who a departmental system is, and whom it trusts: keys, names and pins, from Python or from a TOML file.

Rules kept here: private keys come from files of their own, never from the configuration's text; nothing here shows a key;
a sender's key counts when it is pinned here or proved by the log whose key is pinned here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.policy import Policy, parse_policy
from keys.envelope import SealingPair
from keys.signing import SigningKey, VerifyKey


@dataclass(frozen=True, slots=True)
class OfficerKey:
    """经办人: whose key signs the assertions, in which function. lifetime: seconds of one assertion, at most 12 h."""

    person_id: str
    function: str
    key: SigningKey = field(repr=False)
    lifetime: int = 8 * 3600


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that a client needs to know.

    gateway: base URL to connect to. issuer: the gateway's own name for itself, where it differs. party: for whom the client
    speaks. client_key: its registered key. officer: who stands behind its requests, None for an edge. sealing: the party's
    sealing pairs, newest first (older ones still open what is under way). sender_key: signs what the party sends; the
    client's key where none is given. senders: kid -> (party, key), pinned by hand. log_vkey: the log's key (C2SP vkey);
    with it, a sender's key that the log proves is pinned on first use. witness_policy: whose cosignatures make a receipt
    `witnessed`. timeout: seconds.
    """

    gateway: str
    client_id: str
    party: Party
    client_key: SigningKey = field(repr=False)
    issuer: str = ""
    officer: OfficerKey | None = None
    sealing: tuple[SealingPair, ...] = ()
    sender_key: SigningKey | None = field(default=None, repr=False)
    senders: Mapping[str, tuple[Party, VerifyKey]] = field(default_factory=dict)
    log_vkey: str | None = None
    witness_policy: Policy | None = None
    timeout: float = 30.0

    @property
    def name_of_gateway(self) -> str:
        """The issuer: audience of assertions, origin of proofs."""
        return self.issuer or self.gateway

    @property
    def origin(self) -> str:
        """Scheme and authority of the issuer."""
        parts = urlsplit(self.name_of_gateway)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def signer(self) -> SigningKey:
        """The key that signs what this party sends."""
        return self.sender_key or self.client_key


def load(path: Path) -> Configuration:
    """Read a configuration file. Paths in it are relative to it.

    ::

        gateway = "https://gateway.example:8443"
        client_id = "edu-xihu"
        party = "11330106002489017Q/education"
        client_key = "client.pem"
        sealing = ["sealing.json"]
        log_vkey = "runxin.example/log+…"
        witness_policy = "witnesses.policy"  # c2sp.org/tlog-policy

        [officer]
        person = "T0417"
        function = "children_worker"
        key = "officer.pem"

        [[senders]]
        party = "11330106002489009A/civil_affairs"
        x = "<base64url of the Ed25519 public key>"

    Raises `BadRequest("configuration_invalid")` (fact: member) and what the key files raise.
    """
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GatewayFault("configuration_unreadable") from error
    home = path.parent
    unknown = text.keys() - _MEMBERS
    if unknown:
        raise BadRequest("configuration_invalid", member=min(unknown))
    sender_key = text.get("sender_key")
    return Configuration(
        gateway=_text(text, "gateway"),
        client_id=_text(text, "client_id"),
        party=read_party(_text(text, "party")),
        client_key=SigningKey.load(home / _text(text, "client_key")),
        issuer=text.get("issuer", ""),
        officer=_officer(text["officer"], home) if "officer" in text else None,
        sealing=tuple(SealingPair.load(home / name) for name in text.get("sealing", [])),
        sender_key=SigningKey.load(home / sender_key) if sender_key else None,
        senders=dict(_sender(item) for item in text.get("senders", [])),
        log_vkey=text.get("log_vkey"),
        witness_policy=_policy(home / text["witness_policy"]) if "witness_policy" in text else None,
        timeout=float(text.get("timeout", 30.0)),
    )


def read_party(text: str) -> Party:
    """`<organisation>/<department>`. Raises `BadRequest("configuration_invalid")`."""
    organisation, _, department = text.partition("/")
    try:
        return Party(organisation, Department(department))
    except ValueError as error:
        raise BadRequest("configuration_invalid", member="party") from error


_MEMBERS = frozenset(
    {
        "gateway",
        "issuer",
        "client_id",
        "party",
        "client_key",
        "officer",
        "sealing",
        "sender_key",
        "senders",
        "log_vkey",
        "witness_policy",
        "timeout",
    }
)


def _policy(path: Path) -> Policy:
    try:
        return parse_policy(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GatewayFault("configuration_unreadable") from error
    except (ProofInvalid, UnicodeDecodeError) as error:
        raise BadRequest("configuration_invalid", member="witness_policy") from error


def _text(table: Mapping[str, Any], member: str) -> str:
    value = table.get(member)
    if not isinstance(value, str) or not value:
        raise BadRequest("configuration_invalid", member=member)
    return value


def _officer(table: Mapping[str, Any], home: Path) -> OfficerKey:
    return OfficerKey(
        person_id=_text(table, "person"),
        function=_text(table, "function"),
        key=SigningKey.load(home / _text(table, "key")),
    )


def _sender(table: Mapping[str, Any]) -> tuple[str, tuple[Party, VerifyKey]]:
    key = VerifyKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": _text(table, "x")})
    return key.thumbprint, (read_party(_text(table, "party")), key)
