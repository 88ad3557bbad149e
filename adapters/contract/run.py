"""Runs all checks against the edge that a settings file describes.

Rules kept here: what cannot even start is one failed check, `start`, with its code; the kit never writes to the departmental system.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.contract import checks, order_checks, register_checks, report
from adapters.contract.checks import Result
from adapters.contract.kit import opened_kit, sampled
from adapters.edge import settings as edge_settings
from adapters.edge.assembly import Rebuild
from adapters.edge.settings import EdgeSettings
from gateway.errors import GatewayError

GROUPS = (register_checks, order_checks)
"""Imported for the checks that they enter into the list."""
_START = ("start", "按配置启动并读取名册", "starts from its settings and reads its register")


async def checked(settings: EdgeSettings, rebuild: Rebuild | None = None) -> Sequence[Result]:
    """Every check's result, in order."""
    try:
        async with opened_kit(settings, rebuild) as kit:
            try:
                await sampled(kit)
            except GatewayError as error:
                return [Result(*_START, "failed", error.code, _facts(error))]
            return [Result(*_START, "passed"), *[await checks.result_of(one, kit) for one in checks.CHECKS]]
    except GatewayError as error:
        return [Result(*_START, "failed", error.code, _facts(error))]


async def run(config: Path, folder: Path) -> dict[str, Any]:
    """Check, sign, write; the signed report. Raises `GatewayFault` where the settings themselves cannot be read."""
    settings = edge_settings.load(config)
    given = report.signed(report.document(settings, await checked(settings)), settings.signing_key)
    report.write(given, folder)
    return given


def _facts(error: GatewayError) -> str:
    return " ".join(f"{name}={value}" for name, value in error.facts.items() if name in ("field", "reason", "exchange"))
