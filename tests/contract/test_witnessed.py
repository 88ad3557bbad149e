"""From `logged` to `witnessed`, end to end: a gateway that runs, witnesses that are processes of their own, a client that checks."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

import gateway.app
from gateway.client.receipts import LogProof, prove
from gateway.commands import witness_group
from gateway.domain.entries import EntryDraft
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import GatewayFault
from gateway.proofs.policy import Policy, parse_policy
from gateway.settings import Settings

pytestmark = pytest.mark.anyio
RUNXIN = [sys.executable, "-m", "gateway.cli"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the witness ended before it listened")


@contextmanager
def witnesses(folder: Path, log_vkey: str, names: tuple[str, ...]) -> Iterator[dict[str, tuple[str, int]]]:
    """name -> (vkey, port) of running `runxin witness` processes, with keys as `runxin witness new` makes them."""
    running, found = [], {}
    try:
        for name in names:
            witness_group.new_witness(folder / name, f"witness.example/{name}")
            vkey = witness_group.signer(folder / name).verifier.vkey
            port = free_port()
            command = [*RUNXIN, "witness", "run", str(folder / name), "--log", log_vkey, "--port", str(port)]
            running.append((subprocess.Popen(command, env=os.environ), port))
            found[name] = (vkey, port)
        for process, port in running:
            until_listening(process, port)
        yield found
    finally:
        for process, _ in running:
            process.kill()
            process.wait()


def policy_of(log_vkey: str, found: dict[str, tuple[str, int]], least: int) -> str:
    lines = [f"witness {name} {vkey} http://127.0.0.1:{port}" for name, (vkey, port) in found.items()]
    return "\n".join([f"log {log_vkey}", *lines, f"group all {least} {' '.join(found)}", "quorum all"])


async def state_of(site: httpx2.AsyncClient, index: int, log_vkey: str, policy: Policy) -> str:
    """What the gateway says, and what the department's own policy makes of the proof: the same."""
    document = (await site.get(f"/v1/audit/receipts/{index}")).json()
    proof = LogProof(index, base64.b64decode(document["leaf"]), document["proof"])
    assert prove(proof, log_vkey=log_vkey).state == "logged"  # who trusts no witness is told of none
    state = prove(proof, log_vkey=log_vkey, policy=policy).state
    assert state == document["state"]
    return state


@pytest.mark.timeout(90)
async def test_receipt_rises_to_witnessed_and_an_older_database_is_refused_by_the_witnesses(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(gateway.app, "WITNESS_SECONDS", 0.05)
    settings = Settings(
        data=tmp_path / "gateway", demo=True, root_passphrase="only here", issuer="http://127.0.0.1:1", metrics_port=0
    )
    root = gateway.app.found_premises(settings)
    # Opening the sealed root takes a second on purpose, and has tests of its own.
    monkeypatch.setattr(gateway.app, "open_root", lambda _settings: root)
    log_vkey = gateway.app.log_signer(settings, root).verifier.vkey
    with witnesses(tmp_path, log_vkey, ("mz", "jy")) as found:
        (tmp_path / "policy").write_text(policy_of(log_vkey, found, 2))
        policy = parse_policy((tmp_path / "policy").read_text())
        settings = settings.model_copy(update={"witness_policy": tmp_path / "policy"})
        app = gateway.app.build(settings)
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as site:
                draft = EntryDraft(kind=EntryKind.ALARM, outcome=Outcome.DONE, code="rehearsal")
                receipt = await app.state.house.log.append(draft)
                async with asyncio.timeout(60):
                    while await state_of(site, receipt.index, log_vkey, policy) != "witnessed":
                        await asyncio.sleep(0.02)
        # An operator puts an empty database in its place, and takes the high-water file away as well.
        for file in [*settings.data.glob("gateway.sqlite3*"), settings.data / "high-water"]:
            file.unlink()
        app = gateway.app.build(settings)
        with pytest.raises(GatewayFault, match="log_step_back"):
            async with app.router.lifespan_context(app):
                pass
        assert len(list((settings.data / "witness-evidence").iterdir())) == 1


async def test_gateway_does_not_start_under_a_policy_of_another_log(tmp_path) -> None:
    settings = Settings(
        data=tmp_path / "gateway", demo=True, root_passphrase="only here", issuer="http://127.0.0.1:1", metrics_port=0
    )
    gateway.app.found_premises(settings)
    (tmp_path / "policy").write_text("quorum none")
    app = gateway.app.build(settings.model_copy(update={"witness_policy": tmp_path / "policy"}))
    with pytest.raises(GatewayFault, match="witness_policy_invalid"):
        async with app.router.lifespan_context(app):
            pass
