"""A rotation while departments go on asking: nobody fails, nobody gets another child; and after it, nothing old opens."""

import asyncio
import itertools
import json
import shutil
from base64 import b64encode

import pytest

from adapters.edge.following import Follower
from gateway.client.errors import GatewayRefused
from gateway.domain.entries import EntryDraft
from gateway.domain.orders import Envelope, SealInfo
from gateway.domain.permits import Obligation
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department, EntryKind, Outcome, Transform
from gateway.errors import BadRequest, Denied, GatewayError
from gateway.flows.rotation import take_step
from gateway.release.wire import envelope_from_wire, envelope_to_wire
from gateway.store.exchanges import Delivery, put_delivery
from gateway.store.naming import waiting_envelopes
from keys import text
from keys.buckets import BucketFile
from keys.envelope import open_line, seal_line
from keys.group import hash_to_group, invert, multiply, scalar_product
from keys.providers import LocalRootKey
from keys.ring import KeyRing
from keys.ring_file import Use, load
from keys.rotation import Step
from tests.unit.flows.naming_world import built, child, number_of

pytestmark = pytest.mark.anyio
ASKER, PROVIDER = Scope.open(Department.CIVIL_AFFAIRS), Scope.open(Department.EDUCATION)
CHILDREN = [child(number) for number in range(7, 67, 6)]
EXCHANGES = 1000
BY = EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, detail={"by": "test"})


class Port:
    """What an edge's follower needs of the gateway, over the SDK."""

    def __init__(self, client):
        self.client = client

    async def epochs(self):
        return (await self.client.epochs())["open"].accepted

    async def convert(self, pseudonyms, epoch, *, finished):
        return await self.client.convert(pseudonyms, epoch=epoch, finished=finished)


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        edge = made.edges["ed"]
        edge.register.rows |= {f"S{place:04d}": number_of(one) for place, one in enumerate(CHILDREN)}
        async with made.client("ed", None) as machine:
            await edge.source.enrol(machine.evaluate, None)
        yield made


def step(world, scope, what, **options):
    return take_step(world.house, scope, what, by=BY, **options)


async def test_a_rotation_during_a_thousand_exchanges_fails_nobody_and_names_no_wrong_child(world):
    """Both ends rotate: the asker's scope, whose system holds pseudonyms, and the provider's, whose edge holds a directory."""
    async with world.client("ca") as client, world.client("ed", None) as machine, world.client("ca", None) as system:
        held = await client.pseudonyms([number_of(one) for one in CHILDREN])
        cases = [await world.approved_case(client, "ca", ["X02"], pseudonym=name) for name in held]
        follower = Follower(Port(machine), world.edges["ed"].directory)
        asked, failures, wrong, epochs = [], [], [], set()
        under_way = {1: 0, 2: 0}

        async def ask(place):
            name = held[place]
            epoch = text.read(name, ASKER).epoch
            under_way[epoch] += 1
            try:
                answer = await client.ask("X02", "P14", pseudonym=name, case=cases[place])
            except Exception as error:
                failures.append(repr(error))
                return
            finally:
                under_way[epoch] -= 1
            # Each child's grade is its own, so another child's answer would show.
            if answer.values["grade"] != f"{1 + place:02d}":
                wrong.append(place)
            epochs.add((epoch, text.read(world.edges["ed"].orders[-1].lines[0].subject, PROVIDER).epoch))

        async def asking():
            while len(asked) < EXCHANGES:
                asked.append(len(asked) % len(CHILDREN))
                await ask(asked[-1])

        async def reached(number):
            while len(asked) < number:
                await asyncio.sleep(0.005)

        async def rotating():
            for place, what in ((100, Step.PREPARE), (200, Step.BEGIN)):
                await reached(place)
                for scope in (ASKER, PROVIDER):
                    await step(world, scope, what)
            await reached(300)
            with pytest.raises(Denied, match="rotation_unfollowed"):
                await step(world, PROVIDER, Step.ADVANCE)
            await follower.once()
            await reached(400)
            await step(world, PROVIDER, Step.ADVANCE)
            await step(world, ASKER, Step.ADVANCE)
            await reached(500)
            for start in range(0, len(held), 4):
                held[start : start + 4] = await system.convert(held[start : start + 4])
                await asyncio.sleep(0.02)
            await system.convert([], finished=True)
            await reached(650)
            while under_way[1]:
                await asyncio.sleep(0.005)
            for scope in (ASKER, PROVIDER):
                await step(world, scope, Step.RETIRE)
            await follower.once()
            await reached(800)
            for scope in (ASKER, PROVIDER):
                await step(world, scope, Step.DESTROY)

        await asyncio.gather(rotating(), *(asking() for _ in range(50)))
    assert failures == []
    assert wrong == []
    assert epochs >= {(1, 1), (1, 2), (2, 2)}
    assert len(await world.entries(kind="query", outcome="released")) == EXCHANGES
    told = [entry["code"] for entry in await world.entries(kind="key.event") if entry["code"].startswith("rotation_")]
    assert sorted(told) == sorted(f"rotation_{what}" for what in Step for _ in range(2))
    assert world.ring.accepted_epochs(ASKER) == world.ring.accepted_epochs(PROVIDER) == (2,)
    assert world.edges["ed"].directory.epoch == 2


async def rotate(world, scope, follow=None):
    for what in Step:
        await step(world, scope, what)
        if what in (Step.BEGIN, Step.RETIRE) and follow is not None:
            await follow.once()


async def test_after_destroyed_nothing_old_opens_with_any_key_that_is_left(world, tmp_path):
    """A thief has copies of everything from before, and later everything that is there; only the old root is gone."""
    closed = Scope.closed(Department.YOUTH_LEAGUE, "X13")
    scopes = (ASKER, PROVIDER, closed)
    own = [world.ring.derive(GATEWAY_SCOPE, one) for one in CHILDREN]
    old = {scope: world.ring.translate(own, scope) for scope in scopes}
    async with world.client("ca") as client:
        waiting = await a_waiting_envelope(world)
        await client.pseudonyms([number_of(CHILDREN[0])])
    loot = tmp_path / "loot"
    loot.mkdir()
    for path in world.folder.iterdir():
        if path.is_file():
            shutil.copy(path, loot / path.name)
    shutil.copy(world.folder / "keys" / "ring.json", loot / "ring-0.json")
    async with world.client("ed", None) as machine:
        for scope in scopes:
            await rotate(
                world, scope, Follower(Port(machine), world.edges["ed"].directory) if scope == PROVIDER else None
            )
            shutil.copy(world.folder / "keys" / "ring.json", loot / f"ring-after-{scope.holder}.json")
    new_root = LocalRootKey.generate()
    world.ring.replace_root(new_root)
    ring = KeyRing.open(world.folder / "keys", new_root)

    # 1. Every copy of the ring file refuses the root that is left, and so does every wrapped key in it.
    for path in loot.glob("ring-*.json"):
        path.chmod(0o600)
        with pytest.raises(GatewayError, match="ring_refused"):
            load(path, new_root)
        for row in load(path, world.root).values():
            if row.wrapped:
                with pytest.raises(GatewayError, match="unseal_failed"):
                    new_root.unwrap(row.wrapped, binding=row.slot.binding)

    # 2. No old pseudonym is understood, in any scope, towards any scope.
    for scope in scopes:
        for pseudonym in old[scope]:
            for target in (*scopes, GATEWAY_SCOPE):
                with pytest.raises((BadRequest, Denied)):
                    ring.translate([pseudonym], target)

    # 3. No key that is left, alone or as a quotient of two, leads from an old point to a child or to a present name.
    keys = [ring._open(row.slot) for row in ring.rows() if row.wrapped and row.slot.use is Use.PSEUDONYM]
    assert len(keys) >= 4
    guesses = {multiply(key, hash_to_group(one.canonical)) for key in keys for one in CHILDREN}
    present = {p.point for scope in (*scopes, GATEWAY_SCOPE) for p in ring.translate(own, scope)}
    factors = [*keys, *(scalar_product(one, invert(other)) for one in keys for other in keys)]
    for pseudonym in itertools.chain(*old.values()):
        assert pseudonym.point not in guesses | present
        reached = {multiply(factor, pseudonym.point) for factor in factors}
        assert not reached & present

    # 4. The same attack finds everybody where the old root survived: it is no empty test.
    stolen = KeyRing(loot / "ring-0.json", world.root)
    found = {text.write(p) for p in stolen.translate(old[PROVIDER], GATEWAY_SCOPE)}
    assert found == {text.write(p) for p in own}

    # 5. Old rows: the edge's directory and the envelope that waited, from copies of databases and WALs.
    names = [text.write(p) for scope in scopes for p in old[scope]]
    data = b"".join(path.read_bytes() for path in loot.iterdir())
    rows = [name for name in names if name.encode() in data]
    assert len(rows) >= len(CHILDREN)
    assert waiting in rows
    for name in rows:
        for scope in scopes:
            if name.startswith(text.prefix(scope)):
                with pytest.raises((BadRequest, Denied)):
                    ring.translate([text.read(name, scope)], GATEWAY_SCOPE)

    # 6. And what is there now holds no old name any more, or one that nobody understands.
    now = b"".join(path.read_bytes() for path in world.folder.glob("ed.sqlite*"))
    assert not any(text.write(p).encode() in now for p in old[PROVIDER])
    for path in (world.folder / "keys").glob("ring.json*"):
        for row in load(loot / "ring-0.json", world.root).values():
            assert not row.wrapped or b64encode(row.wrapped) not in path.read_bytes()


async def a_waiting_envelope(world):
    """A row in the outbox that names a child in the recipient's old epoch; returns the name."""
    name = world.named("yl", CHILDREN[0], "X13")
    sender, recipient = world["ca"], world["yl"]
    pair = recipient.sealing
    line = seal_line(
        {"status": "active"},
        grants={"status": Obligation(Transform.CLEAR, sealed=True)},
        info=SealInfo("sp-1", 1, "X13", sender.party, recipient.party, pair.kid),
        recipient=pair.sealing_key(recipient.party),
        signer=sender.sender_key,
        number=1,
        subject=name,
        references={},
        region=None,
    )
    envelope = Envelope("sp-1", "X13", sender.party, recipient.party, (line,))
    row = Delivery(
        delivery_id="dl-test",
        sender=sender.party.text,
        sender_client="ca-system",
        recipient=recipient.party.text,
        exchange="X13",
        purpose="P04",
        door="normal",
        state="waiting",
        envelope=json.dumps(envelope_to_wire(envelope)).encode(),
        facts=b"{}",
        created_at=world.clock.seconds,
        expires_at=world.clock.seconds + 72 * 3600,
    )
    async with world.house.database.write() as writing:
        await put_delivery(writing, row)
    return name


async def test_a_waiting_envelope_speaks_the_new_epoch_when_the_old_one_ends(world):
    closed = Scope.closed(Department.YOUTH_LEAGUE, "X13")
    await a_waiting_envelope(world)
    await rotate(world, closed)
    async with world.house.database.read() as reading:
        [(_, _, _, data)] = await waiting_envelopes(reading)
    [line] = envelope_from_wire(json.loads(data)).lines
    named = text.read(line.subject, closed)
    assert named.epoch == 2
    assert world.ring.translate([named], GATEWAY_SCOPE) == [world.ring.derive(GATEWAY_SCOPE, CHILDREN[0])]
    info = SealInfo("sp-1", 1, "X13", world["ca"].party, world["yl"].party, world["yl"].sealing.kid)
    opened = open_line(line, pair=world["yl"].sealing, sender_key=world["ca"].sender_key.verify_key, expected=info)
    assert opened == {"status": "active"}


async def test_an_erased_root_leaves_the_audit_buckets_of_before_shut_as_well(world):
    copy = world.folder / "buckets-copy.json"
    shutil.copy(world.folder / "keys" / "buckets.json", copy)
    copy.chmod(0o600)
    new_root = LocalRootKey.generate()
    world.house.log.buckets.replace_root(new_root)
    BucketFile.open(world.folder / "keys" / "buckets.json", new_root)
    with pytest.raises(GatewayError, match="buckets_refused"):
        BucketFile.open(copy, new_root)


async def test_a_holder_that_converts_too_late_is_told_so(world):
    async with world.client("ca", None) as client:
        [name] = await client.pseudonyms([number_of(CHILDREN[0])])
        await rotate(world, ASKER)
        with pytest.raises(GatewayRefused, match="pseudonym_epoch"):
            await client.convert([name])
