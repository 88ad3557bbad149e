"""How long the console's pages take at a million entries, 100,000 rules in history and 1,000 clients, beside the same page of the same
process kind on an empty store.

`make bench ONLY=console`. A page's time is the whole request within the process: session, role, rendering, and where the page is a look
the durable append of its entry; the fsync probe stands beside. Bars: p95 at most 150 ms and at most three times the empty store's. The
full store is kept in `.bench/`: the log's own builder makes 10,000 entries, the rest are copies with places, times and ids of their own
under one signed tree (every proof holds; the copies' tags are not entered, so timelines are those of the 10,000). Making it takes
minutes, says how far it is, and goes on where it was stopped: `python -m tests.bench.console fill` only makes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import pickle
import random
import re
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import gateway.app  # noqa: F401  (puts every handler behind its door)
from gateway.app import opened
from gateway.audit import batch, entry
from gateway.audit.batch import Asked, BatchBuilder
from gateway.audit.tree import grown_tiles
from gateway.console.doors import doors
from gateway.console.roles import Role
from gateway.domain.entries import EntryDraft
from gateway.domain.parties import Client, Party
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.proofs.checkpoints import Checkpoint, sign_checkpoint
from gateway.proofs.merkle import CompactRange, leaf_hash
from gateway.store import audit as store
from gateway.store import audit_tables, policy, policy_tables, registry_tables
from gateway.store.audit import BatchRows, EntryRow, HeadRow, KeyRow
from gateway.store.policy import ChangeRow
from gateway.store.registry_changes import add_client
from keys.signing import SigningKey
from policies.book import HOME
from policies.catalogue import load
from tests.bench.probes import fsync_probe
from tests.console.site import CODE, Site, make_site, sign_in

ENTRIES = int(os.environ.get("RUNXIN_BENCH_ENTRIES", "1000000"))
CLIENTS, RULES, DRAFTS = 1000, 100_000, 100
CHILDREN, OFFICERS = 10_000, 2_000
REPEATS = 20
BAR_MS, BAR_RATIO, BAR_BYTES = 150.0, 3.0, 300_000
_BATCH, _MADE = 2_000, 10_000
_HOUR_US = 3_600 * 1_000_000
_TIME = re.compile(rb'"t":[0-9]+')
_MONTH_US = 30 * 86_400 * 1_000_000
Row = dict[str, Any]


# --- the full store ---------------------------------------------------------------------------------------------------------


def full_site() -> Site:
    """A site over the full store, made where it is not there, finished where it was left."""
    modules = (batch, entry, audit_tables, policy_tables, registry_tables)
    sources = "".join(
        map(inspect.getsource, (*modules, _draft, _fill_entries, _fill_clients, _fill_rules, _made, _copied))
    )
    name = f"console-{ENTRIES}-{hashlib.sha256(sources.encode()).hexdigest()[:12]}"
    folder = Path(".bench").resolve() / name
    kept = folder / "site"
    if not folder.exists():
        for old in folder.parent.glob(f"console-{ENTRIES}-*"):
            shutil.rmtree(old)
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        site = make_site(folder)
        asyncio.run(_begin(site, folder))
        kept.write_bytes(pickle.dumps((site.settings.data, site.passwords)))
    site = Site(make_settings(folder))
    _, site.passwords = pickle.loads(kept.read_bytes())  # noqa: S301  (written above, by this program)
    asyncio.run(_fill_entries(site, folder))
    return site


def make_settings(folder: Path) -> Any:
    from tests.console.site import settings_in

    return settings_in(folder)


async def _begin(site: Site, folder: Path) -> None:
    """Clients and rules, and where the entries begin: the month runs ahead; the gateway that is measured stands at its end."""
    async with opened(site.settings) as house:
        await _fill_clients(house)
        await _fill_rules(house)
        async with house.database.read() as reading:
            head = await store.get_head(reading)
        assert head is not None
        (folder / "begins").write_text(f"{head.size} {int(time.time() * 1e6)}")


async def _fill_entries(site: Site, folder: Path) -> None:
    """As many entries as are missing. A batch is one transaction and draws by a seed of its own, so it may end at any time."""
    first, began_us = map(int, (folder / "begins").read_text().split())
    async with opened(site.settings) as house:
        async with house.database.read() as reading:
            head = await store.get_head(reading)
            kept = await store.get_entries(reading, first, first + _MADE)
            keys = {row.holder: row for row in (await store.all_current_keys(reading))[1]}
        assert head is not None
        done = head.size - first
        # Signing in at the console writes entries too, but only into a store that is full.
        for start in range(done, ENTRIES, _BATCH) if done < ENTRIES else ():
            draw, now_us = random.Random(start), began_us + start * _MONTH_US // ENTRIES
            async with house.database.write() as writing:
                head = await store.get_head(writing)
                assert head is not None
                if len(kept) < _MADE:
                    rows, leaves = _made(house, head, keys, now_us, [_draft(draw) for _ in range(_BATCH)])
                    keys |= {row.holder: row for row in rows.keys if row.current}
                    kept += rows.entries
                else:
                    rows, leaves = _copied(house, head, now_us, draw.sample(kept, _BATCH))
                tiles = await grown_tiles(writing, head.size, leaves)
                await store.write_batch(writing, rows.with_tiles(tiles))
            if (start + _BATCH) % (ENTRIES // 20) < _BATCH:
                print(f"  {start + _BATCH:,} of {ENTRIES:,} entries", flush=True)


async def _fill_clients(house: Any) -> None:
    async with house.database.write() as writing:
        for number in range(CLIENTS):
            department = list(Department)[number % 5]
            key = SigningKey.generate().verify_key
            client = Client(f"client-{number:04d}", Party(CODE, department), "330106", key.thumbprint, key.public)
            await add_client(writing, client, now=1)


def _made(house: Any, head: HeadRow, keys: dict[bytes, KeyRow], now_us: int, drafts: list[EntryDraft]) -> Any:
    """(rows, leaf hashes) of a batch that the log's own builder makes."""
    asked = [Asked(one) for one in drafts]
    known = [keys[holder] for holder in {holder for one in asked for holder in one.holders} if holder in keys]
    built = BatchBuilder(house.log.keeper, house.log.signer, head, known, max(now_us, head.time_us + 1)).build(asked)
    return built.rows, built.leaves


def _copied(house: Any, head: HeadRow, now_us: int, entries: list[EntryRow]) -> Any:
    """(rows, leaf hashes) of a batch of entries made before, each with a place, a time and an id of its own, under a signed head."""
    time_us, step = max(now_us, head.time_us + 1), _MONTH_US // ENTRIES
    counted: dict[tuple[int, str], tuple[int, int, int]] = {}
    rows = []
    for number, one in enumerate(entries):
        at = time_us + number * step
        leaf = _TIME.sub(b'"t":%d' % at, one.leaf, count=1)
        index, place = head.size + number, (at // _HOUR_US, one.facets)
        count, first, _ = counted.get(place, (0, index, index))
        counted[place] = (count + 1, first, index)
        entry_id = f"{at:014x}{os.urandom(9).hex()}"
        rows.append(EntryRow(index, entry_id, one.facets, leaf, leaf_hash(leaf), one.hints, one.detail))
    leaves = tuple(row.hash for row in rows)
    tree = CompactRange.decode(head.size, head.hashes).extended(leaves)
    note = sign_checkpoint(Checkpoint(house.log.signer.name, tree.size, tree.root), house.log.signer)
    grown = HeadRow(tree.size, tree.encode(), time_us + len(rows) * step, note)
    rollups = [(*place, *many) for place, many in counted.items()]
    return BatchRows(grown, head.size, rows, (), (), (), rollups, ()), leaves


async def _fill_rules(house: Any) -> None:
    """Drafts of a thousand rules each, none of which decides."""
    rule = next(one for one in house.book.snapshot.rules if one.id == "X02.ca.q02")
    values = [getattr(rule, name) for name in policy.COLUMNS]
    at = policy.COLUMNS.index("id")
    for number in range(DRAFTS):
        rows = []
        for each in range(RULES // DRAFTS):
            row = list(values)
            row[at] = f"X02.ca.h{number * (RULES // DRAFTS) + each}"
            rows.append(tuple(row))
        async with house.database.write() as writing:
            numbers = await policy.put_rows(writing, rows)
            change = ChangeRow(
                change_id=f"pc-{number:04d}",
                revision=1,
                base=1,
                version="sha256:" + f"{number:012x}",
                cases="0" * 64,
                files={},
                rows=tuple(numbers),
                author=f"{CODE}/E0501",
                reason="历史草案",
                made_at=1 + number,
                closed=False,
            )
            await policy.add_change(writing, change)


def _draft(draw: random.Random) -> EntryDraft:
    """An entry as traffic makes them: of an exchange that is served, between its own provider and consumer, for its own purpose."""
    officer = draw.randrange(OFFICERS)
    exchange, purpose, asker, giver = draw.choice(_traffic())
    lucky = draw.random()
    outcome = Outcome.RELEASED if lucky > 0.03 else Outcome.DENIED if lucky > 0.01 else Outcome.NO_RESULT
    return EntryDraft(
        kind=EntryKind.QUERY if exchange in ("X01", "X02") else EntryKind.DELIVERED,
        outcome=outcome,
        code={Outcome.RELEASED: "", Outcome.DENIED: "case_missing", Outcome.NO_RESULT: "no_result"}[outcome],
        exchange=exchange,
        door=Door.EMERGENCY if draw.random() < 0.001 else Door.NORMAL,
        purpose=purpose,
        requester=asker,
        provider=giver,
        policy_version="sha256:" + "a" * 12,
        children=(hashlib.sha256(b"child" + draw.randrange(CHILDREN).to_bytes(4, "big")).digest(),),
        actors=(f"client:client-{officer % CLIENTS:04d}", f"person:{CODE}/{officer}"),
        request_digest=draw.randbytes(32),
        request_salt=draw.randbytes(16),
        detail={"organisation": CODE, "client": f"client-{officer % CLIENTS:04d}", "officer": str(officer)},
    )


@cache
def _traffic() -> list[tuple[str, str, Department, Department]]:
    return [
        (exchange.id, exchange.purpose, consumer, provider)
        for exchange in load(HOME / "catalogue").exchanges.values()
        if exchange.state == "served"
        for consumer in exchange.consumers
        for provider in exchange.providers
        if consumer != provider
    ]


# --- the pages ----------------------------------------------------------------------------------------------------------------


def pages(full: bool) -> list[tuple[Role, str, str]]:
    """(role, name, address) of every page of the menus, and the pages below them. full: addresses that hold in the full store."""
    found = []
    for role in (Role.AUDIT_ADMIN, Role.AUDITOR, Role.POLICY_OWNER, Role.SYSTEM_ADMIN):
        for door in doors():
            if door.menu and role in door.roles and not any(name == door.name for _, name, _ in found):
                found.append((role, door.name, door.path))
    middle = ENTRIES // 2 if full else 30
    more = [
        ("entry", f"/entries/{middle}"),
        ("entry_proof", f"/entries/{middle}/proof"),
        ("entries, filtered", "/entries?outcome=denied&exchange=X02"),
        ("entries, none fit", "/entries?kind=query&exchange=X33"),
        ("entries, an old page", f"/entries?after={middle}"),
        ("entries.csv", "/entries.csv"),
        ("exchange", "/catalogue/X02"),
        ("matrix, 30 days", "/matrix?days=30"),
    ]
    found += [(Role.AUDIT_ADMIN, name, path) for name, path in more]
    found.append((Role.AUDITOR, "entries of one department", "/entries"))
    found.append((Role.AUDITOR, "overview of one department", "/"))
    found.append((Role.POLICY_OWNER, "draft_form", "/drafts/new?rule=X02.ca.q02"))
    found.append((Role.SYSTEM_ADMIN, "switches that may be thrown", "/switches"))
    return found


def timed(full: tuple[Any, str], empty: tuple[Any, str]) -> tuple[float, float, float]:
    """p95 of a page in milliseconds on the full and on the empty store, asked in turn so that both see the same machine; and by how
    much the median CPU time grows, which others on the machine hardly touch.
    """
    times: tuple[list[float], list[float]] = ([], [])
    used: tuple[list[float], list[float]] = ([], [])
    for number in range(REPEATS + 2):
        for (browser, path), taken, worked in zip((full, empty), times, used, strict=True):
            began, cpu = time.perf_counter(), time.process_time()
            answer = browser.get(f"/console{path}")
            taken.append((time.perf_counter() - began) * 1000)
            worked.append(time.process_time() - cpu)
            assert answer.status_code == 200, (path, answer.status_code)
            if number < 2:
                taken.clear()  # the first ones fill caches that live as long as the process
                worked.clear()
    value, beside = (sorted(taken)[int(len(taken) * 0.95) - 1] for taken in times)
    return value, beside, statistics.median(used[0]) / statistics.median(used[1])


def row(measure: str, value: float, unit: str, beside: float | None, *, bar: float | None, ok: bool | None) -> Row:
    """One line of the table."""
    return {
        "measure": measure,
        "value": value,
        "unit": unit,
        "beside": beside,
        "ratio": value / beside if beside else None,
        "bar": bar,
        "ok": ok,
    }


def first_page_bytes(browser: Any) -> int:
    """What the overview loads, compressed, without the charts."""
    answer = browser.get("/console/", headers={"Accept-Encoding": "gzip"})
    total = len(answer.content)
    for address in set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', answer.text)):
        if "echarts" not in address and "chart.js" not in address:
            with browser.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as file:
                total += len(b"".join(file.iter_raw()))
    return total


async def stand_at_the_end(state: Any) -> None:
    """Let the gateway's clock show the time of the log's last entry."""
    async with state.house.database.read() as reading:
        head = await store.get_head(reading)
    assert head is not None
    ahead = timedelta(seconds=max(head.time_us / 1e6 - time.time(), 0))
    state.house = replace(state.house, clock=AheadClock(ahead))


class AheadClock:
    """The real time, moved."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def measure() -> list[Row]:
    """Every row, in the order of the table."""
    rows = []
    full = full_site()
    with tempfile.TemporaryDirectory(prefix="runxin-console-bench-") as name, ExitStack() as stack:
        probe = fsync_probe(Path(name))
        empty = make_site(Path(name) / "empty")
        browsers = {}
        for label, site in (("full", full), ("empty", empty)):
            client = stack.enter_context(site.running())
            if label == "full":
                client.portal.call(stand_at_the_end, client.app.state)
            for role in (Role.AUDIT_ADMIN, Role.AUDITOR, Role.POLICY_OWNER, Role.SYSTEM_ADMIN):
                browsers[label, role] = sign_in(client, site, role)
        for (role, page, path), (_, _, beside_path) in zip(pages(True), pages(False), strict=True):
            value, beside, grown = timed((browsers["full", role], path), (browsers["empty", role], beside_path))
            ok = value <= BAR_MS and value <= BAR_RATIO * beside
            unit = f"ms, p95; CPU {grown:.1f}x"
            rows.append(row(f"{page} ({role})", value, unit, beside, bar=BAR_MS, ok=ok))
        size = first_page_bytes(browsers["full", Role.AUDIT_ADMIN])
        rows.append(row("first page without charts, gzip", size, "bytes", None, bar=BAR_BYTES, ok=size < BAR_BYTES))
    rows.append(row("write and fdatasync of 4 kB", probe, "ms", None, bar=None, ok=None))
    return rows


if __name__ == "__main__":
    from tests.bench.__main__ import show

    if sys.argv[1:] == ["fill"]:
        print(full_site().settings.data)
    else:
        show("console", measure())
