"""Controls held through the whole gateway: its machine door, its store and its log, with a provider that bends."""

import asyncio
import base64
import json
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from adapters.base import exchange_file
from gateway import cli
from gateway.domain.subjects import Scope
from gateway.domain.vocabulary import EntryKind
from gateway.flows import upkeep
from gateway.identity import enrolment
from gateway.store.exchange_tables import outbox as table
from tests.contract.api_house import WARNING, api_house, refused

pytestmark = pytest.mark.anyio
PLAIN = "0571-86543210"


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def walls(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("controls")) as made:
        made.folder = tmp_path_factory.getbasetemp()
        yield made
        made.settle()


@pytest.fixture(autouse=True)
def settled(walls):
    walls.settle()


def system(walls):
    return walls.caller("ca", "M0101", "case_worker")


def school(walls):
    return walls.caller("sc", "T0417", "school_psychologist")


def stored(walls):
    """Every byte that the gateway keeps."""
    files = [path for path in walls.folder.rglob("gateway/**/*") if path.is_file()]
    assert len(files) > 3
    return b"\0".join(path.read_bytes() for path in files)


def forms(text):
    raw = text.encode()
    return [raw, raw.hex().encode(), base64.b64encode(raw)[:-2], base64.urlsafe_b64encode(raw)[:-2]]


async def test_C07_C43_no_payload_is_kept_in_clear_and_no_envelope_past_its_term(walls):
    child, sender, recipient = walls.child(), school(walls), system(walls)
    await sender.consent(child)
    delivery = await sender.delivered(child, recipient, WARNING | {"school_contact": PLAIN})
    kept = stored(walls)
    assert not [form for form in [*forms(PLAIN), *forms(child)] if form in kept]
    (row,) = [e for e in await outbox(walls) if e["delivery"] == delivery]
    assert row["payload"]
    walls.clock.ahead = timedelta(hours=72, minutes=1)
    await upkeep.expire(walls.house)
    walls.clock.ahead = timedelta(0)
    assert delivery not in {e["delivery"] for e in await outbox(walls) if e["payload"]}
    assert "expired" in {entry["kind"] for entry in await walls.entries()}


async def outbox(walls):
    async with walls.house.database.read() as reading:
        rows = await reading.connection.execute(select(table.c.delivery_id, table.c.envelope))
        return [{"delivery": row.delivery_id, "payload": row.envelope} for row in rows]


def test_C07_the_catalogue_survives_being_written_out_and_read_back(walls, tmp_path):
    exchanges = walls.house.catalogue.exchanges
    exchange_file.write(exchanges.values(), tmp_path / "exchanges.json")
    assert exchange_file.read(tmp_path / "exchanges.json") == dict(exchanges)


async def test_C33_neither_the_systems_key_nor_the_officers_alone_opens_a_childs_record(walls):
    ca, child = system(walls), walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    body = ca.ask(child, case)
    assert (await ca.post("/v1/query", body)).status_code == 200
    nobody = walls.caller("ca")
    assert (await nobody.post("/v1/query", body)).status_code == 401
    # The officer's own assertion without the system's proof, and a proof by another key.
    raw = json.dumps(body).encode()
    alone = {"officer-assertion": ca.officer_assertion(), "content-type": "application/json"}
    assert (await walls.http.post("/v1/query", content=raw, headers=alone)).status_code == 401
    wrong = await ca.headers("POST", "/v1/query", raw, key=school(walls).body.client_key)
    assert (await walls.http.post("/v1/query", content=raw, headers=wrong)).status_code == 401


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What `runxin serve` hands to the server, with a CA, a server and a client certificate."""
    folder = tmp_path_factory.mktemp("tls")
    return folder, certificates(folder)


def certificates(folder):
    made, now = {}, datetime.now(UTC)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    for name in ("ca", "server", "client"):
        key = ca_key if name == "ca" else ec.generate_private_key(ec.SECP256R1())
        built = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(ca_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .sign(ca_key, SHA256())
        )
        (folder / f"{name}.pem").write_bytes(built.public_bytes(Encoding.PEM))
        (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made[name] = (str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    return made


async def test_C40_plain_and_one_way_tls_are_refused(served, monkeypatch):
    folder, made = served
    monkeypatch.setenv("RUNXIN_DEMO", "0")
    with pytest.raises(SystemExit):
        cli.serve(folder)
    for name, path in {"CERTIFICATE": made["server"][0], "KEY": made["server"][1], "CLIENT_CA": made["ca"][0]}.items():
        monkeypatch.setenv(f"RUNXIN_TLS_{name}", path)
    given = {}
    monkeypatch.setattr("uvicorn.run", lambda *_args, **options: given.update(options))
    cli.serve(folder)
    assert given["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    config = uvicorn.Config(_no_app, **{name: value for name, value in given.items() if name.startswith("ssl_")})
    config.load()
    context = config.ssl

    async def serve(reader, writer):
        writer.write(await reader.read(4))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    assert await _speaks(port, _client(made, "client"))
    for other in (None, _client(made, None)):
        assert not await _speaks(port, other)
    old = _client(made, "client")
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not await _speaks(port, old)
    server.close()


async def _no_app(_scope, _receive, _send):
    """The handshake alone is looked at."""


def _client(made, name):
    context = ssl.create_default_context(cafile=made["ca"][0])
    if name:
        context.load_cert_chain(*made[name])
    return context


async def _speaks(port, context):
    try:
        options = {"ssl": context, "server_hostname": "localhost"} if context else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        # Longer than the head of a TLS record, so that plain text is known as such at once and not when a handshake's time is up.
        writer.write(b"ping" * 8)
        await writer.drain()
        answer = await reader.read(4)
        writer.close()
    except (OSError, ssl.SSLError):
        return False
    return answer == b"ping"


async def test_C41_a_stolen_copy_of_the_whole_store_holds_no_payload(walls):
    child, sender, recipient = walls.child(), school(walls), system(walls)
    await sender.consent(child)
    await sender.delivered(child, recipient, WARNING | {"school_contact": "0571-81112223"})
    kept = stored(walls)
    assert not [form for form in forms("0571-81112223") if form in kept]
    assert await recipient.take()


async def test_C42_a_replayed_request_and_an_altered_byte_are_refused(walls):
    ca, child = system(walls), walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    raw = json.dumps(ca.ask(child, case)).encode()
    headers = await ca.headers("POST", "/v1/query", raw)
    assert (await walls.http.post("/v1/query", content=raw, headers=headers)).status_code == 200
    refused(await walls.http.post("/v1/query", content=raw, headers=headers), 401, "proof_replayed")
    fresh = await ca.headers("POST", "/v1/query", raw)
    altered = raw.replace(b"normal", b"normaL")
    assert (await walls.http.post("/v1/query", content=altered, headers=fresh)).status_code == 401


async def test_C42_an_altered_envelope_is_refused(walls):
    child, sender, recipient = walls.child(), school(walls), system(walls)
    await sender.consent(child)
    permit = await sender.permit(child, recipient)
    envelope = sender.envelope(permit, child, recipient, WARNING)
    field = next(name for name, value in envelope["lines"][0]["fields"].items() if "c" in value)
    sealed = envelope["lines"][0]["fields"][field]["c"]
    envelope["lines"][0]["fields"][field]["c"] = sealed[:-3] + ("AAA" if not sealed.endswith("AAA") else "BBB")
    assert (await sender.hand_in(envelope)).status_code in (400, 403, 422)


async def test_C50_who_is_no_auditor_sees_no_entries_and_an_auditors_look_is_an_entry(walls):
    assert (await system(walls).post("/v1/audit/entries", {"limit": 5})).status_code == 403
    await walls.mark()
    auditor = walls.caller("ca", "M0990", "auditor")
    seen = await auditor.post("/v1/audit/entries", {"limit": 50})
    assert seen.status_code == 200
    child = walls.child()
    assert walls.pseudonym(child, _open(walls)) not in seen.text and walls.point(child).hex() not in seen.text
    assert EntryKind.AUDIT_QUERY in {entry["kind"] for entry in await walls.entries()}


def _open(walls):
    return Scope.open(walls.site["ca"].party.department)


async def test_C54_only_the_departments_own_edge_answers_for_its_data(walls):
    ca, child = system(walls), walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    walls.provider.signer = walls.site["ca"].edge_key  # civil affairs writes an enrolment status
    answer = await ca.post("/v1/query", ca.ask(child, case))
    refused(answer, 502, "release_unsigned")


async def test_C59_a_thrown_switch_stops_the_next_call_and_taking_it_back_opens_again(walls):
    ca, child = system(walls), walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    asked = ca.ask(child, case)
    assert (await ca.post("/v1/query", asked)).status_code == 200
    draft, effect = enrolment.stop("exchange", "X02", by="test", now=1)
    await walls.house.log.append(draft, effect=effect)
    try:
        for _ in range(20):
            stopped = await ca.post("/v1/query", asked)
            if stopped.status_code != 200:
                break
            await asyncio.sleep(0.1)
        assert stopped.status_code in (403, 503), stopped.text
    finally:
        draft, effect = enrolment.resume("exchange", "X02", by="test")
        await walls.house.log.append(draft, effect=effect)
        walls.house.registry.forget()
    assert (await ca.post("/v1/query", asked)).status_code == 200
