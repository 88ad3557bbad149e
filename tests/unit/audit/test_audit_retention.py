"""Terms that end: a year's keys go when three years have passed, unless something keeps them; every proof stays valid."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.audit import reading as read
from gateway.audit.export import Export
from gateway.audit.histories import LOG_HOLDER, actor_holder, child_holder
from gateway.audit.pack import write_pack
from gateway.audit.retention import carry_out, last_ended_year, make_plan, read_plan
from gateway.domain.clock import SHANGHAI
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.proofs import verify as standalone
from gateway.store import audit as store
from gateway.store import audit_keys
from gateway.store.database import Database
from tests.unit.audit.audit_world import CHILD, OTHER, HandClock, a_log, draft, url

pytestmark = pytest.mark.anyio
CERTIFICATE = draft(kind=EntryKind.ERASURE, actors=("person:330000-ca/1", "person:330000-ed/2"), code="retention")


async def only_held(_reading, _now, held):
    return held


def at(year: int, month: int = 1, day: int = 1) -> int:
    return int(datetime(year, month, day, tzinfo=SHANGHAI).timestamp())


def clock_at(moment: int) -> HandClock:
    clock = HandClock()
    clock.at = datetime.fromtimestamp(moment, UTC)
    return clock


async def planned(log, now: int, whole=()):
    async with log.database.read() as reading:
        return await make_plan(reading, log, only_held, now, whole)


async def opens(log, database: Database, index: int) -> bool:
    async with database.read() as reading:
        (row,) = await store.get_entries(reading, index, index + 1)
        try:
            await read.open_detail(reading, log.keeper, row)
        except BadRequest as refusal:
            assert refusal.code == "detail_destroyed"
            return False
    return True


@pytest.mark.parametrize(
    ("moment", "kept", "year"),
    [(at(2030) - 1, 3, 2025), (at(2030), 3, 2026), (at(2030, 12, 31), 3, 2026), (at(2037), 10, 2026)],
)
def test_term_ends_three_whole_years_after_the_year_at_midnight_in_shanghai(moment, kept, year) -> None:
    assert last_ended_year(moment, kept) == year


async def test_ended_year_goes_with_every_copy_and_later_years_and_proofs_stay(tmp_path) -> None:
    clock = clock_at(at(2026, 6))
    (tmp_path / "backup").mkdir()
    async with a_log(tmp_path, clock=clock) as log:
        old = [(await log.append(draft(child, actors=("client:edu-1",)))).index for child in (CHILD, OTHER, CHILD)]
        about_nobody = (await log.append(draft(kind=EntryKind.POLICY_CHANGED, actors=()))).index
        clock.at = datetime.fromtimestamp(at(2028, 6), UTC)
        later = (await log.append(draft(CHILD, actors=()))).index
        clock.at = datetime.fromtimestamp(at(2030, 2), UTC)
        for file in tmp_path.glob("gateway.db*"):
            shutil.copy(file, tmp_path / "backup" / file.name)
        plan = await planned(log, at(2030, 2))
        assert (plan.histories, plan.generations, plan.held, plan.whole) == (3, 3, 0, False)
        receipt = await carry_out(log, plan, CERTIFICATE, only_held, at(2030, 2))
        before = Database(url(tmp_path / "backup"))
        for database in (log.database, before):
            assert [await opens(log, database, index) for index in (*old, about_nobody, later)] == [
                False, False, False, True, True,
            ]  # fmt: skip
        async with before.read() as reading:
            gone = [row for row in await store.all_keys(reading) if row.year == 2026 and row.holder != LOG_HOLDER]
            assert {row.holder for row in gone} == {CHILD, OTHER, actor_holder("client:edu-1")}
            for row in gone:
                with pytest.raises(GatewayFault, match="key_destroyed"):
                    log.keeper.open(row)
        await before.close()
        async with log.database.read() as reading:
            (row,) = await store.get_entries(reading, receipt.index, receipt.index + 1)
            certificate = (await read.open_detail(reading, log.keeper, row))["facts"]["certificate"]
            assert (certificate["generations"], certificate["entries"]) == ("3", "3")
            assert [one.index for one in await read.child_history(reading, log.keeper, CHILD)] == [later]
        assert (await log.verify()).entries == receipt.index + 1
        # Whose every key went begins anew; whoever is left goes on.
        await log.append(draft(OTHER, CHILD, actors=()))
        wanted = Export(children=[CHILD, OTHER], details=True)
        await write_pack(log, tmp_path / "after.auditpack", wanted, draft(kind=EntryKind.AUDIT_EXPORT, actors=()))
    said: list[str] = []
    assert standalone.verify(tmp_path / "after.auditpack", report=said.append), said
    assert b'"generations": "3"' in standalone.unpack((tmp_path / "after.auditpack").read_bytes())["destroyed.json"]


async def test_actors_keys_take_no_detail_with_them_that_a_kept_childs_key_sealed(tmp_path) -> None:
    async with a_log(tmp_path, clock=clock_at(at(2026, 6))) as log:
        index = (await log.append(draft(CHILD, actors=("client:edu-1",)))).index
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "h", child_holder(CHILD), "finding", at(2031))
        plan = await planned(log, at(2030))
        assert (plan.generations, plan.held) == (1, 1)
        await carry_out(log, plan, CERTIFICATE, only_held, at(2030))
        assert await opens(log, log.database, index)


async def test_hold_placed_after_the_signing_stops_the_destruction(tmp_path) -> None:
    async with a_log(tmp_path, clock=clock_at(at(2026, 6))) as log:
        index = (await log.append(draft(CHILD, actors=()))).index
        plan = await planned(log, at(2030))
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "h", child_holder(CHILD), "complaint", at(2031))
        size = (await log.verify()).entries
        with pytest.raises(Denied, match="retention_changed"):
            await carry_out(log, plan, CERTIFICATE, only_held, at(2030))
        assert (await log.verify()).entries == size
        assert await opens(log, log.database, index)
        async with log.database.write() as writing:
            assert await audit_keys.end_hold(writing, "h", at(2030)) == CHILD
            assert await audit_keys.end_hold(writing, "h", at(2030)) is None
        await carry_out(log, plan, CERTIFICATE, only_held, at(2030, 1, 2))
        assert not await opens(log, log.database, index)


async def test_plan_cannot_be_widened_moved_or_used_twice(tmp_path) -> None:
    async with a_log(tmp_path, clock=clock_at(at(2026, 6))) as log:
        await log.append(draft(CHILD, actors=()))
        plan = await planned(log, at(2030))
        assert read_plan(plan.encode()) == plan
        changes = [{"log": "other.example"}, {"as_of": at(2031)}, {"salt": "00" * 16}, {"whole": True}]
        for change in changes:
            with pytest.raises(Denied, match="retention_changed"):
                await carry_out(log, replace(plan, **change), CERTIFICATE, only_held, at(2030))
        await carry_out(log, plan, CERTIFICATE, only_held, at(2030))
        with pytest.raises(Denied, match="retention_changed"):
            await carry_out(log, plan, CERTIFICATE, only_held, at(2030))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"log": 1}', "nonsense"])
def test_file_that_is_no_plan_is_refused(text) -> None:
    with pytest.raises(BadRequest, match="retention_plan"):
        read_plan(text)


async def test_whole_history_goes_only_after_its_newest_term_and_when_nothing_keeps_it(tmp_path) -> None:
    clock = clock_at(at(2026, 6))
    async with a_log(tmp_path, clock=clock) as log:
        await log.append(draft(CHILD, OTHER, actors=()))
        clock.at = datetime.fromtimestamp(at(2027, 6), UTC)
        await log.append(draft(CHILD, actors=()))
        with pytest.raises(Denied, match="history_term"):
            await planned(log, at(2030), [CHILD])
        with pytest.raises(BadRequest, match="history_unknown"):
            await planned(log, at(2031), [b"\x07" * 32])
        async with log.database.write() as writing:
            await audit_keys.put_hold(writing, "h", child_holder(CHILD), "court_case", at(2032))
        with pytest.raises(Denied, match="history_held"):
            await planned(log, at(2031), [CHILD])
        plan = await planned(log, at(2032), [CHILD])
        assert (plan.histories, plan.generations, plan.whole) == (1, 2, True)
        with pytest.raises(Denied, match="retention_changed"):
            await carry_out(log, plan, CERTIFICATE, only_held, at(2032))  # planned for one child, not for all
        await carry_out(log, plan, CERTIFICATE, only_held, at(2032), [CHILD])
        async with log.database.read() as reading:
            assert await store.key_generations(reading, CHILD) == []
            assert len(await read.child_history(reading, log.keeper, OTHER)) == 1
