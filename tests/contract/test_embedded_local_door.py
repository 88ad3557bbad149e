"""A department tried inside the gateway has the same door of its own as at an edge: its system sends, its vendors call."""

import asyncio
import json
import socket
import subprocess
import sys

import httpx2
import pytest
from cryptography import x509

from adapters.certificates import Certificates
from adapters.edge import runner
from adapters.edge.port import Sent
from adapters.edge.spool import Spool
from adapters.embedded import EmbeddedAdapters
from adapters.sandbox.processes import free_port
from gateway import cli
from gateway.errors import GatewayFault
from keys.signing import SigningKey
from tests.contract.orders import EDUCATION
from tests.contract.test_edge_certificates import TLS, files, put
from tests.contract.test_edge_process import settings
from tests.support.authority import Authority

pytestmark = pytest.mark.anyio
ASKED = {
    "exchange": "X05", "purpose": "P01", "door": "normal", "recipient": "11330106MB00000011/civil_affairs", "key": "key-0001",
    "records": [{"values": {"risk_band": "crisis"}}],
}  # fmt: skip
TOKEN = {"local-token": "t"}


@pytest.fixture
def config(tmp_path, school_system):
    """A school's settings with a door of its own; its gateway is not there."""
    path, _ = settings(
        tmp_path,
        school_system,
        SigningKey.generate(),
        more='screening_secret = "screening-secret"\n\n[gateway]\nclient = "client.toml"\ninbox = false\n\n'
        f'[local]\nport = {free_port()}\ntoken = "local-token"\n',
    )
    SigningKey.generate().save(tmp_path / "client.pem")
    (tmp_path / "client.toml").write_text(
        f'gateway = "http://127.0.0.1:1"\nclient_id = "ed"\nparty = "{EDUCATION.text}"\nclient_key = "client.pem"\n'
        'sender_key = "signing.pem"\n'
    )
    (tmp_path / "screening-secret").write_text("s")
    (tmp_path / "local-token").write_text("t\n")
    return path


def adapters(config):
    return EmbeddedAdapters.open([config], None, 5.0)


def port_of(made):
    (edge,) = made._edges
    return edge.settings.local.port


def outside(made):
    """The departmental system, which knows only the door's address."""
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port_of(made)}", trust_env=False, timeout=30)


class Gateway:
    """The gateway as an embedded adapter reaches it: takes what is sent."""

    def __init__(self):
        self.sent, self.arrived = [], asyncio.Event()

    async def send(self, sending):
        self.sent.append(sending)
        self.arrived.set()
        return Sent("d-1", "log 7 8", {})

    async def epochs(self):
        return ()

    async def close(self):
        pass


async def test_what_the_system_sends_is_kept_while_the_gateway_is_away_and_delivered_once_when_it_is_there(
    config, tmp_path, monkeypatch
):
    async with (made := adapters(config)).working(), outside(made) as system:
        said = await system.post("/local/send", json=ASKED, headers=TOKEN)
        assert (said.status_code, said.json()) == (202, {"queued": "key-0001"})
        again = await system.post("/local/send", json=ASKED, headers=TOKEN)
        assert again.json() == {"queued": "key-0001"}
    spool = Spool(tmp_path / "spool.sqlite")
    assert spool.waits("key-0001")
    spool.close()
    gateway = Gateway()
    monkeypatch.setattr(runner, "SdkGateway", lambda *_args, **_more: gateway)
    async with (made := adapters(config)).working(), outside(made) as system:
        await gateway.arrived.wait()
        # Now or a moment later, by the same key: one delivery.
        while "queued" in (said := await system.post("/local/send", json=ASKED, headers=TOKEN)).json():
            pass
        assert said.json() == {"delivery": "d-1", "receipt": "log 7 8", "denied": {}}
    assert [(sending.exchange, sending.key) for sending in gateway.sent] == [("X05", "key-0001")]


async def test_the_door_is_closed_to_whoever_has_no_token_and_closes_with_the_gateway(config):
    async with (made := adapters(config)).working(), outside(made) as system:
        for headers in ({}, {"local-token": "T"}):
            refused = await system.post("/local/send", json=ASKED, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (401, "local_unauthorised")
        assert (await system.post("/v1/orders", json={})).status_code == 404
    async with outside(made) as system:
        with pytest.raises(httpx2.ConnectError):
            await system.post("/local/send", json=ASKED, headers=TOKEN)


async def test_a_vendors_webhook_is_taken(config, tmp_path):
    command = [sys.executable, "-m", "adapters.sandbox.screening_vendor", "--children", "300"]
    async with (made := adapters(config)).working(), outside(made) as system:
        command += ["--to", str(system.base_url).rstrip("/"), "--secret-file", str(tmp_path / "screening-secret")]
        told = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=60)
        forged = await system.post("/local/screening", content=b"{}", headers={"webhook-id": "evt-1"})
        assert forged.status_code == 401
        taken = json.loads(told.stdout)
        assert taken["refused"] == 0 and taken["taken"] > 20


async def test_a_door_that_cannot_open_stops_the_start_by_its_name(config, tmp_path):
    made = adapters(config)
    with socket.create_server(("127.0.0.1", port_of(made))), pytest.raises(GatewayFault) as caught:
        async with made.working():
            pass
    assert (caught.value.code, caught.value.facts) == ("edge_settings", {"member": "local.port"})
    (tmp_path / "local-token").unlink()
    with pytest.raises(GatewayFault) as caught:
        async with adapters(config).working():
            pass
    assert (caught.value.code, caught.value.facts) == ("edge_settings", {"member": "local.token"})


async def test_what_it_asks_of_the_gateway_bears_the_departments_own_certificate(config, tmp_path):
    authority, there, seen = Authority(), tmp_path / "there", []
    there.mkdir()
    put(there, authority)
    own = put(tmp_path, authority)

    async def close(_reader, writer):
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        seen.append(x509.load_der_x509_certificate(der).serial_number)
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=Certificates(files(there)).listening())
    config.write_text(config.read_text() + TLS)
    client = tmp_path / "client.toml"
    port = server.sockets[0].getsockname()[1]
    client.write_text(client.read_text().replace("http://127.0.0.1:1", f"https://127.0.0.1:{port}"))
    async with (made := adapters(config)).working(), outside(made) as system:
        said = await system.post("/local/send", json=ASKED, headers=TOKEN)
        assert said.json() == {"queued": "key-0001"}
    assert set(seen) == {own}
    server.close()


def test_several_workers_do_not_share_one_door(config, monkeypatch, tmp_path):
    for name, value in {
        "DATA": tmp_path / "gateway",
        "DEMO": 1,
        "WORKERS": 2,
        "EMBEDDED": json.dumps([str(config)]),
    }.items():
        monkeypatch.setenv(f"RUNXIN_{name}", str(value))
    served = []
    monkeypatch.setattr("uvicorn.run", lambda *_args, **options: served.append(options["workers"]))
    with pytest.raises(SystemExit):
        cli.serve(None)
    monkeypatch.setenv("RUNXIN_WORKERS", "1")
    cli.serve(None)
    assert served == [1]
