"""Third-party files are copied only as listed; without them the console says so."""

import json
import re
from pathlib import Path

from gateway.console import rendering, vendoring

ROOT = Path(__file__).parents[2]


def modules(folder):
    """A `node_modules` with files of the listed names; they are not the listed bytes."""
    for row in vendoring.listed().values():
        path = folder / str(row["package"]) / str(row["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * int(row["size"]))
    return folder


def test_a_file_of_another_digest_is_not_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(vendoring, "VENDOR", tmp_path / "vendor")
    wrong = vendoring.copy(modules(tmp_path / "node_modules"))
    assert set(wrong) == set(vendoring.listed())
    assert not list((tmp_path / "vendor").iterdir())


def test_files_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(vendoring, "VENDOR", tmp_path / "vendor")
    assert set(vendoring.copy(tmp_path / "nothing")) == set(vendoring.listed())
    vendoring.missing.cache_clear()
    try:
        assert set(vendoring.missing()) == set(vendoring.listed())
    finally:
        vendoring.missing.cache_clear()


def test_without_its_files_the_console_says_so(stranger, monkeypatch):
    monkeypatch.setattr(rendering, "missing", lambda: ("tabler.min.css",))
    assert "控制台前端文件缺失" in stranger.get("/console/sign-in").text


def test_versions_are_those_of_the_package_file_and_the_lock_names_no_place():
    asked = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert {str(row["package"]): row["version"] for row in vendoring.listed().values()} == asked
    lock = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert len(re.findall(r'"integrity": "sha512-', lock)) == len(json.loads(lock)["packages"]) - 1


def test_no_third_party_file_is_tracked():
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not [name for name in vendoring.listed() if f"/{name}\n" in tracked]
    assert "node_modules" not in tracked
