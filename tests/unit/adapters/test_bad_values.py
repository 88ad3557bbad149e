"""Hostile values in a department's own records, through every protocol: kept to the letter or refused by a code, and the adapter lives."""

import csv
import http.server
import io
import json
import sqlite3
import threading
from pathlib import Path

import httpx2
import pytest

from adapters.base import mapping
from adapters.base.calls import Calls, Limits
from adapters.base.drop import DropRegister, template
from adapters.base.source import Wanted
from adapters.civil_affairs.register import SqlRegister
from adapters.education.register import RestRegister
from adapters.education.signature import AppKey
from adapters.health import flat
from adapters.health.register import FhirRegister
from adapters.health.soap import SoapRegister
from adapters.youth_league.register import VendorRegister
from gateway.errors import ProviderFault
from policies.catalogue import load

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]
EXCHANGES = load().exchanges
GOOD = "12330106MB0000011X"
TEXTS = {
    "four bytes": "𠮷·ۋادەم",
    "formula": '=HYPERLINK("http://x")',
    "SQL": "x'; DROP TABLE students; --",
    "FHIR search": "p1,p2|x&_elements=name$",
    "markup": "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>&x;",
    "JSON": '{"$ne": null}',
    "path": "../../etc/passwd",
}
LARGE = "x" * (10 * 1024 * 1024)
LIMITS = Limits(seconds=20, attempts=1, failures=1000)


def of(department, name="mapping.toml"):
    return mapping.load(ROOT / "adapters" / department / name, EXCHANGES)


def answering(body_of):
    """A transport whose answer is made when it is asked."""
    return httpx2.MockTransport(
        lambda request: httpx2.Response(
            200, content=json.dumps(body_of(request)).encode(), headers={"content-type": "application/json"}
        )
    )


class Sql:
    """A view with one file."""

    large = "provider_garbage"

    def __init__(self, home):
        self.path = home / "a.sqlite"
        self.wanted = Wanted("X13", ("K1",), frozenset({"register_id"}))
        with sqlite3.connect(self.path) as db:
            db.execute("CREATE TABLE v_tz_gx (档案编号 TEXT, 现居住地区划 TEXT, 台账编号 TEXT)")
            db.execute("INSERT INTO v_tz_gx VALUES ('K1', '330106', '')")
        self.register = SqlRegister(f"sqlite+aiosqlite:///{self.path}", of("civil_affairs"), Calls(LIMITS))

    def put(self, value):
        with sqlite3.connect(self.path) as db:
            db.execute("UPDATE v_tz_gx SET 台账编号 = ?", (value,))


class Rest:
    """A platform with one pupil."""

    large = "provider_too_much"

    def __init__(self, home):
        del home
        self.wanted = Wanted("X02", ("K1",), frozenset({"school_org_code"}))
        transport = answering(lambda _: {"code": 0, "data": [{"xsbh": "K1", "xxqh": "330106", "xxdm": self.value}]})
        self.register = RestRegister("http://p", AppKey("e", b"s"), of("education"), Calls(LIMITS), transport)

    def put(self, value):
        self.value = value


class Vendor(Rest):
    """A hotline's directory with one service."""

    def __init__(self, home):
        del home
        self.wanted = Wanted("X16", ("K1",), frozenset({"org_name"}))
        local = of("youth_league")
        resource = local.exchanges["X16"].resource
        row = {resource.key: "K1", resource.region: "330106"}
        transport = answering(lambda _: {"items": [{**row, "org_name": self.value}]})
        self.register = VendorRegister("http://p", "t", local, Calls(LIMITS), transport)


class Fhir(Rest):
    """A hospital with one finished stay."""

    def __init__(self, home):
        del home
        self.wanted = Wanted("X10", ("K1",), frozenset({"emergency_contact"}))
        self.register = FhirRegister("http://p", "t", of("health"), Calls(LIMITS), answering(self._bundle))

    def _bundle(self, request):
        kind = request.url.path.split("/")[-2]
        subject = {"subject": {"reference": "Patient/K1"}}
        more = {
            "Patient": {"id": "K1", "address": [{"extension": [{"url": flat.REGION, "valueCode": "330106"}]}]},
            "Encounter": {"id": "e1", "status": "finished", "class": {"code": "IMP"}, **subject},
            "Observation": {
                "id": "o1", "status": "final", "code": {"coding": [{"code": "emergency-phone"}]}, "valueString": self.value,
                **subject,
            },
        }[kind]  # fmt: skip
        return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": {"resourceType": kind, **more}}]}


class Csv:
    """A folder with one form, in GB18030."""

    large = "provider_garbage"

    def __init__(self, home):
        self.form, self.folder, self.noted, self.count = template(ROOT / "adapters/education/form.toml"), home, [], 0
        self.wanted = Wanted("X02", ("K1",), frozenset({"school_org_code"}))
        local = of("education", "form_mapping.toml")
        self.register = DropRegister(
            home,
            self.form,
            home / "landed.sqlite",
            local,
            noted=lambda _, code: self.noted.append(code),
            now=lambda: 4_000_000_000,
        )

    def put(self, value):
        self.count += 1
        filled = dict.fromkeys(self.form.headings, "")
        for heading, column in self.form.headings.items():
            filled[heading] = {"xsbh": "K1", "qh": "330106", "xxdm": value}.get(column, "")
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows([list(filled), list(filled.values())])
        (self.folder / f"{self.count}.csv").write_bytes(buffer.getvalue().encode("gb18030"))


@pytest.fixture(params=[Sql, Rest, Vendor, Fhir, Csv], ids=lambda made: made.__name__)
async def system(request, tmp_path):
    made = request.param(tmp_path)
    made.put(GOOD)
    yield made
    await made.register.close()


async def value(system):
    (record,) = (await system.register.read(system.wanted)).values()
    (read,) = record.values.values()
    return read


@pytest.mark.parametrize("name", TEXTS)
async def test_a_text_is_kept_to_the_letter_whatever_it_looks_like(system, name):
    system.put(TEXTS[name])
    assert await value(system) == TEXTS[name]


@pytest.mark.parametrize("name", ["NUL", "a control character", "half a character", "ten megabytes"])
async def test_what_is_no_text_is_refused_and_the_adapter_lives(system, name):
    hostile = {"NUL": "a\x00b", "a control character": "a\x1bb", "half a character": "a\ud800", "ten megabytes": LARGE}
    if name == "half a character" and isinstance(system, (Sql, Csv)):
        pytest.skip("neither the database nor the character set can hold it")
    if isinstance(system, Csv):
        # Of a file nothing lands by halves: the value of the file before it stays. A control character lands and is refused when read.
        system.put(hostile[name])
        if name != "a control character":
            assert await value(system) == GOOD
            assert system.noted == ["provider_garbage"]
            return
    system.put(hostile[name])
    with pytest.raises(ProviderFault) as caught:
        await value(system)
    assert caught.value.code == (system.large if name == "ten megabytes" else "provider_garbage")
    assert "x" * 20 not in repr(caught.value)
    system.put(GOOD)
    assert await value(system) == GOOD


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ENVELOPES = {
    "external entity": '<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "billion laughs": f'<!DOCTYPE e [<!ENTITY l0 "ha">{LAUGHS}<!ENTITY x "&l9;">]>',
    "external DTD": '<!DOCTYPE e SYSTEM "http://127.0.0.1:9/evil.dtd" [<!ENTITY x "">]>',
}


class Platform(http.server.BaseHTTPRequestHandler):
    """Answers every call with the server's `answer`."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *args):
        pass


@pytest.fixture
async def soap():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    wsdl = ROOT / "adapters/health/referral.wsdl"
    register = SoapRegister(wsdl, f"http://127.0.0.1:{server.server_port}/soap", "t", of("health"), Calls(LIMITS))
    yield server, register
    await register.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ENVELOPES)
async def test_a_soap_envelope_with_a_dtd_is_garbage(soap, name):
    """The envelope itself, not the document in it; without its DTD it is a good answer that has no document."""
    server, register = soap
    ask = Wanted("X10", ("K1",), frozenset({"emergency_contact"}))
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        '<t:QueryDocumentsResponse xmlns:t="urn:runxin:dual-referral"/></e:Body></e:Envelope>'
    )
    server.answer = envelope.encode()
    assert await register.read(ask) == {}
    for poisoned in (envelope, envelope.replace("</e:Body>", "&x;</e:Body>")):
        server.answer = (ENVELOPES[name] + poisoned).encode()
        with pytest.raises(ProviderFault) as caught:
            await register.read(ask)
        assert caught.value.code == "provider_garbage"
        assert "root:" not in repr(caught.value)
    server.answer = envelope.encode()
    assert await register.read(ask) == {}
