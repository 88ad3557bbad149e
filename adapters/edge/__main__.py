"""`python -m adapters.edge --config edge.toml` serves; with `--enrol [--grant G]` it enrols the register and ends.

Rules kept here: a refusal to start is one JSON line on standard error with its code and status 2; no traceback, no value.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

from adapters.base.faults import CODES
from adapters.edge import runner
from gateway.errors import GatewayError


def main() -> int:
    """The exit status: 0 done, 2 refused to start."""
    parser = argparse.ArgumentParser(prog="python -m adapters.edge")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--enrol", action="store_true")
    parser.add_argument("--grant", default=None)
    given = parser.parse_args()
    work = runner.enrol(given.config, given.grant) if given.enrol else runner.serve(given.config)
    try:
        with asyncio.Runner(loop_factory=_fastest_loop()) as loop:
            loop.run(work)
    except GatewayError as error:
        said = CODES.get(error.code)
        line = {"code": error.code, "facts": error.facts, "zh": said.zh if said else "", "en": said.en if said else ""}
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
        return 2
    return 0


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop of uvloop where it is installed (not on Windows), else the standard one."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main())
