"""An identifier in clear is a guess wherever it comes in: it is taken from the quota, however the request ends."""

import json

import pytest
from sqlalchemy import func, select

from gateway.api.routes import router
from gateway.client.errors import GatewayRefused
from gateway.domain.vocabulary import Department
from gateway.flows.evaluation_quota import BURST_SECONDS, LEAST_BURST, LEAST_QUOTA
from gateway.store.audit_tables import audit_keys
from gateway.store.exchange_tables import evaluation_counts
from keys.group import hash_to_group
from keys.identifiers import check_character, issue
from tests.unit.flows.naming_world import HOME, built, child, number_of

pytestmark = pytest.mark.anyio
STATEMENT = "eyJhbGciOiJub25lIn0.eyJub3QiOiJzaWduZWQifQ.bm90LWEtc2lnbmF0dXJl"


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        yield made


def in_clear(identifier):
    kind, value = number_of(identifier)
    return {"identifier": {"kind": kind, "value": value}}


def requests(world, who):
    """One body for every route that takes an identifier; by whom; how many identifiers it has."""
    ca, ed = world["ca"].party.text, world["ed"].party.text
    subject = {"subject": in_clear(who)}
    return {
        "/v1/query": ("worker", {**subject, "exchange": "X02", "purpose": "P14"}, 1),
        "/v1/send-permits": (
            "worker",
            {
                "exchange": "X13",
                "purpose": "P04",
                "recipient": world["yl"].party.text,
                "lines": [{"line": line, "subject": in_clear(child(400 + line))} for line in (1, 2, 3)],
            },
            3,
        ),
        "/v1/cases": ("worker", {**subject, "exchanges": ["X02"], "parties": [ca], "region": HOME}, 1),
        "/v1/consents": ("worker", {**subject, "statement": STATEMENT}, 1),
        "/v1/consents/refuse": ("worker", {**subject, "exchange": "X13", "recipients": ["youth_league"]}, 1),
        "/v1/guardians/accesses": ("worker", subject, 1),
        "/v1/guardians/revoke": ("worker", {**subject, "guardian": "g-1"}, 1),
        "/v1/rights": ("worker", {**subject, "right": "view", "exchange": "X02", "source": ed}, 1),
        "/v1/audit/children/history": ("auditor", subject, 1),
        "/v1/pseudonyms/aliases": (
            "worker",
            {"issued": in_clear(issue(Department.CIVIL_AFFAIRS)), "identified": in_clear(who)},
            2,
        ),
    }


def guess(world, number, **more):
    return {"path": "/v1/query", "body": {**requests(world, child(number))["/v1/query"][1], **more}}


async def counted(world, name="ca", mark=""):
    async with world.house.database.read() as reading:
        found = await reading.connection.execute(
            select(evaluation_counts.c.used).where(evaluation_counts.c.party == world[name].party.text + mark)
        )
        return found.scalar() or 0


async def use_up(world, name="ca"):
    async with world.client(name, None) as machine:
        await machine.evaluate([hash_to_group(b"%d" % number) for number in range(LEAST_BURST)])


async def histories(world):
    async with world.house.database.read() as reading:
        return (await reading.connection.execute(select(func.count()).select_from(audit_keys))).scalar()


async def test_every_request_that_names_a_child_in_clear_is_counted_however_it_ends(world):
    tried = requests(world, child(31))
    taking = {
        route.path for route in router.routes if "IdentifierBody" in json.dumps(getattr(route, "openapi_extra", None))
    }
    assert taking - {"/v1/consents/links"} == set(tried)  # a link is handed over through the same way of a change
    ended = set()
    for path, (person, body, names) in tried.items():
        before = await counted(world)
        async with world.client("ca", person) as client:
            answer = await world.posted(client, path, body)
        ended.add(answer.status_code // 100)
        assert (path, await counted(world) - before) == (path, names)
    assert ended == {2, 4}


async def test_over_the_limit_every_one_of_them_hears_429_and_when_to_come_back(world):
    await use_up(world)
    for path, (person, body, _) in requests(world, child(32)).items():
        async with world.client("ca", person) as client:
            answer = await world.posted(client, path, body)
        assert (path, answer.status_code, answer.json()["code"]) == (path, 429, "burst")
        assert answer.headers["retry-after"] == str(BURST_SECONDS - world.clock.seconds % BURST_SECONDS)
    assert [alarm["code"] for alarm in await world.entries(kind="alarm")] == ["burst"]


async def test_a_pseudonym_is_no_guess(world):
    await use_up(world)
    async with world.client("ca") as client:
        name = world.named("ca", child(33))
        await world.approved_case(client, "ca", ["X02"], pseudonym=name)
        assert "accesses" in await client.guardian_accesses(pseudonym=name)
    assert await counted(world) == LEAST_BURST


async def test_a_guess_over_the_limit_begins_no_history(world):
    async with world.client("ca") as client:
        await use_up(world)
        for number in (35, 36, 37, 38):
            assert (await world.posted(client, **guess(world, number))).status_code == 429
            if number == 35:
                begun = await histories(world)  # with the histories of client, officer and log
    assert await histories(world) == begun


async def test_an_answer_over_the_limit_stays_here(world):
    async with world.client("ca") as client:
        world.edges["ed"].register.rows["S0039"] = number_of(child(39))
        async with world.client("ed", None) as machine:
            await world.edges["ed"].source.enrol(machine.evaluate, None)
        case = await world.approved_case(client, "ca", ["X02"], pseudonym=world.named("ca", child(39)))
        asked = guess(world, 39, case=case)
        assert (await world.posted(client, **asked)).status_code == 200
        async with world.client("ca", None) as machine:
            await machine.evaluate([hash_to_group(b"%d" % number) for number in range(LEAST_BURST - 1)])
        late = await world.posted(client, **asked)
    assert late.status_code == 429
    assert "lines" not in late.json()
    assert [entry["outcome"] for entry in await world.entries(kind="query")] == ["released", "denied"]


async def test_the_days_quota_ends_guessing_for_the_day(world):
    async with world.client("ca", None) as machine, world.client("ca") as client:
        for turn in range(LEAST_QUOTA // LEAST_BURST):
            await machine.evaluate([hash_to_group(b"%d" % (turn * 1000 + n)) for n in range(LEAST_BURST - 1)])
            world.clock.step(BURST_SECONDS)
        for number in (41, 42):
            await world.posted(client, "/v1/guardians/accesses", {"subject": in_clear(child(number))})
        last = await world.posted(client, "/v1/guardians/accesses", {"subject": in_clear(child(43))})
        assert (last.status_code, last.json()["code"]) == (429, "quota")
    assert await counted(world) == LEAST_QUOTA


async def test_a_days_work_does_not_use_up_what_an_emergency_needs(world):
    await use_up(world)
    asked = {"exchange": "X08", "purpose": "P02", "door": "emergency", "reason": "self_harm_risk"}
    asked |= {"recipient": world["he"].party.text, "lines": [{"line": 1, "subject": in_clear(child(44))}]}
    async with world.client("ca") as client:
        urgent = await world.posted(client, "/v1/send-permits", asked)
        assert urgent.json().get("code") not in ("burst", "quota")
        assert await counted(world, mark="#urgent") == 1
        calm = await world.posted(client, "/v1/send-permits", {**asked, "door": "normal"})
        assert (calm.status_code, calm.json()["code"]) == (429, "burst")
    assert await counted(world) == LEAST_BURST


async def test_what_names_nobody_takes_nothing(world):
    async with world.client("ca") as client:
        body = f"{HOME}20160504045"
        wrong = body + ("X" if check_character(body) != "X" else "1")
        malformed = {"subject": {"identifier": {"kind": "cn-rid", "value": wrong}}}
        answer = await world.posted(client, "/v1/guardians/accesses", malformed)
        assert answer.json()["code"] == "identifier_invalid"
    assert await counted(world) == 0


async def test_a_replayed_request_takes_nothing_from_its_party(world):
    import httpx2

    raw = json.dumps({"subject": in_clear(child(46))}).encode()
    async with world.client("ca") as client:
        headers = await client.headers("POST", "/v1/guardians/accesses", raw)
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.example") as http:
        answers = [await http.post("/v1/guardians/accesses", content=raw, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert await counted(world) == 1


async def test_the_client_hears_when_to_come_back(world):
    await use_up(world)
    async with world.client("ca") as client:
        with pytest.raises(GatewayRefused) as caught:
            await client.guardian_accesses(identifier=number_of(child(47)), assisted=True)
    assert (caught.value.code, caught.value.status) == ("burst", 429)
    assert 0 < caught.value.facts["retry_after"] <= BURST_SECONDS
