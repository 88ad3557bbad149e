"""Guarded calls: time limit, retries of reads only, back-pressure, circuit breaker."""

import asyncio

import pytest

from adapters.base.calls import Calls, Limits
from gateway.errors import ProviderFault

pytestmark = pytest.mark.anyio


class Flaky:
    def __init__(self, *codes):
        self.codes = list(codes)
        self.count = 0

    async def __call__(self):
        self.count += 1
        if self.codes:
            raise ProviderFault(self.codes.pop(0))
        return "answer"


async def test_a_read_is_tried_again_and_a_write_is_not():
    flaky = Flaky("provider_unavailable")
    assert await Calls(Limits(attempts=2)).read(flaky) == "answer"
    assert flaky.count == 2
    flaky = Flaky("provider_unavailable")
    with pytest.raises(ProviderFault, match="provider_unavailable"):
        await Calls(Limits(attempts=2)).write(flaky)
    assert flaky.count == 1


@pytest.mark.parametrize("code", ["provider_garbage", "provider_too_much", "provider_refused"])
async def test_a_fault_that_will_not_pass_is_not_tried_again(code):
    flaky = Flaky(code)
    with pytest.raises(ProviderFault, match=code):
        await Calls(Limits(attempts=3)).read(flaky)
    assert flaky.count == 1


async def test_attempts_are_bounded():
    flaky = Flaky(*["provider_unavailable"] * 9)
    with pytest.raises(ProviderFault, match="provider_unavailable"):
        await Calls(Limits(attempts=3)).read(flaky)
    assert flaky.count == 3


async def test_the_time_limit_covers_all_attempts():
    async def slow():
        await asyncio.sleep(5)

    with pytest.raises(ProviderFault, match="provider_timeout"):
        await Calls(Limits(seconds=0.05)).read(slow)


async def test_a_full_queue_is_told_at_once():
    calls = Calls(Limits(seconds=5, at_once=1, queue=2))
    release = asyncio.Event()

    async def held():
        await release.wait()

    waiting = [asyncio.create_task(calls.read(held)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ProviderFault, match="provider_busy"):
        await calls.read(held)
    release.set()
    await asyncio.gather(*waiting)


async def test_after_repeated_failures_the_system_is_left_alone_for_a_while():
    now = [0.0]
    calls = Calls(Limits(attempts=1, failures=3, cool_off=10), monotonic=lambda: now[0])
    failing = Flaky(*["provider_unavailable"] * 4)
    for _ in range(3):
        with pytest.raises(ProviderFault, match="provider_unavailable"):
            await calls.read(failing)
    with pytest.raises(ProviderFault, match="provider_circuit_open"):
        await calls.read(failing)
    assert failing.count == 3
    now[0] = 11
    with pytest.raises(ProviderFault, match="provider_unavailable"):
        await calls.read(failing)
    with pytest.raises(ProviderFault, match="provider_circuit_open"):
        await calls.read(failing)
    now[0] = 22
    assert await calls.read(failing) == "answer"
    assert not calls.open
