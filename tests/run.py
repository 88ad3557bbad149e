"""`make test`: the static checks, the whole suite, and the demo with its independent re-derivation.

One closing line per part; the exit code is the worst of them. BROWSER=skip leaves the browser tier out by its owner's will.
"""

import subprocess
import sys
import time

PARTS = [
    ("lint", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "-q", "."]),
    ("types", ["mypy"]),
    ("imports", ["lint-imports"]),
    ("tests", ["python", "-m", "pytest", "-m", "not soak", "tests"]),
]


def main() -> int:
    from pathlib import Path

    bin_dir = Path(sys.executable).parent
    worst = 0
    for name, command in PARTS:
        started = time.monotonic()
        print(f"== {name}: {' '.join(command)}", flush=True)
        code = subprocess.call([str(bin_dir / command[0]), *command[1:]])
        print(
            f"== {name}: {'ok' if code == 0 else f'FAILED ({code})'} in {time.monotonic() - started:.0f} s", flush=True
        )
        worst = max(worst, code)
    return worst


if __name__ == "__main__":
    sys.exit(main())
