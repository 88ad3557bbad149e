"""The guide's day of work is done as it stands: its files, its commands, and what it says that they print."""

import json
import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from adapters.contract import report
from gateway.cli import app
from keys.signing import SigningKey
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "adapter-guide.md"
TEXT = PAGE.read_text("utf-8")
DAY = TEXT[TEXT.index("## A day's work") : TEXT.index("## A system without an edge")]
FILES = re.compile(r"<!-- file: (?P<name>[\w.]+) -->\n```toml\n(?P<text>.*?)\n```", re.DOTALL)


def runxin(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the guide's reader has before that day: the gateway's export and a key of his own."""
    monkeypatch.chdir(tmp_path)
    assert runxin("policy", "exchanges", "exchanges.json").exit_code == 0
    assert runxin("keys", "new", "signing", "edge.pem").exit_code == 0
    return tmp_path


def test_the_sixth_system_is_connected_as_the_guide_tells_it(folder):
    for file in FILES.finditer(DAY):
        (folder / file["name"]).write_text(file["text"], "utf-8")
    outputs, ran, fixes = [], [], 0
    for block in (block for block in blocks(PAGE) if block.text in DAY):
        match block.language:
            case "python":
                done = subprocess.run(
                    [sys.executable, "-"],
                    input=block.text,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
                assert done.returncode == 0, done.stderr
            case "sh":
                said = runxin(*block.text.split()[1:])
                outputs.append(said.output.strip())
                ran.append(said.exit_code)
            case "text":
                assert outputs.pop() == block.text.strip()
            case "toml" if block.text.startswith('"'):
                mapping = folder / "lianhua_mapping.toml"
                text = mapping.read_text("utf-8")
                mapping.write_text(text.replace("[codes.class]\n", f"[codes.class]\n{block.text}\n"), "utf-8")
                fixes += 1
    assert (ran, fixes, outputs) == ([6, 0], 1, [])
    given = json.loads((folder / "report" / "report.json").read_text("utf-8"))
    assert report.verify(given, SigningKey.load(folder / "edge.pem").verify_key)["failed"] == 0
    page = (folder / "report" / "report.html").read_text("utf-8")
    assert "适配器符合性报告" in page and "Adapter conformance report" in page
    assert not (folder / "lianhua_directory.sqlite3").exists()
