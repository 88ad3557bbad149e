"""Erasing a child: no copy of database, WAL or backup opens a detail any more, and every proof stays valid."""

from __future__ import annotations

import shutil

import pytest

from gateway.audit import reading as read
from gateway.audit.erasure import erase, freeze, settle
from gateway.audit.export import Export
from gateway.audit.histories import Keeper, child_holder
from gateway.audit.pack import write_pack
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.proofs import verify as standalone
from gateway.proofs.tlogproof import verify_proof
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.children import join
from gateway.store.database import Database
from keys.buckets import BucketFile
from keys.providers import LocalRootKey
from tests.unit.audit.audit_world import CHILD, OTHER, ROOT, SIGNER, a_log, draft, url

pytestmark = pytest.mark.anyio


def erasure():
    return draft(kind=EntryKind.ERASURE, actors=("person:330000-ca/1", "person:330000-ed/2"))


async def test_erased_child_opens_from_no_copy_and_proofs_stay(tmp_path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    async with a_log(tmp_path) as log:
        receipts = [await log.append(draft(CHILD, actors=())) for _ in range(4)]
        await log.append(draft(OTHER, actors=()))
        before = await log.receipt(1)
        for file in tmp_path.glob("gateway.db*"):
            shutil.copy(file, backup / file.name)
        await erase(log, child_holder(CHILD), erasure(), now=1)
        verify_proof(before.proof, receipts[1].leaf, SIGNER.verifier)
        verify_proof((await log.receipt(1)).proof, receipts[1].leaf, SIGNER.verifier)
        assert (await log.verify()).entries == 6
        async with log.database.read() as reading:
            assert await read.child_history(reading, log.keeper, CHILD) == []
            (other,) = await read.child_history(reading, log.keeper, OTHER)
            await read.open_detail(reading, log.keeper, other)
        # Every key that is left, and the whole backup with its WAL.
        old = Database(url(backup))
        async with old.read() as reading:
            rows = await store.get_entries(reading, 0, 5)
            for row in rows[:4]:
                with pytest.raises(BadRequest, match="detail_destroyed"):
                    await read.open_detail(reading, log.keeper, row)
            for row in await store.key_generations(reading, CHILD):
                with pytest.raises(GatewayFault, match="key_destroyed"):
                    log.keeper.open(row)
        await old.close()
        # The child may come back; it begins anew.
        await log.append(draft(CHILD, actors=()))
        async with log.database.read() as reading:
            assert len(await read.child_history(reading, log.keeper, CHILD)) == 1


async def test_packs_made_before_and_after_an_erasure_both_verify_and_the_new_one_holds_nothing_of_the_child(
    tmp_path,
) -> None:
    asking = draft(kind=EntryKind.AUDIT_EXPORT, actors=("person:330000-ca/auditor",))
    said: list[str] = []
    async with a_log(tmp_path) as log:
        index = (await log.append(draft(CHILD, actors=()))).index
        await write_pack(log, tmp_path / "old.auditpack", Export(children=[CHILD], details=True), asking)
        await erase(log, child_holder(CHILD), erasure(), now=1)
        await write_pack(log, tmp_path / "new.auditpack", Export(children=[CHILD], details=True), asking)
        # A reader that starts now, with every key that is left and nothing remembered.
        keeper = Keeper(BucketFile.open(tmp_path / "buckets", LocalRootKey(ROOT)))
        async with log.database.read() as reading:
            (row,) = await store.get_entries(reading, index, index + 1)
            with pytest.raises(BadRequest, match="detail_destroyed"):
                await read.open_detail(reading, keeper, row)
    for name, details in (("old", 2), ("new", 0)):
        pack = tmp_path / f"{name}.auditpack"
        assert standalone.verify(pack, SIGNER.verifier.vkey, report=said.append), said
        files = standalone.unpack(pack.read_bytes())
        assert sum(path.startswith("details/") for path in files) == details, sorted(files)


async def test_certificate_names_no_child(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        receipt = await erase(log, child_holder(CHILD), erasure(), now=1)
        async with log.database.read() as reading:
            (row,) = await store.get_entries(reading, receipt.index, receipt.index + 1)
            detail = await read.open_detail(reading, log.keeper, row)
        assert detail["facts"]["certificate"]["entries"] == "1"
        assert CHILD.hex() not in str(detail)


async def test_crash_after_the_commit_leaves_nothing_listed_and_nobody_lost(tmp_path, monkeypatch) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        await log.append(draft(OTHER))

        def dying(*_arguments) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(BucketFile, "settle", dying)
            with pytest.raises(KeyboardInterrupt):
                await erase(log, child_holder(CHILD), erasure(), now=1)
        listed = log.buckets.listed()
        assert listed
        async with log.database.read() as reading:
            assert await store.key_generations(reading, CHILD) == []  # the commit was before the crash
    async with a_log(tmp_path) as log:
        # Cut short once more, after the commit of the settling itself.
        with monkeypatch.context() as patched:
            patched.setattr(BucketFile, "forget", dying)
            with pytest.raises(KeyboardInterrupt):
                await settle(log)
        assert log.buckets.listed() == listed
        assert await settle(log) == 0
        assert log.buckets.listed() == frozenset()
    async with a_log(tmp_path) as log:
        async with log.database.read() as reading:
            (row,) = await read.child_history(reading, log.keeper, OTHER)
            await read.open_detail(reading, log.keeper, row)
        # What the next destruction lists is not forgotten by an older list.
        await log.append(draft(CHILD, bytes([7]) * 32))
        with monkeypatch.context() as patched:
            patched.setattr(BucketFile, "settle", dying)
            with pytest.raises(KeyboardInterrupt):
                await erase(log, child_holder(CHILD), erasure(), now=1)
        later = log.buckets.listed()
        log.buckets.forget(listed)
        assert log.buckets.listed() == later != frozenset()
        assert await settle(log) == 0
        assert log.buckets.unsettled() == 0


@pytest.mark.parametrize("given", ["earliest", "earlier", "present"])
async def test_an_erasure_follows_every_name_of_the_child(tmp_path, given) -> None:
    earliest, earlier, present = (bytes([number]) * 32 for number in (4, 5, 6))
    async with a_log(tmp_path) as log:
        for name in (earliest, earlier, present):
            await log.append(draft(name, actors=()))
        await log.append(draft(OTHER, actors=()))
        async with log.database.write() as writing:
            await join(writing, earliest, earlier, "entry-1")
            await join(writing, earlier, present, "entry-2")
            await audit_keys.put_hold(writing, "h", child_holder(earlier), "complaint", 100)
        holder = {"earliest": earliest, "earlier": earlier, "present": present}[given]
        with pytest.raises(Denied, match="history_held"):
            await erase(log, holder, erasure(), now=99)  # a hold on one name keeps them all
        async with log.database.read() as reading:
            gone = [row for row in await store.all_keys(reading) if row.holder in (earliest, earlier, present)]
        receipt = await erase(log, holder, erasure(), now=100)
        async with log.database.read() as reading:
            (row,) = await store.get_entries(reading, receipt.index, receipt.index + 1)
            certificate = (await read.open_detail(reading, log.keeper, row))["facts"]["certificate"]
            assert (certificate["generations"], certificate["entries"]) == ("3", "3")
            for name in (earliest, earlier, present):
                assert await store.key_generations(reading, name) == []
            assert len(await read.child_history(reading, log.keeper, OTHER)) == 1
        for row in gone:
            with pytest.raises(GatewayFault, match="key_destroyed"):
                log.keeper.open(row)


async def test_hold_stops_an_erasure(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "h1", child_holder(CHILD), "complaint", 100)
        with pytest.raises(Denied, match="history_held"):
            await erase(log, child_holder(CHILD), erasure(), now=99)
        await erase(log, child_holder(CHILD), erasure(), now=100)


async def test_frozen_history_is_not_read_and_goes_on(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        await freeze(log, child_holder(CHILD), erasure())
        await log.append(draft(CHILD))
        async with log.database.read() as reading:
            with pytest.raises(Denied, match="history_frozen"):
                await read.child_history(reading, log.keeper, CHILD)
        await freeze(log, child_holder(CHILD), erasure(), frozen=False)
        async with log.database.read() as reading:
            assert len(await read.child_history(reading, log.keeper, CHILD)) == 2


async def test_erasure_cut_short_by_a_crash_loses_no_survivor(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD, OTHER))
        async with log.database.read() as reading:
            (row,) = await store.key_generations(reading, CHILD)
            others = [one for one in await audit_keys.keys_in_bucket(reading, row.bucket) if one.holder != CHILD]
        # The bucket file says that the key is gone; the database never heard of it.
        log.buckets.destroy(row.bucket, [one.wrapped for one in others])
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD, OTHER))
        assert await settle(log) == len(others)
        assert log.buckets.unsettled() == 0
        async with log.database.read() as reading:
            assert len(await read.child_history(reading, log.keeper, OTHER)) == 2
            assert [one.generation for one in await store.key_generations(reading, CHILD)] == [1, 2]
