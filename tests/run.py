"""`make test`: the static checks, then the whole suite in two halves side by side, where the machine has two cores.

One half tells the demo and drives the browser, which is mostly waiting for other processes; the other is everything else, new folders included.
One closing line per part; the exit code is the worst of them. BROWSER=skip leaves the browser tier out by its owner's will.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKS = [
    ("lint", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "-q", "."]),
    ("types", ["mypy"]),
    ("imports", ["lint-imports"]),
]
SUITE = ["python", "-m", "pytest", "-m", "not soak"]
TOLD = ["tests/spec", "tests/leaks", "tests/docs", "tests/console"]
BIN = Path(sys.executable).parent


def main() -> int:
    worst = max(part(name, command) for name, command in CHECKS)
    if (os.cpu_count() or 1) < 2:
        return max(worst, part("tests", [*SUITE, "tests"]))
    others = [f"--ignore={folder}" for folder in TOLD]
    # Each half keeps its files apart: a pytest that starts tidies up what it finds of others in a shared folder.
    with (
        tempfile.TemporaryDirectory(prefix="runxin-told-") as first,
        tempfile.TemporaryDirectory(prefix="runxin-rest-") as second,
    ):
        halves = [("told", [*SUITE, *TOLD], first), ("rest", [*SUITE, "tests", *others], second)]
        with ThreadPoolExecutor(2) as both:
            codes = both.map(lambda half: part(half[0], half[1], root=half[2]), halves)
            return max(worst, *codes)


def part(name: str, command: list[str], *, root: str = "") -> int:
    """Run one part to its end; its exit code. root: where pytest makes its folders; lines of a half carry its name."""
    print(f"== {name}: {' '.join(command)}", flush=True)
    started, lead = time.monotonic(), f"{name} | " if root else ""
    environment = {**os.environ, **({"PYTEST_DEBUG_TEMPROOT": root, "PYTHONUNBUFFERED": "1"} if root else {})}
    running = subprocess.Popen(
        [str(BIN / command[0]), *command[1:]],
        stdout=subprocess.PIPE if root else None,
        stderr=subprocess.STDOUT if root else None,
        text=True,
        errors="replace",
        env=environment,
    )
    if running.stdout is not None:
        for line in running.stdout:
            print(f"{lead}{line}", end="", flush=True)
    code = running.wait()
    print(f"== {name}: {'ok' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s", flush=True)
    return code if code >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
