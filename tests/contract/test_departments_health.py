"""The hospital, over FHIR R4 and over SOAP with CDA: what is read, what stops at the adapter, what poison does."""

import json
from pathlib import Path

import httpx2
import pytest

from adapters.base.source import Inbound, InboundLine, Wanted
from adapters.health import cda
from adapters.health.fhir_models import read, written
from adapters.sandbox import fhir_data, fhir_system, soap_system
from adapters.sandbox.circles import patient_key
from adapters.sandbox.population import build
from gateway.errors import ProviderFault
from tests.contract.departments import TOKEN, closing, fhir, soap, turn
from tests.contract.orders import EDUCATION, mapping_of

pytestmark = pytest.mark.anyio
CHILDREN = 240
STOPPED = (*fhir_data.DIAGNOSES, fhir_data.DIAGNOSIS_TEXT, fhir_data.DRUG_TEXT, fhir_data.WARD_TEXT)


@pytest.fixture(scope="module")
def people():
    return build(CHILDREN).children


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    with fhir_system.start(tmp_path_factory.mktemp("fhir"), token=TOKEN, count=CHILDREN) as running:
        yield running


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with soap_system.start(tmp_path_factory.mktemp("soap"), token=TOKEN, count=CHILDREN) as running:
        yield running


@pytest.fixture(params=["fhir", "soap"])
async def register(request, exchanges):
    """The same register over both protocols, and its system calm again afterwards."""
    running = request.getfixturevalue("hospital" if request.param == "fhir" else "platform")
    made = (fhir if request.param == "fhir" else soap)(running, exchanges)
    async with closing(made):
        made.running, made.kind = running, request.param
        yield made
    turn(running)


def wanted(exchange, keys, exchanges, **changes):
    fields = frozenset(mapping_of("health", exchanges).exchanges[exchange].fields)
    return Wanted(exchange, tuple(keys), changes.pop("fields", fields), **changes)


async def test_both_protocols_say_the_same_of_a_referral(hospital, platform, exchanges, people):
    keys = [patient_key(c) for c in people if c.number % 7 == 0]
    async with closing(fhir(hospital, exchanges)) as one, closing(soap(platform, exchanges)) as other:
        ask = wanted("X09", keys, exchanges, birth=True)
        first, second = await one.read(ask), await other.read(ask)
    assert len(first) == len(keys) > 20
    assert {k: (r.region, r.born, r.values) for k, r in first.items()} == {
        k: (r.region, r.born, r.values) for k, r in second.items()
    }


async def test_a_discharge_is_read_without_diagnosis_drug_or_ward(register, exchanges, people):
    keys = [patient_key(c) for c in people if c.number % 11 == 0]
    found = await register.read(wanted("X10", keys, exchanges))
    assert len(found) == len(keys)
    record = found[keys[0]]
    assert set(record.values) == set(mapping_of("health", exchanges).exchanges["X10"].fields)
    assert record.values["support_level"] == "2"
    assert record.values["medication_reminder"] == "Y"
    text = json.dumps([dict(r.values) for r in found.values()], ensure_ascii=False)
    assert not [secret for secret in STOPPED if secret in text]


async def test_a_search_does_not_even_ask_for_what_must_not_leave(hospital, exchanges, people):
    async with closing(fhir(hospital, exchanges)) as register:
        await register.read(wanted("X10", [patient_key(people[10])], exchanges))
    lines = [json.loads(line) for line in hospital.request_log.read_text().splitlines()]
    searched = [line["asked"] for line in lines if line["path"].endswith("_search")]
    assert searched
    for form in searched:
        assert not {"reasonCode", "diagnosis", "location", "note", "name", "telecom"} & set(
            form["_elements"].split(",")
        )


async def test_a_talkative_system_is_cut_at_the_adapter(register, exchanges, people):
    turn(register.running, surplus=True)
    child = next(c for c in people if c.number % 77 == 0)
    found = await register.read(wanted("X09", [patient_key(child)], exchanges, fields=frozenset({"case_id", "status"})))
    assert set(found[patient_key(child)].values) == {"case_id", "status"}


async def test_absent_patients_are_left_out(register, exchanges, people):
    none = next(c for c in people if c.number % 7 and c.number % 11)
    assert await register.read(wanted("X09", [patient_key(none), "p99999999"], exchanges)) == {}


async def test_every_patient_is_enrolled_with_its_best_number(register, people):
    found = [person async for person in register.people()]
    assert len(found) == len(people)
    by_key = {person.key: person.numbers for person in found}
    for child in people:
        if child.identifier:
            assert by_key[patient_key(child)][0] == ("cn-rid", child.identifier)


@pytest.mark.parametrize("key", ["p1,p2", "p1|x", "x&_elements=id", "' OR 1=1", "p1\x00", "𠮷", "a" * 65, "../Task/1"])
async def test_a_key_that_is_more_than_a_key_finds_nothing(register, exchanges, key):
    before = register.running.request_log.read_text()
    if register.kind == "soap" and key == "p1\x00":
        with pytest.raises(ProviderFault):
            await register.read(wanted("X09", [key], exchanges))
        return
    assert await register.read(wanted("X09", [key], exchanges)) == {}
    if register.kind == "fhir":
        # It was not even sent.
        assert register.running.request_log.read_text() == before


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"latency_ms": 4000}, "provider_timeout"),
        ({"error_rate": 1.0}, "provider_unavailable"),
        ({"garbage": True}, "provider_garbage"),
        ({"too_much": 10}, "provider_too_much"),
        ({"mime": "text/html"}, "provider_garbage"),
        ({"mime": "application/octet-stream"}, "provider_garbage"),
        ({"charset": "utf-16"}, "provider_garbage"),
    ],
)
async def test_each_knob_has_its_fault_and_the_adapter_lives(register, exchanges, people, knobs, code):
    if register.kind == "soap" and "charset" in knobs:
        pytest.skip("XML says its own encoding, and lxml reads UTF-16 by its mark")
    ask = wanted("X09", [patient_key(people[6])], exchanges)
    turn(register.running, **knobs)
    with pytest.raises(ProviderFault) as caught:
        await register.read(ask)
    assert caught.value.code == code
    turn(register.running)
    assert len(await register.read(ask)) == 1


async def test_a_wrong_token_is_refused(hospital, platform, exchanges, monkeypatch):
    monkeypatch.setattr("tests.contract.departments.TOKEN", "another")
    for made in (fhir(hospital, exchanges), soap(platform, exchanges)):
        async with closing(made):
            with pytest.raises(ProviderFault) as caught:
                await made.probe()
            assert caught.value.code == "provider_refused"


# --- receiving ------------------------------------------------------------------------------------------------------------

REFERRAL = {
    "child_name": "欧阳·<script>𠮷&\"'",
    "child_id_type": "resident",
    "child_id_number": "11010519491231002X",
    "sex": "1",
    "birth_date": "2014-05-06",
    "reason_codes": ["warning", "safety"],
    "risk_band": "crisis",
    "safety_flag": "Y",
}


def message(delivery, *lines):
    return Inbound(delivery, "X08", "P02", EDUCATION, {}, lines)


async def test_a_referral_becomes_one_request_and_one_task_however_often_it_comes(hospital, exchanges, people):
    key = patient_key(people[0])
    known = InboundLine(1, "heo1x", key, {"case_id": "case-1"}, REFERRAL)
    stranger = InboundLine(2, "heo1y", None, {"case_id": "case-2"}, REFERRAL)
    async with closing(fhir(hospital, exchanges)) as register:
        for _ in range(3):
            await register.take(message("d-17", known, stranger))
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def search(kind, form):
        answer = httpx2.post(f"{hospital.address}/{kind}/_search", content=form, headers=headers, trust_env=False)
        return [entry["resource"] for entry in answer.json()["entry"]]

    tasks = search("Task", f"patient=Patient/{key}")
    (request,) = [r for r in search("ServiceRequest", f"subject=Patient/{key}") if "requisition" in r]
    assert [t["status"] for t in tasks].count("requested") == 1
    assert (request["priority"], request["requisition"]["value"]) == ("stat", "case-1")
    assert "child_name" not in json.dumps(tasks) and REFERRAL["child_name"] not in json.dumps(tasks, ensure_ascii=False)
    made = [p for p in search("Patient", "_count=5000") if p["id"].startswith("t")]
    assert [p["name"][0]["text"] for p in made] == [REFERRAL["child_name"]]


async def test_a_referral_as_a_document_is_submitted_once(platform, exchanges, people):
    line = InboundLine(1, "heo1x", patient_key(people[0]), {"case_id": "case-1"}, REFERRAL)
    async with closing(soap(platform, exchanges)) as register:
        await register.take(message("d-18", line))
        await register.take(message("d-18", line))
    base = platform.address.removesuffix("/soap")
    got = httpx2.get(f"{base}/received", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False).json()
    assert [n for n in got if n.startswith("d-18")] == ["d-18:1"]
    root = cda.parse(got["d-18:1"].encode())
    assert REFERRAL["child_name"] in "".join(root.itertext())


async def test_a_value_that_xml_cannot_carry_is_refused_not_dropped(platform, exchanges):
    line = InboundLine(1, None, "p1", {"case_id": "a\x00b"}, REFERRAL)
    async with closing(soap(platform, exchanges)) as register:
        with pytest.raises(ProviderFault) as caught:
            await register.take(message("d-19", line))
    assert caught.value.code == "provider_refused"


# --- poisoned documents ----------------------------------------------------------------------------------------------------

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
POISON = {
    "external entity": '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><ClinicalDocument xmlns="urn:hl7-org:v3">&x;</ClinicalDocument>',
    "external DTD": '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/evil.dtd"><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
    "parameter entity": '<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/hostname">%x;]><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
    "billion laughs": f'<!DOCTYPE d [<!ENTITY l0 "ha">{LAUGHS}]><ClinicalDocument xmlns="urn:hl7-org:v3">&l9;</ClinicalDocument>',
    "empty DTD": '<!DOCTYPE d><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
    "another document": "<html/>",
    "no XML": "\x01",
    "cut off": '<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget>',
    "deep": "<a>" * 5000 + "</a>" * 5000,
}


@pytest.mark.parametrize("name", POISON)
async def test_poison_in_a_document_is_garbage_and_the_adapter_lives(platform, exchanges, people, name):
    base, headers = platform.address.removesuffix("/soap"), {"Authorization": f"Bearer {TOKEN}"}

    def poison(text):
        assert httpx2.post(f"{base}/poison", json={"document": text}, headers=headers, trust_env=False).is_success

    ask = wanted("X09", [patient_key(people[6])], exchanges)
    poison(POISON[name])
    async with closing(soap(platform, exchanges)) as register:
        try:
            with pytest.raises(ProviderFault) as caught:
                await register.read(ask)
            assert caught.value.code == "provider_garbage"
            assert "root:" not in repr(caught.value)
        finally:
            poison("")
        assert len(await register.read(ask)) == 1


def test_xinclude_stays_text(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("geheim")
    text = (
        '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xi="http://www.w3.org/2001/XInclude">'
        f'<recordTarget><patientRole><id root="urn:hospital" extension="p1"/></patientRole></recordTarget>'
        f'<component><section><entry><observation><code code="DE02.10.100"/><value><xi:include href="{secret}" parse="text"/>'
        "</value></observation></entry></section></component></ClinicalDocument>"
    )
    assert cda.row(cda.parse(text.encode()), ("patient", "case_number")) == {"patient": "p1"}


def test_a_diagnosis_is_read_only_where_its_column_is_asked_for(people):
    child = next(c for c in people if c.number % 11 == 0)
    root = cda.parse(soap_system.document("discharge", child, build(CHILDREN)).encode())
    assert "diagnosis" not in cda.row(root, ("patient", "region", "returns_to"))
    assert cda.row(root, ("patient", "diagnosis"))["diagnosis"] in fhir_data.DIAGNOSES


def test_ten_megabytes_of_document_are_too_much():
    with pytest.raises(ProviderFault) as caught:
        cda.parse(b"<a>" + b"x" * (10 * 1024 * 1024) + b"</a>")
    assert caught.value.code == "provider_too_much"


@pytest.mark.parametrize(
    "given", [None, [], {"resourceType": "Bundle"}, {"resourceType": "Task"}, {"resourceType": "Task", "x": 1}]
)
def test_what_is_no_task_is_garbage(given):
    with pytest.raises(ProviderFault) as caught:
        read("Task", given)
    assert caught.value.code == "provider_garbage"


def test_every_resource_of_the_sandbox_survives_reading_and_writing():
    for given in fhir_data.resources(build(CHILDREN)):
        assert json.loads(written(read(given["resourceType"], given))) == given


def test_no_wsdl_is_fetched():
    text = Path("adapters/health/referral.wsdl").read_text("utf-8")
    assert "import" not in text and "DOCTYPE" not in text
