"""Organisations' signing keys: announced in the log, pinned by the SDK, rotated; a key that only the gateway vouches for is refused."""

import pytest

from adapters.base.answering import DepartmentSource, Office
from gateway.client.errors import AnswerRejected
from gateway.identity.enrolment import announce_sender_key
from gateway.store.database import Database
from gateway.store.registry_changes import add_sender_key, note_key_entry, put_edge
from keys.signing import SigningKey
from tests.unit.flows.naming_world import HOME, built, child, number_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        edge = made.edges["ed"]
        edge.register.rows["S0007"] = number_of(child(7))
        async with made.client("ed", None) as machine:
            await edge.source.enrol(machine.evaluate, None)
        yield made


async def asked(world, client, case):
    return await client.ask("X02", "P14", identifier=number_of(child(7)), case=case)


def sign_with(world, key):
    """The edge signs with another key from now on."""
    source = world.edges["ed"].source
    source._office = Office(world["ed"].party, HOME, key)
    assert isinstance(source, DepartmentSource)


async def trusted_by_the_gateway(world, key):
    """The edge's row names the key, so that the gateway lets the answer through."""
    async with world.house.database.write() as writing:
        await put_edge(
            writing,
            world["ed"].party,
            "33",
            "http://edge.example",
            sender_kid=key.thumbprint,
            sender_key=key.public,
        )
    world.house.registry.forget()


async def announced(world, key, *, party=None):
    draft, effect = announce_sender_key(party or world["ed"].party, key.verify_key, by="test", now=world.clock.seconds)
    receipt = await world.house.log.append(draft, effect=effect)
    async with world.house.database.write() as writing:
        await note_key_entry(writing, key.thumbprint, receipt.index)
    world.house.registry.forget()
    return receipt


async def test_a_key_that_the_log_announced_is_believed_and_its_successor_too(world):
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(child(7)))
        assert (await asked(world, client, case)).values["grade"] == "08"
        successor = SigningKey.generate()
        await announced(world, successor)
        await trusted_by_the_gateway(world, successor)
        sign_with(world, successor)
        assert (await asked(world, client, case)).values["grade"] == "08"


async def test_a_changed_key_that_the_log_does_not_hold_is_refused(world):
    """The gateway knows the key and vouches for it; the log does not."""
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(child(7)))
        await asked(world, client, case)
        planted = SigningKey.generate()
        database: Database = world.house.database
        async with database.write() as writing:
            await add_sender_key(
                writing, world["ed"].party, kid=planted.thumbprint, public_key=planted.public, now=world.clock.seconds
            )
            # It points at an entry that stands, and that says something else.
            await note_key_entry(writing, planted.thumbprint, 3)
        await trusted_by_the_gateway(world, planted)
        sign_with(world, planted)
        with pytest.raises(AnswerRejected, match="sender_unproved"):
            await asked(world, client, case)


async def test_a_key_that_the_log_announced_for_another_party_is_refused(world):
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(child(7)))
        other = world["he"].sender_key
        sign_with(world, other)
        await trusted_by_the_gateway(world, other)
        with pytest.raises(AnswerRejected, match="sender_unproved"):
            await asked(world, client, case)


async def test_a_pinned_key_serves_its_party_alone(world):
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(child(7)))
        pinned = {world["ed"].sender_key.thumbprint: (world["he"].party, world["ed"].sender_key.verify_key)}
        client._core._senders._pinned.update(pinned)
        with pytest.raises(AnswerRejected, match="sender_changed"):
            await asked(world, client, case)


async def test_the_gateway_itself_refuses_a_key_that_is_not_the_edges(world):
    sign_with(world, SigningKey.generate())
    async with world.client("ca") as client:
        case = await world.approved_case(client, "ca", ["X02"], identifier=number_of(child(7)))
        with pytest.raises(Exception, match="release_unsigned"):
            await asked(world, client, case)
