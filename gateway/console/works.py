"""Long work: begun by one visit, left, and found again by any later one, on any worker.

Rules kept here: one piece of a kind at a time for each account; how far it is stands in the database; a piece whose process has
ended is shown as interrupted and not as running.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.console.refusals import Refused
from gateway.domain.ids import new_id
from gateway.errors import GatewayError
from gateway.observe import log
from gateway.store import console as store
from gateway.store.console import WorkRow

if TYPE_CHECKING:
    from gateway.console.mount import Console
    from gateway.console.visits import Visit

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
Progress = Callable[[int, int], Awaitable[None]]
Job = Callable[[str, Progress], Awaitable[int]]
"""job(work id, progress) does the work and gives the entry index that the result speaks of, or -1."""


class Works:
    """The long work of this process."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._worker = new_id("wk")
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, visit: Visit, kind: str, job: Job) -> str:
        """Begin a piece of work. `Refused("work_running")` where this account has one of the kind under way."""
        account = visit.account
        async with visit.house.database.write() as writing:
            for other in await store.works(writing, kind):
                if other.account == account.name and self.state(other) == RUNNING:
                    raise Refused("work_running")
            work_id, now = new_id(kind[:2]), visit.now
            row = WorkRow(
                work_id, kind, account.name, str(account.department or ""), self._worker, RUNNING, 0, 0, "", -1, now, 0
            )
            await store.put_work(writing, row)
        task = asyncio.create_task(self._run(work_id, job))
        self._tasks[work_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(work_id, None))
        return work_id

    def state(self, row: WorkRow) -> str:
        """The state of a piece of work as far as this process can tell."""
        if row.state == RUNNING and row.worker == self._worker and row.work_id not in self._tasks:
            return INTERRUPTED
        if row.state == RUNNING and row.worker != self._worker and self._console.settings.workers == 1:
            return INTERRUPTED
        return row.state

    async def _run(self, work_id: str, job: Job) -> None:
        async def progress(done: int, total: int) -> None:
            await self._change(work_id, done=done, total=total)

        try:
            place = await job(work_id, progress)
        except GatewayError as error:
            fact = error.facts.get("index", -1)
            await self._end(work_id, FAILED, code=error.code, place=fact if isinstance(fact, int) else -1)
        except Exception as error:
            log.error("console work failed", exc_info=error)
            await self._end(work_id, FAILED, code="internal", place=-1)
        else:
            await self._end(work_id, DONE, code="", place=place)

    async def _end(self, work_id: str, state: str, *, code: str, place: int) -> None:
        now = int(self._console.house.clock.now().timestamp())
        await self._change(work_id, state=state, code=code, place=place, ended=now)

    async def _change(self, work_id: str, **values: int | str) -> None:
        async with self._console.house.database.write() as writing:
            await store.change_work(writing, work_id, **values)

    async def close(self) -> None:
        """Stop what is under way; its rows say interrupted from the next start on."""
        for task in list(self._tasks.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
