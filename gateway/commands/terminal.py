"""What the commands share: the data option, settings, running a coroutine, printing JSON, and errors as sentences."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from gateway.api.problems import problem
from gateway.errors import BadRequest, Denied, GatewayError, GatewayFault, NotAuthenticated, ProviderFault
from gateway.settings import Settings

EXIT = {BadRequest: 2, Denied: 3, NotAuthenticated: 3, ProviderFault: 4, GatewayFault: 5}
VERIFICATION_FAILED = 6
Data = Annotated[Path | None, typer.Option("--data", help="Data folder; otherwise RUNXIN_DATA or runxin.toml.")]


def settings_of(data: Path | None = None) -> Settings:
    """The settings, with another data folder where one is named."""
    try:
        return Settings(data=data) if data else Settings()
    except ValidationError as error:
        # The place and the reason; never the value, which may be a passphrase.
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            typer.echo(f"RUNXIN_{name}: {fault['msg']}. `runxin settings` shows what each is for.", err=True)
        raise SystemExit(2) from None


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def echo_json(value: object) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def fail(error: GatewayError) -> NoReturn:
    """An error of the house as its sentence in two languages, and the exit code of its kind."""
    _, document = problem(error)
    facts = " ".join(f"{name}={value}" for name, value in error.facts.items())
    typer.echo(f"{error.code}: {document['detail']} {facts}".rstrip(), err=True)
    typer.echo(document["detail_zh"], err=True)
    raise SystemExit(next((code for kind, code in EXIT.items() if isinstance(error, kind)), 1))
