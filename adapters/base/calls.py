"""Guarded calls to a departmental system: time limit, few retries, concurrency limit, circuit breaker.

Rules kept here: only idempotent reads are tried again; the time limit covers all attempts together; when the queue is full the
caller learns it at once (`provider_busy`); after repeated failures the system is left alone for a while (`provider_circuit_open`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from adapters.base.faults import RETRIABLE
from gateway.errors import ProviderFault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """seconds: for one call with all its attempts. attempts: of idempotent reads. at_once, queue: concurrent and waiting calls.
    failures: in a row, that open the circuit, for `cool_off` seconds. max_bytes: of one answer.
    """

    seconds: float = 4.0
    attempts: int = 2
    at_once: int = 16
    queue: int = 128
    failures: int = 8
    cool_off: float = 10.0
    max_bytes: int = 4 * 1024 * 1024


class Calls:
    """All calls to one departmental system go through one of these."""

    def __init__(self, limits: Limits | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits or Limits()
        self._now = monotonic
        self._slots = asyncio.Semaphore(self.limits.at_once)
        self._waiting = 0
        self._failures = 0
        self._open_until = 0.0

    @property
    def open(self) -> bool:
        """Whether the circuit is open, so that calls are refused without being made."""
        return self._now() < self._open_until

    async def read(self, call: Callable[[], Awaitable[T]]) -> T:
        """An idempotent read, tried again after `provider_timeout` or `provider_unavailable` within the time limit.

        Raises `ProviderFault`: what `call` raises, `provider_timeout`, `provider_busy` or `provider_circuit_open`.
        """
        return await self._guarded(call, attempts=self.limits.attempts)

    async def write(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call that is made once, whatever happens. Raises as `read` does."""
        return await self._guarded(call, attempts=1)

    async def _guarded(self, call: Callable[[], Awaitable[T]], *, attempts: int) -> T:
        if self.open:
            raise ProviderFault("provider_circuit_open")
        if self._waiting >= self.limits.queue:
            raise ProviderFault("provider_busy")
        self._waiting += 1
        try:
            async with asyncio.timeout(self.limits.seconds):
                async with self._slots:
                    result = await self._tried(call, attempts)
        except TimeoutError:
            self._failed()
            raise ProviderFault("provider_timeout") from None
        except ProviderFault:
            self._failed()
            raise
        finally:
            self._waiting -= 1
        self._failures = 0
        return result

    async def _tried(self, call: Callable[[], Awaitable[T]], attempts: int) -> T:
        for attempt in range(1, attempts):
            try:
                return await call()
            except ProviderFault as fault:
                if fault.code not in RETRIABLE:
                    raise
            # Full jitter keeps many edges from knocking in step.
            await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - no secret depends on it
        return await call()

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= self.limits.failures:
            self._open_until = self._now() + self.limits.cool_off
            # One failure after the pause opens it again at once.
            self._failures = self.limits.failures - 1
