"""Who enrols people, and who does not."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.parties import Organisation, Party
from gateway.domain.vocabulary import Department
from gateway.errors import BadRequest, Denied, GatewayError
from gateway.identity.people import read_person_key
from gateway.store.registry_changes import disable_person
from keys.signing import SigningKey
from tests.unit.identity.conftest import BUREAU, EDUCATION, ELSEWHERE, SCHOOL, World, person_statement, resigned

pytestmark = pytest.mark.anyio


async def read(world: World, statement: str) -> Any:
    return read_person_key(statement, snapshot=await world.snapshot(), now=world.clock.seconds)


async def refused(world: World, kind: type[GatewayError], code: str, statement: str) -> None:
    with pytest.raises(kind) as caught:
        await read(world, statement)
    assert caught.value.code == code


def fresh(world: World, **changes: Any) -> str:
    return person_statement(world, **{"person_key": SigningKey.generate().verify_key, **changes})


async def test_the_administrator_enrols_a_person_of_a_school_in_the_region(world: World) -> None:
    party = Party(SCHOOL.code, Department.EDUCATION)
    enrolled = await read(world, fresh(world, person_id="S01", party=party, functions=["form_teacher"]))
    assert enrolled.person.party == party
    assert enrolled.person.functions == {"form_teacher"}
    assert enrolled.enrolled_by == world.admin_key.thumbprint


async def test_a_client_key_enrols_nobody(world: World) -> None:
    await refused(world, Denied, "people_admin_unknown", fresh(world, admin_key=world.client_key, admin_id="edu-xihu"))


async def test_an_officers_key_enrols_nobody(world: World) -> None:
    await refused(world, Denied, "people_admin_unknown", fresh(world, admin_key=world.officer_key, admin_id="T0417"))


async def test_nobody_enrols_in_the_administrators_name(world: World) -> None:
    await refused(world, BadRequest, "statement_invalid", resigned(fresh(world), world.client_key))
    await refused(world, BadRequest, "statement_invalid", fresh(world, admin_id="A0002"))


@pytest.mark.parametrize(
    "party",
    [
        Party(ELSEWHERE.code, Department.EDUCATION),
        Party(BUREAU.code, Department.CIVIL_AFFAIRS),
        Party(SCHOOL.code, Department.CIVIL_AFFAIRS),
        Party("99330106470101234A", Department.EDUCATION),
    ],
    ids=["another region", "another department", "not acting for it", "unknown organisation"],
)
async def test_an_administrator_enrols_within_department_and_region_only(world: World, party: Party) -> None:
    await refused(world, Denied, "people_admin_scope", fresh(world, party=party))


async def test_a_key_never_becomes_a_second_thing(world: World) -> None:
    for taken in (world.client_key, world.admin_key, world.officer_key):
        statement = person_statement(world, person_id="T0999", person_key=taken.verify_key)
        await refused(world, BadRequest, "person_key_taken", statement)


async def test_a_retired_key_does_not_come_back_with_its_old_statement(world: World) -> None:
    statement = (await world.snapshot()).people[world.officer_key.thumbprint].statement
    await world.change(disable_person, world.officer_key.thumbprint)
    await refused(world, BadRequest, "person_key_taken", statement)


async def test_two_workers_enrol_a_key_once(world: World) -> None:
    from gateway.identity.enrolment import enrol_person

    statement = fresh(world, person_id="T0500")
    snapshot = await world.snapshot()
    _, first = enrol_person(statement, snapshot=snapshot, now=world.clock.seconds)
    _, second = enrol_person(statement, snapshot=snapshot, now=world.clock.seconds)
    await world.change(first)
    with pytest.raises(BadRequest, match="person_key_taken"):
        await world.change(second)


async def test_a_new_key_of_a_person_retires_the_old_one(world: World) -> None:
    newer = SigningKey.generate()
    await world.enrol(person_statement(world, person_key=newer.verify_key))
    snapshot = await world.snapshot()
    assert not snapshot.people[world.officer_key.thumbprint].person.enabled
    assert snapshot.people[newer.thumbprint].person.enabled
    found = world.registry.person(EDUCATION, "T0417")
    assert found is not None
    assert found.person.thumbprint == newer.thumbprint


@pytest.mark.parametrize(
    "change",
    [
        {"functions": []},
        {"functions": ["Approver"]},
        {"functions": ["a,b"]},
        {"functions": "approver"},
        {"functions": ["f"] * 17},
        {"sub": "身份"},
        {"sub": "a/b"},
        {"dept": "police"},
        {"jwk": {"kty": "OKP", "crv": "X25519", "x": "AA"}},
        {"jwk": "x"},
        {"exp": None},
        {"exp": 4102444800},
        {"iat": 4102444800},
        {"extra": 1},
    ],
)
async def test_a_statement_of_another_form_is_refused_even_from_the_administrator(
    world: World, change: dict[str, Any]
) -> None:
    await refused(world, BadRequest, "statement_invalid", resigned(fresh(world), world.admin_key, **change))


async def test_a_statement_that_has_ended_enrols_nobody(world: World) -> None:
    statement = fresh(world, lifetime=60)
    world.clock.step(60)
    await refused(world, Denied, "statement_expired", statement)


async def test_a_disabled_administrator_enrols_nobody(world: World) -> None:
    from sqlalchemy import update

    from gateway.store.registry_changes import put_organisation
    from gateway.store.registry_tables import people_admins

    async with world.database.write() as writing:
        await writing.connection.execute(update(people_admins).values(enabled=False))
    await world.change(put_organisation, Organisation("x", "x", "330106", frozenset()))
    await refused(world, Denied, "people_admin_unknown", fresh(world))
