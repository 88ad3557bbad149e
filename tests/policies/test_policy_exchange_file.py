"""What edges are given is what decides: the store's active version where there is a gateway, the folder where there is none yet."""

import shutil

import pytest
from typer.testing import CliRunner

from adapters.base import exchange_file
from gateway.cli import app
from policies.book import HOME, PolicyBook


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A policies folder of the site's own, in which one exchange has another name than the shipped one."""
    own = tmp_path / "policies"
    shutil.copytree(HOME, own, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    exchanges = own / "catalogue" / "exchanges" / "X02.toml"
    text = exchanges.read_text("utf-8")
    name = PolicyBook.open().catalogue.exchanges["X02"].en
    assert text.count(f'"{name}"') == 1
    exchanges.write_text(text.replace(f'"{name}"', '"Renamed by the site"'), "utf-8")
    for setting, value in {"DATA": tmp_path / "gateway", "DEMO": 1, "ROOT_PASSPHRASE": "only for this test"}.items():
        monkeypatch.setenv(f"RUNXIN_{setting}", str(value))
    return own


def written(tmp_path):
    """What the command says, and the English name of X02 in what it writes."""
    done = CliRunner().invoke(app, ["policy", "exchanges", str(tmp_path / "exchanges.json")])
    assert done.exit_code == 0, done.output
    return done.output, exchange_file.read(tmp_path / "exchanges.json")["X02"].en


def test_before_there_is_a_gateway_the_folder_is_written(folder, tmp_path, monkeypatch):
    shipped = PolicyBook.open()
    said, name = written(tmp_path)
    assert f"{len(shipped.catalogue.exchanges)} exchanges of the policies folder, version {shipped.version}" in said
    assert name == shipped.catalogue.exchanges["X02"].en
    monkeypatch.setenv("RUNXIN_POLICIES", str(folder))
    said, name = written(tmp_path)
    assert f"version {PolicyBook.open(folder).version}" in said and shipped.version not in said
    assert name == "Renamed by the site"
    assert not (tmp_path / "gateway").exists()


def test_where_there_is_a_gateway_its_active_version_is_written_whatever_the_folder_says_now(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("RUNXIN_POLICIES", str(folder))
    assert CliRunner().invoke(app, ["init"]).exit_code == 0
    active = PolicyBook.open(folder).version
    monkeypatch.delenv("RUNXIN_POLICIES")
    said, name = written(tmp_path)
    assert f"exchanges of the active version {active}" in said
    assert name == "Renamed by the site"
