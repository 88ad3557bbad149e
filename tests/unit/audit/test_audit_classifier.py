"""A department with the whole mirror and all its own receipts guesses which foreign entries are about its children.

The guess is a classifier over everything that stands in a skeleton; its AUC is held below 0.53 at the upper 99 % bound
(Hanley and McNeil 1982), and the same classifier finds what is planted.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
from collections import Counter

import pytest

from gateway.domain.vocabulary import Department, Door
from tests.unit.audit.audit_world import a_log, draft

pytestmark = pytest.mark.anyio

CHILDREN = 60
PAIRS = 9000


@pytest.fixture(autouse=True)
def same_randomness(monkeypatch) -> None:
    """Keys, tags and salts of every run alike, so that a bound on chance does not fail by chance."""
    monkeypatch.setattr(os, "urandom", random.Random(5).randbytes)


async def skeletons(directory, count: int, embargoed=frozenset()) -> list[tuple[int, dict]]:
    """(child, skeleton) of entries about random children; those of embargoed children are protective."""
    draw = random.Random(7)
    whose = [draw.randrange(CHILDREN) for _ in range(count)]
    async with a_log(directory) as log:

        async def one(number: int, child: int) -> dict:
            asking = Department.EDUCATION if number % 2 else Department.HEALTH
            made = draft(
                bytes([child]) * 32, requester=asking, door=Door.PROTECTIVE, protective=child in embargoed, actors=()
            )
            return json.loads((await log.append(made)).leaf)

        found = await asyncio.gather(*(one(number, child) for number, child in enumerate(whose)))
    return list(zip(whose, found, strict=True))


def words(skeleton: dict) -> set[str]:
    """Everything that could join: each value, each tag, and prefixes of each."""
    flat = [str(value) for key, value in skeleton.items() if key not in ("v", "t", "tags")] + skeleton.get("tags", [])
    return {word[:size] for word in flat for size in (2, 4, 8, 99)}


def likeness(one: dict, two: dict, weight: Counter[str]) -> float:
    """Shared words, each by how rare it is, and closeness in tag value."""
    shared = sum(1 / weight[word] for word in words(one) & words(two))
    nearness = -min(abs(ord(a[0]) - ord(b[0])) for a in one["tags"] for b in two["tags"]) / 1000
    return shared + nearness


def auc(positive: list[float], negative: list[float]) -> tuple[float, float]:
    """(AUC, upper 99 % bound): the chance that a true pair scores higher than a false one."""
    ranked = sorted([(score, 1) for score in positive] + [(score, 0) for score in negative])
    wins, at, below = 0.0, 0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        true = sum(label for _, label in ranked[at:end])
        wins += true * (below + (end - at - true) / 2)
        below += end - at - true
        at = end
    area, n, m = wins / (len(positive) * len(negative)), len(positive), len(negative)
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    error = math.sqrt((area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m))
    return area, area + 2.326 * error


def linking(entries: list[tuple[int, dict]]) -> tuple[float, float]:
    """AUC of telling pairs (own entry, foreign entry) about one child from pairs about two."""
    draw = random.Random(11)
    own = [entry for entry in entries if entry[1]["from"] == "education"]
    foreign = [entry for entry in entries if entry[1]["from"] == "health"]
    by_child: dict[int, list[dict]] = {}
    for child, skeleton in foreign:
        by_child.setdefault(child, []).append(skeleton)
    weight: Counter[str] = Counter(word for _, skeleton in entries for word in words(skeleton))
    same, different = [], []
    while len(same) < PAIRS:
        child, mine = draw.choice(own)
        if child in by_child:
            same.append(likeness(mine, draw.choice(by_child[child]), weight))
            other, theirs = draw.choice(foreign)
            while other == child:
                other, theirs = draw.choice(foreign)
            different.append(likeness(mine, theirs, weight))
    return auc(same, different)


async def test_own_receipts_and_the_mirror_link_no_foreign_entry(tmp_path) -> None:
    area, upper = linking(await skeletons(tmp_path, 1500))
    assert upper <= 0.53, area


@pytest.mark.parametrize("name", ["n", "case"])
async def test_planted_clear_child_number_or_case_id_is_found(tmp_path, name) -> None:
    entries = await skeletons(tmp_path, 400)
    planted = [(child, skeleton | {name: f"{name}-{child}"}) for child, skeleton in entries]
    assert linking(planted)[0] > 0.95


async def test_embargoed_child_cannot_be_told_from_another(tmp_path) -> None:
    """Score of an entry: length and make-up of its skeleton and the first characters of its tags."""
    embargoed = frozenset(range(0, CHILDREN, 2))
    entries = await skeletons(tmp_path, 12_000, embargoed)
    half = len(entries) // 2
    seen: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for child, skeleton in entries[:half]:
        seen[child in embargoed].update(_marks(skeleton))

    def score(skeleton: dict) -> float:
        return sum(math.log((seen[True][mark] + 1) / (seen[False][mark] + 1)) for mark in _marks(skeleton))

    rest = [(child in embargoed, score(skeleton)) for child, skeleton in entries[half:]]
    area, upper = auc([value for hit, value in rest if hit], [value for hit, value in rest if not hit])
    assert upper <= 0.53, area


def _marks(skeleton: dict) -> set[str]:
    tags = {f"tag{place}{tag[0]}" for place, tag in enumerate(skeleton["tags"])}
    return tags | {f"len{len(json.dumps(skeleton))}", f"keys{sorted(skeleton)}", f"n{len(skeleton['tags'])}"}
