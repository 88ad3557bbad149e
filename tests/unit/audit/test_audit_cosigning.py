"""Witnesses over HTTP, the gateway that collects their cosignatures, and mirrors that take no step on trust."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from gateway.audit.cosigning import Cosigning, read_policy
from gateway.audit.mirror import REFUSED, follow
from gateway.audit.serving import read_path
from gateway.audit.witness import Witness
from gateway.audit.witness_service import service
from gateway.errors import BadRequest, GatewayFault
from gateway.proofs import verify as standalone
from gateway.proofs.checkpoints import read_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.notes import COSIGNATURE, Signer
from gateway.proofs.policy import parse_policy
from gateway.store import audit as store
from tests.unit.audit.audit_world import ORIGIN, SIGNER, HandClock, a_log, draft

pytestmark = pytest.mark.anyio

NAMES = ("mz", "jy", "wj", "tw", "fl")
SIGNERS = {name: Signer.from_seed(f"witness.example/{name}", name.encode() * 16, COSIGNATURE) for name in NAMES}
POLICY = "\n".join(
    [
        f"log {SIGNER.verifier.vkey}",
        *(f"witness {name} {one.verifier.vkey} http://{name}.example" for name, one in SIGNERS.items()),
        f"group five 3 {' '.join(NAMES)}",
        "quorum five",
    ]
)


class Web:
    """Five witnesses behind their doors; those in `silent` do not answer."""

    def __init__(self, directory) -> None:
        self.silent: set[str] = set()
        self.asked = 0
        self.doors = {
            name: TestClient(service(Witness(directory / name, one, {ORIGIN: SIGNER.verifier}, HandClock())))
            for name, one in SIGNERS.items()
        }

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        self.asked += 1
        return self._call("POST", url, body)

    async def get(self, url: str) -> tuple[int, bytes]:
        return self._call("GET", url, None)

    def _call(self, method: str, url: str, body: bytes | None) -> tuple[int, bytes]:
        name, path = url.removeprefix("http://").split(".example")
        if name in self.silent:
            raise ConnectionRefusedError
        answer = self.doors[name].request(method, path, content=body)
        return answer.status_code, answer.content


def cosigning(log, web: Web, directory, clock=None) -> Cosigning:
    return Cosigning(log, parse_policy(POLICY), web, directory / "evidence", clock or HandClock())


async def kinds(log) -> list[str]:
    async with log.database.read() as reading:
        return [row.facets for row in await store.get_entries(reading, 0, 99)]


async def test_three_of_five_witnesses_make_a_receipt_witnessed(tmp_path) -> None:
    web = Web(tmp_path)
    async with a_log(tmp_path) as log:
        collector = cosigning(log, web, tmp_path)
        await log.append(draft())
        web.silent = {"mz", "jy", "wj"}
        assert await collector.collect() == 2
        assert (await log.receipt(0)).state == "logged"
        web.silent = {"mz", "jy"}
        assert await collector.collect() == 3
        assert (await log.receipt(0)).state == "witnessed"
        await log.append(draft())
        web.silent = set()
        assert await collector.collect() == 5
        assert parse_policy(POLICY).reached((await log.receipt(1)).proof.partition("\n\n")[2].encode())


async def test_cosignatures_of_one_checkpoint_add_up_and_nobody_is_asked_twice(tmp_path) -> None:
    web = Web(tmp_path)
    async with a_log(tmp_path) as log:
        await log.append(draft())
        web.silent = {"mz", "jy", "wj"}
        collector = cosigning(log, web, tmp_path)
        await collector.collect()
        web.silent = {"tw", "fl", "mz", "jy"}
        assert await collector.collect() == 3
        assert (await log.receipt(0)).state == "witnessed"
        web.silent, web.asked = set(), 0
        assert await collector.collect() == 5
        assert web.asked == 2
        assert await collector.collect() == 0
        assert web.asked == 2


async def test_only_one_worker_of_a_machine_asks_at_a_time(tmp_path) -> None:
    web = Web(tmp_path)
    async with a_log(tmp_path) as log:
        await log.append(draft())
        first, second = cosigning(log, web, tmp_path), cosigning(log, web, tmp_path)
        with first._turn() as mine:
            assert mine
            assert (await second.collect(), web.asked) == (0, 0)
        assert await second.collect() == 5


async def test_start_is_refused_when_a_witness_knows_a_longer_or_another_log(tmp_path) -> None:
    for name in ("honest", "shorter", "other"):
        (tmp_path / name).mkdir()
    web = Web(tmp_path)
    async with a_log(tmp_path / "honest") as log:
        for _ in range(5):
            await log.append(draft())
        await cosigning(log, web, tmp_path / "honest").collect()
        await log.append(draft())
        web.silent = {"mz"}
        assert await cosigning(log, web, tmp_path / "honest").hold_head() == 4
        web.silent = set(NAMES)
        assert await cosigning(log, web, tmp_path / "honest").hold_head() == 0
        web.silent = set()
    for name, entries, code in (("shorter", 3, "log_step_back"), ("other", 7, "log_fork")):
        async with a_log(tmp_path / name) as log:
            for _ in range(entries):
                await log.append(draft())
            with pytest.raises(GatewayFault, match=code):
                await cosigning(log, web, tmp_path / name).hold_head()
            (kept,) = (tmp_path / name / "evidence").iterdir()
            assert read_checkpoint(kept.read_bytes().split(b"\n\n", 1)[1]).size == 5


async def test_policy_of_another_log_is_refused(tmp_path) -> None:
    async with a_log(tmp_path) as log:
        (tmp_path / "policy").write_text(POLICY)
        assert read_policy(tmp_path / "policy", log).quorum == "five"
        foreign = Signer.from_seed(ORIGIN, b"\x12" * 32).verifier.vkey
        (tmp_path / "policy").write_text(POLICY.replace(SIGNER.verifier.vkey, foreign))
        for place in ("policy", "missing"):
            with pytest.raises(GatewayFault, match="witness_policy_invalid"):
                read_policy(tmp_path / place, log)


async def test_gateway_that_forgot_what_was_cosigned_learns_it_from_the_witness(tmp_path) -> None:
    web = Web(tmp_path)
    async with a_log(tmp_path) as log:
        for _ in range(3):
            await log.append(draft())
        await cosigning(log, web, tmp_path).collect()
        await log.append(draft())
        assert await cosigning(log, web, tmp_path).collect() == 5
        assert not (tmp_path / "evidence").exists()


async def test_witness_lag_of_two_minutes_raises_one_alarm(tmp_path) -> None:
    web, clock = Web(tmp_path), HandClock()
    web.silent = set(NAMES)
    async with a_log(tmp_path, clock=clock) as log:
        collector = cosigning(log, web, tmp_path, clock)
        await log.append(draft())
        await collector.collect()
        clock.move(seconds=121)
        for _ in range(3):
            await collector.collect()
        assert sum(line.startswith("alarm|") and line.endswith("|witness_lag") for line in await kinds(log)) == 1
        web.silent = set()
        await collector.collect()
        assert (await log.receipt(1)).state == "witnessed"


async def test_witness_that_saw_another_log_is_kept_as_evidence_and_alarms(tmp_path) -> None:
    for name in ("honest", "rewritten"):
        (tmp_path / name).mkdir()
    web = Web(tmp_path)
    async with a_log(tmp_path / "honest") as log:
        for _ in range(5):
            await log.append(draft())
        await cosigning(log, web, tmp_path / "honest").collect()
    for entries, status in ((5, "422"), (3, "409")):
        directory = tmp_path / "rewritten" / status
        directory.mkdir()
        async with a_log(directory) as log:
            for _ in range(entries):
                await log.append(draft())
            assert await cosigning(log, web, directory).collect() == 0
            assert sum(line.endswith("|witness_refused") for line in await kinds(log)) == 5
            kept = [file.read_bytes() for file in (directory / "evidence").iterdir()]
            assert {line.split(b"\n")[0].split(b" ")[1].decode() for line in kept} == {status}


async def test_witness_shows_monitors_what_it_cosigned_last(tmp_path) -> None:
    from hashlib import sha256

    web = Web(tmp_path)
    async with a_log(tmp_path) as log:
        await log.append(draft())
        await cosigning(log, web, tmp_path).collect()
    place = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert read_checkpoint(web.doors["mz"].get(place).content).size == 1
    assert web.doors["mz"].get("/00/checkpoint").status_code == 404
    assert web.doors["mz"].post("/add-checkpoint", content=b"x" * 70_000).status_code == 400


@pytest.mark.parametrize(
    "change",
    [("quorum five", "quorum six"), ("group five 3", "group five 6"), ("witness mz", "witness none"), ("log ", "lug ")],
)
async def test_policy_that_is_not_understood_is_refused(change) -> None:
    with pytest.raises(ProofInvalid):
        parse_policy(POLICY.replace(*change))


def getter(log):
    async def get(path: str) -> bytes:
        async with log.database.read() as reading:
            return await log.checkpoint() if path == "checkpoint" else await read_path(reading, path)

    return get


async def test_mirror_follows_growth_and_verifies_like_an_export(tmp_path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    async with a_log(tmp_path) as log:
        for size in (3, 250, 300, 600):
            for _ in range(size - (await log.verify()).entries):
                await log.append(draft())
            assert await follow(getter(log), mirror, SIGNER.verifier) == size
    export = standalone.Export()
    export.source = {path.relative_to(mirror).as_posix(): path for path in mirror.rglob("*") if path.is_file()}
    export.signature(SIGNER.verifier.vkey)
    assert "600 leaves" in export.tree()


async def test_mirror_refuses_rollback_rewriting_and_a_changed_tile(tmp_path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with a_log(tmp_path / "one") as log:
        for _ in range(5):
            await log.append(draft())
        await follow(getter(log), mirror, SIGNER.verifier)
    async with a_log(tmp_path / "two") as log:
        for _ in range(4):
            await log.append(draft())
        with pytest.raises(GatewayFault, match="log_step_back"):
            await follow(getter(log), mirror, SIGNER.verifier)
        for _ in range(4):
            await log.append(draft())
        with pytest.raises(GatewayFault, match="log_fork"):
            await follow(getter(log), mirror, SIGNER.verifier)
        assert read_checkpoint((mirror / REFUSED).read_bytes()).size == 8
        assert read_checkpoint((mirror / "checkpoint").read_bytes()).size == 5

        async def lying(path: str) -> bytes:
            data = await getter(log)(path)
            return data if path == "checkpoint" else data[:-1] + bytes([data[-1] ^ 1])

        (tmp_path / "fresh").mkdir()
        with pytest.raises(BadRequest):
            await follow(lying, tmp_path / "fresh", SIGNER.verifier)
