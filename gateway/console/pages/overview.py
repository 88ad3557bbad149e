"""总览: what waits for this visitor, what is wrong, whether the log is whole, how the exchanges fare.

Rules kept here: only numbers and states, so the overview itself leaves no entry; an auditor sees the numbers of the own department.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from gateway.audit.witness import unwitnessed_for
from gateway.console.doors import door
from gateway.console.roles import ADMINISTRATORS, EVERYBODY, INSPECTORS, Role
from gateway.console.visits import Visit
from gateway.console.volumes import Count, by_hour, health, of_kind
from gateway.console.works import DONE
from gateway.domain.vocabulary import EntryKind, ExchangeState, Outcome
from gateway.proofs.checkpoints import read_checkpoint
from gateway.proofs.notes import parse_note
from gateway.store import console as store
from gateway.store.audit import get_head
from gateway.store.basis_lists import overdue_notices, overdue_reviews, overdue_rights, overdue_words
from gateway.store.console import WorkRow
from gateway.store.console_matters import matter_counts
from gateway.store.database import Reading

DAY, WEEK = 24, 7 * 24
WITNESS_ALARM_US = 120 * 1_000_000


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that waits or is wrong. message: source text; door: where to go, with a query string."""

    message: str
    count: int
    door: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Integrity:
    """The log in a few numbers. witnesses: names that cosigned the newest witnessed checkpoint. behind_us: age of the oldest
    entry that no witnessed checkpoint covers.
    """

    size: int
    root: str
    time: float
    origin: str
    checked: WorkRow | None
    witnessed: int | None
    quorum: bool
    witnesses: tuple[str, ...]
    behind_us: int


@door("GET", "/", roles=EVERYBODY, does="Overview", menu="work")
async def overview(visit: Visit) -> Response:
    """The first page after signing in."""
    catalogue = visit.house.catalogue
    served = [each.id for each in catalogue.exchanges.values() if each.state is ExchangeState.SERVED]
    async with visit.house.database.read() as reading:
        counts = await visit.console.volumes.totalled(reading, visit.now, WEEK, department=visit.department)
        day = await visit.console.volumes.counted(reading, visit.now, DAY, department=visit.department)
        log = await integrity(visit, reading)
        alarms = await _alarms(visit, reading, counts, log)
        waiting = await _waiting(visit, reading)
    fares = sorted(health(day, served), key=lambda one: (one.state != "fault", -one.total, one.exchange))
    return visit.page(
        "overview.html",
        alarms=alarms,
        waiting=waiting,
        log=log,
        health=fares,
        stopped={target for kind, target in visit.house.registry.current.stopped if kind == "exchange"},
        volumes=by_hour(day, visit.now, DAY),
        outcomes=[Outcome.RELEASED, Outcome.NO_RESULT, Outcome.DENIED, Outcome.FAULT],
        exchanges=catalogue.exchanges,
    )


async def integrity(visit: Visit, reading: Reading) -> Integrity:
    """What the overview and the verification page say about the log."""
    head = await get_head(reading)
    assert head is not None, "the log was started with the house"
    point = read_checkpoint(head.checkpoint)
    cosigned = await store.newest_witnessed(reading)
    newest = cosigned[0] if cosigned else None
    names = tuple(line.name for line in parse_note(newest[1]).signatures[1:]) if newest else ()
    checked = [row for row in await store.works(reading, "verification") if visit.console.works.state(row) == DONE]
    behind = await unwitnessed_for(reading, visit.now * 1_000_000) if newest else 0
    return Integrity(
        size=point.size,
        root=point.root.hex(),
        time=head.time_us / 1_000_000,
        origin=point.origin,
        checked=checked[0] if checked else None,
        witnessed=newest[0] if newest else None,
        quorum=bool(newest and newest[2]),
        witnesses=names,
        behind_us=behind,
    )


async def _alarms(visit: Visit, reading: Reading, counts: list[Count], log: Integrity) -> list[Matter]:
    role, now_us = visit.account.role, visit.now * 1_000_000
    found = [Matter("Exchanges or clients are stopped", len(await store.thrown_switches(reading)), "switches")]
    if role in INSPECTORS:
        failed = [row for row in await store.works(reading, "verification", limit=1) if row.state == "failed"]
        found += [
            Matter("The last verification of the log failed", len(failed), "verification"),
            Matter("Alarms in the log in seven days", of_kind(counts, EntryKind.ALARM), "entries", "?kind=alarm"),
            Matter(
                "Faults in seven days",
                sum(one.count for one in counts if one.outcome == Outcome.FAULT),
                "entries",
                "?outcome=fault",
            ),
        ]
    if role in ADMINISTRATORS or role in INSPECTORS:
        late = 1 if log.witnessed is not None and log.behind_us > WITNESS_ALARM_US else 0
        found.append(Matter("No witness has cosigned for more than two minutes", late, "verification"))
    if role is Role.AUDIT_ADMIN:
        found += [
            Matter("Reviews past their time", len(await overdue_reviews(reading, now_us)), "book"),
            Matter("Guardian notices past their time", len(await overdue_notices(reading, now_us)), "book"),
            Matter(
                "Withdrawals or corrections not answered in time", len(await overdue_words(reading, now_us)), "book"
            ),
            Matter("Rights requests past their time", len(await overdue_rights(reading, now_us)), "book"),
        ]
    if role in (Role.SECURITY_ADMIN, Role.AUDIT_ADMIN):
        locked = [row for row in await store.all_accounts(reading) if row.locked_until > visit.now]
        found.append(Matter("Accounts locked after wrong passwords", len(locked), "accounts"))
        refused = of_kind(counts, EntryKind.AUTH_REFUSED)
        where = "entries" if role is Role.AUDIT_ADMIN else "parties"
        found.append(Matter("Roll-ups of refused systems in seven days", refused, where, "?kind=auth.refused"))
    return [matter for matter in found if matter.count and visit.may(matter.door)]


async def _waiting(visit: Visit, reading: Reading) -> list[Matter]:
    role, department = visit.account.role, visit.department
    rows = await store.findings(reading, department=str(department) if department else None)
    if role in INSPECTORS:
        mine = sum(row.state == "answered" for row in rows)
        counts = await matter_counts(reading, str(department) if department else None)
        unexplained = sum(count for (_, state), count in counts.items() if state == "waiting")
        return [
            Matter("Accesses wait for your review", unexplained, "review"),
            Matter("Answered findings wait for your retest", mine, "findings", "?state=answered"),
        ]
    asked = str(department or "")
    mine = sum(row.state == "open" and row.against == asked for row in rows)
    return [Matter("Findings wait for your answer", mine, "findings", "?state=open")]
