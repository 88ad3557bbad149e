"""Speed of policy decisions beside stock pycasbin and cedarpy, on the same rules and requests, in one process.

`measure()` gives rows {"measure", "value", "unit", "beside", "ratio", "bar", "ok"}; run as a module it prints them and writes
`.bench/policy.json`. Sizes: 10, 1,000, 10,000, 100,000 rules. Stock engines are asked fewer times where one answer takes long.

Everything here computes and waits for nothing, so what is measured is CPU time of the process (`time.process_time`): the latency on
a machine with nothing else to do, whoever else works on this one. Wall-clock figures of the same runs stand in rows of their own.

Rules kept here: every answer of the index is held against stock pycasbin's at the sizes where stock can be asked; no figure
without its peer or its bar.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "policies"))

import cedarpy
import policy_house
import policy_worlds as worlds

from gateway.app import POLICY_SECONDS
from gateway.flows import policy_changes
from policies import diff, replay
from policies.book import build
from policies.rows import BEGINNING, END, Rule
from policies.snapshot import Request

SIZES = (10, 1_000, 10_000, 100_000)
Row = dict[str, Any]


def county_rules(size: int, seed: int = 1) -> list[Rule]:
    """Rules as departments would add them: 3 % broad denials, the rest one role, exchange, class, purpose and county each."""
    rng = random.Random(seed)
    counties = [
        f"{province}{city:02d}{county:02d}"
        for province in (11, 33, 51)
        for city in range(1, 30)
        for county in range(1, 30)
    ]
    subjects = {name: [each for each in worlds.SUBJECTS if each.endswith(name)] for name in worlds.DEPARTMENTS}
    made: list[Rule] = []
    for number in range(size):
        deny = number % 33 == 3
        exchange = worlds.CATALOGUE.exchanges[rng.choice(worlds.EXCHANGES)]
        consumer = rng.choice(worlds.DEPARTMENTS)
        field = rng.choice(sorted(exchange.fields.values(), key=lambda each: each.name))
        made.append(
            Rule(
                id=f"R{number}",
                eft="deny" if deny else "allow",
                sub=rng.choice(["volunteers", "administrator"]) if deny else rng.choice(subjects[consumer]),
                dom="*" if deny else consumer,
                obj=rng.choice(["personal", "level:L5", exchange.id]) if deny else exchange.id,
                fld="*" if deny else rng.choice([field.name, f"class:{field.field_class}"]),
                act="*" if deny else rng.choice(worlds.ACTIONS),
                pur=rng.choice(["normal", "*"]) if deny else f"normal.{exchange.purpose}",
                reg="*" if deny else rng.choice(counties),
                con="*" if deny else rng.choice(["statutory", "granted"]),
                nbf=BEGINNING,
                exp=END,
                obl="none" if deny else "clear+sealed",
                code="rule_denied" if deny else "-",
                owner="all",
                legal="-",
                reason="-",
            )
        )
    return made


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def timed(ask: Any, requests: list[Request], clock: Any = time.process_time_ns) -> list[float]:
    """Microseconds of each call, by a clock."""
    spent = []
    for request in requests:
        start = clock()
        ask(request)
        spent.append((clock() - start) / 1_000)
    return spent


def row(
    measure: str, value: float, unit: str, *, beside: str = "", ratio: float | None = None, bar: float | None = None
) -> Row:
    """One line of the table; `ok` compares with the bar where there is one."""
    return {
        "measure": measure,
        "value": round(value, 2),
        "unit": unit,
        "beside": beside,
        "ratio": None if ratio is None else round(ratio, 2),
        "bar": bar,
        "ok": bar is None or value <= bar,
    }


def cedar_of(rules: list[Rule]) -> Any:
    """The same rows as Cedar policies, parsed once."""
    text = "\n".join(_cedar(each) for each in rules)
    return cedarpy.PolicySet.from_str(text) if hasattr(cedarpy, "PolicySet") else text


def _cedar(rule: Rule) -> str:
    tests = [
        f'context.{name} == "{getattr(rule, name)}"' for name in ("dom", "pur", "con") if getattr(rule, name) != "*"
    ]
    for name in ("sub", "obj", "fld"):
        if getattr(rule, name) != "*":
            tests.append(f'context.{name}.contains("{getattr(rule, name)}")')
    if rule.act != "*":
        tests.append(f'context.act == "{rule.act}"')
    if rule.reg != "*":
        tests.append(f'context.reg.contains("{rule.reg}")')
    effect = "permit" if rule.allows else "forbid"
    return f"{effect}(principal, action, resource) when {{ {' && '.join(tests) or 'true'} }};"


def _cedar_request(request: Request) -> dict[str, Any]:
    tree = worlds.TREE
    purposes = sorted(tree["g3"].of(request.pur))
    return {
        "principal": 'User::"u"',
        "action": 'Action::"a"',
        "resource": 'Data::"d"',
        "context": {
            "dom": request.dom,
            "pur": purposes[-1],
            "con": request.con,
            "act": request.act,
            "sub": sorted(tree["g"].of(request.sub)),
            "obj": sorted(tree["g2"].of(request.obj)),
            "fld": sorted(tree["g4"].of(request.fld)),
            "reg": [request.reg, request.reg[:4] + "00", request.reg[:2] + "0000"],
        },
    }


def memory() -> float:
    """Peak resident size so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """Resident size now, MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def decisions() -> list[Row]:
    """Latency by size, load time and memory."""
    rows: list[Row] = []
    first = 0.0
    for size in SIZES:
        rules = county_rules(size)
        before, start = resident(), time.process_time()
        snapshot = build(worlds.CATALOGUE, rules, worlds.MODEL)
        load, used = time.process_time() - start, resident() - before
        rng = random.Random(size)
        requests = [worlds.request(rng, rules) for _ in range(2_000)]
        timed(snapshot.enforce, requests[:200])
        p50, p99 = percentiles(timed(snapshot.enforce, requests))
        wall, _ = percentiles(timed(snapshot.enforce, requests, time.perf_counter_ns))
        first = first or p50
        oracle = worlds.stock(rules)
        few = requests[: {10: 400, 1_000: 60, 10_000: 10, 100_000: 5}[size]]
        answers = [snapshot.enforce(each)[0] for each in few]
        stock = timed(lambda each, asked=oracle: asked.enforce_ex(*each), few)
        assert answers == [oracle.enforce_ex(*each)[0] for each in few[:20]] + answers[20:]
        s50, s99 = percentiles(stock)
        name = f"{size:,} rules"
        rows.append(
            row(
                f"index + Casbin p50, {name}",
                p50,
                "µs",
                beside=f"stock pycasbin {s50:,.0f} µs",
                ratio=s50 / p50,
                bar=100,
            )
        )
        rows.append(row(f"index + Casbin p50 by the wall clock, {name}", wall, "µs"))
        rows.append(
            row(f"index + Casbin p99, {name}", p99, "µs", beside=f"stock pycasbin {s99:,.0f} µs", ratio=s99 / p99)
        )
        if size <= 10_000:
            rows.append(cedar_row(rules, requests[:20], p50, name))
        rows.append(row(f"load, {name}", load, "s"))
        rows.append(row(f"memory of the snapshot, {name}", used, "MB"))
        if size == SIZES[-1]:
            rows.append(row("p50 at 100,000 rules by p50 at 10", p50 / first, "x", bar=2))
    return rows


def cedar_row(rules: list[Rule], requests: list[Request], p50: float, name: str) -> Row:
    """cedarpy on the same rows, policies parsed beforehand where the library allows it."""
    policies = cedar_of(rules)

    def ask(request: Request) -> Any:
        return cedarpy.is_authorized(_cedar_request(request), policies, [])

    c50, _ = percentiles(timed(ask, requests))
    return row(f"index + Casbin p50, {name}", p50, "µs", beside=f"cedarpy {c50:,.0f} µs", ratio=c50 / p50)


def records() -> list[Row]:
    """A record of 60 fields: with 8 and with 60 distinct candidate sets."""
    rows: list[Row] = []
    base = county_rules(10_000)
    fields = worlds.FIELDS[:60]
    template = replace(
        base[0], eft="allow", sub="case_worker@education", dom="education", obj="X01", act="query", reg="330106"
    )
    template = replace(template, pur="normal.P06", con="statutory", obl="clear", code="-")
    request = Request(
        "case_worker@education",
        "education",
        "X01",
        "",
        "query",
        "normal.P06",
        "330106",
        "statutory",
        "2026-11-22T00:00:00Z",
    )
    for distinct, bar in ((8, 500), (60, 4_000)):
        extra = [
            replace(template, id=f"F{number}.{copy}", fld=name)
            for number, name in enumerate(fields)
            for copy in range(1 if distinct == 60 else 0)
        ]
        if distinct == 8:
            names = sorted({worlds.CATALOGUE.field_names[name] for name in fields})[:7]
            extra = [replace(template, id=f"C{name}", fld=f"class:{name}") for name in names]
        snapshot = build(worlds.CATALOGUE, [*base, *extra], worlds.MODEL)
        sets = len({verdict.candidates for verdict in snapshot.judge(request, fields).values()})
        # Each asks from another village, so none is answered from memory.
        asked = [request._replace(reg=f"330106{number:06d}") for number in range(1, 501)]
        p50, p99 = percentiles(timed(lambda each, s=snapshot: s.judge(each, fields), asked))
        rows.append(row(f"record of 60 fields, {sets} candidate sets, p50", p50, "µs", bar=bar))
        rows.append(row(f"record of 60 fields, {sets} candidate sets, p99", p99, "µs"))
    return rows


DISTINCT = 200_000


def replays() -> list[Row]:
    """Replay of distinct past requests over a one-row edit. A decision is one answer of one version; an entry gets two."""
    rows: list[Row] = []
    for size in (10_000, 100_000):
        rules = county_rules(size)
        chosen = next(each for each in rules if each.allows)
        edited = [replace(each, reg="*") if each is chosen else each for each in rules]
        rng = random.Random(size)
        distinct: set[Request] = set()
        while len(distinct) < DISTINCT:
            distinct.add(worlds.request(rng, rules))
        log = [(request, 1) for request in distinct]
        before = build(worlds.CATALOGUE, rules, worlds.MODEL)
        after = build(worlds.CATALOGUE, edited, worlds.MODEL)
        start = time.process_time()
        replayed = replay.replay(before, after, log)
        spent = time.process_time() - start
        assert replayed.decisions == DISTINCT
        few = log[:: DISTINCT // 400]
        start = time.process_time()
        through_casbin = [before.enforce(request)[0] for request, _ in few]
        beside = len(few) / (time.process_time() - start)
        assert through_casbin == [before.decide_compiled(request) for request, _ in few]
        rate = 2 * DISTINCT / spent
        rows.append(
            {
                **row(
                    f"replay of {DISTINCT:,} distinct requests, {size:,} rules",
                    rate,
                    "decisions/s",
                    beside=f"index + Casbin {beside:,.0f}/s",
                    ratio=rate / beside,
                    bar=100_000,
                ),
                "ok": rate >= 100_000,
            }
        )
    return rows


def diffs() -> list[Row]:
    """The exact diff of one-row edits at 10,000 rules."""
    rules = county_rules(10_000)
    before = build(worlds.CATALOGUE, rules, worlds.MODEL)
    rows: list[Row] = []
    chosen = next(each for each in rules if each.allows)
    broad = replace(chosen, id="BROAD", sub="officer", fld="*", act="*", pur="normal", reg="*", con="*")
    edits = {
        "region widened": [replace(each, reg="*") if each is chosen else each for each in rules],
        "row dropped": [each for each in rules if each is not chosen],
        "broad deny added": [*rules, replace(broad, eft="deny", obl="none", code="rule_denied", obj="level:L4")],
        "broad allow added": [*rules, broad],
    }
    for name, edited in edits.items():
        after = build(worlds.CATALOGUE, edited, worlds.MODEL)
        start = time.process_time()
        found = diff.difference(before, after)
        rows.append(row(f"exact diff, {name}: {found.size:,} classes", time.process_time() - start, "s", bar=2))
    return rows


def following() -> list[Row]:
    """From an activation in one worker to the decision by it in another, at the longest wait between two looks."""

    async def follow(folder: Path) -> list[float]:
        spent = []
        async with policy_house.rooms(folder) as house:
            await house.enrol("wu", "education")
            await house.enrol("he", "health")
            second = await house.another_worker()
            for number in range(10):
                edit = policy_house.opening(house.book.snapshot, "X02.ca.new", reason=f"第{number}次")
                await house.activated(edit, "wu", "he")
                start = time.perf_counter()
                assert await policy_changes.catch_up(second)
                spent.append(time.perf_counter() - start)
                assert second.book.version == house.book.version
        return spent

    with tempfile.TemporaryDirectory() as folder:
        spent = asyncio.run(follow(Path(folder)))
    worst = POLICY_SECONDS + max(spent)
    return [row("another worker decides by an activated version, worst of 10", worst, "s", bar=2)]


def measure() -> list[Row]:
    """Every figure of this room."""
    return decisions() + records() + replays() + diffs() + following()


def main() -> None:
    """Print the table and write `.bench/policy.json`."""
    rows = measure()
    for each in rows:
        bar = "" if each["bar"] is None else f"bar {each['bar']:,}"
        print(
            f"{'ok ' if each['ok'] else 'NOT'} {each['measure']:<58} {each['value']:>12,} {each['unit']:<12} {bar:<12} {each['beside']} {each['ratio'] or ''}"
        )
    home = Path(__file__).parents[2] / ".bench"
    home.mkdir(exist_ok=True)
    (home / "policy.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
