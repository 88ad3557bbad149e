"""The demo, told once per run of the suite in processes of its own; every tier looks at the same finished folder.

Rules kept here: nothing is told twice; a demo that did not end well fails every test that asks for it, with what it said last.
RUNXIN_TOLD_DEMO names a folder that was finished before (told with the same number of children), for writing tests.
"""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.sandbox.population import Population, build

CHILDREN = 450
"""Small enough to be quick, large enough that somebody can take each role of the story."""
PATIENCE = 600
TAIL = 6000


@functools.cache
def population() -> Population:
    """The people of the told demo: the same count and seed give the same people."""
    return build(CHILDREN)


@functools.cache
def tell(folder: Path, *more: str) -> str:
    """Tell the demo into a new folder. Returns an empty text, or what it said last where it did not end well. more: its arguments."""
    command = [sys.executable, "-m", "adapters.sandbox.demo", "--once", "--children", str(CHILDREN)]
    done = subprocess.run(
        [*command, *more, "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
        text=True,
        env={**os.environ, "RUNXIN_DEMO_LANGUAGE": "en"},
    )
    return "" if done.returncode == 0 else f"exit status {done.returncode}\n{done.stdout[-TAIL:]}"


@pytest.fixture(scope="session")
def told_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished demo."""
    if ready := os.environ.get("RUNXIN_TOLD_DEMO"):
        return Path(ready)
    folder = tmp_path_factory.getbasetemp() / "told-demo"
    if said := tell(folder):
        pytest.fail(f"the demo did not end well: {said}", pytrace=False)
    return folder
