"""The `[source]` table of an edge's settings: which protocol, where, with which secrets.

Rules kept here: the members of each kind are closed; secrets stand in files of their own, never in the settings; every path is
relative to the settings file.

    kind = "sql", url
    kind = "rest", base, app_key, app_secret (file), screening_secret (file, optional), screenings = "screenings.sqlite"
    kind = "fhir", base, token (file)                          kind = "soap", address, token (file), wsdl (file)
    kind = "vendor", base, token (file), webhook_secret (file, optional)
    kind = "sftp", host, port, user, host_key (file), key (file), template (file), folder = ".", store = "landed.sqlite"
    kind = "drop", folder, template (file), store = "landed.sqlite"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import GatewayFault


@dataclass(frozen=True, slots=True)
class SqlSource:
    """A register reached by a SQLAlchemy URL."""

    url: str


@dataclass(frozen=True, slots=True)
class RestSource:
    """A register reached by REST; app_secret, screening_secret: files; screenings: where the vendor's outcomes are kept."""

    base: str
    app_key: str
    app_secret: Path
    screening_secret: Path | None
    screenings: Path


@dataclass(frozen=True, slots=True)
class FhirSource:
    """A hospital reached by FHIR R4; token: a file."""

    base: str
    token: Path


@dataclass(frozen=True, slots=True)
class SoapSource:
    """A health platform reached by SOAP; token, wsdl: files."""

    address: str
    token: Path
    wsdl: Path


@dataclass(frozen=True, slots=True)
class VendorSource:
    """A hotline vendor's REST platform; token, webhook_secret: files."""

    base: str
    token: Path
    webhook_secret: Path | None


@dataclass(frozen=True, slots=True)
class SftpSource:
    """Nightly files on a vendor's SFTP server; host_key: its public key, pinned; key: our private key file."""

    host: str
    port: int
    user: str
    host_key: Path
    key: Path
    template: Path
    folder: str
    store: Path


@dataclass(frozen=True, slots=True)
class DropSource:
    """Files dropped into a folder."""

    folder: Path
    template: Path
    store: Path


Source = SqlSource | RestSource | FhirSource | SoapSource | VendorSource | SftpSource | DropSource
Closed = Callable[[Any, str, set[str], set[str]], dict[str, Any]]


def read(given: Any, home: Path, closed: Closed) -> Source:
    """A source from its table. Raises `GatewayFault("edge_settings", member=…)`."""
    kind = given.get("kind") if isinstance(given, dict) else None
    required, optional = _MEMBERS.get(str(kind), (None, None))
    if required is None or optional is None:
        raise GatewayFault("edge_settings", member="source.kind")
    closed(given, "source", {"kind", *required}, set(optional))
    try:
        return _made(str(kind), given, home)
    except (TypeError, ValueError):
        raise GatewayFault("edge_settings", member="source") from None


_MEMBERS: dict[str, tuple[set[str], set[str]]] = {
    "sql": ({"url"}, set()),
    "rest": ({"base", "app_key", "app_secret"}, {"screening_secret", "screenings"}),
    "fhir": ({"base", "token"}, set()),
    "soap": ({"address", "token", "wsdl"}, set()),
    "vendor": ({"base", "token"}, {"webhook_secret"}),
    "sftp": ({"host", "port", "user", "host_key", "key", "template"}, {"folder", "store"}),
    "drop": ({"folder", "template"}, {"store"}),
}


def _made(kind: str, given: dict[str, Any], home: Path) -> Source:
    match kind:
        case "sql":
            return SqlSource(given["url"])
        case "rest":
            screening = given.get("screening_secret")
            return RestSource(
                base=given["base"],
                app_key=given["app_key"],
                app_secret=home / given["app_secret"],
                screening_secret=home / screening if screening else None,
                screenings=home / given.get("screenings", "screenings.sqlite"),
            )
        case "fhir":
            return FhirSource(given["base"], home / given["token"])
        case "soap":
            return SoapSource(given["address"], home / given["token"], home / given["wsdl"])
        case "vendor":
            secret = given.get("webhook_secret")
            return VendorSource(given["base"], home / given["token"], home / secret if secret else None)
        case "sftp":
            return SftpSource(
                host=given["host"],
                port=int(given["port"]),
                user=given["user"],
                host_key=home / given["host_key"],
                key=home / given["key"],
                template=home / given["template"],
                folder=given.get("folder", "."),
                store=home / given.get("store", "landed.sqlite"),
            )
        case _:
            store = home / given.get("store", "landed.sqlite")
            return DropSource(home / given["folder"], home / given["template"], store)
