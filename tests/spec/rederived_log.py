"""The auditor's side: the exported log, verified by the verifier that lies in it, and the details that the auditor opened.

Rules kept here: the export is verified first, by a Python that has no access to this repository; what is opened afterwards counts only
where its skeleton is the very entry of the verified export.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.proofs.verify import read_bundle, tile_path
from tests.support.recorded import Call, unb64

PASSED = 0
BUNDLE = 256
"""Entries of a full bundle (tlog-tiles)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. facts, children: of its opened detail; None and empty where it stays sealed. sealed: why."""

    index: int
    skeleton: Mapping[str, Any]
    facts: Mapping[str, Any] | None = field(repr=False)
    children: tuple[str, ...] = field(repr=False)
    sealed: str = ""

    def word(self, name: str) -> str:
        """A word of the skeleton, "" where it has none."""
        return str(self.skeleton.get(name, ""))

    def is_about(self, call: Call) -> bool:
        """Whether the entry's salted digest is of this request's body, by the salt in its detail or in the answer."""
        stated = self.word("request")
        if not stated:
            return False
        if self.facts is not None:
            salt = bytes.fromhex(self.facts["request_salt"])
        elif "audit-salt" in call.answered:
            salt = call.salts[0]
        else:
            return False
        return unb64(stated) == hashlib.sha256(salt + hashlib.sha256(call.body).digest()).digest()

    def is_answered_by(self, call: Call) -> bool:
        """Whether the entry's salted digest is of this answer's exact bytes."""
        salt = bytes.fromhex(self.facts["answer_salt"]) if self.facts is not None else call.salts[1]
        return unb64(self.word("answer")) == hashlib.sha256(salt + hashlib.sha256(call.answer).digest()).digest()


def verdict(export: Path, vkey: str = "") -> tuple[bool, str]:
    """What the export's own `verify.py` says, run alone: whether it passed, and its words."""
    done = subprocess.run(
        [sys.executable, "-I", str(export / "verify.py"), str(export), *([vkey] if vkey else [])],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=export,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
    )
    return done.returncode == PASSED, done.stdout + done.stderr


def changed(export: Path, copy: Path, index: int, *, byte: int = -1) -> Path:
    """A copy of an export in which one byte of one entry is another; its manifest says what it said. byte: place in the entry."""
    shutil.copytree(export, copy)
    bundles = sorted(path for path in (copy / "tile" / "entries").rglob("*") if path.is_file())
    bundle = bundles[index // BUNDLE]
    data = bytearray(bundle.read_bytes())
    at = 0
    for _ in range(index % BUNDLE):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    size = int.from_bytes(data[at : at + 2], "big")
    data[at + 2 + byte % size] ^= 0x01
    bundle.write_bytes(bytes(data))
    return copy


def log_verdict(demo: Path, working: Path) -> bool:
    """Whether `runxin audit verify` passes on the copy of the gateway's own log."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "audit", "verify"],
        env={**os.environ, **settings(demo, working / "gateway")},
        capture_output=True,
        check=False,
        timeout=120,
    )
    return done.returncode == PASSED


def exported(export: Path) -> list[dict[str, Any]]:
    """Every skeleton of the export, by its bundles."""
    size = int((export / "checkpoint").read_text("utf-8").split("\n")[1])
    skeletons: list[dict[str, Any]] = []
    for start in range(0, size, BUNDLE):
        width = min(BUNDLE, size - start)
        name = tile_path("entries", start // BUNDLE, width)
        skeletons += [json.loads(entry) for entry in read_bundle((export / name).read_bytes(), width, name)]
    return skeletons


def opened(demo: Path, working: Path) -> list[Entry]:
    """`runxin audit open` on a copy of the finished demo's data (the look is an entry, and the demo's own log stays as it ended)."""
    data = working / "gateway"
    shutil.copytree(demo / "gateway", data)
    out = working / "opened.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "audit", "open", str(out)],
        env={**os.environ, **settings(demo, data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == PASSED, done.stderr
    lines = (json.loads(line) for line in out.read_text("utf-8").splitlines())
    return [
        Entry(
            line["index"],
            line["entry"],
            line["detail"]["facts"] if "detail" in line else None,
            tuple(line["detail"].get("children", ())) if "detail" in line else (),
            line.get("sealed", ""),
        )
        for line in lines
    ]


def settings(demo: Path, data: Path) -> dict[str, str]:
    """What the gateway's commands are told about a copy of the demo's data."""
    client = (demo / "bodies" / "ca" / "client.toml").read_text("utf-8")
    issuer = next(line.split('"')[1] for line in client.splitlines() if line.startswith("gateway ="))
    return {
        "RUNXIN_DATA": str(data),
        "RUNXIN_DEMO": "true",
        "RUNXIN_ROOT_PASSPHRASE": "demo-only",
        "RUNXIN_ISSUER": issuer,
        "RUNXIN_POLICIES": str(demo / "policies"),
    }


def pinned_vkey(demo: Path) -> str:
    """The log's key as a participant has pinned it."""
    client = (demo / "bodies" / "ca" / "client.toml").read_text("utf-8")
    return next(line.split('"')[1] for line in client.splitlines() if line.startswith("log_vkey ="))
