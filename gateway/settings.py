"""What a site may set, read once at start from the environment (`RUNXIN_…`) or `runxin.toml`, then frozen.

Rules kept here: a wrong value stops the start with a sentence that names the setting; a secret is a file's path or a
`SecretStr`, never shown by `runxin settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Settings(BaseSettings):
    """Settings of one gateway process."""

    model_config = SettingsConfigDict(
        env_prefix="RUNXIN_", toml_file="runxin.toml", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data: Path = Field(default=Path("runxin-data"), description="Folder of database, key store and high-water file.")
    database: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in the data folder.")
    issuer: str = Field(
        default="http://127.0.0.1:8440", description="The gateway's own URL, as tokens and proofs name it."
    )
    origin: str = Field(default="runxin.example/audit/2026", description="Origin line of the audit log's checkpoints.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8440, ge=1, le=65535, description="Port of the machine door.")
    metrics_port: int = Field(default=0, ge=0, le=65535, description="Private port of /metrics; 0 turns it off.")
    demo: bool = Field(default=False, description="Demo mode: loopback only, no mutual TLS.")
    tls_certificate: Path | None = Field(default=None, description="Server certificate (PEM).")
    tls_key: Path | None = Field(default=None, description="Server key (PEM).")
    tls_client_ca: Path | None = Field(default=None, description="CA of the clients' certificates; mutual TLS.")
    root_key_source: Literal["file", "env"] = Field(
        default="file",
        description="Where the root key comes from: a sealed file, or RUNXIN_ROOT_KEY (base64 of 32 bytes).",
    )
    root_passphrase: SecretStr = Field(default=SecretStr(""), description="Passphrase of the sealed root key file.")
    policies: Path | None = Field(default=None, description="Another policies folder than the one shipped.")
    protective_escrow: tuple[str, str] | None = Field(
        default=None,
        description="Who hold the halves of protective histories' keys: two of `org/department:suite:key` (base64url).",
    )
    witness_policy: Path | None = Field(
        default=None,
        description="The witnesses of the audit log and their quorum (c2sp.org/tlog-policy); without it nothing is witnessed.",
    )
    disk_reserve_mib: int = Field(
        default=256, ge=0, description="Free MiB below which only protective and emergency entries are taken."
    )
    retention_every_days: int = Field(
        default=1, ge=0, le=366, description="Days between dry runs of what may be destroyed; 0 leaves them to people."
    )
    order_timeout: float = Field(default=10.0, gt=0, le=60, description="Seconds that an edge has to answer an order.")
    embedded: tuple[Path, ...] = Field(
        default=(),
        description="Settings files of edges whose adapters run inside the gateway, for trying out (a JSON list of paths).",
    )
    embedded_may_serve_sensitive: bool = Field(
        default=False, description="Let embedded adapters serve D0 and L5 (their answers are labelled `sighted`)."
    )
    guardian_address: str = Field(
        default="",
        description="Where guardians reach their page, if a portal passes /guardian/ on; empty means the issuer's own.",
    )
    openid_issuer: str = Field(
        default="",
        description="Issuer of the OpenID Connect provider by which people may sign in at the console; empty means local accounts only.",
    )
    openid_client_id: str = Field(default="", description="The console's client id at that provider.")
    openid_client_secret: SecretStr = Field(
        default=SecretStr(""), description="Its secret; empty for a public client (PKCE alone)."
    )
    openid_acr: tuple[str, ...] = Field(
        default=(),
        description="Levels of authentication (`acr`) of which the provider must name one, for instance two factors (a JSON list).",
    )
    openid_ca: Path | None = Field(
        default=None, description="CA of the provider's certificate (PEM), where the machine does not know it."
    )
    workers: int = Field(default=1, ge=1, le=16, description="Worker processes on one PostgreSQL.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Log level.")

    @field_validator("issuer")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        if value.endswith("/") or not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https:// and must not end with a slash")
        return value

    @field_validator("openid_issuer")
    @classmethod
    def _kept_from_listeners(cls, value: str) -> str:
        parts = urlsplit(value)
        plain = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if value and (not parts.hostname or parts.query or parts.fragment or not (plain or parts.scheme == "https")):
            raise ValueError(
                "must start with https:// (http:// on this machine only) and have neither query nor fragment"
            )
        return value

    @model_validator(mode="after")
    def _known_at_the_provider(self) -> Settings:
        if self.openid_issuer and not self.openid_client_id:
            raise ValueError("OPENID_ISSUER needs OPENID_CLIENT_ID")
        return self

    @property
    def database_url(self) -> str:
        """The database URL, with the embedded default filled in."""
        return self.database or f"sqlite+aiosqlite:///{self.data / 'gateway.sqlite3'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `runxin.toml`."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
