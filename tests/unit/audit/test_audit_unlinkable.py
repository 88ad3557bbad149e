"""What a department sees with every skeleton and all its own receipts: nothing that joins, unless somebody plants it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict

import pytest

from gateway.domain.vocabulary import Department, Door
from gateway.errors import ProgrammingError
from tests.unit.audit.audit_world import a_log, draft

pytestmark = pytest.mark.anyio

# Words that whole groups of entries share by design: what was asked, by which department, how it ended.
COMMON = {
    "v",
    "t",
    "kind",
    "exchange",
    "door",
    "purpose",
    "from",
    "to",
    "outcome",
    "code",
    "policy",
    "sighted",
    "assisted",
}


def joins(skeletons: list[dict]) -> dict[str, int]:
    """Values that stand in more than one entry, outside the common words: each could join two entries."""
    seen: Counter[str] = Counter()
    for skeleton in skeletons:
        values = {json.dumps(value) for key, value in skeleton.items() if key not in COMMON and key != "tags"}
        seen.update(values | {json.dumps(tag) for tag in skeleton.get("tags", ())})
    return {value: count for value, count in seen.items() if count > 1}


async def _log_of_two_departments(directory, **changes):
    whose: list[int] = []
    async with a_log(directory) as log:

        async def one(number: int) -> dict:
            child = number % 7
            asking = Department.EDUCATION if number % 2 else Department.HEALTH
            receipt = await log.append(draft(bytes([child]) * 32, requester=asking, **changes))
            whose.append(child)
            return json.loads(receipt.leaf)

        return await asyncio.gather(*(one(number) for number in range(300))), whose


async def test_no_value_of_any_skeleton_joins_two_entries(tmp_path) -> None:
    skeletons, _ = await _log_of_two_departments(tmp_path)
    assert joins(skeletons) == {}


async def test_planted_clear_number_is_found(tmp_path) -> None:
    skeletons, _ = await _log_of_two_departments(tmp_path)
    planted = [skeleton | {"n": f"child-{number % 7}"} for number, skeleton in enumerate(skeletons)]
    assert len(joins(planted)) == 7


async def test_planted_digest_without_salt_is_found(tmp_path) -> None:
    skeletons, _ = await _log_of_two_departments(tmp_path, request_digest=b"\x07" * 32)
    assert len(joins(skeletons)) == 1


async def test_clear_ids_cannot_be_written_into_the_words_of_a_skeleton(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        with pytest.raises(ProgrammingError):
            await log.append(draft(code="case 7f3a/330106"))


async def test_place_of_a_tag_says_nothing_about_its_role(tmp_path) -> None:
    """The child's tag stands at each of the four places equally often (chi-squared, 3 degrees, p = 0.0001: 21.1)."""
    places: Counter[int] = Counter()
    async with a_log(tmp_path) as log:
        child = bytes([9]) * 32
        receipts = await asyncio.gather(*(log.append(draft(child, actors=("client:a",))) for _ in range(400)))
        from gateway.audit.entry import b64
        from gateway.audit.histories import tag
        from gateway.store import audit as store

        async with log.database.read() as reading:
            (row,) = await store.key_generations(reading, child)
        key = log.keeper.open(row).tag_key
        own = {b64(tag(key, number)) for number in range(1, 401)}
        for receipt in receipts:
            tags = json.loads(receipt.leaf)["tags"]
            places[next(place for place, one in enumerate(tags) if one in own)] += 1
    assert sum((places[place] - 100) ** 2 / 100 for place in range(4)) < 21.1


async def test_protective_and_ordinary_entries_have_the_same_shape(tmp_path) -> None:
    shapes: dict[bool, set] = defaultdict(set)
    async with a_log(tmp_path) as log:
        for number in range(40):
            protective = number % 2 == 0
            receipt = await log.append(draft(bytes([number]) * 32, protective=protective, door=Door.PROTECTIVE))
            skeleton = json.loads(receipt.leaf)
            shapes[protective].add((tuple(sorted(skeleton)), len(skeleton["tags"]), len(receipt.leaf)))
    assert shapes[True] == shapes[False]


async def test_store_rows_of_children_with_protective_entries_look_like_all_others(tmp_path) -> None:
    from gateway.store import audit as store

    async with a_log(tmp_path) as log:
        for number in range(20):
            await log.append(draft(bytes([number]) * 32, protective=number < 5))
        async with log.database.read() as reading:
            rows = await store.all_keys(reading)
    assert len({(len(row.wrapped), len(row.state), len(row.shares)) for row in rows}) == 1
