"""The log's append: what is acknowledged is there, proves itself, and what failed left nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from gateway.domain.vocabulary import Door
from gateway.errors import Denied, GatewayFault, NotAuthenticated, ProgrammingError
from gateway.proofs.tlogproof import verify_proof
from gateway.store import audit as store
from gateway.store.database import Database
from tests.unit.audit.audit_world import CHILD, ORIGIN, OTHER, SIGNER, HandClock, a_log, draft, make_log, url

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_receipt_proves_the_entry_offline(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        receipts = await asyncio.gather(*(log.append(draft(CHILD)) for _ in range(600)))
        assert sorted(receipt.index for receipt in receipts) == list(range(600))
        for index in (0, 255, 256, 511, 599):
            receipt = await log.receipt(index)
            found, checkpoint = verify_proof(receipt.proof, receipt.leaf, SIGNER.verifier)
            assert (found, checkpoint.origin, checkpoint.size) == (index, ORIGIN, 600)
            assert receipt.leaf == next(one.leaf for one in receipts if one.index == index)
        assert (await log.verify()).entries == 600


async def test_receipt_carries_salts_but_the_leaf_does_not(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        one = draft(CHILD)
        receipt = await log.append(one)
        assert receipt.request_salt == one.request_salt
        assert set(json.loads(receipt.leaf)) == {
            *("v", "t", "kind", "exchange", "door", "purpose", "from", "to", "outcome", "policy"),
            *("request", "answer", "tags", "detail"),
        }


async def test_many_waiting_entries_are_committed_together(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        receipts = await asyncio.gather(*(log.append(draft()) for _ in range(100)))
        assert {receipt.size for receipt in receipts} == {100}


async def test_effect_and_entry_commit_together(tmp_path) -> None:
    async def effect(writing):
        await writing.connection.execute(text("INSERT INTO proof_jti (jti, expires_at) VALUES ('effect', 1)"))
        return draft(OTHER, code="changed")

    async with a_log(tmp_path) as log:
        receipt = await log.append(draft(CHILD), effect=effect)
        assert json.loads(receipt.leaf)["code"] == "changed"
        async with log.database.read() as reading:
            rows = (await reading.connection.execute(text("SELECT jti FROM proof_jti"))).all()
            assert [row.jti for row in rows] == ["effect"]


async def test_refusing_effect_fails_alone_and_leaves_nothing(tmp_path) -> None:
    async def refuse(writing):
        await writing.connection.execute(text("INSERT INTO proof_jti (jti, expires_at) VALUES ('half', 1)"))
        raise Denied("kill_switch")

    async with a_log(tmp_path) as log:
        results = await asyncio.gather(
            log.append(draft(CHILD), proof_id="one"),
            log.append(draft(CHILD), effect=refuse, proof_id="two"),
            log.append(draft(OTHER), proof_id="three"),
            return_exceptions=True,
        )
        assert [getattr(result, "code", "fine") for result in results] == ["fine", "kill_switch", "fine"]
        async with log.database.read() as reading:
            rows = (await reading.connection.execute(text("SELECT jti FROM proof_jti ORDER BY jti"))).all()
            assert [row.jti for row in rows] == ["one", "three"]
        # The denial of the refused one can now be recorded under the same proof.
        await log.append(draft(CHILD, code="kill_switch"), proof_id="two")
        assert (await log.verify()).entries == 3


async def test_refusing_effect_alone_in_its_batch_leaves_nothing_either(tmp_path) -> None:
    async def refuse(writing):
        await writing.connection.execute(text("INSERT INTO proof_jti (jti, expires_at) VALUES ('half', 1)"))
        raise Denied("kill_switch")

    async with a_log(tmp_path) as log:
        with pytest.raises(Denied, match="kill_switch"):
            await log.append(draft(CHILD), effect=refuse, proof_id="one")
        async with log.database.read() as reading:
            assert (await reading.connection.execute(text("SELECT jti FROM proof_jti"))).all() == []
        denial = await log.append(draft(CHILD, code="kill_switch"), proof_id="one")
        assert (denial.index, (await log.verify()).entries) == (0, 1)


async def test_effect_that_breaks_reaches_its_caller_only(tmp_path) -> None:
    async def broken(_writing):
        raise ZeroDivisionError

    async with a_log(tmp_path) as log:
        results = await asyncio.gather(log.append(draft(), effect=broken), log.append(draft()), return_exceptions=True)
        assert isinstance(results[0], ZeroDivisionError)
        assert results[1].index == 0


async def test_proof_is_spent_once_also_within_one_batch(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        results = await asyncio.gather(
            *(log.append(draft(CHILD), proof_id="same") for _ in range(5)), return_exceptions=True
        )
        assert sum(1 for result in results if isinstance(result, NotAuthenticated)) == 4
        with pytest.raises(NotAuthenticated, match="proof_replayed"):
            await log.append(draft(CHILD), proof_id="same")
        assert (await log.verify()).entries == 1


async def test_unwritable_draft_is_refused_before_it_joins_a_batch(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        with pytest.raises(ProgrammingError):
            await log.append(draft(code="张三"))
        with pytest.raises(ProgrammingError):
            await log.append(draft(detail={"weight": 1.5}))
        await log.append(draft())


async def test_time_never_steps_back(tmp_path) -> None:
    clock = HandClock()
    async with a_log(tmp_path, clock=clock) as log:
        first = await log.append(draft())
        clock.move(hours=-5)
        second = await log.append(draft())
        assert second.time_us == first.time_us + 1
        assert (await log.verify()).entries == 2


async def test_low_disk_still_records_the_urgent_doors(tmp_path) -> None:
    async with a_log(tmp_path, room=lambda: 10, reserve=1000) as log:
        with pytest.raises(GatewayFault, match="audit_unavailable"):
            await log.append(draft(door=Door.NORMAL))
        await log.append(draft(door=Door.EMERGENCY))
        await log.append(draft(door=Door.PROTECTIVE, protective=True))


async def test_year_ends_a_generation_and_binds_the_next(tmp_path) -> None:
    clock = HandClock()
    async with a_log(tmp_path, clock=clock) as log:
        await log.append(draft(CHILD, actors=()))
        clock.at = datetime(2027, 1, 2, tzinfo=UTC)
        last = await log.append(draft(CHILD, actors=()))
        assert last.index == 2
        async with log.database.read() as reading:
            rows = await store.key_generations(reading, CHILD)
            (between,) = await store.get_entries(reading, 1, 2)
        assert [(row.generation, row.year, row.current) for row in rows] == [(1, 2026, False), (2, 2027, True)]
        assert json.loads(between.leaf)["kind"] == "tag.successor"


async def test_bulk_entry_shows_a_manifest_and_each_child_finds_it(tmp_path) -> None:
    children = [bytes([number]) * 32 for number in range(200)]
    async with a_log(tmp_path) as log:
        receipt = await log.append(draft(*children))
        skeleton = json.loads(receipt.leaf)
        assert "tags" not in skeleton
        assert len(skeleton["manifest"]) == 43
        async with log.database.read() as reading:
            lines = await store.get_manifest(reading, 0)
        assert lines is not None
        assert len(lines) == 202 * 16


async def test_second_process_start_holds_the_head_against_the_file(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft())
    async with a_log(tmp_path) as log:
        assert (await log.append(draft())).index == 1
        async with log.database.write() as writing:
            await writing.connection.execute(text("UPDATE audit_head SET size = 1"))
        with pytest.raises(GatewayFault, match="log_head_invalid"):
            await make_log(tmp_path, log.database).start()


async def test_worker_starts_while_another_appends(tmp_path, monkeypatch) -> None:
    """What the other adds between the head and the high-water file is no step back."""
    read_head, added = store.get_head, []
    async with a_log(tmp_path) as log:
        await log.append(draft())

        async def appended_meanwhile(reading):
            head = await read_head(reading)
            if not added:
                added.append(await log.append(draft()))
            return head

        database = Database(url(tmp_path))
        second = make_log(tmp_path, database)
        monkeypatch.setattr(store, "get_head", appended_meanwhile)
        await second.start()
        assert len(added) == 1
        assert (await second.append(draft())).index == 2
        await second.close()
        await database.close()
