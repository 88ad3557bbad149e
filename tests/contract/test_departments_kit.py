"""The conformance kit passes on every department's adapter, and fails on each broken one for the right named reason."""

import contextlib
import csv
import dataclasses
import json
import os
import time
import tomllib
from datetime import date
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from adapters.base import exchange_file
from adapters.base.source import LocalPerson, Wanted
from adapters.contract import order_checks, report
from adapters.contract.checks import CHECKS
from adapters.contract.run import checked
from adapters.edge import set_up, settings
from adapters.sandbox import (
    civil_affairs_system,
    education_system,
    fhir_system,
    sftp_system,
    soap_system,
    vendor_system,
)
from adapters.sandbox.population import build
from gateway.cli import app
from gateway.errors import BadRequest, ProviderFault
from keys.signing import SigningKey
from policies.catalogue import load
from tests.contract.departments import FEDERATION, FORM, HEALTH, LEAGUE
from tests.contract.orders import CIVIL_AFFAIRS, EDUCATION, ROOT

pytestmark = pytest.mark.anyio
CHILDREN = 250


def folder(home, party, source):
    """An edge's folder as `runxin` makes it. Where the register is a folder of forms, the mapping is the form's."""
    shipped = "form_mapping.toml" if source["kind"] == "drop" else "mapping.toml"
    plan = set_up.Plan(
        party=party,
        region="330106",
        port=1,
        mapping=ROOT / "adapters" / str(party.department) / shipped,
        exchanges=exchange_file.dump(load().exchanges.values()),
        gateway_url="http://127.0.0.1:1",
        issuer="http://127.0.0.1:1",
        order_key=SigningKey.generate().verify_key,
        client_id="kit-edge",
        source=source,
    )
    config = set_up.make_folder(home / "edge", plan).config
    if "port" in source:
        text = config.read_text("utf-8")
        config.write_text(text.replace(f'port = "{source["port"]}"', f"port = {source['port']}"), "utf-8")
    return config


CLASSES = {"11": "孤儿", "12": "事实无人抚养儿童", "20": "困境儿童", "31": "农村留守儿童", "32": "流动儿童"}


def forms(home):
    """The registration form of 民政, filled in for every child in GB18030 and dropped into a folder some time ago."""
    form = ROOT / "adapters/civil_affairs/form.toml"
    (home / "drop").mkdir(parents=True)
    path = home / "drop" / "20261101.csv"
    headings = tomllib.loads(form.read_text("utf-8"))["headings"]
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*headings, "姓名", "监护人电话"])
        for child in (c for c in build(CHILDREN).children if c.known_to_civil_affairs):
            values = {
                "dabh": child.civil_key,
                "qh": child.region,
                "csrq": child.born.isoformat(),
                "sfzh": child.identifier or "",
                "lsbh": child.issued or "",
                "zt": "是" if child.in_programme else "否",
                "lb": CLASSES.get(child.status_class, ""),
                "gxrq": child.updated.isoformat(),
            }
            writer.writerow([*(values[c] for c in headings.values()), child.name, child.guardians[0].phone])
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return {"kind": "drop", "folder": str(home / "drop"), "template": str(form)}


def started(kind, home):
    """A simulated system and the settings' source for it."""
    secret = str(home / "secret")
    match kind:
        case "sql":
            running = civil_affairs_system.start(home, count=CHILDREN, engine="sqlite")
            return running, CIVIL_AFFAIRS, {"kind": "sql", "url": running.address}
        case "rest":
            running = education_system.start(home, app_key="edge", app_secret="t", count=CHILDREN)
            source = {"kind": "rest", "base": running.address, "app_key": "edge", "app_secret": "t"}
            return running, EDUCATION, source
        case "fhir":
            running = fhir_system.start(home, token="t", count=CHILDREN)
            return running, HEALTH, {"kind": "fhir", "base": running.address, "token": secret}
        case "soap":
            running = soap_system.start(home, token="t", count=CHILDREN)
            wsdl = str(ROOT / "adapters/health/referral.wsdl")
            return running, HEALTH, {"kind": "soap", "address": running.address, "token": secret, "wsdl": wsdl}
        case "drop":
            return contextlib.nullcontext(), CIVIL_AFFAIRS, forms(home)
        case "vendor":
            running = vendor_system.start(home, token="t", count=CHILDREN)
            return running, LEAGUE, {"kind": "vendor", "base": running.address, "token": secret}
        case _:
            running = sftp_system.start(home, count=CHILDREN)
            source = {
                "kind": "sftp",
                "host": "127.0.0.1",
                "port": urlsplit(running.address).port,
                "user": "runxin",
                "host_key": str(home / "host_key.pub"),
                "key": str(home / "client_key"),
                "template": str(FORM),
            }
            return running, FEDERATION, source


@pytest.mark.parametrize("kind", ["sql", "drop", "rest", "fhir", "soap", "vendor", "sftp"])
async def test_the_kit_passes_on_every_department(kind, tmp_path):
    running, party, source = started(kind, tmp_path / "system")
    with running:
        results = await checked(settings.load(folder(tmp_path, party, source)))
    assert [(r.name, r.reason, r.detail) for r in results if r.outcome == "failed"] == []
    assert sum(r.outcome == "passed" for r in results) >= 70


def test_every_check_has_a_name_of_its_own():
    names = [one.name for one in CHECKS]
    assert len(set(names)) == len(names) >= 60
    assert all(one.zh and one.en for one in CHECKS)


# --- deliberately broken adapters ---------------------------------------------------------------------------------------------


class Broken:
    """A good register with one thing wrong."""

    def __init__(self, inner):
        self.inner, self.reads = inner, 0

    async def read(self, wanted):
        self.reads += 1
        return await self.inner.read(wanted)

    async def take(self, message):
        await self.inner.take(message)

    async def people(self):
        async for person in self.inner.people():
            yield person

    async def probe(self):
        await self.inner.probe()

    async def close(self):
        await self.inner.close()


def reading(change):
    """Each record changed on its way."""

    class Changed(Broken):
        async def read(self, wanted):
            found = await super().read(wanted)
            return {key: change(self, wanted, record) for key, record in found.items()}

    return Changed


def naming(change):
    """The register's people changed on their way."""

    class Changed(Broken):
        async def people(self):
            found = [person async for person in self.inner.people()]
            for person in change(self, found):
                yield person

    return Changed


def with_value(field, value):
    return reading(lambda s, w, r: r._replace(values={**r.values, field: value}))


class Silent(Broken):
    async def probe(self):
        raise ProviderFault("provider_unavailable")


class Inventing(Broken):
    async def read(self, wanted):
        one = await self.inner.read(Wanted(wanted.exchange, ("MZ0000001",), wanted.fields))
        found = await super().read(wanted)
        model = next(iter(found.values()), None) or next(iter(one.values()), None) or self.model
        self.model = model
        return {key: model._replace(key=key) for key in wanted.keys} if model else {}

    model = None


class Generous(Broken):
    async def read(self, wanted):
        people = [p.key async for p in self.inner.people()]
        return await self.inner.read(dataclasses.replace(wanted, keys=(*wanted.keys, *people[:50])))


class AllFields(Broken):
    async def read(self, wanted):
        every = {"X01": {"in_programme", "status_class", "as_of"}}.get(wanted.exchange, wanted.fields)
        return await self.inner.read(dataclasses.replace(wanted, fields=frozenset(every)))


class Birthday(Broken):
    async def read(self, wanted):
        return await self.inner.read(dataclasses.replace(wanted, birth=True))


class Slow(Broken):
    """Takes 1.1 s for a single record, by the clock that the kit reads; nobody has to wait for it."""

    late = 0.0

    async def read(self, wanted):
        Slow.late += 1.1 * (len(wanted.keys) == 1)
        return await super().read(wanted)


@pytest.fixture
def clock(monkeypatch):
    """The kit's clock, which a slow register moves."""
    late = {"perf_counter": lambda: time.perf_counter() + Slow.late}
    monkeypatch.setattr(order_checks, "time", SimpleNamespace(**{**vars(time), **late}))


class Fragile(Broken):
    dead = False

    async def read(self, wanted):
        if self.dead or any("'" in key for key in wanted.keys):
            self.dead = True
            raise ProviderFault("provider_refused")
        return await super().read(wanted)


class Leaky(Broken):
    async def read(self, wanted):
        if any("'" in key for key in wanted.keys):
            people = [p.key async for p in self.inner.people()]
            return await self.inner.read(dataclasses.replace(wanted, keys=tuple(people[:3])))
        return await super().read(wanted)


class Unstable(Broken):
    async def read(self, wanted):
        found = await super().read(wanted)
        if self.reads % 2 or "as_of" not in wanted.fields:
            return found
        return {k: r._replace(values={**r.values, "as_of": "1999-01-01"}) for k, r in found.items()}


class Crashing(Broken):
    async def read(self, wanted):
        if any("𠮷" in key for key in wanted.keys):
            raise RuntimeError("a library's own error, 11010519491231002X")
        return await super().read(wanted)


class Timeouts(Broken):
    async def read(self, wanted):
        if "{" in "".join(wanted.keys):
            raise ProviderFault("provider_timeout")
        return await super().read(wanted)


class Shuffling(Broken):
    times = 0

    async def people(self):
        found = [person async for person in self.inner.people()]
        self.times += 1
        for person in found[self.times :] + found[: self.times]:
            yield person


class Forgetful(Broken):
    async def read(self, wanted):
        found = await super().read(wanted)
        return dict(list(found.items())[: max(1, len(found) // 2)]) if 50 < len(wanted.keys) <= 200 else found


RID = "11010519491231002X"
BROKEN = {
    "does not answer": (Silent, "system.answers", "provider_unavailable"),
    "says it is well while it is not": (Silent, "system.health", "unhealthy"),
    "invents records": (Inventing, "register.absent", "invented_record"),
    "gives more records than wanted": (Generous, "register.reads_what_is_wanted", "unwanted_record"),
    "gives more fields than wanted": (AllFields, "register.fields_wanted", "unwanted_field"),
    "gives values when no field is wanted": (AllFields, "register.no_fields", "unwanted_field"),
    "reads birth dates unasked": (Birthday, "register.birth_only_when_wanted", "birth_unasked"),
    "gives local codes": (with_value("status_class", "31"), "mapping.coded_fields", "code_outside_catalogue"),
    "damages characters": (with_value("as_of", "2026\ufffd"), "register.text_composed", "text_damaged"),
    "leaves control characters": (with_value("as_of", "a\x07"), "register.text_composed", "text_damaged"),
    "decomposes characters": (with_value("as_of", "e\u0301"), "register.text_composed", "text_damaged"),
    "has no region": (
        reading(lambda s, w, r: r._replace(region="0")), "register.regions", "region_invalid",
    ),
    "has every child in one age": (
        reading(lambda s, w, r: r._replace(born=None)), "orders.age_band", None,
    ),
    "gives other values every time": (Unstable, "register.rereads_alike", "values_changed"),
    "has nobody": (naming(lambda s, found: []), "register.has_people", "empty_register"),
    "names a record twice": (naming(lambda s, found: [*found, found[0]]), "register.keys_unique", "key_twice"),
    "names people in another order each time": (Shuffling, "register.order_stable", "order_changed"),
    "uses citizen numbers as keys": (
        naming(lambda s, found: [LocalPerson(RID, found[0].numbers), *found[1:]]),
        "register.key_is_no_number",
        "key_is_identifier",
    ),
    "uses an unmapped kind of identifier": (
        naming(lambda s, found: [LocalPerson(p.key, (("cn-passport", "E1"), *p.numbers)) for p in found]),
        "register.kinds_mapped",
        "kind_unmapped",
    ),
    "mistypes every fifth number": (
        naming(lambda s, found: [LocalPerson(p.key, (("cn-rid", "1"),)) if n % 5 == 0 else p for n, p in enumerate(found)]),
        "register.numbers_valid",
        "numbers_invalid",
    ),
    "gives two children one number": (
        naming(lambda s, found: [found[0], *(LocalPerson(p.key, found[0].numbers) for p in found[1:3]), *found[3:]]),
        "directory.no_conflicts",
        "number_twice",
    ),
    "answers an injected condition": (Leaky, "injection.sql", "injected_record"),
    "dies of an injected string": (Fragile, "injection.sql", "provider_refused"),
    "lets a library's error out": (Crashing, "injection.wide", "unexpected"),
    "hangs on an odd key": (Timeouts, "injection.json", "wrong_code"),
    "loses half of a batch": (Forgetful, "orders.batch", "lines_missing"),
    "is slow": (Slow, "load.single", "too_slow"),
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """One good edge, whose register is then broken in one way at a time."""
    home = tmp_path_factory.mktemp("good")
    running, party, source = started("sql", home / "system")
    with running:
        yield settings.load(folder(home, party, source))


@pytest.mark.parametrize("how", sorted(BROKEN))
async def test_a_broken_adapter_fails_for_the_right_reason(good, clock, how):
    broken, name, reason = BROKEN[how]
    results = {r.name: r for r in await checked(good, broken)}
    if reason is None:
        # A register without birth dates contradicts no band; the check says that it had nothing to look at.
        assert results[name].outcome == "skipped"
        return
    assert (results[name].outcome, results[name].reason) == ("failed", reason)
    told = json.dumps([dataclasses.asdict(r) for r in results.values()], ensure_ascii=False)
    assert RID not in told


async def test_a_mapping_that_cannot_start_is_one_failed_check(good, tmp_path):
    wrong = tmp_path / "mapping.toml"
    wrong.write_text(good.mapping.read_text("utf-8").replace('"in_programme"', '"in_programm"', 1), "utf-8")
    (result,) = await checked(dataclasses.replace(good, mapping=wrong))
    assert (result.name, result.outcome, result.reason) == ("start", "failed", "mapping_invalid")


def test_the_command_writes_a_report_that_verifies_and_no_altered_one(tmp_path):
    running, party, source = started("vendor", tmp_path / "system")
    with running:
        config = folder(tmp_path, party, source)
        said = CliRunner().invoke(app, ["adapter", "check", "--config", str(config), "--report", str(tmp_path / "r")])
    assert said.exit_code == 0, said.output
    given = json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))
    key = settings.load(config).signing_key.verify_key
    told = report.verify(given, key)
    assert told["failed"] == 0
    assert told["passed"] >= 70
    given["report"]["passed"] += 1
    with pytest.raises(BadRequest):
        report.verify(given, key)
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "适配器符合性报告" in page
    assert "src=" not in page
    assert date.today().isoformat()[:4] in page
