"""What can break around the log, on both sides of its durability points; and what an operator with full rights can do."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from gateway.audit import verification
from gateway.audit.receipts import consistency
from gateway.errors import GatewayFault
from gateway.proofs.checkpoints import read_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import leaf_hash, verify_consistency
from gateway.proofs.tlogproof import verify_proof
from gateway.store import audit as store
from gateway.store.database import Database
from tests.unit.audit.audit_world import CHILD, SIGNER, a_log, draft, make_log, url

pytestmark = pytest.mark.anyio


class BreaksAtCommit:
    """A database whose next commits fail: before they happen, or after they have happened."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.before = 0
        self.after = 0
        self.unreadable = False

    @asynccontextmanager
    async def write(self):
        async with self.inner.write() as writing:
            yield writing
            if self.before:
                self.before -= 1
                raise OSError("the disk is gone")
        if self.after:
            self.after -= 1
            raise OSError("the answer to COMMIT was lost")

    @asynccontextmanager
    async def read(self):
        if self.unreadable:
            raise OSError("no connection")
        async with self.inner.read() as reading:
            yield reading


@asynccontextmanager
async def breaking(directory):
    inner = Database(url(directory))
    await inner.create_schema()
    database = BreaksAtCommit(inner)
    log = make_log(directory, database)
    await log.start()
    yield log, database
    await log.close()
    await inner.close()


async def test_commit_that_failed_persists_nothing_and_nobody_gets_a_receipt(tmp_path) -> None:
    async with breaking(tmp_path) as (log, database):
        await log.append(draft(CHILD))
        database.before = 1
        results = await asyncio.gather(*(log.append(draft(CHILD)) for _ in range(5)), return_exceptions=True)
        assert {getattr(result, "code", None) for result in results} == {"audit_unavailable"}
        assert {type(result.__cause__) for result in results} == {OSError}
        assert (await log.append(draft(CHILD))).index == 1
        assert (await log.verify()).entries == 2


async def test_commit_that_happened_but_was_reported_failed_is_found_by_its_id(tmp_path) -> None:
    async with breaking(tmp_path) as (log, database):
        database.after = 1
        receipt = await log.append(draft(CHILD))
        assert receipt.index == 0
        assert (await log.receipt(0)).leaf == receipt.leaf


async def test_unknown_commit_is_refused_and_annotated_later(tmp_path) -> None:
    async with breaking(tmp_path) as (log, database):
        database.after, database.unreadable = 1, True
        with pytest.raises(GatewayFault, match="audit_unavailable"):
            await log.append(draft(CHILD))
        database.unreadable = False
        await log.append(draft(CHILD))
        await log.append(draft(CHILD))
        async with database.read() as reading:
            rows = await store.get_entries(reading, 0, 9)
        assert [row.facets.split("|")[0] for row in rows].count("not_sent") == 1
        assert (await log.verify()).entries == len(rows) == 4


async def test_database_gone_refuses_and_comes_back(tmp_path) -> None:
    async with breaking(tmp_path) as (log, database):
        database.before = 3
        for _ in range(3):
            with pytest.raises(GatewayFault, match="audit_unavailable"):
                await log.append(draft())
        assert (await log.append(draft())).index == 0


async def test_full_disk_refuses_and_keeps_what_was_acknowledged(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        async with log.database.write() as writing:
            pages = (await writing.connection.execute(text("PRAGMA page_count"))).scalar_one()
            await writing.connection.execute(text(f"PRAGMA max_page_count = {pages + 20}"))
        told = 0
        with pytest.raises(GatewayFault, match="audit_unavailable"):
            for _ in range(5000):
                await log.append(draft(CHILD))
                told += 1
        assert (await log.verify()).entries == told
        async with log.database.write() as writing:
            await writing.connection.execute(text("PRAGMA max_page_count = 1000000"))
        assert (await log.append(draft(CHILD))).index == told


async def test_restored_backup_refuses_to_start(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft())
    for file in tmp_path.glob("gateway.db*"):
        shutil.copy(file, tmp_path / f"backup-{file.name}")
    async with a_log(tmp_path) as log:
        await log.append(draft())
    for file in tmp_path.glob("gateway.db*"):
        file.unlink()
    for file in tmp_path.glob("backup-*"):
        shutil.copy(file, tmp_path / file.name.removeprefix("backup-"))
    database = Database(url(tmp_path))
    with pytest.raises(GatewayFault, match="log_step_back"):
        await make_log(tmp_path, database).start()
    await database.close()


async def test_other_past_of_the_same_length_refuses_to_start(tmp_path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with a_log(tmp_path / name) as log:
            for _ in range(3):
                await log.append(draft())
    shutil.copy(tmp_path / "one" / "high-water", tmp_path / "two" / "high-water")
    database = Database(url(tmp_path / "two"))
    with pytest.raises(GatewayFault, match="log_fork"):
        await make_log(tmp_path / "two", database).start()
    await database.close()


async def test_head_taken_back_under_a_running_process_stops_it(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft())
        async with log.database.read() as reading:
            old = await store.get_head(reading)
        await log.append(draft())
        async with log.database.write() as writing:
            await writing.connection.execute(text("DELETE FROM audit_entries WHERE idx = 1"))
            await writing.connection.execute(
                text("UPDATE audit_head SET size = :size, hashes = :hashes, checkpoint = :note"),
                {"size": old.size, "hashes": old.hashes, "note": old.checkpoint},
            )
        for _ in range(2):
            with pytest.raises(GatewayFault, match="audit_unavailable"):
                await log.append(draft())


EDIT = "UPDATE audit_entries SET leaf = CAST(replace(CAST(leaf AS TEXT), 'released', 'no_resul') AS BLOB) WHERE idx = :place"
TEAR = "UPDATE audit_entries SET leaf = substr(leaf, 1, length(leaf) - 5) WHERE idx = :place"
DELETE = "DELETE FROM audit_entries WHERE idx = :place"


@pytest.mark.parametrize("place", [0, 5, 255, 256, 299])
@pytest.mark.parametrize("change", [EDIT, TEAR, DELETE])
async def test_verifier_names_the_entry_that_was_changed_torn_or_deleted(tmp_path, place, change) -> None:
    async with a_log(tmp_path) as log:
        await asyncio.gather(*(log.append(draft()) for _ in range(300)))
        async with log.database.write() as writing:
            await writing.connection.execute(text(change), {"place": place})
        with pytest.raises(GatewayFault, match="log_entry_invalid") as caught:
            await log.verify()
        assert caught.value.facts["index"] == place


async def test_verifier_names_reordered_entries(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await asyncio.gather(*(log.append(draft()) for _ in range(20)))
        async with log.database.write() as writing:
            for change in ("SET idx = -1 WHERE idx = 7", "SET idx = 7 WHERE idx = 9", "SET idx = 9 WHERE idx = -1"):
                await writing.connection.execute(text(f"UPDATE audit_entries {change}"))
        with pytest.raises(GatewayFault, match="log_entry_invalid") as caught:
            await log.verify()
        assert caught.value.facts["index"] in (7, 8)


async def test_receipt_holder_notices_a_log_rewritten_with_the_key(tmp_path) -> None:
    """The operator has the key and signs another past: whoever kept a receipt or checkpoint has the proof of it."""
    logs = {}
    for name in ("honest", "rewritten"):
        (tmp_path / name).mkdir()
        async with a_log(tmp_path / name) as log:
            receipts = [await log.append(draft()) for _ in range(5)]
            logs[name] = (receipts, await log.receipt(2), await log.checkpoint())
            if name == "rewritten":
                old = read_checkpoint(logs["honest"][2])
                new = read_checkpoint(logs[name][2])
                async with log.database.read() as reading:
                    path = await consistency(reading, 3, 5)
                with pytest.raises(ProofInvalid):
                    verify_consistency(3, 5, path, old.root, new.root)
    with pytest.raises(ProofInvalid):
        verify_proof(logs["rewritten"][1].proof, logs["honest"][0][2].leaf, SIGNER.verifier)
    assert leaf_hash(logs["honest"][0][2].leaf) != leaf_hash(logs["rewritten"][0][2].leaf)


@pytest.mark.timeout(60)
async def test_verifying_by_several_processes_finds_what_one_finds(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(verification, "_SHARE", 256)
    async with a_log(tmp_path) as log:
        await asyncio.gather(*(log.append(draft()) for _ in range(600)))
        whole = await verification.verify_log(log.database, SIGNER.verifier, processes=2)
        assert whole == await log.verify()
        async with log.database.write() as writing:
            leaf = (await store.get_leaves(writing, 300, 301))[0].replace(b"released", b"denied")
            await writing.connection.execute(
                text("UPDATE audit_entries SET leaf = :leaf, hash = :hash WHERE idx = 300"),
                {"leaf": leaf, "hash": leaf_hash(leaf)},
            )
        for processes in (1, 2):
            with pytest.raises(GatewayFault) as fault:
                await verification.verify_log(log.database, SIGNER.verifier, processes=processes)
            assert (fault.value.code, fault.value.facts) == ("log_entry_invalid", {"index": 300})
        async with log.database.write() as writing:
            await writing.connection.execute(text("DELETE FROM audit_entries WHERE idx = 599"))
        with pytest.raises(GatewayFault, match="log_entry_invalid"):
            await log.verify()
