"""12355 over REST with webhooks, and 12338 over SFTP at night: what is read, what comes twice, what poison does."""

import json

import pytest

from adapters.base.source import Inbound, InboundLine, Wanted
from adapters.base.webhooks import signature
from adapters.sandbox import sftp_system, vendor_system
from adapters.sandbox.circles import (
    client_key,
    family_key,
    known_to_womens_federation,
    known_to_youth_league,
)
from adapters.sandbox.population import build
from adapters.youth_league.webhook import Webhook
from gateway.errors import BadRequest, NotAuthenticated, ProviderFault
from tests.contract.departments import TOKEN, closing, nightly, turn, vendor
from tests.contract.orders import EDUCATION, mapping_of

pytestmark = pytest.mark.anyio
CHILDREN = 200
POPULATION = build(CHILDREN)
CALLERS = [c for c in POPULATION.children if known_to_youth_league(c)]
FAMILIES = [c for c in POPULATION.children if known_to_womens_federation(c)]


def fields(department, exchange, exchanges):
    return frozenset(mapping_of(department, exchanges).exchanges[exchange].fields)


# --- 12355 -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with vendor_system.start(tmp_path_factory.mktemp("vendor"), token=TOKEN, count=CHILDREN) as running:
        yield running


@pytest.fixture
async def register(platform, exchanges):
    async with closing(vendor(platform, exchanges)) as made:
        yield made
    turn(platform)


async def test_callers_are_read_without_notes_name_or_phone(register, platform, exchanges):
    turn(platform, surplus=True)
    keys = tuple(client_key(c) for c in CALLERS)
    found = await register.read(Wanted("X18", keys, fields("youth_league", "X18", exchanges), birth=True))
    assert len(found) == len(keys)
    assert all(record.surplus > 3 and record.born is not None for record in found.values())
    text = json.dumps([dict(r.values) for r in found.values()], ensure_ascii=False)
    assert not [c.name for c in CALLERS if c.name in text]
    assert "情绪低落" not in text


async def test_every_caller_is_paged_once(register):
    found = [person.key async for person in register.people()]
    assert sorted(found) == sorted(client_key(c) for c in CALLERS)


async def test_the_directory_of_care_is_read_by_service_number(register, exchanges):
    record = (await register.read(Wanted("X16", ("S3301060",), fields("youth_league", "X16", exchanges))))["S3301060"]
    assert record.values["service_type"] == "hotline"
    assert record.values["capacity"] == 20


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"latency_ms": 4000}, "provider_timeout"),
        ({"error_rate": 1.0}, "provider_unavailable"),
        ({"garbage": True}, "provider_garbage"),
        ({"too_much": 10}, "provider_too_much"),
        ({"mime": "text/plain"}, "provider_garbage"),
        ({"charset": "gb18030"}, "provider_garbage"),
    ],
)
async def test_each_knob_has_its_fault(register, platform, exchanges, knobs, code):
    # A name in the answer shows a wrong character set; a digit would not.
    ask = Wanted("X16", ("S3301060",), fields("youth_league", "X16", exchanges))
    turn(platform, **knobs)
    with pytest.raises(ProviderFault) as caught:
        await register.read(ask)
    assert caught.value.code == code
    turn(platform)
    assert len(await register.read(ask)) == 1


@pytest.mark.parametrize("key", ["' OR 1=1 --", '{"$ne": null}', "𠮷", "C1\x00", "../services/S3301060", "x" * 5000])
async def test_an_injected_key_finds_nothing(register, exchanges, key):
    assert await register.read(Wanted("X18", (key,), fields("youth_league", "X18", exchanges))) == {}


NOW = 1_800_000_000
EVENT = {"type": "case.handover", "client": "C0000001", "recipient": EDUCATION.text}


def called(body=EVENT, *, secret=b"s", number="evt-1", stamp=NOW, sign=None):
    raw = json.dumps(body).encode()
    made = signature(b"s", number, str(stamp), raw) if sign is None else sign
    headers = {"webhook-id": number, "webhook-timestamp": str(stamp), "webhook-signature": made}
    return Webhook(secret, now=lambda: NOW).sending(raw, headers)


def test_a_signed_webhook_names_a_client_and_a_recipient_only():
    assert called() == {
        "exchange": "X18",
        "purpose": "P02",
        "door": "normal",
        "recipient": EDUCATION.text,
        "key": "webhook-evt-1",
        "records": [{"record": "C0000001"}],
    }


def test_a_vendor_that_changes_its_secret_sends_two_signatures():
    raw = json.dumps(EVENT).encode()
    both = f"v1,AAAA {signature(b's', 'evt-1', str(NOW), raw)}"
    assert called(sign=both)["exchange"] == "X18"


@pytest.mark.parametrize(
    "change",
    [
        {"stamp": NOW - 301},
        {"stamp": NOW + 301},
        {"stamp": "now"},
        {"secret": b"another"},
        {"secret": b""},
        {"sign": "v1,"},
        {"sign": ""},
        {"number": ""},
        {"number": "x" * 65},
    ],
)
def test_a_webhook_that_is_not_the_vendors_is_refused(change):
    with pytest.raises(NotAuthenticated) as caught:
        called(**change)
    assert caught.value.code == "local_unauthorised"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**EVENT, "type": "case.deleted"},
        {**EVENT, "client": "C1'; DROP"},
        {**EVENT, "recipient": "nobody"},
        {**EVENT, "values": {"risk_band": "crisis"}},
        {**EVENT, "type": ["case.handover"]},
    ],
)
def test_a_webhook_that_says_something_else_is_refused(body):
    with pytest.raises(BadRequest) as caught:
        called(body)
    assert caught.value.code == "local_request_invalid"


# --- 12338 -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hotline(tmp_path):
    home = tmp_path / "vendor"
    with sftp_system.start(home, count=CHILDREN) as running:
        running_home = home
        yield running, running_home


@pytest.fixture
async def nights(hotline, exchanges, tmp_path):
    running, home = hotline
    refused = []
    made = nightly(home, running, exchanges, tmp_path / "landed.sqlite", noted=lambda *said: refused.append(said))
    async with closing(made):
        made.files, made.refused, made.home, made.running = home / "files", refused, home, running
        yield made


def clue(exchanges, *children):
    return Wanted("X19", tuple(family_key(c) for c in children), fields("womens_federation", "X19", exchanges))


async def test_the_nightly_file_lands_and_answers(nights, exchanges):
    assert await nights.collect() == len(FAMILIES)
    child = next(c for c in FAMILIES if c.in_programme)
    record = (await nights.read(clue(exchanges, child)))[family_key(child)]
    assert record.values["child_name"] == child.name
    assert record.values["location"] == child.address
    assert record.values["reported_at"].endswith("Z")
    assert nights.refused == []


async def test_reporter_and_record_of_the_call_do_not_even_land(nights, tmp_path):
    await nights.collect()
    data = b"".join(path.read_bytes() for path in tmp_path.glob("landed.sqlite*"))
    for child in FAMILIES:
        assert child.guardians[0].phone.encode() not in data
    assert b"HYPERLINK" not in data


async def test_a_second_delivery_of_the_same_file_changes_nothing(nights):
    assert await nights.collect() == len(FAMILIES)
    assert await nights.collect() == 0
    name = f"12338_{POPULATION.on:%Y%m%d}_01.csv"
    sftp_system.deliver(nights.files, name, (nights.files / name).read_bytes())
    assert await nights.collect() == 0


async def test_a_partial_file_waits_for_the_rest(nights, exchanges):
    await nights.collect()
    child = FAMILIES[0]
    data = sftp_system.nightly([child], POPULATION)
    sftp_system.deliver(nights.files, "12338_20261102_01.csv", data, cut=len(data) // 2)
    assert await nights.collect() == 0
    sftp_system.deliver(nights.files, "12338_20261102_01.csv", data, marked=False)
    assert await nights.collect() == 1
    assert nights.refused == []


async def test_a_file_without_its_marker_is_left_alone(nights):
    await nights.collect()
    sftp_system.deliver(nights.files, "12338_20261103_01.csv", b"x", marked=False)
    assert await nights.collect() == 0


async def test_an_older_file_that_comes_late_overwrites_nothing(nights, exchanges):
    await nights.collect()
    child = next(c for c in FAMILIES if c.in_programme)
    late = sftp_system.nightly([child], POPULATION).decode("gb18030").replace(child.name, "旧名").encode("gb18030")
    sftp_system.deliver(nights.files, "12338_20250101_01.csv", late)
    await nights.collect()
    record = (await nights.read(clue(exchanges, child)))[family_key(child)]
    assert record.values["child_name"] == child.name


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xfe\x00garbage", "provider_garbage"),
        ("编号,姓名\r\n1,张\r\n".encode("gb18030"), "provider_garbage"),
        (b"", "provider_garbage"),
        (b'"unclosed', "provider_garbage"),
        (b"\x00" * 100, "provider_garbage"),
    ],
)
async def test_a_file_that_cannot_be_read_is_noted_once_and_loses_nothing(nights, exchanges, data, code):
    await nights.collect()
    sftp_system.deliver(nights.files, "12338_20261104_01.csv", data)
    for _ in range(2):
        assert await nights.collect() == 0
    assert nights.refused == [("12338_20261104_01.csv", code)]
    assert len(await nights.read(clue(exchanges, *FAMILIES))) == len(FAMILIES)


async def test_rare_characters_cross_in_gb18030(nights, exchanges):
    await nights.collect()
    child = FAMILIES[0]
    text = sftp_system.nightly([child], POPULATION).decode("gb18030").replace(child.name, "𠮷野·阿依古丽")
    sftp_system.deliver(nights.files, "12338_20261105_01.csv", text.encode("gb18030"))
    await nights.collect()
    assert (await nights.read(clue(exchanges, child)))[family_key(child)].values["child_name"] == "𠮷野·阿依古丽"


async def test_another_host_key_is_refused_before_anything_is_sent(hotline, exchanges, tmp_path):
    running, home = hotline
    before = (home / "requests.jsonl").read_text()
    async with closing(
        nightly(home, running, exchanges, tmp_path / "other.sqlite", host_key="client_key.pub")
    ) as register:
        with pytest.raises(ProviderFault) as caught:
            await register.collect()
    assert caught.value.code == "provider_refused"
    assert (home / "requests.jsonl").read_text() == before


async def test_a_vendor_that_is_away_leaves_what_has_landed(nights, exchanges):
    await nights.collect()
    nights.running.stop()
    with pytest.raises(ProviderFault) as caught:
        await nights.collect()
    assert caught.value.code == "provider_unavailable"
    assert len(await nights.read(clue(exchanges, *FAMILIES))) == len(FAMILIES)


async def test_a_ticket_is_put_once_and_holds_no_formula(nights):
    values = {"guardian_name": "=cmd|' /C calc'!A0", "guardian_phone": "+8615400000000", "topic_codes": ["emotion"]}
    line = InboundLine(1, "wfc1x", None, {"ticket_id": "t-1"}, values)
    message = Inbound("d-1", "X23", "P12", EDUCATION, {}, (line,))
    await nights.take(message)
    (put,) = (nights.files / "in").iterdir()
    first = put.stat().st_mtime_ns
    await nights.take(message)
    assert [p.name for p in (nights.files / "in").iterdir()] == [put.name]
    assert put.stat().st_mtime_ns == first
    text = put.read_bytes().decode("gb18030")
    assert "'=cmd" in text and "'+86154" in text and "情绪" in text
