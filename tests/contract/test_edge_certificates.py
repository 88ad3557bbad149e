"""Mutual TLS at the edge, and certificates that change while it runs: nobody restarts anything, nothing falls back."""

import asyncio
import signal
import ssl
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography import x509

from adapters.certificates import CertificateFiles, Certificates, RenewedTransport
from adapters.edge import runner
from adapters.edge import settings as edge_settings
from adapters.remote import RemoteEdges
from adapters.sandbox.processes import launch
from gateway.errors import GatewayFault, ProviderFault
from keys.signing import SigningKey
from tests.contract.orders import EDUCATION, X02, Ask
from tests.contract.test_edge_process import settings
from tests.support.authority import Authority

pytestmark = pytest.mark.anyio
NOBODY = SimpleNamespace(identifier="11010519491231002X", issued=None)
TLS = '\n[tls]\ncertificate = "tls.pem"\nkey = "tls.key"\nauthority = "authority.pem"\n'


@pytest.fixture(scope="module")
def authority():
    return Authority()


def put(home, authority, issuer=None):
    """Lay new files where the old ones are; the serial number of the certificate."""
    certificate, key, serial = (issuer or authority).issue()
    (home / "tls.key").write_bytes(key)
    (home / "tls.pem").write_bytes(certificate)
    (home / "authority.pem").write_bytes(authority.pem)
    return serial


def files(home):
    return CertificateFiles(home / "tls.pem", home / "tls.key", home / "authority.pem")


def caller(home, authority, name="gateway"):
    """A context of the other side, with a certificate of its own."""
    certificate, key, _ = authority.issue(name)
    (home / f"{name}.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem.decode())
    context.load_cert_chain(home / f"{name}.pem")
    return context


@pytest.fixture
async def listening(tmp_path, authority):
    """A server that echoes one line over the certificates, and how to shake hands with it."""
    first = put(tmp_path, authority)
    certificates = Certificates(files(tmp_path))

    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=certificates.listening())
    port = server.sockets[0].getsockname()[1]

    async def shake(context, name=None):
        """The serial number that the server shows; a line has to come back, because TLS 1.3 refuses after the handshake."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
            writer.write(b"x\n")
            if await reader.readline() != b"x\n":
                raise ConnectionError
            shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True)).serial_number
            return shown, reader, writer

    yield certificates, shake, first
    server.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_new_certificate_is_shown_from_the_next_handshake_on(listening, tmp_path, authority, name):
    certificates, shake, first = listening
    context = caller(tmp_path, authority)
    shown, reader, writer = await shake(context, name)
    assert shown == first
    second = put(tmp_path, authority)
    assert (certificates.renew(), certificates.renew()) == (True, False)
    assert (await shake(context, name))[0] == second
    # What stood before stands.
    writer.write(b"still\n")
    assert await reader.readline() == b"still\n"
    writer.close()


async def test_an_authority_that_is_replaced_opens_no_door_any_more(listening, tmp_path, authority):
    certificates, shake, _ = listening
    old, other = caller(tmp_path, authority), Authority("another")
    await shake(old, "localhost")
    put(tmp_path, other)
    certificates.renew()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await shake(old, "localhost")
    # Not even somebody who trusts the new server but has only the old certificate.
    old.load_verify_locations(cadata=other.pem.decode())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await shake(old, "localhost")
    await shake(caller(tmp_path, other, "newcomer"), "localhost")


async def test_nobody_without_a_certificate_or_with_another_authoritys_comes_in(listening, tmp_path, authority):
    certificates, shake, _ = listening
    assert certificates.listening().minimum_version == ssl.TLSVersion.TLSv1_2
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.load_verify_locations(cadata=authority.pem.decode())
    forged = caller(tmp_path, Authority("forger"), "forger")
    forged.load_verify_locations(cadata=authority.pem.decode())
    for context in (bare, forged):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shake(context, "localhost")


@pytest.mark.parametrize("half", ["tls.pem", "tls.key", "authority.pem"])
async def test_files_that_do_not_fit_change_nothing_and_are_told_once(listening, tmp_path, authority, half):
    certificates, shake, first = listening
    before = (tmp_path / half).read_bytes()
    (tmp_path / half).write_bytes(before[: len(before) // 2])
    told, stop = [], asyncio.Event()

    async def look(rounds):
        """The loop, ended after so many looks."""
        left = rounds

        def renewed():
            nonlocal left
            left -= 1
            if left == 0:
                stop.set()
            return Certificates.renew(certificates)

        stop.clear()
        certificates.renew = renewed
        await certificates.run(stop, told.append, every=0)

    await look(3)
    assert told == ["certificate_invalid"]
    assert (await shake(caller(tmp_path, authority), "localhost"))[0] == first
    second = put(tmp_path, authority)
    await look(2)
    assert told == ["certificate_invalid", "certificates_renewed"]
    assert (await shake(caller(tmp_path, authority), "localhost"))[0] == second


async def test_what_the_edge_asks_of_the_gateway_bears_the_new_certificate(tmp_path, authority):
    home, gateway = tmp_path / "edge", tmp_path / "gateway"
    home.mkdir()
    gateway.mkdir()
    put(gateway, authority)
    mine, theirs, shown = put(home, authority), Certificates(files(gateway)), []

    async def serve(reader, writer):
        while line := await reader.readline():
            if line != b"\r\n":
                continue
            der = writer.get_extra_info("ssl_object").getpeercert(True)
            shown.append(x509.load_der_x509_certificate(der).serial_number)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs.listening())
    address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    certificates = Certificates(files(home))
    async with httpx2.AsyncClient(transport=RenewedTransport(certificates)) as http:
        for _ in range(2):
            assert (await http.get(address)).is_success
        renewed = [put(home, authority), certificates.renew() and 0][0]
        assert (await http.get(address)).is_success
        again = [put(home, authority), certificates.renew() and 0][0]
        assert (await http.get(address)).is_success
    assert shown == [mine, mine, renewed, again]
    server.close()


@pytest.mark.parametrize(
    ("change", "member"),
    [
        (lambda text: text.replace("[edge]", '[edge]\nhost = "0.0.0.0"'), "tls"),
        (lambda text: text + '\n[tls]\ncertificate = "tls.pem"\nkey = "tls.key"\n', "tls.authority"),
    ],
)
def test_an_edge_that_listens_to_others_needs_certificates(tmp_path, school_system, change, member):
    config, _ = settings(tmp_path, school_system, SigningKey.generate())
    config.write_text(change(config.read_text()))
    with pytest.raises(GatewayFault) as caught:
        edge_settings.load(config)
    assert (caught.value.code, caught.value.facts["member"]) == ("edge_settings", member)


async def test_an_edge_with_certificates_that_do_not_fit_refuses_to_start(tmp_path, school_system, authority):
    config, _ = settings(tmp_path, school_system, SigningKey.generate(), more=TLS)
    put(tmp_path, authority)
    (tmp_path / "tls.key").write_bytes(Authority().issue()[1])
    with pytest.raises(GatewayFault) as caught:
        await runner.serve(config)
    assert caught.value.code == "certificate_invalid"


async def test_the_process_takes_new_certificates_when_told_and_goes_on_answering(
    tmp_path, school_system, authority, ring
):
    first = put(tmp_path, authority)
    ask = Ask(None, None, None, EDUCATION, ring)
    config, _ = settings(tmp_path, school_system, ask.gateway, more=TLS)
    context = caller(tmp_path, authority)

    def shown(address):
        parts = urlsplit(address)
        pem = ssl.get_server_certificate((parts.hostname, parts.port))
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    def healthy(http, address):
        return http.get(f"{address}/health").json() == {"ok": True}

    async def ordered(address, tls=None):
        """What the gateway's own side of an edge is answered for a child whom nobody knows."""
        edges = RemoteEdges(ask.gateway, timeout=10, tls=tls)
        try:
            order = ask.order("X02", "P14", [ask.pseudonym(NOBODY)], X02)
            return await edges.at(SimpleNamespace(party=EDUCATION, url=address)).fetch(order)
        finally:
            await edges.close()

    with (
        launch("adapters.edge", ["--config", str(config)], errors=tmp_path / "edge.err") as edge,
        httpx2.Client(verify=context, trust_env=False) as http,
    ):
        assert edge.address.startswith("https://")
        assert healthy(http, edge.address)
        assert shown(edge.address) == first
        assert (await ordered(edge.address, context)).missing == (1,)
        with pytest.raises(ProviderFault) as caught:
            await ordered(edge.address)
        assert caught.value.code == "provider_unavailable"
        second = put(tmp_path, authority)
        edge.process.send_signal(signal.SIGHUP)
        while shown(edge.address) == first:
            pass
        assert shown(edge.address) == second
        assert healthy(http, edge.address)
        with httpx2.Client(trust_env=False, verify=False) as stranger, pytest.raises(httpx2.HTTPError):
            stranger.get(f"{edge.address}/health")
