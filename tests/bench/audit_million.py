"""A log of a million entries, made once by the log's own batch builder and kept in `.bench/` until what it depends on changes.

10,000 children, 2,000 officers of 200 clients, a month of entries; every thousandth a denial. `python -m tests.bench.audit_million` makes
it and says how long that took.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import random
import shutil
import time
from pathlib import Path

from gateway.audit import batch, entry
from gateway.audit.batch import Asked, BatchBuilder
from gateway.audit.tree import grown_tiles
from gateway.domain.vocabulary import Outcome
from gateway.store import audit as store
from gateway.store import audit_tables
from gateway.store.audit import KeyRow
from gateway.store.database import Database
from tests.unit.audit.audit_world import draft, make_log, url

ENTRIES = 1_000_000
CHILDREN, CLIENTS, OFFICERS = 10_000, 200, 2_000
MONTH_US = 30 * 86_400 * 1_000_000
BEGAN_US = 1_790_000_000_000_000
_BATCH = 20_000


def child(number: int) -> bytes:
    """The gateway's name of one of the children."""
    return hashlib.sha256(b"child" + number.to_bytes(4, "big")).digest()


def million(entries: int = ENTRIES) -> Path:
    """The folder of the log, made where it is not there or was made by another builder."""
    sources = "".join(inspect.getsource(module) for module in (batch, entry, audit_tables))
    name = f"audit-{entries}-{hashlib.sha256(sources.encode()).hexdigest()[:12]}"
    folder = Path(".bench").resolve() / name
    if not (folder / "whole").exists():
        for old in folder.parent.glob(f"audit-{entries}-*"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
        began = time.perf_counter()
        asyncio.run(_build(folder, entries))
        (folder / "whole").write_text(f"{time.perf_counter() - began:.0f} s\n")
    return folder


async def _build(folder: Path, entries: int) -> None:
    database = Database(url(folder))
    await database.create_schema()
    log = make_log(folder, database)
    await log.start()
    draw = random.Random(1)
    keys: dict[bytes, KeyRow] = {}
    for start in range(0, entries, _BATCH):
        asked = [Asked(_draft(draw, number)) for number in range(start, min(start + _BATCH, entries))]
        holders = {holder for one in asked for holder in one.holders}
        async with database.write() as writing:
            head = await store.get_head(writing)
            assert head is not None
            known = [keys[holder] for holder in holders if holder in keys]
            now_us = BEGAN_US + start * MONTH_US // entries
            built = BatchBuilder(log.keeper, log.signer, head, known, now_us).build(asked)
            tiles = await grown_tiles(writing, head.size, built.leaves)
            await store.write_batch(writing, built.rows.with_tiles(tiles))
        keys |= {row.holder: row for row in built.rows.keys if row.current}
    await log.close()
    await database.close()


def _draft(draw: random.Random, number: int):
    outcome = Outcome.DENIED if number % 1000 == 0 else Outcome.RELEASED
    officer = draw.randrange(OFFICERS)
    actors = (f"client:{officer % CLIENTS}", f"person:330106/{officer}")
    return draft(child(draw.randrange(CHILDREN)), actors=actors, outcome=outcome)


if __name__ == "__main__":
    print(million(), (million() / "whole").read_text().strip())
