"""Erasing a child: no copy of database, WAL or backup opens a detail any more, and every proof stays valid."""

from __future__ import annotations

import shutil

import pytest

from gateway.audit import reading as read
from gateway.audit.erasure import erase, freeze, settle
from gateway.audit.histories import child_holder
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.proofs.tlogproof import verify_proof
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.database import Database
from tests.unit.audit.audit_world import CHILD, OTHER, SIGNER, a_log, draft, url

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


async def test_certificate_names_no_child(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        receipt = await erase(log, child_holder(CHILD), erasure(), now=1)
        async with log.database.read() as reading:
            (row,) = await store.get_entries(reading, receipt.index, receipt.index + 1)
            detail = await read.open_detail(reading, log.keeper, row)
        assert detail["facts"]["certificate"]["entries"] == "1"
        assert CHILD.hex() not in str(detail)


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
