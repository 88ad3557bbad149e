"""The read side: histories that are whole, details that open for whom they should, pages, indexes, exports."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from sqlalchemy import text

from gateway.audit import reading as read
from gateway.audit.export import Export, export
from gateway.domain.vocabulary import Door, EntryKind, Outcome
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs import verify as standalone
from gateway.store import audit as store
from tests.unit.audit.audit_world import CHILD, OTHER, SIGNER, HandClock, a_log, draft

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("signatures_once")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_child_history_finds_all_and_only_its_entries(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        for number in range(9):
            await log.append(draft(CHILD if number % 3 else OTHER))
        async with log.database.read() as reading:
            rows = await read.child_history(reading, log.keeper, CHILD)
            assert [row.index for row in rows] == [1, 2, 4, 5, 7, 8]
            everything = await read.actor_history(reading, log.keeper, "client:edu-1")
            assert [row.index for row in everything] == list(range(9))


async def test_missing_entry_makes_a_history_incomplete(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        async with log.database.write() as writing:
            await writing.connection.execute(text("DELETE FROM audit_tags WHERE idx = 0"))
        async with log.database.read() as reading:
            with pytest.raises(GatewayFault, match="history_incomplete"):
                await read.child_history(reading, log.keeper, CHILD)


async def test_detail_opens_with_the_childs_key_only(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        await log.append(draft(CHILD, OTHER))
        await log.append(draft())
        async with log.database.read() as reading:
            rows = await store.get_entries(reading, 0, 3)
            details = [await read.open_detail(reading, log.keeper, row) for row in rows]
        assert [detail["facts"]["case"] for detail in details] == ["case-clear-7"] * 3
        assert details[1]["children"] == [CHILD.hex(), OTHER.hex()]
        async with log.database.write() as writing:
            await writing.connection.execute(text("DELETE FROM audit_keys WHERE holder = :holder"), {"holder": CHILD})
        async with log.database.read() as reading:
            for row in rows[:2]:
                with pytest.raises(BadRequest, match="detail_destroyed"):
                    await read.open_detail(reading, log.keeper, row)
            await read.open_detail(reading, log.keeper, rows[2])


async def test_swapped_details_are_refused(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD))
        await log.append(draft(CHILD))
        async with log.database.read() as reading:
            first, second = await store.get_entries(reading, 0, 2)
            swapped = store.EntryRow(0, first.entry_id, "", first.leaf, first.hash, second.hints, second.detail)
            with pytest.raises(BadRequest, match="detail_destroyed"):
                await read.open_detail(reading, log.keeper, swapped)


async def test_protective_entries_are_not_in_the_ordinary_history(tmp_path) -> None:
    halves: list[list[bytes]] = [[], []]

    def keep(which):
        return lambda half: halves[which].append(half) or half

    async with a_log(tmp_path, escrow=(keep(0), keep(1))) as log:
        await log.append(draft(CHILD, actors=()))
        for _ in range(3):
            await log.append(draft(CHILD, actors=(), door=Door.PROTECTIVE, protective=True))
        start = bytes(left ^ right for left, right in zip(halves[0][0], halves[1][0], strict=True))
        async with log.database.read() as reading:
            assert [row.index for row in await read.child_history(reading, log.keeper, CHILD)] == [0]
            rows = await read.second_history(reading, start)
            assert [row.index for row in rows] == [1, 2, 3]
            with pytest.raises(BadRequest, match="detail_escrowed"):
                await read.open_detail(reading, log.keeper, rows[0])


async def test_pages_filter_and_go_on_from_the_last_index(tmp_path) -> None:
    clock = HandClock()
    async with a_log(tmp_path, clock=clock) as log:
        for number in range(10):
            clock.move(minutes=1)
            denied = number % 2 == 0
            await log.append(
                draft(outcome=Outcome.DENIED if denied else Outcome.RELEASED, code="no_rule" if denied else "")
            )
        async with log.database.read() as reading:
            question = read.Question(outcome="denied", code="no_rule", limit=3)
            first = await read.page(reading, question)
            assert [one.index for one in first] == [8, 6, 4]
            rest = await read.page(reading, read.Question(outcome="denied", after=4))
            assert [one.index for one in rest] == [2, 0]
            since = int((clock.at.timestamp() - 150) * 1e6)
            assert [one.index for one in await read.page(reading, read.Question(from_us=since))] == [9, 8, 7]
            with pytest.raises(BadRequest, match="filter_invalid"):
                await read.page(reading, read.Question(code="a%"))
            counted = await store.rollups(reading, 0, 10**9)
            assert sum(count for _, words, count in counted if "|denied|" in words) == 5


async def _exported(log, directory):
    entry = draft(kind=EntryKind.AUDIT_EXPORT, actors=("person:330000-ca/auditor",))
    return await export(log, directory, Export(children=[CHILD], details=True), entry)


async def test_export_verifies_with_the_standard_library_alone(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        for number in range(600):
            await log.append(draft(CHILD if number % 50 == 0 else OTHER, actors=()))
        target = tmp_path / "export"
        await _exported(log, target)
    command = [sys.executable, "-I", "verify.py", ".", SIGNER.verifier.vkey]
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("通过 passed") == 6
    assert done.stdout.count("无法判断") == 2
    history = json.loads((target / "histories" / "0.json").read_text())
    assert (history["count"], history["indexed"], history["closed"]) == (13, 12, True)


async def test_every_changed_byte_of_an_entry_is_found_and_named(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        for _ in range(259):
            await log.append(draft(CHILD, actors=()))
        target = tmp_path / "export"
        await _exported(log, target)
        vkey = log.signer.verifier.vkey
    for path, first in ((target / "tile/entries/000", 0), (next((target / "tile/entries").glob("001.p/*")), 256)):
        whole = path.read_bytes()
        spans, at, index = [], 0, first
        while at < len(whole):
            length = int.from_bytes(whole[at : at + 2], "big")
            spans.append((index, at + 2, at + 2 + length))
            index, at = index + 1, at + 2 + length
        for index, start, end in (spans[0], spans[-1]):
            for place in range(start, end, 9):
                path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
                said: list[str] = []
                assert not standalone.verify(target, vkey, report=said.append)
                assert f"entry {index}:" in said[-1]
        path.write_bytes(whole)
    assert standalone.verify(target, vkey, report=lambda _line: None)


async def test_one_flipped_byte_in_any_file_of_an_export_fails(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        for _ in range(5):
            await log.append(draft(CHILD, actors=()))
        target = tmp_path / "export"
        await _exported(log, target)
        vkey = log.signer.verifier.vkey
    for path in sorted(path for path in target.rglob("*") if path.is_file() and path.name != "verify.py"):
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 2}:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            assert not standalone.verify(target, vkey, report=lambda _line: None), (path.name, place)
        path.write_bytes(whole)


async def test_withheld_entry_of_a_shown_history_is_noticed(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        for _ in range(5):
            await log.append(draft(CHILD, actors=()))
        target = tmp_path / "export"
        await _exported(log, target)
        vkey = log.signer.verifier.vkey
    place = target / "histories" / "0.json"
    shown = json.loads(place.read_text())
    for change, said_so in (({"count": shown["count"] - 1}, "not in the history"), ({"indexed": 4}, "root")):
        place.write_text(json.dumps(shown | change))
        said: list[str] = []
        assert not standalone.verify(target, vkey, report=said.append)
        assert said_so in said[-1]


async def test_shown_key_links_nothing_that_comes_later(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        await log.append(draft(CHILD, actors=()))
        await _exported(log, tmp_path / "export")
        history = json.loads((tmp_path / "export" / "histories" / "0.json").read_text())
        later = json.loads((await log.append(draft(CHILD, actors=()))).leaf)
        shown = {standalone._tag(bytes.fromhex(history["key"]), number) for number in range(1, 100)}
        assert not shown & set(later["tags"])
        shutil.rmtree(tmp_path / "export")
