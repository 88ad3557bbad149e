"""A folder made by set-up is one that an edge starts from."""

import json
import stat
import time

import httpx2
import pytest

from adapters.base import exchange_file
from adapters.edge import settings
from adapters.edge.set_up import Plan, make_folder
from adapters.sandbox.processes import free_port, launch
from gateway.errors import GatewayFault
from keys.signing import SigningKey
from policies.catalogue import load
from tests.contract.orders import EDUCATION, ROOT

TOKEN = "a token of the school system"


@pytest.fixture
def plan(school_system):
    return Plan(
        party=EDUCATION,
        region="330106",
        port=free_port(),
        mapping=ROOT / "adapters/education/mapping.toml",
        exchanges=exchange_file.dump(load().exchanges.values()),
        gateway_url=f"http://127.0.0.1:{free_port()}",
        issuer="http://gateway.example",
        order_key=SigningKey.generate().verify_key,
        client_id="edge-education",
        source={
            "kind": "rest",
            "base": school_system.address,
            "app_key": "edge",
            "app_secret": "a secret of the platform",
        },
        local_port=free_port(),
        local_token=TOKEN,
    )


def test_the_folder_reads_back_and_keeps_its_secrets(plan, tmp_path):
    folder = make_folder(tmp_path / "edge", plan)
    read = settings.load(folder.config)
    assert (read.party, read.port, read.gateway_key) == (EDUCATION, plan.port, plan.order_key)
    assert read.signing_key.thumbprint == folder.sender_key.thumbprint
    access = read.gateway.configuration
    assert access.client_key.thumbprint == folder.client_key.thumbprint
    assert access.sealing[0].kid == folder.sealing_key.kid
    for name in ("client.pem", "signing.pem", "sealing.json", "app-secret", "local-token"):
        assert stat.S_IMODE((tmp_path / "edge" / name).stat().st_mode) == 0o600
    assert plan.source["app_secret"] not in folder.config.read_text()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "edge", plan)


def test_a_client_of_another_party_or_key_refuses_to_start(plan, tmp_path):
    folder = make_folder(tmp_path / "edge", plan)
    text = folder.client.read_text()
    for wrong in (text.replace("/education", "/health"), text.replace('"signing.pem"', '"client.pem"')):
        folder.client.write_text(wrong)
        with pytest.raises(GatewayFault, match="edge_settings"):
            settings.load(folder.config)


def test_an_edge_lives_while_the_gateway_is_away(plan, tmp_path):
    folder = make_folder(tmp_path / "edge", plan)
    with launch("adapters.edge", ["--config", str(folder.config)], errors=tmp_path / "edge.err") as running:
        assert httpx2.get(f"{running.address}/health", trust_env=False).json() == {"ok": True}
        local = f"http://127.0.0.1:{plan.local_port}/local/send"
        body = {
            "exchange": "X05", "purpose": "P01", "door": "normal", "key": "key-00001", "records": [{"values": {}}],
            "recipient": "11330106MB00000011/civil_affairs",
        }  # fmt: skip
        refused = httpx2.post(local, json=body, trust_env=False)
        assert (refused.status_code, refused.json()["code"]) == (401, "local_unauthorised")
        away = httpx2.post(local, json=body, headers={"Local-Token": TOKEN}, trust_env=False, timeout=20)
        assert (away.status_code, away.json()) == (202, {"queued": "key-00001"})
        deadline = time.monotonic() + 10
        while "gateway_unreachable" not in running.request_log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 8
    assert all(json.loads(line)["event"] == "fault" for line in running.request_log.read_text().splitlines())
