"""Speed of reading through each adapter, beside the bare protocol client doing the same reads of the same system in the same run.

Rows interleave ours and the bare client and take the median, so that both see the same machine. The bare FHIR client parses by the same
published models, as any FHIR client does. Run as a module it prints a table and writes `.bench/adapters.json`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import psutil
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.base import mapping, sheets
from adapters.base.calls import Calls, Limits
from adapters.base.drop import template
from adapters.base.landed import Landed
from adapters.base.source import Wanted
from adapters.civil_affairs.register import SqlRegister
from adapters.education.register import RestRegister
from adapters.education.signature import AppKey
from adapters.health.fhir_models import read as read_fhir
from adapters.health.register import FhirRegister
from adapters.sandbox import civil_affairs_system, education_system, fhir_system
from policies.catalogue import load
from tests.bench import adapters_large

ROOT = Path(__file__).resolve().parents[2]
CHILDREN = 2000
LIMITS = Limits(seconds=60, max_bytes=64 * 1024 * 1024)
SINGLE, BATCH = 2.0, 1.3


def measure(*, many: int = 100_000) -> list[dict]:
    """Rows of {measure, value, unit, beside, ratio, bar, ok}."""
    with tempfile.TemporaryDirectory(prefix="runxin-bench-") as folder:
        return asyncio.run(_all(Path(folder), many))


async def _all(home: Path, many: int) -> list[dict]:
    exchanges = load().exchanges

    def of(department):
        return mapping.load(ROOT / "adapters" / department / "mapping.toml", exchanges)

    rows = []
    with civil_affairs_system.start(home / "ca", count=CHILDREN, engine="sqlite") as running:
        rows += await _sql(running.address, of("civil_affairs"))
    with education_system.start(home / "ed", app_key="edge", app_secret="t", count=CHILDREN) as running:
        rows += await _rest(running.address, of("education"))
    with fhir_system.start(home / "he", token="t", count=CHILDREN) as running:
        rows += await _fhir(running.address, of("health"))
    rows += _landing(home, many)
    rows += _through("SQL", many, *await adapters_large.sql(home, of("civil_affairs"), many))
    rows += _through("FHIR", many, *await adapters_large.fhir(of("health"), many, many // 20))
    took, grown = await adapters_large.enrolment(home, many)
    limit = adapters_large.ENROLLED_IN
    rows.append(_row(f"{many} children enrolled", took, "s", limit, took / limit, f"<= {limit:.0f} s", took <= limit))
    rows.append(_flat(grown))
    return rows


def _through(protocol, count, took, bare, grown):
    """All records of a register, named and read: per second, beside the bare client's."""
    name = f"{protocol}, {count} records in one go"
    return [_row(name, count / took, "rows/s", count / bare, took / bare, "none", True), _flat(grown)]


def _flat(grown):
    most = adapters_large.FLAT
    return _row("  memory grown on the way", grown, "MB", None, None, f"<= {most}", grown <= most)


async def _beside(name, ours, bare, *, rounds, bar):
    """Medians of `rounds` interleaved rounds."""
    mine, theirs = [], []
    for _ in range(3):
        await ours(), await bare()
    for _ in range(rounds):
        for call, took in ((ours, mine), (bare, theirs)):
            started = time.perf_counter()
            await call()
            took.append(time.perf_counter() - started)
    value, beside = statistics.median(mine) * 1000, statistics.median(theirs) * 1000
    return _row(name, value, "ms", beside, value / beside, f"<= {bar}x", value <= bar * beside)


async def _sql(url, local):
    register, engine = SqlRegister(url, local, Calls(LIMITS)), create_async_engine(url)
    reader = engine.execution_options(isolation_level="AUTOCOMMIT")
    keys = [person.key async for person in register.people()]
    mapped = local.exchanges["X01"]
    fields = frozenset(mapped.fields)
    columns = mapped.columns(fields, birth=False)
    view = sa.table(mapped.resource.name, *(sa.column(c) for c in columns))

    def both(some):
        wanted = Wanted("X01", tuple(some), fields)

        async def bare():
            query = sa.select(*view.columns).where(view.c[mapped.resource.key].in_(some))
            async with reader.connect() as connection:
                return [dict(row) for row in (await connection.execute(query)).mappings()]

        return lambda: register.read(wanted), bare

    rows = [
        await _beside("SQL, one record", *both(keys[:1]), rounds=60, bar=SINGLE),
        await _beside("SQL, 500 records", *both(keys[:500]), rounds=15, bar=BATCH),
    ]
    await register.close()
    await engine.dispose()
    return rows


async def _rest(base, local):
    key = AppKey("edge", b"t")
    register = RestRegister(base, key, local, Calls(LIMITS))
    keys = [person.key async for person in register.people()]
    mapped = local.exchanges["X02"]
    fields = frozenset(mapped.fields)
    columns = list(mapped.columns(fields, birth=False))
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:

        def both(some):
            async def bare():
                path = "/openapi/v1/students/query"
                body = json.dumps({"keys": some, "fields": columns}).encode()
                answer = await http.post(base + path, content=body, headers=key.headers("POST", path, body))
                return answer.json()["data"]

            return lambda: register.read(Wanted("X02", tuple(some), fields)), bare

        rows = [
            await _beside("REST, one record", *both(keys[:1]), rounds=60, bar=SINGLE),
            await _beside("REST, 500 records", *both(keys[:500]), rounds=15, bar=BATCH),
        ]
    await register.close()
    return rows


async def _fhir(base, local):
    register = FhirRegister(base, "t", local, Calls(LIMITS))
    fields = frozenset(local.exchanges["X09"].fields)
    keys = [person.key async for person in register.people()]
    with_task = list(await register.read(Wanted("X09", tuple(keys), fields)))
    headers = {"Authorization": "Bearer t", "Content-Type": "application/x-www-form-urlencoded"}
    patient = "id,address,birthDate"
    task = "id,status,intent,for,groupIdentifier,businessStatus,executionPeriod,output"
    async with httpx2.AsyncClient(trust_env=False, timeout=60, headers=headers) as http:

        def both(some):
            async def search(kind, form):
                answer = await http.post(f"{base}/{kind}/_search", content=urlencode(form).encode())
                return [read_fhir(kind, entry["resource"]) for entry in answer.json()["entry"]]

            async def bare():
                for start in range(0, len(some), 100):
                    part = some[start : start + 100]
                    await search("Patient", {"_id": ",".join(part), "_elements": patient, "_count": "2000"})
                    names = ",".join(f"Patient/{key}" for key in part)
                    await search("Task", {"patient": names, "_elements": task, "_count": "2000"})

            return lambda: register.read(Wanted("X09", tuple(some), fields)), bare

        rows = [
            await _beside("FHIR, one record", *both(with_task[:1]), rounds=40, bar=SINGLE),
            await _beside(f"FHIR, {min(500, len(with_task))} records", *both(with_task[:500]), rounds=9, bar=BATCH),
        ]
    await register.close()
    return rows


def _landing(home, count):
    """A nightly file of `count` rows landed, beside reading the same file and dropping the rows; memory on the way."""
    path = home / "12338_20261101_01.csv"
    form = template(ROOT / "adapters/womens_federation/template.toml")
    with path.open("w", encoding="gb18030", newline="") as file:
        file.write(",".join(form.headings) + "\r\n")
        for n in range(count):
            file.write(
                f"W{n:07d},,,20150102,330106101201,XS{n:07d},欧阳·春兰,浙江省杭州市西湖区{n}号,忽视,低,2026-11-01 21:15\r\n"
            )
    started = time.perf_counter()
    assert sum(1 for _ in sheets.rows(path, "gb18030", form.headings)) == count
    bare = time.perf_counter() - started
    store = Landed(home / "landed.sqlite")
    gc.collect()
    process = psutil.Process()
    before, peak = process.memory_info().rss, 0

    def watched():
        nonlocal peak
        for number, row in enumerate(sheets.rows(path, "gb18030", form.headings)):
            if number % 5000 == 0:
                peak = max(peak, process.memory_info().rss)
            yield row

    started = time.perf_counter()
    store._land("files", path.name, "digest", watched(), form.key)
    took = time.perf_counter() - started
    store.close()
    grown = (peak - before) / 1024 / 1024
    return [
        _row(f"CSV in GB18030, {count} rows landed", count / took, "rows/s", count / bare, took / bare, "none", True),
        _flat(grown),
    ]


def _row(name, value, unit, beside, ratio, bar, ok):
    return {"measure": name, "value": value, "unit": unit, "beside": beside, "ratio": ratio, "bar": bar, "ok": bool(ok)}


def main() -> int:
    """Print the table, write `.bench/adapters.json`; 1 where a bar is missed."""
    rows = measure()
    for one in rows:
        beside = "" if one["beside"] is None else f"{one['beside']:12.2f} {one['ratio']:6.2f}x"
        print(
            f"{one['measure']:36} {one['value']:12.2f} {one['unit']:8} {beside:20} {one['bar']:10} {'ok' if one['ok'] else 'MISSED'}"
        )
    folder = Path(".bench")
    folder.mkdir(exist_ok=True)
    (folder / "adapters.json").write_text(json.dumps(rows, indent=1), "utf-8")
    return 0 if all(one["ok"] for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
