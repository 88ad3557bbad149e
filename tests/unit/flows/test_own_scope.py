"""The gateway's own scope rotates: every row and every history is filed under other names, and nobody outside notices."""

import contextlib
import re
import shutil
import sqlite3

import pytest
import rbcl
from sqlalchemy import select

from gateway.audit.histories import LOG_HOLDER, actor_holder, names_child
from gateway.audit.reading import child_history, open_detail
from gateway.client.errors import GatewayRefused
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import GATEWAY_SCOPE, Pseudonym, Scope
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import BadRequest, GatewayFault
from gateway.flows import own_scope
from gateway.flows.decide import LineDecision, SendDecision, Wish
from gateway.flows.own_scope import settle_own_scope
from gateway.flows.rotation import take_step
from gateway.store import audit_keys
from gateway.store import schema as _schema  # noqa: F401  (every table on `metadata`)
from gateway.store.audit import all_keys
from gateway.store.database import Database, metadata
from gateway.store.exchange_tables import outbox
from gateway.store.exchanges import put_send_permit
from keys import rotation as keys_rotation
from keys.group import invert, multiply, scalar_product
from keys.identifiers import issue
from keys.ring import KeyRing
from keys.ring_file import Use
from keys.rotation import Step
from tests.properties.test_rotation_under_load import a_waiting_envelope
from tests.unit.flows.naming_world import b64, built, child, number_of

pytestmark = pytest.mark.anyio
BY = EntryDraft(kind=EntryKind.KEY_EVENT, outcome=Outcome.DONE, detail={"by": "test"})
CHILDREN = [child(number) for number in range(51, 55)]


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        edge = made.edges["ed"]
        edge.register.rows |= {f"S{place:04d}": number_of(one) for place, one in enumerate(CHILDREN)}
        async with made.client("ed", None) as machine:
            await edge.source.enrol(machine.evaluate, None)
        yield made


async def lived(world):
    """Records of every kind that this room can make: cases, approvals, answers, an alias, a permit, a hold."""
    issued = issue(Department.CIVIL_AFFAIRS)
    async with world.client("ca") as client:
        cases = []
        for one in CHILDREN:
            cases.append(await world.approved_case(client, "ca", ["X02"], pseudonym=world.named("ca", one)))
            await client.ask("X02", "P14", pseudonym=world.named("ca", one), case=cases[-1])
        await client.join_names(number_of(issued), number_of(CHILDREN[0]))
    async with world.house.database.write() as writing:
        wish = Wish(world.house.catalogue.exchanges["X13"], "P04", Door.NORMAL, world["yl"].party, None, None)
        lines = (LineDecision(1, own(world, CHILDREN[1]), None, "consent_none"),)
        decision = SendDecision(wish, world["yl"].sealing.sealing_key(world["yl"].party), lines)
        await put_send_permit(writing, "sp-1", "ca-system", decision.fingerprint, 2**31 - 1)
        await audit_keys.put_hold(writing, "h-1", own(world, CHILDREN[2]), "complaint", 2**31 - 1)
    return cases, issued


def own(world, identifier):
    return world.ring.derive(GATEWAY_SCOPE, identifier).point


async def rotated(world, *steps):
    for step in steps or Step:
        await take_step(world.house, GATEWAY_SCOPE, step, by=BY)


async def cells(database):
    """Every value of every row of every table but the log's own sealed bytes."""
    found = []
    async with database.read() as reading:
        for table in metadata.sorted_tables:
            for row in (await reading.connection.execute(select(table))).all():
                found += [
                    (table.name, column.name, bytes(value) if isinstance(value, bytes) else str(value).encode())
                    for column, value in zip(table.columns, row, strict=True)
                ]
    return found


def where(found, points):
    marks = [mark for point in points for mark in (point, point.hex().encode(), b64(point).encode())]
    return {(table, column) for table, column, value in found if any(mark in value for mark in marks)}


async def histories(world, identifiers):
    async with world.house.database.read() as reading:
        told = []
        for identifier in identifiers:
            rows = await child_history(reading, world.house.log.keeper, own(world, identifier))
            details = [await open_detail(reading, world.house.log.keeper, row) for row in rows]
            assert all(own(world, identifier).hex() in detail["children"] for detail in details)
            told.append([(row.index, {**detail, "children": None}) for row, detail in zip(rows, details, strict=True)])
    return told


async def test_everything_known_of_a_child_is_known_afterwards_and_nothing_stands_under_an_old_name(world):
    cases, issued = await lived(world)
    old = [own(world, one) for one in (*CHILDREN, issued)]
    assert len(where(await cells(world.house.database), old)) >= 8
    before = await histories(world, CHILDREN)
    async with world.house.database.read() as reading:
        rows_before = {(row.holder, row.generation) for row in await all_keys(reading)}
    await rotated(world)
    new = [own(world, one) for one in (*CHILDREN, issued)]
    assert not set(old) & set(new)
    found = await cells(world.house.database)
    assert where(found, old) == set()
    assert len(where(found, new)) >= 8
    assert await histories(world, CHILDREN) == before
    async with world.house.database.read() as reading:
        rows_after = {(row.holder, row.generation) for row in await all_keys(reading)}
        assert await audit_keys.held(reading, new[2], world.clock.seconds)
        assert not await audit_keys.held(reading, old[2], world.clock.seconds)
    assert {row for row in rows_before if not names_child(row[0])} <= rows_after  # actors and the log itself stay
    assert len(rows_after) >= len(rows_before)
    assert (await world.house.log.verify()).entries
    async with world.client("ca") as client:
        for place, one in enumerate(CHILDREN):
            answer = await client.ask("X02", "P14", pseudonym=world.named("ca", one), case=cases[place])
            assert answer.values["grade"] == f"{1 + place:02d}"
        # The earlier name still leads to the child, and so does the other child's case to nobody else.
        answer = await client.ask("X02", "P14", pseudonym=world.named("ca", issued), case=cases[0])
        assert answer.values["grade"] == "01"
        with pytest.raises(GatewayRefused):
            await client.ask("X02", "P14", pseudonym=world.named("ca", CHILDREN[0]), case=cases[1])
    async with world.client("ca", "auditor") as auditor:
        body = {"subject": {"pseudonym": world.named("ca", CHILDREN[0])}}
        history = (await world.posted(auditor, "/v1/audit/children/history", body)).json()["entries"]
    assert len(history) > len(before[0])


async def test_what_was_sent_before_is_handed_out_afterwards(world):
    await a_waiting_envelope(world)
    facts = b'{"agreed":{},"case":"","children":{"1":"%s"},"fields":[],"function":"","officer":"","reason":""}'
    old = own(world, CHILDREN[0])
    async with world.house.database.write() as writing:
        await writing.connection.execute(outbox.update().values(facts=facts % old.hex().encode()))
    await rotated(world)
    async with world.house.database.read() as reading:
        (kept,) = (await reading.connection.execute(select(outbox.c.facts))).scalars()
    assert bytes(kept) == facts % own(world, CHILDREN[0]).hex().encode()


async def test_a_crash_before_the_commit_leaves_everything_as_it_was(world, monkeypatch):
    await lived(world)
    await rotated(world, Step.PREPARE, Step.BEGIN)
    before = sorted(await cells(world.house.database))
    names = [own(world, one) for one in CHILDREN]

    async def dying(*_arguments):
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(own_scope, "_note", dying)  # the last thing that the transaction does
        with pytest.raises(RuntimeError):
            await rotated(world, Step.ADVANCE)
    assert sorted(await cells(world.house.database)) == before
    await settle_own_scope(world.house.database, world.ring, now=world.clock.seconds)
    assert [own(world, one) for one in CHILDREN] == names
    await rotated(world, Step.ADVANCE, Step.RETIRE, Step.DESTROY)
    assert where(await cells(world.house.database), names) == set()


async def test_a_crash_between_the_rows_and_the_key_is_finished_at_the_next_start(world, monkeypatch):
    cases, _ = await lived(world)
    await rotated(world, Step.PREPARE, Step.BEGIN)
    names = [own(world, one) for one in CHILDREN]

    def dying(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keys_rotation, "take", dying)
        with pytest.raises(KeyboardInterrupt):
            await rotated(world, Step.ADVANCE)
    assert [own(world, one) for one in CHILDREN] == names  # the key is behind the rows
    assert where(await cells(world.house.database), names) == set()
    await settle_own_scope(world.house.database, world.ring, now=world.clock.seconds)
    await settle_own_scope(world.house.database, world.ring, now=world.clock.seconds)
    async with world.client("ca") as client:
        await client.ask("X02", "P14", pseudonym=world.named("ca", CHILDREN[0]), case=cases[0])
    await rotated(world, Step.RETIRE, Step.DESTROY)


async def test_a_database_and_a_ring_of_different_epochs_do_not_start(world, tmp_path):
    await lived(world)
    ring, stale = tmp_path / "keys" / "ring.json", tmp_path / "ring-before.json"
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(ring, stale)
    for file in tmp_path.glob("gateway.sqlite3*"):
        shutil.copy(file, backup / file.name)
    await rotated(world)
    old = Database(f"sqlite+aiosqlite:///{backup / 'gateway.sqlite3'}")
    with pytest.raises(GatewayFault, match="log_step_back"):
        await settle_own_scope(old, world.ring, now=world.clock.seconds)
    await old.close()
    stale.chmod(0o600)
    with pytest.raises(GatewayFault, match="ring_refused"):
        await settle_own_scope(world.house.database, KeyRing(stale, world.root), now=world.clock.seconds)
    fresh = Database(f"sqlite+aiosqlite:///{tmp_path / 'fresh.sqlite3'}")
    await fresh.create_schema()
    for _ in range(2):
        await settle_own_scope(fresh, world.ring, now=world.clock.seconds)
    await fresh.close()


def copied(folder, into):
    """Two copies as a thief or a careful operator has them: the files with their WAL, and a backup by SQLite itself."""
    for path in (into / "files", into / "backup"):
        path.mkdir(parents=True)
    for file in folder.glob("gateway.sqlite3*"):
        shutil.copy(file, into / "files" / file.name)
    source, target = (sqlite3.connect(path / "gateway.sqlite3") for path in (folder, into / "backup"))
    with contextlib.closing(source), contextlib.closing(target):
        source.backup(target)
    return [Database(f"sqlite+aiosqlite:///{into / kind / 'gateway.sqlite3'}") for kind in ("files", "backup")]


async def points_in(database):
    """Every child's point in every row: all columns of 32 bytes, and names of 64 digits in documents."""
    found = set()
    for _, _, value in await cells(database):
        found |= {value} if len(value) == 32 else set()
        found |= {bytes.fromhex(digits) for digits in re.findall(r'(?<=")[0-9a-f]{64}(?=")', value.decode("latin-1"))}
    return {point for point in found if rbcl.crypto_core_ristretto255_is_valid_point(point) and names_child(point)}


async def test_after_destroyed_no_row_of_any_copy_leads_to_a_child_with_every_key_that_is_left(world, tmp_path):
    await lived(world)
    known = {own(world, one) for one in CHILDREN}
    copies = copied(tmp_path, tmp_path / "loot")
    key = world.ring._key(GATEWAY_SCOPE, 1)
    await rotated(world)
    left = [world.ring._open(row.slot) for row in world.ring.rows() if row.wrapped and row.slot.use is Use.PSEUDONYM]
    assert len(left) >= 3
    factors = [*left, *(scalar_product(one, invert(other)) for one in left for other in left)]
    present = {
        named.point
        for scope in (GATEWAY_SCOPE, Scope.open(Department.CIVIL_AFFAIRS), Scope.open(Department.EDUCATION))
        for named in world.ring.translate([Pseudonym(GATEWAY_SCOPE, 2, own(world, one)) for one in CHILDREN], scope)
    }
    for copy in copies:
        old = await points_in(copy)
        await copy.close()
        assert known < old  # and the earlier name of one of them
        assert not {multiply(factor, point) for factor in factors for point in old} & present
        for point in old:
            with pytest.raises(BadRequest, match="pseudonym_epoch"):
                world.ring.translate([Pseudonym(GATEWAY_SCOPE, 1, point)], GATEWAY_SCOPE)
        # With the destroyed key the same attack finds everybody: it is no empty one.
        kept = [scalar_product(one, invert(key)) for one in left]
        assert {own(world, one) for one in CHILDREN} <= {multiply(factor, point) for factor in kept for point in old}


async def test_nobody_rotates_it_over_the_network(world):
    subject = {"kind": "rotation", "scope": "gateway", "step": "prepare", "epoch": 2}
    approvals = [world.approval(name, "boss", subject) for name in ("ca", "he")]
    async with world.client("he") as client:
        answer = await world.posted(client, "/v1/keys/rotations", {"approvals": approvals})
    assert (answer.status_code, answer.json()["code"]) == (400, "scope_unknown")


def test_no_actors_name_can_be_taken_for_a_childs():
    assert not names_child(LOG_HOLDER)
    assert not any(names_child(actor_holder(f"person:330106-ca/{number}")) for number in range(2000))
