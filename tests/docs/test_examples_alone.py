"""Examples that need no gateway run in a folder that holds the files that their page shows."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from adapters.edge import settings as edge_settings
from gateway.cli import app
from tests.docs.pages import PAGES, ROOT, blocks

ALONE = [block for page in PAGES for block in blocks(page) if block.where == "alone"]
NAMES = [block for page in PAGES for block in blocks(page) if block.where == "names"]
_FILE = re.compile(r"<!-- file: (?P<name>[\w.]+) -->\n```toml\n(?P<text>.*?)\n```", re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a vendor has in hand: the files of the guide, the gateway's export, keys of his own."""
    folder = tmp_path_factory.mktemp("vendor")
    for found in _FILE.finditer((ROOT / "docs" / "adapter-guide.md").read_text("utf-8")):
        (folder / found["name"]).write_text(found["text"], "utf-8")

    def runxin(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, result.output

    runxin("policy", "exchanges", str(folder / "exchanges.json"))
    for name in ("client", "edge", "admin", "officer"):
        runxin("keys", "new", "signing", str(folder / f"{name}.pem"))
    runxin("keys", "new", "sealing", str(folder / "sealing.json"))
    return folder


@pytest.mark.parametrize("block", ALONE, ids=lambda block: block.name)
def test_the_example_runs(folder, block):
    done = subprocess.run(
        [sys.executable, "-"],
        input=block.text,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()


@pytest.mark.parametrize("block", NAMES, ids=lambda block: block.name)
def test_the_names_of_the_example_exist(block):
    names = {}
    exec(compile(block.text, block.name, "exec"), names)
    client = names["RunxinClient"]
    for method in re.findall(r"\bgateway\.(\w+)\(", block.text):
        assert callable(getattr(client, method))


def test_every_python_example_is_run_or_checked():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "python":
                assert block.where in ("demo", "alone", "names"), block.name


def test_the_edge_settings_of_the_guide_are_read(folder, monkeypatch):
    from keys.signing import SigningKey

    key = SigningKey.load(folder / "edge.pem")
    (folder / "gateway.jwk").write_text(__import__("json").dumps(key.verify_key.jwk()))
    party = "11330106MB0007026L/education"
    text = (folder / "system.toml").read_text("utf-8")
    text = re.sub(r'party = "[^"]+"', f'party = "{party}"', text.partition("[officer]")[0])
    (folder / "client.toml").write_text(text, "utf-8")
    settings = edge_settings.load(folder / "edge.toml")
    assert settings.party.text == party
    assert settings.limits.seconds == 4.0


def test_toml_that_pages_show_is_toml():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "toml":
                tomllib.loads(block.text)
