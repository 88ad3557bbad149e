"""What the disk does at this moment, shown beside every durable figure."""

import os
import statistics
import time
from pathlib import Path


def fsync_probe(folder: Path, times: int = 60) -> float:
    """Median milliseconds of appending 4 kB and fdatasync."""
    took = []
    with (folder / "fsync-probe").open("wb") as file:
        for _ in range(times):
            file.write(os.urandom(4096))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)
