"""An edge as its own process beside its system's: starts from a file, answers signed orders, stops when told."""

import json
import sqlite3
import time

import httpx2
import pytest

from adapters.base import exchange_file
from adapters.sandbox.processes import free_port, launch
from gateway.release.wire import release_from_wire
from keys.signing import SigningKey
from policies.catalogue import load
from tests.contract.orders import EDUCATION, ROOT, X02, X05, Ask

pytestmark = pytest.mark.anyio


def settings(home, system, gateway_key, **changes):
    """An edge's folder: keys, definitions, mapping, settings."""
    signer = SigningKey.generate()
    signer.save(home / "signing.pem")
    (home / "gateway-order.jwk.json").write_text(json.dumps(gateway_key.jwk()))
    (home / "app-secret").write_text("a secret of the platform\n")
    (home / "mapping.toml").write_text(
        (ROOT / "adapters/education/mapping.toml").read_text() + changes.get("mapping", "")
    )
    exchange_file.write(load().exchanges.values(), home / "exchanges.json")
    config = home / "edge.toml"
    config.write_text(
        f"""
[edge]
organisation = "{EDUCATION.organisation}"
department = "education"
region = "330106"
port = {free_port()}
exchanges = "exchanges.json"
mapping = "mapping.toml"
directory = "directory.sqlite"
signing_key = "signing.pem"
gateway_key = "gateway-order.jwk.json"

[source]
kind = "rest"
base = "{system.address}"
app_key = "edge"
app_secret = "app-secret"
{changes.get("more", "")}
"""
    )
    return config, signer


@pytest.fixture
def gateway():
    return SigningKey.generate()


@pytest.fixture
async def edge(tmp_path, school_system, school, gateway):
    """A running edge with a filled directory, and somebody who orders of it."""
    await school.enrol()
    school.directory.close()
    config, signer = settings(tmp_path, school_system, gateway)
    for file in tmp_path.glob("education.sqlite"):
        file.rename(tmp_path / "directory.sqlite")
    with launch("adapters.edge", ["--config", str(config)], errors=tmp_path / "edge.err") as running:
        ask = Ask(None, None, None, EDUCATION, school.ring)
        ask.gateway, ask.address, ask.running = gateway, running.address, running
        ask.office = type("Office", (), {"signer": signer})
        yield ask
    assert (tmp_path / "edge.err").read_text() == ""


def post(ask, order):
    body, signature = ask.signed(order)
    return httpx2.post(
        f"{ask.address}/v1/orders", content=body, headers={"Order-Signature": signature}, trust_env=False
    )


async def test_the_process_answers_a_signed_order(edge, players):
    answer = post(edge, edge.order("X02", "P14", [players.pupil], X02))
    assert answer.status_code == 200
    assert edge.opened(release_from_wire(answer.json()))["enrolled"] == "Y"
    line = json.loads(edge.running.request_log.read_text().splitlines()[-1])
    assert {k: line[k] for k in ("event", "request", "exchange", "released", "missing")} == {
        "event": "order", "request": "req-0001", "exchange": "X02", "released": 1, "missing": 0,
    }  # fmt: skip


async def test_an_order_is_answered_once(edge, players):
    order = edge.order("X02", "P14", [players.pupil], X02)
    assert post(edge, order).status_code == 200
    again = post(edge, order)
    assert (again.status_code, again.json()["code"]) == (409, "order_replayed")


async def test_refusals_are_problem_documents_that_echo_nothing(edge, players):
    order = edge.order("X02", "P14", [players.pupil], X02, band="14-15")
    answer = post(edge, order)
    assert (answer.status_code, answer.json()["code"]) == (409, "age_band_contradicted")
    assert answer.headers["content-type"] == "application/problem+json"
    answer = httpx2.post(f"{edge.address}/v1/orders", content=b"{}", trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, "order_unsigned")
    answer = httpx2.post(f"{edge.address}/v1/orders", content=b"x" * 600_000, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (413, "order_too_large")
    assert "x" * 10 not in answer.text


async def test_health_and_description_name_the_catalogue_only(edge):
    said = httpx2.get(f"{edge.address}/describe", trust_env=False)
    assert said.json()["provides"] == {"X02": sorted(X02), "X05": sorted(X05)}
    assert said.json()["receives"] == ["X09", "X10", "X13", "X16", "X18", "X19", "X20"]
    assert said.json()["enrolled"] > 900
    assert "xsbh" not in said.text
    assert httpx2.get(f"{edge.address}/health", trust_env=False).json() == {"ok": True}
    assert httpx2.get(f"{edge.address}/docs", trust_env=False).status_code == 404


async def test_an_order_costs_little(edge, players):
    took = []
    with httpx2.Client(trust_env=False) as client:
        for _ in range(60):
            body, signature = edge.signed(edge.order("X02", "P14", [players.pupil], X02))
            start = time.perf_counter()
            answer = client.post(f"{edge.address}/v1/orders", content=body, headers={"Order-Signature": signature})
            took.append(time.perf_counter() - start)
            assert answer.is_success
    # Generous, for a shared machine: a broken pool or a sleep would show.
    assert sorted(took)[30] < 0.1


async def test_the_directory_file_stays_private(edge, tmp_path):
    assert (tmp_path / "directory.sqlite").stat().st_mode & 0o777 == 0o600
    assert sqlite3.connect(tmp_path / "directory.sqlite").execute("SELECT count(*) FROM entries").fetchone()[0] > 900


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mapping": '\n[exchanges.X99]\nresource = "pupils"\nfields = {}\n'}, "mapping_invalid"),
        ({"more": "[surprise]\n"}, "edge_settings"),
        ({"more": "[limits]\nminutes = 3\n"}, "edge_settings"),
    ],
)
async def test_a_wrong_file_refuses_to_start(tmp_path, school_system, gateway, changes, code):
    config, _ = settings(tmp_path, school_system, gateway, **changes)
    with pytest.raises(RuntimeError, match="did not start"):
        launch("adapters.edge", ["--config", str(config)], errors=tmp_path / "edge.err")
    said = json.loads((tmp_path / "edge.err").read_text())
    assert said["code"] == code
    assert said["zh"]
