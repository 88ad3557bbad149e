"""`runxin audit` by hand: the year's package, a mirror, terms and holds; each through the command line and nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

import gateway.app
from gateway.cli import app as runxin
from gateway.domain.entries import EntryDraft
from gateway.domain.subjects import GATEWAY_SCOPE, Scope
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import GatewayError
from gateway.flows.retention import dry_run
from gateway.proofs import verify as standalone
from gateway.settings import Settings
from keys import text
from keys.identifiers import identify
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey
from tests.contract.test_witnessed import free_port

CHILD = identify("cn-rid", "330106201607074219")


@pytest.fixture
def premises(tmp_path, monkeypatch) -> Path:
    """A data folder with a log of three entries about one child, whose pseudonym stands in `child`."""
    for name, value in {"DATA": str(tmp_path / "data"), "ROOT_PASSPHRASE": "only here", "DEMO": "1"}.items():
        monkeypatch.setenv(f"RUNXIN_{name}", value)
    root = gateway.app.found_premises(Settings())
    # Opening the sealed root takes a second on purpose, and has tests of its own.
    monkeypatch.setattr(gateway.app, "open_root", lambda _settings: root)

    async def live() -> None:
        async with gateway.app.opened(Settings()) as house:
            name = house.ring.derive(GATEWAY_SCOPE, CHILD)
            (theirs,) = house.ring.translate([name], Scope.open(Department.CIVIL_AFFAIRS))
            (tmp_path / "child").write_text(text.write(theirs))
            for _ in range(3):
                entry = EntryDraft(kind=EntryKind.QUERY, outcome=Outcome.RELEASED, children=(name.point,))
                await house.log.append(entry)

    asyncio.run(live())
    return tmp_path


def ran(*arguments: object) -> dict | list:
    """What a command printed as JSON."""
    done = CliRunner().invoke(runxin, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def refused(*arguments: object) -> str:
    """The code by which a command was refused."""
    with pytest.raises(GatewayError) as error:
        CliRunner().invoke(runxin, [str(one) for one in arguments], catch_exceptions=False)
    return error.value.code


def test_years_package_is_one_command_and_verifies(premises) -> None:
    from gateway.domain.clock import SHANGHAI, SystemClock

    year = SystemClock().now().astimezone(SHANGHAI).year
    made = ran("audit", "year", year, premises / "year.auditpack")
    assert standalone.verify(premises / "year.auditpack", report=lambda _line: None)
    figures = json.loads(standalone.unpack((premises / "year.auditpack").read_bytes())["yearly.json"])
    assert (figures["kind"]["query"], figures["entries"]) == (3, made["entry"])
    assert sum(figures["kind"].values()) == figures["entries"]


def test_details_leave_sealed_to_one_auditor_who_alone_opens_them(premises) -> None:
    pair, other = SealingPair.generate(), SealingPair.generate()
    pair.save(premises / "auditor.json")
    other.save(premises / "other.json")
    public = base64.urlsafe_b64encode(pair.public_key).decode().rstrip("=")
    reader = f"11330106002489009A/civil_affairs:x25519:{public}"
    pack = premises / "child.auditpack"
    made = ran("audit", "pack", pack, "--subject", premises / "child", "--details-for", reader, "--reason", "complaint")
    files = standalone.unpack(pack.read_bytes())
    sealed = [name for name in files if name.startswith("sealed/")]
    # Three looks, the end of the generation that is shown, and the export itself.
    assert (len(sealed), [name for name in files if name.startswith("details/")]) == (5, [])
    assert ran("audit", "unseal", pack, premises / "opened", "--key", premises / "auditor.json")["details"] == 5
    detail = json.loads((premises / "opened" / f"{made['entry']}.json").read_bytes())
    assert detail["facts"]["reason"] == "complaint"
    assert refused("audit", "unseal", pack, premises / "no", "--key", premises / "other.json") == "seal_invalid"
    name = sealed[0]
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    said: list[str] = []
    assert not standalone.verify(files, report=said.append)
    assert name in said[-1]


@contextmanager
def served(port: int):
    server = uvicorn.Server(uvicorn.Config(gateway.app.build(Settings()), port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.timeout(60)
def test_mirror_follows_a_gateway_over_http_and_verifies_by_itself(premises) -> None:
    port = free_port()
    settings = Settings()
    vkey = gateway.app.log_signer(settings, gateway.app.open_root(settings)).verifier.vkey
    command = ["audit", "mirror", premises / "mirror", f"http://127.0.0.1:{port}", "--vkey", vkey]
    with served(port):
        size = ran(*command)["entries"]
        assert ran(*command)["entries"] == size >= 3
    export = standalone.Export()
    folder = premises / "mirror"
    export.source = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    export.signature(vkey)
    assert f"{size} leaves" in export.tree()


def test_hold_is_placed_listed_and_released_and_a_history_frozen_and_thawed(premises) -> None:
    child = premises / "child"
    held = ran("audit", "retention", "hold", child, "--reason", "complaint", "--until", "2099-12-31")
    assert ran("audit", "retention", "holds") == [{"hold": held["hold"], "reason": "complaint", "until": "2099-12-31"}]
    ran("audit", "retention", "release", held["hold"], "--why", "withdrawn")
    assert ran("audit", "retention", "holds") == []
    assert ran("audit", "retention", "freeze", child)["frozen"]
    assert refused("audit", "export", premises / "copy", "--subject", child, "--details") == "history_frozen"
    assert not ran("audit", "retention", "freeze", child, "--thaw")["frozen"]
    assert refused("audit", "retention", "plan", premises / "plan", "--subject", child) == "history_term"


def test_dry_run_names_nobody_and_nothing_goes_by_strangers_signatures(premises, monkeypatch) -> None:
    class InFiveYears(gateway.app.SystemClock):
        def now(self):
            today = super().now()
            return today.replace(year=today.year + 5, day=min(today.day, 28))

    monkeypatch.setattr(gateway.app, "SystemClock", InFiveYears)
    monkeypatch.setattr("gateway.domain.clock.SystemClock", InFiveYears)
    plan, approval = premises / "plan", premises / "approval"
    planned = ran("audit", "retention", "plan", plan)
    assert (planned["histories"], planned["generations"], planned["held"]) == (1, 1, 0)
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert set(json.loads(plan.read_text())["digest"]) <= set("0123456789abcdef")
    SigningKey.generate().save(premises / "stranger.pem")
    who = ["--key", premises / "stranger.pem", "--person", "M0001", "--party", "11330106002489009A/civil_affairs"]
    assert ran("audit", "retention", "sign", plan, approval, *who)["generations"] == 1
    both = ["--approval", approval, "--approval", approval]
    assert refused("audit", "retention", "destroy", plan, *both) == "approver_unknown"
    (premises / "torn").write_text(plan.read_text()[:-9])
    assert refused("audit", "retention", "destroy", premises / "torn", *both) == "retention_plan"
    assert ran("audit", "retention", "waiting") == {"waiting": False}

    async def upkeep() -> None:
        async with gateway.app.opened(Settings()) as house:
            await dry_run(house)

    asyncio.run(upkeep())
    waiting = ran("audit", "retention", "waiting", premises / "waiting")
    assert (waiting["waiting"], waiting["generations"], waiting["minimum_index"]) == (True, 1, 0)
    assert ran("audit", "retention", "sign", premises / "waiting", premises / "second", *who)["generations"] == 1
