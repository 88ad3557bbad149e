"""The gateway's own certificates change while it runs: who connects next meets the new one, and orders to edges bear it."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import ssl
from types import SimpleNamespace

import httpx2
import pytest
import uvicorn
from cryptography import x509

from adapters.certificates import CertificateFiles, Certificates, shared
from adapters.remote import RemoteEdges
from adapters.sandbox.processes import free_port
from gateway import cli
from gateway.app import found_premises
from gateway.errors import GatewayFault, ProviderFault
from gateway.settings import Settings
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey
from tests.contract.orders import EDUCATION, X02, Ask
from tests.contract.test_edge_certificates import caller, files, put
from tests.support.authority import Authority

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
async def gateway(tmp_path, authority, monkeypatch):
    """The server as `runxin serve` sets it up outside demo mode, in this process: its address and its first certificate's number."""
    first, port = put(tmp_path, authority), free_port()
    key = base64.urlsafe_b64encode(SealingPair.generate().public_key).decode().rstrip("=")
    given = {
        "DATA": str(tmp_path / "gateway"),
        "DEMO": "0",
        "ROOT_PASSPHRASE": "only for this test",
        "ISSUER": f"https://127.0.0.1:{port}",
        "PORT": str(port),
        "PROTECTIVE_ESCROW": json.dumps([f"11330106MB1234567A/{d}:x25519:{key}" for d in ("health", "civil_affairs")]),
        "TLS_CERTIFICATE": str(tmp_path / "tls.pem"),
        "TLS_KEY": str(tmp_path / "tls.key"),
        "TLS_CLIENT_CA": str(tmp_path / "authority.pem"),
    }
    for name, value in given.items():
        monkeypatch.setenv(f"RUNXIN_{name}", value)
    found_premises(Settings())
    options = {}
    monkeypatch.setattr("uvicorn.run", lambda app, **more: options.update(more, app=app))
    cli.serve(None)
    server = _Served(uvicorn.Config(**options))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        assert not serving.done()
        await asyncio.sleep(0.02)
    yield f"https://127.0.0.1:{port}", first
    server.should_exit = True
    await serving


class _Served(uvicorn.Server):
    """Leaves the signals that end a process to the tests."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def shown(address):
    """The number of the certificate that is shown."""
    url = httpx2.URL(address)
    pem = await asyncio.to_thread(ssl.get_server_certificate, (url.host, url.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


async def test_a_living_gateway_shows_its_new_certificate_and_goes_on_answering(gateway, tmp_path, authority):
    address, first = gateway
    assert await shown(address) == first
    assert signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL
    async with httpx2.AsyncClient(verify=caller(tmp_path, authority, "department"), trust_env=False) as standing:
        assert (await standing.get(f"{address}/readyz")).status_code == 200
        second = put(tmp_path, authority)
        os.kill(os.getpid(), signal.SIGHUP)
        while await shown(address) == first:
            pass
        assert await shown(address) == second
        # What stood before stands, who comes anew is answered, and nobody without a certificate is.
        assert (await standing.get(f"{address}/readyz")).status_code == 200
    async with httpx2.AsyncClient(verify=caller(tmp_path, authority, "newcomer"), trust_env=False) as newcomer:
        assert (await newcomer.get(f"{address}/readyz")).status_code == 200
    async with httpx2.AsyncClient(verify=False, trust_env=False) as stranger:
        with pytest.raises(httpx2.HTTPError):
            await stranger.get(f"{address}/readyz")


async def test_orders_to_an_edge_bear_the_new_certificate_from_the_next_connection_on(tmp_path, authority, ring):
    home, edge = tmp_path / "gateway", tmp_path / "edge"
    home.mkdir()
    edge.mkdir()
    put(edge, authority)
    first, theirs, seen = put(home, authority), Certificates(files(edge)), []

    async def refuse(reader, writer):
        """An edge that notes whose certificate it saw, and refuses."""
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        seen.append(x509.load_der_x509_certificate(der).serial_number)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=theirs.listening())
    ask = Ask(None, None, None, EDUCATION, ring)
    certificates = Certificates(files(home))
    edges = RemoteEdges(SigningKey.generate(), timeout=10, tls=certificates)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    nobody = SimpleNamespace(identifier="11010519491231002X", issued=None)

    async def ordered():
        order = ask.order("X02", "P14", [ask.pseudonym(nobody)], X02)
        with pytest.raises(ProviderFault) as caught:
            await edges.at(SimpleNamespace(party=EDUCATION, url=url)).fetch(order)
        assert caught.value.code == "provider_refused"

    await ordered()
    second = put(home, authority)
    assert certificates.renew()
    await ordered()
    assert seen == [first, second]
    await edges.close()
    server.close()


def test_whoever_serves_with_the_same_files_shares_one_certificate(tmp_path, authority):
    put(tmp_path, authority)
    one = shared(files(tmp_path))
    before = one.connecting
    put(tmp_path, authority)
    assert shared(files(tmp_path)) is one
    assert one.connecting is not before
    (tmp_path / "tls.pem").unlink()
    with pytest.raises(GatewayFault, match="certificate_invalid"):
        shared(CertificateFiles(tmp_path / "tls.pem", tmp_path / "tls.key", tmp_path / "authority.pem"))
