"""What an operator with every right over the database can do, and who notices: witness, receipt holder, verifier or start-up.

Each attack is done as well as it can be done without the log's key, and where that makes a difference once more with the key.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.audit.cosigning import Cosigning
from gateway.audit.mirror import follow
from gateway.audit.verification import verify_log
from gateway.errors import BadRequest, GatewayError, GatewayFault
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import leaf_hash
from gateway.proofs.policy import parse_policy
from gateway.proofs.tlogproof import verify_proof
from gateway.store.database import Database
from tests.unit.audit.audit_world import SIGNER, HandClock, a_log, draft, make_log, url
from tests.unit.audit.test_audit_cosigning import NAMES, POLICY, Web, getter

pytestmark = pytest.mark.anyio

ENTRIES = 12


class Scene:
    """A log with witnesses, a mirror and one receipt kept by a department; then somebody works on the database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.web = Web(directory)
        self.mirror = directory / "mirror"
        self.mirror.mkdir()

    async def live(self) -> None:
        async with a_log(self.directory) as log:
            self.receipts = [await log.append(draft()) for _ in range(ENTRIES)]
            await Cosigning(log, parse_policy(POLICY), self.web, self.directory / "e", HandClock()).collect()
            await follow(getter(log), self.mirror, SIGNER.verifier)

    async def sql(self, *statements: str, **values: object) -> None:
        database = Database(url(self.directory))
        async with database.write() as writing:
            for statement in statements:
                await writing.connection.execute(text(statement), values)
        await database.close()

    async def noticed_by(self) -> set[str]:
        """Everybody looks, each by itself."""
        found = set()
        database = Database(url(self.directory))
        try:
            await verify_log(database, SIGNER.verifier)
        except GatewayError:
            found.add("verifier")
        log = make_log(self.directory, database)
        try:
            await log.start()
        except GatewayError:
            found.add("start-up")
        for receipt in self.receipts:
            try:
                again = await log.receipt(receipt.index)
                verify_proof(again.proof, receipt.leaf, SIGNER.verifier)
            except GatewayError:
                found.add("receipt holder")
        # The log goes on by two entries, signed by its own key, as if nothing had been.
        (self.directory / "high-water").unlink(missing_ok=True)
        evidence = self.directory / "evidence"
        going_on = make_log(self.directory, database)
        try:
            await going_on.start()
            try:
                await Cosigning(going_on, parse_policy(POLICY), self.web, evidence, HandClock()).hold_head()
            except GatewayFault:
                found.add("start-up by the witnesses")
            for _ in range(2):
                await going_on.append(draft())
            collector = Cosigning(going_on, parse_policy(POLICY), self.web, evidence, HandClock())
            if await collector.collect() < len(NAMES):
                found.add("witness")
            try:
                await follow(getter(going_on), self.mirror, SIGNER.verifier)
            except (GatewayError, ProofInvalid):
                found.add("mirror")
        except GatewayFault:
            found.add("start-up")
        await log.close()
        await going_on.close()
        await database.close()
        return found


@pytest.fixture
async def scene(tmp_path):
    made = Scene(tmp_path)
    await made.live()
    return made


async def test_untouched_log_is_noticed_by_nobody(scene) -> None:
    assert await scene.noticed_by() == set()


async def test_edited_entry_is_noticed_by_verifier_and_receipt_holder(scene) -> None:
    leaf = scene.receipts[4].leaf.replace(b"released", b"denied")
    await scene.sql(
        "UPDATE audit_entries SET leaf = :leaf, hash = :hash WHERE idx = 4", leaf=leaf, hash=leaf_hash(leaf)
    )
    assert {"verifier", "receipt holder"} <= await scene.noticed_by()


async def test_deleted_entry_is_noticed_by_verifier_and_receipt_holder(scene) -> None:
    await scene.sql("DELETE FROM audit_entries WHERE idx = 4")
    assert {"verifier", "receipt holder"} <= await scene.noticed_by()


async def test_reordered_entries_are_noticed_by_verifier_and_receipt_holder(scene) -> None:
    moves = ("SET idx = -1 WHERE idx = 4", "SET idx = 4 WHERE idx = 5", "SET idx = 5 WHERE idx = -1")
    await scene.sql(*(f"UPDATE audit_entries {move}" for move in moves))
    assert {"verifier", "receipt holder"} <= await scene.noticed_by()


async def test_truncated_log_with_the_head_left_is_noticed_by_verifier_and_receipt_holder(scene) -> None:
    await scene.sql("DELETE FROM audit_entries WHERE idx >= 8")
    assert {"verifier", "receipt holder"} <= await scene.noticed_by()


async def test_back_dated_entry_is_noticed_by_verifier_and_receipt_holder(scene) -> None:
    old = str(scene.receipts[6].time_us).encode()
    leaf = scene.receipts[6].leaf.replace(old, str(scene.receipts[6].time_us - 86_400_000_000).encode())
    assert leaf != scene.receipts[6].leaf
    await scene.sql(
        "UPDATE audit_entries SET leaf = :leaf, hash = :hash WHERE idx = 6", leaf=leaf, hash=leaf_hash(leaf)
    )
    assert {"verifier", "receipt holder"} <= await scene.noticed_by()


async def test_restored_backup_is_noticed_by_start_up_receipt_holder_witness_and_mirror(tmp_path) -> None:
    scene = Scene(tmp_path)
    async with a_log(tmp_path) as log:
        await log.append(draft())
    (tmp_path / "backup").mkdir()
    for file in tmp_path.glob("gateway.db*"):
        shutil.copy(file, tmp_path / "backup" / file.name)
    await scene.live()
    for file in tmp_path.glob("gateway.db*"):
        file.unlink()
    for file in (tmp_path / "backup").iterdir():
        shutil.copy(file, tmp_path / file.name)
    noticed = await scene.noticed_by()
    assert noticed == {"start-up", "start-up by the witnesses", "receipt holder", "witness", "mirror"}


async def test_rewritten_log_signed_with_its_own_key_is_noticed_by_all_who_remember(scene, tmp_path) -> None:
    """The operator has the log's key too: nothing inside the database is wrong any more. Edits, deletions, another order and
    back-dated entries under the key are all this: another history of the same or of another length.
    """
    other = tmp_path / "other"
    other.mkdir()
    for length in (ENTRIES, ENTRIES + 5):
        shutil.rmtree(other)
        other.mkdir()
        async with a_log(other) as log:
            for _ in range(length):
                await log.append(draft())
        for file in tmp_path.glob("gateway.db*"):
            file.unlink()
        for file in other.glob("gateway.db*"):
            shutil.copy(file, tmp_path / file.name)
        shutil.copy(other / "buckets", tmp_path / "buckets")
        found = await scene.noticed_by()
        assert {"receipt holder", "witness", "mirror", "start-up by the witnesses"} <= found
        assert "verifier" not in found


async def test_rewritten_log_is_refused_at_start_up_while_the_high_water_file_stands(scene, tmp_path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with a_log(other) as log:
        for _ in range(ENTRIES + 5):
            await log.append(draft())
    shutil.copy(tmp_path / "high-water", other / "high-water")
    database = Database(url(other))
    with pytest.raises(GatewayFault, match="log_fork"):
        await make_log(other, database).start()
    await database.close()


async def test_fork_shown_to_one_department_only_is_noticed_by_the_witnesses_of_the_others(scene, tmp_path) -> None:
    """A split view: its checkpoint carries no quorum, so its receipts never become witnessed."""
    other = tmp_path / "other"
    other.mkdir()
    async with a_log(other) as log:
        for _ in range(ENTRIES + 1):
            await log.append(draft())
        assert await Cosigning(log, parse_policy(POLICY), scene.web, other / "e", HandClock()).collect() == 0
        receipt = await log.receipt(2)
        assert receipt.state == "logged"
        with pytest.raises(BadRequest):
            verify_proof(receipt.proof, receipt.leaf, SIGNER.verifier, [], 3)
    assert len(list((other / "e").iterdir())) == len(NAMES)
