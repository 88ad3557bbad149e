"""Children without an ID: an issued identifier, and the alias row that joins it to the ID that came later."""

import pytest

from gateway.client.errors import GatewayRefused
from gateway.domain.subjects import GATEWAY_SCOPE
from gateway.domain.vocabulary import Department
from gateway.store.children import child_tables, earlier_names
from keys.identifiers import issue
from tests.unit.flows.naming_world import HOME, built, child, number_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        yield made


async def refused(work):
    with pytest.raises(GatewayRefused) as caught:
        await work
    return caught.value.code


def point(world, identifier):
    return world.ring.derive(GATEWAY_SCOPE, identifier).point


async def open_case(world, client, identifier, name="ca"):
    return await client.open_case(
        exchanges=["X02"], parties=[world[name].party], region=HOME, identifier=number_of(identifier)
    )


def signed(world, name, people, issued, identified):
    subject = {"kind": "alias", "issued": world.named(name, issued), "identified": world.named(name, identified)}
    return [world.approval(name, person, subject) for person in people]


async def test_an_issued_identifier_and_the_later_id_name_one_child(world):
    issued, later = issue(Department.CIVIL_AFFAIRS), child(7)
    world.edges["ed"].register.rows["S0007"] = number_of(later)
    async with world.client("ed", None) as machine:
        await world.edges["ed"].source.enrol(machine.evaluate, None)
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(issued))
        assert await refused(client.ask("X02", "P14", identifier=number_of(issued), case=case)) == "no_result"
        name = await client.join_names(number_of(issued), number_of(later))
        assert name == world.named("ca", later)
        # The case of before is the child's case now, whichever name asks.
        for identifier in (issued, later):
            answer = await client.ask("X02", "P14", identifier=number_of(identifier), case=case)
            assert answer.values["grade"] == "08"
    assert [(e["code"], e["outcome"]) for e in await world.entries(kind="key.event", code="alias")] == [
        ("alias", "done")
    ]


async def test_the_joined_child_has_one_history_of_both_names(world):
    issued, later = issue(Department.CIVIL_AFFAIRS), child(8)
    async with world.client("ca") as client:
        await open_case(world, client, issued)
        await client.join_names(number_of(issued), number_of(later))
        await open_case(world, client, later)
    async with world.client("ca", "auditor") as auditor:
        answer = await world.posted(
            auditor, "/v1/audit/children/history", {"subject": {"pseudonym": world.named("ca", later)}}
        )
    codes = [(entry["detail"] is not None, '"kind":"' in entry["leaf"]) for entry in answer.json()["entries"]]
    assert codes == [(True, True)] * 3
    async with world.house.database.read() as reading:
        assert await earlier_names(reading, point(world, later)) == [point(world, issued)]


async def test_two_children_with_histories_are_not_joined_without_two_approvers(world):
    issued, later = issue(Department.CIVIL_AFFAIRS), child(9)
    async with world.client("ca") as client:
        await open_case(world, client, issued)
        await open_case(world, client, later)

        def join(approvals=()):
            return client.join_names(number_of(issued), number_of(later), approvals=approvals)

        assert await refused(join()) == "approval_missing"
        assert await refused(join(signed(world, "ca", ["boss"], issued, later))) == "approval_missing"
        assert await refused(join(signed(world, "ca", ["boss", "boss"], issued, later))) == "approval_missing"
        assert await refused(join(signed(world, "ca", ["boss", "chief"], later, issued))) == "approval_subject"
        assert await refused(join(signed(world, "ca", ["boss", "chief"], issued, child(10)))) == "approval_subject"
        assert await refused(join(signed(world, "he", ["boss", "chief"], issued, later))) == "approval_other_department"
        assert await refused(join(signed(world, "ca", ["worker", "chief"], issued, later))) == "approver_function"
        await join(signed(world, "ca", ["boss", "chief"], issued, later))
        assert await refused(join(signed(world, "ca", ["boss", "chief"], issued, later))) == "alias_same"


async def test_an_approver_cannot_approve_what_he_asks_for(world):
    issued, later = issue(Department.CIVIL_AFFAIRS), child(11)
    async with world.client("ca", "boss") as client:
        await open_case(world, client, issued)
        await open_case(world, client, later)
        approvals = signed(world, "ca", ["boss", "chief"], issued, later)
        assert await refused(client.join_names(number_of(issued), number_of(later), approvals=approvals)) == (
            "approval_self"
        )


async def test_a_refused_joining_begins_no_history(world):
    """Or a second try would find two histories where there were none."""
    issued, later = issue(Department.CIVIL_AFFAIRS), child(12)
    async with world.client("ca") as client:
        wrong = signed(world, "he", ["boss", "chief"], issued, later)
        assert await refused(client.join_names(number_of(issued), number_of(later), approvals=wrong)) == (
            "approval_other_department"
        )
        await client.join_names(number_of(issued), number_of(later))


async def test_a_second_alias_follows_the_first(world):
    first, second, later = issue(Department.CIVIL_AFFAIRS), issue(Department.HEALTH), child(13)
    async with world.client("ca") as client:
        await client.join_names(number_of(first), number_of(second))
        case = await open_case(world, client, first)
        both = signed(world, "ca", ["boss", "chief"], first, later)
        await client.join_names(number_of(second), number_of(later), approvals=both)
    async with world.house.database.read() as reading:
        names = await earlier_names(reading, point(world, later))
    assert sorted(names) == sorted([point(world, first), point(world, second)])
    assert case


async def test_a_joining_needs_an_officer(world):
    async with world.client("ca", None) as client:
        assert (
            await refused(client.join_names(number_of(issue(Department.CIVIL_AFFAIRS)), number_of(child(14))))
            == "officer_missing"
        )


def test_every_table_with_a_child_is_known():
    assert {table.name for table in child_tables()} >= {
        "accesses", "cases", "consents", "consent_refusals", "emergency_uses", "guardian_revocations", "holds", "notices",
        "propagations", "reviews", "rights_requests", "reidentifications",
    }  # fmt: skip
