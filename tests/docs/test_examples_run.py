"""Every example that says it runs is run as it stands, against the demo's own gateway, systems and edges."""

import os
import subprocess
import sys

import pytest

from adapters.sandbox.cast import cast
from adapters.sandbox.demo.__main__ import set_up
from adapters.sandbox.demo.stage import build_stage
from adapters.sandbox.demo.story import Story, step_a
from adapters.sandbox.demo.telling import Teller
from tests.docs.pages import PAGES, ROOT, blocks

RUNNABLE = [block for page in PAGES for block in blocks(page) if block.where == "demo"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder that looks like a clone in which `make demo` is up and has told its first step."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".venv").symlink_to(sys.prefix)
    teller = Teller("en")
    with build_stage(folder / ".demo", 300, teller.progress) as stage:
        set_up(stage, teller)
        story = Story(stage, teller)
        step_a(story, cast(stage.population), {"ca": story.desk("ca", "M0101", "case_worker")})
        assert story.good
        yield folder


def run(clone, block):
    command = [sys.executable, "-"] if block.language == "python" else ["bash", "-euo", "pipefail", "-s"]
    return subprocess.run(
        command,
        input=block.text,
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: block.name)
def test_the_example_works_as_pasted(clone, block):
    done = run(clone, block)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    if "curl" in block.text:
        assert "200 OK" in done.stdout
        assert "audit-receipt:" in done.stdout.lower()
    if "check_receipt" in block.text:
        assert "released" in done.stdout
    if "verify.py" in block.text:
        assert "FAILED" not in done.stdout
        (copy,) = (clone / ".demo").glob("log-copy*")
        copy.rename(clone / f"looked-at-{block.page.name}")


def test_there_is_an_sdk_a_curl_and_a_verification_example_in_both_languages():
    for page in ("README.md", "README.zh-CN.md"):
        texts = [block.text for block in RUNNABLE if block.page.name == page]
        for word in ("RunxinClient", "curl", "verify.py"):
            assert any(word in text for text in texts), (page, word)
