"""Retention: which keys' term has ended, what keeps them all the same, and the plan that two departments sign before they go.

A key is random per history and year, so a year's details end with the year's keys. Terms (PIPL 56, 网数条例 12): three whole
years after the year of the entries; the log's own details (certificates, policy changes, key events) ten.

Rules kept here: a plan names nobody, it counts and commits to what would go by a salted digest; what goes is computed again
under the head's lock and must be exactly what was signed, so a hold placed meanwhile stops it; whoever has an open case, or
one closed within the term, is kept whole; tiles and checkpoints stay, skeletons for ten years (`gateway/audit/pruning.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from gateway.audit.erasure import destroy
from gateway.audit.histories import LOG_HOLDER
from gateway.audit.log import AuditLog
from gateway.audit.pruning import SKELETONS_KEPT_YEARS, prunable
from gateway.domain.clock import SHANGHAI
from gateway.domain.entries import EntryDraft, Receipt
from gateway.errors import BadRequest, Denied
from gateway.store import audit as store
from gateway.store import audit_keys, audit_retention
from gateway.store.audit import KeyRow
from gateway.store.database import Reading, Writing

KEPT_YEARS = 3
LOG_KEPT_YEARS = 10
MOST = 2000
"""Generations of one plan: they are destroyed in one transaction, while the log waits. What is left is in the next plan."""

Kept = Callable[[Reading, int, Collection[bytes]], Awaitable[Collection[bytes]]]
"""Everybody who is kept at a time (unix seconds): those that a hold names, whoever has a case, and the same children under
other names.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be destroyed. log: the log's origin. as_of: unix seconds for which terms were judged. histories,
    generations: how many go. held: generations whose term has ended and that something keeps. minimum_index: entries below it
    go, 0 for none. whole: one history's every generation (an erasure). digest: SHA-256 over the salt and what goes.
    """

    log: str
    as_of: int
    histories: int
    generations: int
    held: int
    minimum_index: int
    whole: bool
    salt: str
    digest: str

    @property
    def empty(self) -> bool:
        """Nothing would go."""
        return not self.generations and not self.minimum_index

    @property
    def subject(self) -> dict[str, Any]:
        """What the two approvers sign."""
        return {"kind": "retention", **asdict(self)}

    def encode(self) -> str:
        """As a file."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def read_plan(text: str) -> Plan:
    """A plan's file; `BadRequest("retention_plan")`."""
    try:
        members = json.loads(text)
        plan = Plan(**members)
        types = {name: type(getattr(plan, name)).__name__ for name in members}
    except (ValueError, TypeError):
        raise BadRequest("retention_plan") from None
    if types != {name: str(kind) for name, kind in Plan.__annotations__.items()}:
        raise BadRequest("retention_plan")
    return plan


def last_ended_year(as_of: int, kept_years: int) -> int:
    """The newest year whose entries' term has ended, Asia/Shanghai: on 1 January 2030 that of 2026 (three years)."""
    return datetime.fromtimestamp(as_of, SHANGHAI).year - kept_years - 1


async def make_plan(reading: Reading, log: AuditLog, kept: Kept, as_of: int, whole: Sequence[bytes] = ()) -> Plan:
    """What would be destroyed now. whole: of these histories only (one child's, under all its names), and only all of them.

    Raises `BadRequest("history_unknown")`; for a whole history `Denied`: `history_term` (freeze it instead), `history_held`.
    """
    salt = os.urandom(16).hex()
    if whole:
        going = _Going(await _all_of(reading, whole, kept, as_of))
    else:
        going = await _ended(reading, kept, as_of)
    return Plan(
        log=log.origin,
        as_of=as_of,
        histories=len({row.holder for row in going.rows}),
        generations=len(going.rows),
        held=going.held,
        minimum_index=going.minimum,
        whole=bool(whole),
        salt=salt,
        digest=going.digest(salt),
    )


async def stands(reading: Reading, log: AuditLog, plan: Plan, kept: Kept, now: int) -> bool:
    """Whether a plan that is about no single child is still what would go now."""
    if plan.log != log.origin or plan.as_of > now or plan.whole:
        return False
    return (await _ended(reading, kept, plan.as_of, now)).digest(plan.salt) == plan.digest


async def carry_out(
    log: AuditLog, plan: Plan, entry: EntryDraft, kept: Kept, now: int, whole: Sequence[bytes] = ()
) -> Receipt:
    """Destroy exactly what was planned. `entry`: the `erasure` entry, with who approved; its detail gets the certificate.

    Raises `Denied("retention_changed")` where it is not what would go now, and as `make_plan`.
    """

    async def choose(writing: Writing) -> Sequence[KeyRow]:
        if plan.log != log.origin or plan.as_of > now or plan.whole != bool(whole):
            raise Denied("retention_changed")
        if whole:
            going = _Going(await _all_of(writing, whole, kept, plan.as_of, now))
        else:
            going = await _ended(writing, kept, plan.as_of, now)
        if not (going.rows or going.minimum) or going.digest(plan.salt) != plan.digest:
            raise Denied("retention_changed")
        # Whatever waits to be signed is another plan after this, or none.
        await audit_retention.put_plan(writing, "")
        return going.rows

    return await destroy(log, choose, entry, whole=tuple(whole), minimum=plan.minimum_index)


@dataclass(frozen=True, slots=True)
class _Going:
    """What goes. held: how many more generations have ended and are kept. minimum: see `Plan.minimum_index`."""

    rows: Sequence[KeyRow]
    held: int = 0
    minimum: int = 0

    def digest(self, salt: str) -> str:
        parts = [row.holder + row.generation.to_bytes(4, "big") for row in self.rows]
        begins = self.minimum.to_bytes(8, "big") if self.minimum else b""
        return sha256(bytes.fromhex(salt) + b"".join(parts) + begins).hexdigest()


async def _ended(reading: Reading, kept: Kept, as_of: int, now: int | None = None) -> _Going:
    newest = last_ended_year(as_of, KEPT_YEARS)
    of_the_log = last_ended_year(as_of, LOG_KEPT_YEARS)
    of_skeletons = last_ended_year(as_of, SKELETONS_KEPT_YEARS)
    every = await audit_keys.generations_until(reading, newest)
    rows = [row for row in every if row.holder != LOG_HOLDER or row.year <= of_the_log]
    keeping = await _keeping(reading, kept, as_of if now is None else now)
    going = [row for row in rows if row.holder not in keeping]
    held, going = len(rows) - len(going), going[:MOST]
    goes = {(row.holder, row.generation) for row in going}
    living = {row.year for row in every if row.year <= of_skeletons and (row.holder, row.generation) not in goes}
    return _Going(going, held, await prunable(reading, of_skeletons, living))


async def _all_of(
    reading: Reading, holders: Sequence[bytes], kept: Kept, as_of: int, now: int | None = None
) -> Sequence[KeyRow]:
    rows = [row for holder in holders for row in await store.key_generations(reading, holder)]
    if not rows:
        raise BadRequest("history_unknown")
    if max(row.year for row in rows) > last_ended_year(as_of, KEPT_YEARS):
        raise Denied("history_term")
    if not set(holders).isdisjoint(await _keeping(reading, kept, as_of if now is None else now)):
        raise Denied("history_held")
    return rows


async def _keeping(reading: Reading, kept: Kept, now: int) -> Collection[bytes]:
    holding = {holder for _, holder, _, _ in await audit_keys.holds(reading, now)}
    return await kept(reading, now, holding)
