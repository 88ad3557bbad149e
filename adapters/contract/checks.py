"""The named checks, in the order of the report: mapping, system, register and directory, orders, refusals, injection, load.

Rules kept here: a check holds or raises `Failed` with a stable reason; a name never changes its meaning; each tells in two languages what
it looked at; a check that has nothing to look at says so and counts as neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from adapters.contract.kit import Failed, Kit, Skipped
from gateway.errors import GatewayError

Run = Callable[[Kit], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check. name: `group.what`."""

    name: str
    zh: str
    en: str
    run: Run


@dataclass(frozen=True, slots=True)
class Result:
    """How a check ended. outcome: passed, failed, skipped. reason: of a failure; detail: names and counts only."""

    name: str
    zh: str
    en: str
    outcome: str
    reason: str = ""
    detail: str = ""


CHECKS: list[Check] = []


def check(name: str, zh: str, en: str) -> Callable[[Run], Run]:
    """Enter a function into the list."""

    def entered(run: Run) -> Run:
        CHECKS.append(Check(name, zh, en, run))
        return run

    return entered


async def result_of(one: Check, kit: Kit) -> Result:
    """Run one check; an unforeseen error fails it without its text."""
    try:
        await one.run(kit)
    except Skipped:
        return Result(one.name, one.zh, one.en, "skipped")
    except Failed as failed:
        return Result(one.name, one.zh, one.en, "failed", failed.reason, failed.detail)
    except GatewayError as error:
        return Result(one.name, one.zh, one.en, "failed", error.code)
    except Exception as error:
        # A kit that falls over on a broken adapter would report nothing at all.
        return Result(one.name, one.zh, one.en, "failed", "unexpected", type(error).__name__)
    return Result(one.name, one.zh, one.en, "passed")


def hold(condition: bool, reason: str, detail: str = "") -> None:
    """Raise `Failed` unless the condition holds."""
    if not condition:
        raise Failed(reason, detail)


async def refused(work: Awaitable[object], *codes: str) -> None:
    """Raise `Failed` unless the work is refused with one of these codes."""
    try:
        await work
    except GatewayError as error:
        hold(error.code in codes, "wrong_code", f"{error.code}, not {codes[0]}")
        return
    raise Failed("not_refused", codes[0])


def every(kit: Kit) -> list[str]:
    """Exchanges with records, or `Skipped`."""
    names = kit.about_children()
    if not names:
        raise Skipped
    return names
