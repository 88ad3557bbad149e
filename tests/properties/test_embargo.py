"""A guardian cannot tell from status, size or time whether protective entries about the child exist.

Two children with the same ordinary history; about one of them protective reports keep coming in while both guardians ask. A
classifier sees status, size and time of every probe. Times are compared within pairs asked right after each other in random
order, so that the machine's drift is nobody's signal; half of the pairs train a likelihood ratio over bins of time (which finds a
difference of any shape, not only a shift), the other half measures it. The bound is one-sided 99 %, for the larger of both AUCs.
"""

from __future__ import annotations

import bisect
import gc
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from gateway.consent import guardians
from gateway.domain.canonical import canonical
from gateway.domain.vocabulary import Door
from gateway.store.database import Database, Reading
from tests.contract.api_house import REPORT, api_house
from tests.unit.consent.basis_world import CA_BUREAU, ONE, TWO, X02, X20, World, release
from tests.unit.consent.basis_world import child as stranger
from tests.unit.consent.test_guardian_pages import CARE, CATALOGUE, PURPOSES, SCHOOL

pytestmark = pytest.mark.anyio

BAR = 0.53
GROSS = 0.65
Z99 = 2.326
BINS = 20


@dataclass(frozen=True)
class Probe:
    """What a guardian's side sees of one page. seconds: on the wall; work: of processor time, a clock that others' load does not
    move, so that it sees more than any guardian could.
    """

    status: int
    size: int
    seconds: float
    work: float


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def walls(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("embargo")) as made:
        yield made


Pairs = list[tuple[Probe, Probe]]
Series = list[tuple[float, float]]
TIMES = tuple(f"{clock}{how}" for clock in ("seconds", "work") for how in ("", " in pairs", " trained"))


def auc(ones: list[float], others: list[float]) -> float:
    """Probability that a score of `ones` is above one of `others`, ties by half (Mann-Whitney)."""
    ordered = sorted(others)
    wins = sum(bisect.bisect_left(ordered, x) + bisect.bisect_right(ordered, x) for x in ones)
    return wins / (2 * len(ones) * len(others))


def spread(area: float, n: int, m: int) -> float:
    """Standard error of an AUC (Hanley and McNeil 1982)."""
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    return math.sqrt((area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m))


def bounds(area: float, n: int, m: int) -> tuple[float, float]:
    """(lower, upper) one-sided 99 % bounds of the better of a score and its opposite."""
    better = max(area, 1 - area)
    wide = Z99 * spread(better, n, m)
    return better - wide, better + wide


def relative(series: Series) -> Series:
    """Both sides against the mean of their pair: what is left when the machine's own drift is taken out."""
    return [(one - (one + other) / 2, other - (one + other) / 2) for one, other in series]


def trained(series: Series) -> Series:
    """Scores under a likelihood ratio over bins, each half of the pairs scored by what the other half taught."""
    half = len(series) // 2
    return _scored(series[half:], series[:half]) + _scored(series[:half], series[half:])


def _scored(learn: Series, test: Series) -> Series:
    values = sorted(value for pair in learn for value in pair)
    edges = values[:: max(1, len(values) // BINS)][1:]
    counts = [[1, 1] for _ in range(len(edges) + 1)]
    for pair in learn:
        for side, value in enumerate(pair):
            counts[bisect.bisect(edges, value)][side] += 1
    score = [math.log(one / other) for one, other in counts]
    return [(score[bisect.bisect(edges, one)], score[bisect.bisect(edges, other)]) for one, other in test]


def measured(pairs: Pairs) -> dict[str, tuple[float, float, float]]:
    """Attack -> (AUC, lower, upper). status and size: an exact split would give 1."""
    attacks: dict[str, Series] = {
        "status": [(a.status, b.status) for a, b in pairs],
        "size": [(a.size, b.size) for a, b in pairs],
    }
    for name in ("seconds", "work"):
        series = [(getattr(a, name), getattr(b, name)) for a, b in pairs]
        attacks |= {name: series, f"{name} in pairs": relative(series), f"{name} trained": trained(series)}
    found = {}
    for name, series in attacks.items():
        area = auc([one for one, _ in series], [other for _, other in series])
        found[name] = (max(area, 1 - area), *bounds(area, len(series), len(series)))
    return found


Ask = Callable[[str], Awaitable[tuple[int, int]]]


async def timed(ask: Ask, child: str, delay: float) -> Probe:
    """One page. delay: seconds of work planted on the gateway's side."""
    begun, spent = time.perf_counter(), time.process_time()
    status, size = await ask(child)
    until = time.process_time() + delay
    while delay and time.process_time() < until:
        pass
    return Probe(status, size, time.perf_counter() - begun, time.process_time() - spent)


async def scene(walls):
    """Two children with the same ordinary history, and what keeps happening to the first of them."""
    ca = walls.caller("ca", "M0101", "case_worker")
    reporter = walls.caller("sc", "T0500", "reporter")
    with_entries, without, elsewhere = walls.child(), walls.child(), walls.child()
    for child in (with_entries, without):
        walls.enrol_pupil(child)
        case = await ca.approved_case(child, ["X02"], "M0900")
        for _ in range(3):
            assert (await ca.post("/v1/query", ca.ask(child, case))).status_code == 200

    async def report() -> None:
        """One protective report about the first child, one about somebody of whom nobody asks."""
        for each in (ca, reporter):
            await each.fetch_token()  # a token ends after five minutes, a long run does not
        for child in (with_entries, elsewhere):
            values = REPORT | {"report_id": f"QZBG-2026-{random.randrange(10_000):04d}"}
            await reporter.delivered(child, ca, values, exchange="X20", purpose="P07", door="protective")

    await report()
    return ca, with_entries, without, report


async def probe(
    ask: Ask, with_entries: str, without: str, pairs: int, *, between: Callable[[], Awaitable[None]], delay: float = 0.0
) -> Pairs:
    """Pairs of probes in random order. between: what happens about the first child all the while."""
    dice, found = random.Random(20261122), []
    gc.disable()
    try:
        for number in range(pairs):
            if number % max(20, pairs // 20) == 0:
                await between()
                gc.collect()
                for child in (with_entries, without) * 2:  # nobody's first page is slower
                    await ask(child)
            if dice.random() < 0.5:
                one = await timed(ask, with_entries, delay)
                other = await timed(ask, without, 0.0)
            else:
                other = await timed(ask, without, 0.0)
                one = await timed(ask, with_entries, delay)
            found.append((one, other))
    finally:
        gc.enable()
    return found


def told(name: str, pairs: Pairs) -> dict[str, tuple[float, float, float]]:
    """Measure, and print the figures."""
    found = measured(pairs)
    for attack, (area, lower, upper) in found.items():
        print(f"{name}: {2 * len(pairs):,} probes, {attack}: AUC {area:.4f}, 99 % bounds {lower:.4f} to {upper:.4f}")
    return found


def require_equal(pairs: Pairs) -> None:
    """Status and size are the same on every page of both."""
    assert {probe.status for pair in pairs for probe in pair} == {200}
    assert len({probe.size for pair in pairs for probe in pair}) == 1


def require_found(pairs: Pairs) -> None:
    """The positive control: what was planted is seen beyond doubt."""
    found = told("planted", pairs)
    assert max(found[attack][1] for attack in TIMES) > BAR


async def test_twelve_thousand_pages_tell_nothing_and_a_planted_millisecond_is_found(tmp_path):
    """The page itself, read from a store in which protective uses of the first child keep coming."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/basis.db")
    await database.create_schema()
    world = World(database)
    children = {"one": ONE, "two": TWO}
    for about in children.values():
        case_id = await world.open_case(CARE, about)
        await world.approve(CARE, case_id)
        for _ in range(3):
            await release(world, await world.find(CARE, X02, about, case_id=case_id))

    view = AsyncExitStack()
    looking: list[Reading] = []

    async def protective() -> None:
        await view.aclose()
        world.clock.move(minutes=1)
        await release(world, await world.find(SCHOOL, X20, ONE, recipient=CA_BUREAU, door=Door.PROTECTIVE))
        await release(world, await world.find(SCHOOL, X20, stranger(99), recipient=CA_BUREAU, door=Door.PROTECTIVE))
        looking[:] = [await view.enter_async_context(database.read())]

    async def ask(name: str) -> tuple[int, int]:
        seen = await guardians.page(looking[0], children[name], exchanges=CATALOGUE, purposes=PURPOSES)
        return 200, len(canonical({"sentence": seen.sentence, "lines": [line.text for line in seen.accesses]}))

    pairs = await probe(ask, "one", "two", 6_000, between=protective)
    require_equal(pairs)
    found = told("page", pairs)
    assert max(found[attack][2] for attack in TIMES) <= BAR
    require_found(await probe(ask, "one", "two", 200, between=protective, delay=0.001))
    await view.aclose()
    await database.close()


def through_the_door(ca) -> Ask:
    """A page as the guardian's portal fetches it, whole."""

    async def ask(about: str) -> tuple[int, int]:
        answer = await ca.post("/v1/guardians/accesses", {"subject": {"pseudonym": ca.pseudonym(about)}})
        return answer.status_code, len(answer.content) + len("".join(sorted(answer.headers)))

    return ask


async def test_the_door_answers_both_guardians_alike(walls):
    ca, with_entries, without, report = await scene(walls)
    pairs = await probe(through_the_door(ca), with_entries, without, 60, between=report)
    require_equal(pairs)
    # So few probes bound no time at 0.53; the long run does. Here only a gross difference would be found.
    found = told("door", pairs)
    assert max(found[attack][1] for attack in TIMES) <= GROSS


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_twelve_thousand_probes_at_the_door_tell_nothing_and_a_planted_millisecond_is_found(walls):
    ca, with_entries, without, report = await scene(walls)
    ask = through_the_door(ca)
    pairs = await probe(ask, with_entries, without, 6_000, between=report)
    require_equal(pairs)
    found = told("door", pairs)
    assert max(found[attack][2] for attack in TIMES) <= BAR
    require_found(await probe(ask, with_entries, without, 400, between=report, delay=0.001))


def test_the_classifier_finds_a_difference_of_any_shape():
    dice = random.Random(3)

    def noise() -> Probe:
        return Probe(200, 9, dice.expovariate(200), dice.expovariate(900))

    same = [(noise(), noise()) for _ in range(6_000)]
    assert all(upper <= BAR for _, _, upper in measured(same).values())
    # Two narrow peaks against one: the means are equal, only the trained attack sees it.
    twin = [(Probe(200, 9, 0.005 + dice.choice((-1, 1)) * 0.001, 0), Probe(200, 9, 0.005, 0)) for _ in range(1_000)]
    assert measured(twin)["seconds trained"][1] > 0.9
    sized = [(Probe(200, 10, 0.005, 0), Probe(200, 9, 0.005, 0)) for _ in range(100)]
    assert measured(sized)["size"][0] == 1.0
