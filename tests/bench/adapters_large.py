"""A hundred thousand records through an adapter with flat memory, and a hundred thousand children enrolled.

The SQL register is a real database file; the FHIR server answers from a function, so that its own memory is none; the gateway that
evaluates blinded points is a process of its own, as it is in the field, so that an enrolment has two cores.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from random import Random
from urllib.parse import parse_qs

import httpx2
import psutil
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.base.calls import Calls, Limits
from adapters.base.source import LocalPerson, Wanted
from adapters.civil_affairs.register import SqlRegister
from adapters.directory import Directory
from adapters.health import flat
from adapters.health.fhir_models import read as read_fhir
from adapters.health.register import FhirRegister
from adapters.sandbox import codes
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import Department
from keys.providers import LocalRootKey
from keys.ring import KeyRing

LIMITS = Limits(seconds=60, max_bytes=64 * 1024 * 1024)
BATCH = 500
FLAT = 64
ENROLLED_IN = 60.0
"""Megabytes by which memory may grow; seconds for a hundred thousand children on two cores."""


class Growth:
    """How far this process grew since the first tenth, in megabytes."""

    def __init__(self) -> None:
        gc.collect()
        self._process = psutil.Process()
        self._base = self._peak = 0

    def look(self, share: float) -> None:
        now = self._process.memory_info().rss
        if share <= 0.1 or not self._base:
            self._base = self._peak = now
        self._peak = max(self._peak, now)

    @property
    def megabytes(self) -> float:
        return (self._peak - self._base) / 1024 / 1024


async def through(register, exchange, fields, count):
    """Every record of a register, in batches as an edge would ask: records read, seconds, growth."""
    growth, read, batch = Growth(), 0, []
    started = time.perf_counter()
    async for person in register.people():
        batch.append(person.key)
        if len(batch) == BATCH:
            read += len(await register.read(Wanted(exchange, tuple(batch), fields)))
            growth.look(read / count)
            batch = []
    if batch:
        read += len(await register.read(Wanted(exchange, tuple(batch), fields)))
    assert read == count, (read, count)
    return time.perf_counter() - started, growth.megabytes


async def sql(home: Path, local, count):
    """(seconds, bare seconds, megabytes) for `count` records of a database file, named and read."""
    mapped, identity = local.exchanges["X01"], local.identity
    values = {field.local: _local_value(field) for field in mapped.fields.values()}
    columns = list(dict.fromkeys([*values, mapped.resource.region, *(local for _, local in local.numbers)]))
    names = [mapped.resource.key, *(c for c in columns if c != mapped.resource.key)]
    path = home / "register.sqlite"
    with sqlite3.connect(path) as db:
        for table in {mapped.resource.name, identity.name}:
            quoted = ", ".join(f'"{n}" TEXT' for n in names)
            db.execute(f'CREATE TABLE "{table}" ({quoted}, PRIMARY KEY ("{names[0]}"))')
            rest = ["330106" if n == mapped.resource.region else values.get(n, "") for n in names[1:]]
            marks = ",".join("?" * len(names))
            db.executemany(f'INSERT INTO "{table}" VALUES ({marks})', ((f"K{n:07d}", *rest) for n in range(count)))
    db.close()
    url = f"sqlite+aiosqlite:///{path}"
    register = SqlRegister(url, local, Calls(LIMITS))
    took, grown = await through(register, "X01", frozenset(mapped.fields), count)
    await register.close()
    engine = create_async_engine(url)
    wanted = mapped.columns(frozenset(mapped.fields), birth=False)
    view = sa.table(mapped.resource.name, *(sa.column(c) for c in wanted))
    people = sa.table(identity.name, *(sa.column(c) for c in (names[0], *(local for _, local in local.numbers))))
    started = time.perf_counter()
    async with engine.connect() as connection:
        last = ""
        while True:
            page = sa.select(*people.columns).where(people.c[names[0]] > last).order_by(people.c[names[0]]).limit(BATCH)
            keys = [row[0] for row in await connection.execute(page)]
            if not keys:
                break
            last = keys[-1]
            query = sa.select(*view.columns).where(view.c[names[0]].in_(keys))
            assert len([dict(row) for row in (await connection.execute(query)).mappings()]) == len(keys)
    bare = time.perf_counter() - started
    await engine.dispose()
    return took, bare, grown


def _local_value(field):
    if field.codes is not None:
        return next(code for code, value in field.codes.items() if value)
    return {"date": "2026-11-01", "yes_no": "1", "integer": "1"}.get(field.form, "x")


class Hospital:
    """A FHIR server without a memory: what it answers follows from what it is asked. It has patients p0 … p<count - 1>."""

    def __init__(self, count):
        self.count = count

    def __call__(self, request):
        kind = request.url.path.split("/")[-2]
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        link = []
        if kind == "Task":
            found = [self.task(name.rpartition("/")[2]) for name in form["patient"].split(",")]
        elif "_id" in form:
            found = [self.patient(key) for key in form["_id"].split(",")]
        else:
            start, size = int(form.get("_page", "0")), int(form["_count"])
            found = [self.patient(f"p{n}") for n in range(start, min(start + size, self.count))]
            if start + size < self.count:
                link = [{"relation": "next", "url": f"http://hospital/fhir/Patient?_page={start + size}"}]
        entry = [{"resource": resource, "search": {"mode": "match"}} for resource in found]
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry}
        return httpx2.Response(200, content=json.dumps(bundle), headers={"content-type": "application/fhir+json"})

    @staticmethod
    def patient(key):
        extension = [{"url": flat.REGION, "valueCode": "330106"}]
        return {"resourceType": "Patient", "id": key, "address": [{"extension": extension}]}

    @staticmethod
    def task(key):
        return {
            "resourceType": "Task",
            "id": f"t{key}",
            "status": "accepted",
            "intent": "order",
            "for": {"reference": f"Patient/{key}"},
            "groupIdentifier": {"value": f"c{key}"},
            "businessStatus": {"coding": [{"code": "20"}]},
            "executionPeriod": {"start": "2026-11-24T09:30:00+08:00"},
        }


async def fhir(local, count, sample):
    """(seconds, bare seconds for as many, megabytes): the bare client reads `sample` records, by the same models."""
    hospital = Hospital(count)
    transport = httpx2.MockTransport(hospital)
    register = FhirRegister("http://hospital/fhir", "t", local, Calls(LIMITS), transport)
    took, grown = await through(register, "X09", frozenset(local.exchanges["X09"].fields), count)
    await register.close()
    started = time.perf_counter()
    async with httpx2.AsyncClient(transport=transport) as http:

        async def search(kind, form):
            answer = await http.post(f"http://hospital/fhir/{kind}/_search", data=form)
            return [read_fhir(kind, entry["resource"]) for entry in answer.json()["entry"]]

        for start in range(0, sample, BATCH):
            keys = [p.id for p in await search("Patient", {"_count": str(BATCH), "_page": str(start)})]
            for at in range(0, len(keys), 100):
                part = keys[at : at + 100]
                await search("Patient", {"_id": ",".join(part)})
                await search("Task", {"patient": ",".join(f"Patient/{key}" for key in part)})
    return took, (time.perf_counter() - started) * count / sample, grown


_SCOPE = Scope.open(Department.EDUCATION)
_ring: KeyRing | None = None


def _open_ring(home: str) -> None:
    global _ring
    _ring = KeyRing.open(Path(home), LocalRootKey.generate())


def _evaluate(points):
    assert _ring is not None
    return _ring.evaluate(_SCOPE, points), _ring.current_epoch(_SCOPE)


def citizen_numbers(count):
    """Of a city with ten districts: strewn over eighteen years, as a register's children are."""
    random, first, found = Random(7), date(2008, 11, 1), set()
    while len(found) < count:
        county, born = f"3301{random.randrange(2, 12):02d}", first + timedelta(days=random.randrange(18 * 365))
        found.add(codes.rid(county, born, random.randrange(1, 1000)))
    return sorted(found, key=lambda number: number[::-1])


async def enrolment(home: Path, count):
    """(seconds, megabytes) for `count` children of one city, with the gateway in a process of its own."""
    numbers = citizen_numbers(count)

    async def people():
        for place, number in enumerate(numbers):
            yield LocalPerson(f"K{place:07d}", (("cn-rid", number),))

    directory = Directory(home / "directory.sqlite", Department.EDUCATION)
    growth = Growth()
    with ProcessPoolExecutor(1, get_context("spawn"), _open_ring, (str(home / "ring"),)) as gateway:
        await asyncio.wrap_future(gateway.submit(_evaluate, []))

        async def evaluate(points, grant):
            del grant
            return await asyncio.wrap_future(gateway.submit(_evaluate, points))

        started = time.perf_counter()
        done = await directory.enrol(people(), evaluate, None, lambda state: growth.look(state.seen / count))
        took = time.perf_counter() - started
    assert done.enrolled == count
    directory.close()
    return took, growth.megabytes
