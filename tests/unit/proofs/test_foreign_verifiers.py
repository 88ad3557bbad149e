"""Verifiers that this project did not write: Go's sumdb (Debian's golang-golang-x-mod-dev), and a Python peer where it can be had."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.audit.export import Export, export
from gateway.domain.vocabulary import EntryKind
from gateway.store import audit as store
from tests.unit.audit.audit_world import a_log, draft

GO = shutil.which("go")
SOURCES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb")
PEERS = Path(__file__).resolve().parents[3] / ".venv-peers"


async def _copy(directory: Path) -> Path:
    async with a_log(directory) as log:
        await asyncio.gather(*(log.append(draft()) for _ in range(700)))
        entry = draft(kind=EntryKind.AUDIT_EXPORT)
        await export(log, directory / "copy", Export(picked=[3, 300, 699]), entry)
        async with log.database.read() as reading:
            for index in (3, 300, 699):
                (leaf,) = await store.get_leaves(reading, index, index + 1)
                (directory / f"entry-{index}").write_bytes(leaf)
    return directory / "copy"


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    return asyncio.run(_copy(tmp_path_factory.mktemp("foreign")))


@pytest.fixture(scope="module")
def go_verifier(tmp_path_factory) -> Path:
    if GO is None or not SOURCES.is_dir():
        pytest.skip("NOT RUN: no Go (apt-get install golang-go golang-golang-x-mod-dev)")
    folder = tmp_path_factory.mktemp("go")
    shutil.copy(Path(__file__).parent / "foreign" / "verify.go", folder / "main.go")
    own = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "GOPROXY": "off", "CGO_ENABLED": "0"}
    environment = os.environ | own | {"GOCACHE": str(folder / "cache")}
    subprocess.run([GO, "build", "-o", "verify", "main.go"], cwd=folder, env=environment, check=True, timeout=280)
    return folder / "verify"


def ran(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_go_accepts_the_log_and_its_proofs(go_verifier, copy) -> None:
    for index in (3, 300, 699):
        proof = copy / "proofs" / f"{index}.tlog-proof"
        done = ran(go_verifier, copy, copy.parent / f"entry-{index}", proof)
        assert (done.returncode, done.stdout.split(" ")[:2]) == (0, ["ok", "701"]), done.stdout


@pytest.mark.parametrize(
    "name",
    ["checkpoint", "tile/0/000", "tile/0/002.p/189", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/189"],
)
def test_go_refuses_a_changed_byte(go_verifier, copy, tmp_path, name) -> None:
    shutil.copytree(copy, tmp_path / "copy")
    place = tmp_path / "copy" / name
    data = place.read_bytes()
    middle = data.index(b"\n", data.index(b"\n") + 1) + 4 if name == "checkpoint" else len(data) // 2
    place.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert ran(go_verifier, tmp_path / "copy").returncode == 1


def test_go_refuses_the_proof_of_another_entry(go_verifier, copy) -> None:
    done = ran(go_verifier, copy, copy.parent / "entry-3", copy / "proofs" / "300.tlog-proof")
    assert done.returncode == 1


PEER = """
import sys
from aics_tlog.checkpoint import checkpoint_from_note, verify_checkpoint
from aics_tlog.note import parse_note, parse_vkey
from aics_tlog.tiles import FileSystemTileReader
from aics_tlog.verified import audit_tiles
folder = sys.argv[1]
key = parse_vkey(open(folder + "/vkeys").read().split("\\n")[0])
note = parse_note(open(folder + "/checkpoint", "rb").read())
assert verify_checkpoint(note, key).log_ok
checkpoint, _ = checkpoint_from_note(note)
print(audit_tiles(FileSystemTileReader(folder), checkpoint.size, checkpoint.root).bundles)
"""


@pytest.fixture(scope="module")
def peer() -> Path:
    """`aics-tlog` in a virtual environment of its own, made on first use where a package index answers."""
    python = PEERS / "bin" / "python"
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    steps = [
        [sys.executable, "-m", "venv", PEERS],
        [*pip, "cryptography==50.*"],
        [*pip, "--ignore-requires-python", "--no-deps", "aics-tlog==0.2.1"],
    ]
    if (
        subprocess.run([python, "-c", "import aics_tlog"], capture_output=True, check=False).returncode
        if python.exists()
        else 1
    ):
        for step in steps:
            if subprocess.run(step, capture_output=True, timeout=120, check=False).returncode:
                pytest.skip("NOT RUN: aics-tlog cannot be installed here")
    return python


def test_python_peer_accepts_checkpoint_tiles_and_entries(peer, copy) -> None:
    done = ran(peer, "-c", PEER, copy)
    assert done.stdout.strip() == "3", done.stderr


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/1/000.p/2", "tile/entries/001"])
def test_python_peer_refuses_a_changed_byte(peer, copy, tmp_path, name) -> None:
    shutil.copytree(copy, tmp_path / "copy")
    place = tmp_path / "copy" / name
    data = place.read_bytes()
    middle = data.index(b"\n", data.index(b"\n") + 1) + 4 if name == "checkpoint" else len(data) // 2
    place.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert ran(peer, "-c", PEER, tmp_path / "copy").returncode == 1
