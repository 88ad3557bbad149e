"""Entries past their term go from the beginning of the log; what is left proves itself, and nothing goes unsaid or held."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from gateway.audit import pruning
from gateway.audit import reading as read
from gateway.audit.export import Export, mirror
from gateway.audit.histories import child_holder
from gateway.audit.mirror import follow
from gateway.audit.pack import write_pack
from gateway.audit.pruning import prune
from gateway.audit.retention import carry_out, read_plan, stands
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.proofs import verify as standalone
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.tlogproof import verify_proof
from gateway.store import audit as store
from gateway.store import audit_keys, audit_retention
from gateway.store.audit_drivers import fetch, run
from gateway.store.database import Database
from tests.unit.audit.audit_world import CHILD, OTHER, SIGNER, a_log, draft, make_log, url
from tests.unit.audit.test_audit_cosigning import getter
from tests.unit.audit.test_audit_retention import CERTIFICATE, at, clock_at, only_held, planned

pytestmark = pytest.mark.anyio
OLD, LATER = 530, 100
ENDED = at(2037)
"""The first day on which the term of 2026 has ended."""


async def append_many(log, count: int, *children: bytes) -> None:
    await asyncio.gather(*(log.append(draft(*children, actors=("client:edu-1",))) for _ in range(count)))


async def two_years(log, clock) -> None:
    """Entries of 2026 (530, two bundles and a part), then of 2035."""
    await append_many(log, OLD, CHILD)
    clock.at = datetime.fromtimestamp(at(2035, 6), UTC)
    await append_many(log, LATER, OTHER)
    clock.at = datetime.fromtimestamp(ENDED, UTC)


async def pruned_whole(log) -> None:
    while await prune(log.database):
        pass


async def indexes_left(log) -> list[int]:
    async with log.database.read() as reading:
        rows, tags = await fetch(
            reading, [("SELECT idx FROM audit_entries ORDER BY idx", ()), ("SELECT DISTINCT idx FROM audit_tags", ())]
        )
    entries = [row[0] for row in rows]
    assert {row[0] for row in tags} <= set(entries)
    return entries


async def test_ended_year_goes_by_whole_bundles_and_everything_left_proves_itself(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "_SLICE", 100)
    clock = clock_at(at(2026, 6))
    (tmp_path / "followed").mkdir()
    (tmp_path / "new").mkdir()
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        await follow(getter(log), tmp_path / "followed", SIGNER.verifier)
        plan = await planned(log, ENDED)
        assert plan.minimum_index == 512
        assert read_plan(plan.encode()) == plan
        receipt = await carry_out(log, plan, CERTIFICATE, only_held, ENDED)
        await pruned_whole(log)
        # 2026's last bundle is shared with the year after, so it stays whole.
        assert await indexes_left(log) == list(range(512, receipt.index + 1))
        verified = await log.verify()
        assert (verified.entries, verified.minimum) == (receipt.index + 1, 512)
        for index in (512, 529, 600, receipt.index):
            proven = await log.receipt(index)
            verify_proof(proven.proof, proven.leaf, SIGNER.verifier)
        with pytest.raises(BadRequest, match="entry_pruned"):
            await log.receipt(511)
        get = getter(log)
        assert len(await get("tile/0/001")) == 256 * 32
        with pytest.raises(BadRequest, match="entry_pruned"):
            await get("tile/entries/001")
        async with log.database.read() as reading:
            assert len(await read.child_history(reading, log.keeper, OTHER)) == LATER
            assert await read.page(reading, read.Question(until_us=at(2026, 7) * 1_000_000, after=512)) == []
            await mirror(reading, tmp_path / "copy", [SIGNER.verifier])
        # Whoever mirrored it keeps what was there; who comes anew gets the hashes, and the entry that says why.
        assert await follow(get, tmp_path / "followed", SIGNER.verifier) == receipt.index + 1
        assert await follow(get, tmp_path / "new", SIGNER.verifier) == receipt.index + 1
        assert not (tmp_path / "new" / "tile/entries/001").exists()
        wanted = Export(children=[OTHER], details=True)
        await write_pack(log, tmp_path / "after.auditpack", wanted, draft(kind=EntryKind.AUDIT_EXPORT, actors=()))
        # The next plan has nothing to prune.
        assert (await planned(log, ENDED)).minimum_index == 0
    said: list[str] = []
    assert standalone.verify(tmp_path / "after.auditpack", report=said.append), said
    assert standalone.verify(tmp_path / "copy", report=said.append), said
    assert b'"minimum_index": "512"' in standalone.unpack((tmp_path / "after.auditpack").read_bytes())["destroyed.json"]
    database = Database(url(tmp_path))
    log = make_log(tmp_path, database, clock=clock)
    await log.start()
    await log.append(draft(CHILD))
    assert (await log.verify()).minimum == 512
    await log.close()
    await database.close()


async def test_held_child_keeps_its_years_whole(tmp_path) -> None:
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "h", child_holder(CHILD), "court_case", at(2040))
        plan = await planned(log, ENDED)
        assert (plan.held, plan.minimum_index) == (1, 0)
        await carry_out(log, plan, CERTIFICATE, only_held, ENDED)
        await pruned_whole(log)
        assert (await indexes_left(log))[0] == 0
        async with log.database.write() as writing:
            await audit_keys.end_hold(writing, "h", ENDED)
        assert (await planned(log, ENDED)).minimum_index == 512


async def test_hold_placed_after_the_signing_stops_the_pruning_too(tmp_path) -> None:
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        plan = await planned(log, ENDED)
        async with log.database.read() as reading:
            assert await stands(reading, log, plan, only_held, ENDED)
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "h", child_holder(CHILD), "complaint", at(2040))
        async with log.database.read() as reading:
            assert not await stands(reading, log, plan, only_held, ENDED)
        with pytest.raises(Denied, match="retention_changed"):
            await carry_out(log, plan, CERTIFICATE, only_held, ENDED)
        assert not await prune(log.database)
        assert (await log.verify()).minimum == 0


async def test_pruning_goes_on_after_a_crash_and_meanwhile_the_log_is_whole_or_says_why(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pruning, "_SLICE", 200)
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        await carry_out(log, await planned(log, ENDED), CERTIFICATE, only_held, ENDED)
        assert (await log.verify()).minimum == 512  # nothing deleted yet
        await prune(log.database)
    database = Database(url(tmp_path))
    log = make_log(tmp_path, database, clock=clock)
    await log.start()
    assert (await indexes_left_of_entries(log))[0] == 200
    with pytest.raises(BadRequest, match="entry_pruned"):
        await log.receipt(300)  # still there, and no longer handed out
    assert (await log.verify()).minimum == 512
    await pruned_whole(log)
    assert (await indexes_left(log))[0] == 512
    await log.close()
    await database.close()


async def indexes_left_of_entries(log) -> list[int]:
    async with log.database.read() as reading:
        (rows,) = await fetch(reading, [("SELECT idx FROM audit_entries ORDER BY idx", ())])
    return [row[0] for row in rows]


async def test_entries_that_an_operator_deletes_are_missed_whatever_the_store_says(tmp_path) -> None:
    (tmp_path / "mirror").mkdir()
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        async with log.database.write() as writing:
            await run(writing, [("DELETE FROM audit_entries WHERE idx < ?", [(256,)])])
        with pytest.raises(GatewayFault) as caught:
            await log.verify()
        assert (caught.value.code, caught.value.facts["index"]) == ("log_entry_invalid", 0)
        async with log.database.write() as writing:
            await audit_retention.raise_minimum(writing, 256)
        with pytest.raises(GatewayFault, match="log_entry_invalid"):
            await log.verify()
        # A mirror that comes anew believes no refusal for which no entry stands.
        with pytest.raises(ProofInvalid, match="tile_invalid"):
            await follow(getter(log), tmp_path / "mirror", SIGNER.verifier)


async def test_changed_hash_of_a_pruned_entry_is_found(tmp_path) -> None:
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        await carry_out(log, await planned(log, ENDED), CERTIFICATE, only_held, ENDED)
        await pruned_whole(log)
        async with log.database.write() as writing:
            tiles = await store.get_tiles(writing, [(0, 1)])
            changed = b"\x00" + tiles[0, 1][1:]
            await run(writing, [("UPDATE audit_tiles SET hashes = ? WHERE level = 0 AND number = 1", [(changed,)])])
        with pytest.raises(GatewayFault, match="log_tile_invalid"):
            await log.verify()


async def test_verifying_while_the_log_is_pruned_finds_no_fault(tmp_path, monkeypatch) -> None:
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await two_years(log, clock)
        plan, read_entries, done = await planned(log, ENDED), store.get_hashed_leaves, []

        async def pruned_meanwhile(reading, start, end):
            if not done:
                done.append(await carry_out(log, plan, CERTIFICATE, only_held, ENDED))
                await pruned_whole(log)
                async with log.database.read() as later:
                    return await read_entries(later, start, end)
            return await read_entries(reading, start, end)

        monkeypatch.setattr(store, "get_hashed_leaves", pruned_meanwhile)
        assert (await log.verify()).minimum == 512
