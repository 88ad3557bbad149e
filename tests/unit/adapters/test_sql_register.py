"""The SQL register over both kinds of engine, and what a database may do wrong."""

import dataclasses
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from adapters.base import mapping
from adapters.base.calls import Calls, Limits
from adapters.base.source import Inbound, InboundLine, Wanted
from adapters.civil_affairs.register import PAGE, SqlRegister
from adapters.sandbox import civil_affairs_data as data
from adapters.sandbox.population import build
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from gateway.errors import ProviderFault
from policies.catalogue import load

pytestmark = pytest.mark.anyio
MAPPING = mapping.load(Path(__file__).resolve().parents[3] / "adapters/civil_affairs/mapping.toml", load().exchanges)
POPULATION = build(1500)
CHILD = next(c for c in POPULATION.children if c.in_programme and c.care)
EDUCATION = Party("11330106MB00000028", Department.EDUCATION)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "minzheng.sqlite"
    with sqlite3.connect(path) as db:
        for statement in data.SCHEMA:
            db.execute(statement)
        for table, row in data.rows(POPULATION):
            plain = [v.isoformat() if isinstance(v, date) else v for v in row]
            db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", plain)
    db.close()
    return path


@pytest.fixture(params=["sqlite", "sqlite+aiosqlite"])
async def register(request, file):
    register = SqlRegister(f"{request.param}:///{file}", MAPPING, Calls(Limits(attempts=1)))
    yield register
    await register.close()


def wanted(*keys, exchange="X13", fields=("register_id", "entry_reasons", "status", "next_action_due"), birth=False):
    return Wanted(exchange, keys, frozenset(fields), birth)


async def test_the_care_register_is_read_in_the_catalogues_words(register):
    record = (await register.read(wanted(CHILD.civil_key, birth=True)))[CHILD.civil_key]
    reasons = {"01": "family_crisis", "02": "single_parent", "03": "exam_pressure", "04": "hardship", "05": "lack_of_care",
               "06": "migrant_or_left_behind", "07": "psychological", "08": "self_reported"}  # fmt: skip
    assert record.values == {
        "register_id": CHILD.care.register_id,
        "entry_reasons": [reasons[r] for r in CHILD.care.reasons],
        "status": {"1": "active", "2": "paused"}[CHILD.care.status],
        "next_action_due": CHILD.care.next_action.isoformat(),
    }
    assert (record.region, record.born) == (CHILD.region, CHILD.born)


async def test_unknown_keys_are_left_out_and_hostile_ones_are_only_values(register):
    hostile = ("' OR '1'='1", '"; DROP VIEW v_tz_gx; --', "MZ0000000\x00", "%")
    assert await register.read(wanted(*hostile)) == {}
    assert set(await register.read(wanted(CHILD.civil_key, *hostile))) == {CHILD.civil_key}


async def test_people_come_in_pages_with_every_number(register):
    found = [p async for p in register.people()]
    known = [c for c in POPULATION.children if c.known_to_civil_affairs]
    assert len(found) == len(known) > PAGE
    assert [p.key for p in found] == sorted(c.civil_key for c in known)
    numbers = {p.key: p.numbers for p in found}
    for c in known:
        assert numbers[c.civil_key] == ((("cn-rid", c.identifier),) if c.identifier else (("issued", c.issued),))


async def test_a_message_handed_over_twice_is_stored_once(register, file):
    line = InboundLine(1, "cao1x", CHILD.civil_key, {"report_id": "r-1"}, {"harm_type": "neglect"})
    message = Inbound("d-1", "X20", "P07", EDUCATION, {}, (line, dataclasses.replace(line, number=2)))
    for _ in range(2):
        await register.take(message)
    with sqlite3.connect(file) as db:
        rows = db.execute("SELECT xxbh, sx, dah, jm, nr FROM jh_sjx ORDER BY xxbh").fetchall()
    assert rows == [
        (f"d-1:{n}", "X20", CHILD.civil_key, None, '{"报告编号": "r-1", "侵害类型": "neglect"}') for n in (1, 2)
    ]


async def test_a_table_that_refuses_for_another_reason_is_a_refusal(register, file):
    with sqlite3.connect(file) as db:
        db.execute("CREATE TRIGGER t BEFORE INSERT ON jh_sjx BEGIN SELECT RAISE(ABORT, 'full of 欧阳若曦'); END")
    db.close()
    with pytest.raises(ProviderFault) as caught:
        await register.take(Inbound("d-2", "X05", "P01", EDUCATION, {}, (InboundLine(1, None, None, {}, {}),)))
    assert caught.value.code == "provider_refused"
    assert "欧阳" not in f"{caught.value!r}{caught.value.facts}"


async def test_a_view_with_the_same_key_twice_is_garbage(register, file):
    with sqlite3.connect(file) as db:
        db.execute(
            "INSERT INTO tz_zdga SELECT tzbh || 'x', dah, jrlx, zrbm, fabh, zt, xcrq FROM tz_zdga WHERE dah = ?",
            (CHILD.civil_key,),
        )
    db.close()
    with pytest.raises(ProviderFault, match="provider_garbage"):
        await register.read(wanted(CHILD.civil_key))


async def test_a_code_without_a_counterpart_is_never_passed_on(register, file):
    with sqlite3.connect(file) as db:
        db.execute("UPDATE tz_zdga SET zt = '绝密' WHERE dah = ?", (CHILD.civil_key,))
    db.close()
    with pytest.raises(ProviderFault) as caught:
        await register.read(wanted(CHILD.civil_key))
    assert (caught.value.code, caught.value.facts) == ("provider_code_unknown", {"field": "status"})
    assert (
        "status" not in (await register.read(wanted(CHILD.civil_key, fields=("register_id",))))[CHILD.civil_key].values
    )


@pytest.mark.parametrize("url", ["sqlite:////nowhere/none.sqlite", "sqlite+aiosqlite:////nowhere/none.sqlite",
                                 "postgresql+psycopg://x@127.0.0.1:1/x"])  # fmt: skip
async def test_a_database_that_is_not_there_is_unavailable_and_says_nothing(url):
    register = SqlRegister(url, MAPPING, Calls(Limits(attempts=2, seconds=5)))
    with pytest.raises(ProviderFault) as caught:
        await register.read(wanted("MZ1"))
    assert (caught.value.code, caught.value.facts) == ("provider_unavailable", {})
    with pytest.raises(ProviderFault):
        await register.probe()
    await register.close()
