"""A process that appends under load and says on its standard output what was acknowledged, until somebody kills it.

`python -m tests.faults.appender <directory> <database url> <in flight> [<entries>]`; one line per acknowledgement: index, SHA-256 of the leaf.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

from gateway.store.database import Database
from tests.unit.audit.audit_world import draft, make_log


async def main(directory: Path, url: str, in_flight: int, entries: int) -> None:
    database = Database(url)
    log = make_log(directory, database)
    await log.start()
    print("ready", flush=True)
    left = iter(range(entries))

    async def work(number: int) -> None:
        child = bytes([number]) * 32
        for _ in left:
            receipt = await log.append(draft(child), proof_id=os.urandom(12).hex())
            os.write(1, f"{receipt.index} {hashlib.sha256(receipt.leaf).hexdigest()}\n".encode())

    await asyncio.gather(*(work(number) for number in range(in_flight)))
    await log.close()
    await database.close()


if __name__ == "__main__":
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 10**9
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), count))
