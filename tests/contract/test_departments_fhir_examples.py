"""HL7's own R4 example resources, which this project did not write: they parse, round-trip, and map through a hospital's mapping.

The package is CC0, comes from the npm registry at set-up (`make test`) and is never committed.
"""

import json
import tomllib
from datetime import date, datetime
from urllib.parse import parse_qs

import httpx2
import pytest

from adapters.base import mapping
from adapters.base.calls import Calls
from adapters.base.fetching import json_object
from adapters.base.source import Inbound, InboundLine, Wanted
from adapters.health import flat
from adapters.health.fhir_models import MODELS, read, written
from adapters.health.register import FhirRegister
from gateway.errors import ProviderFault
from tests.contract.departments import SHORT, closing
from tests.contract.orders import EDUCATION, ROOT

PACKAGE = ROOT / "node_modules/hl7.fhir.r4.examples"
LEAST = {"Patient": 20, "ServiceRequest": 20, "Task": 12, "Observation": 60, "Encounter": 10}
DISCHARGED_HOME = "306689006"
"""SNOMED CT, as the examples' hospital writes it."""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not PACKAGE.is_dir(), reason="NOT RUN: hl7.fhir.r4.examples is not installed (npm)"),
]


def examples(kind):
    found = (json.loads(path.read_bytes()) for path in sorted(PACKAGE.glob(f"{kind}-*.json")))
    return [given for given in found if given.get("resourceType") == kind]


def meaning(value):
    """JSON with what may be written in two ways written in one: an instant's offset zero, a number (a double, as JSON readers read it)."""
    match value:
        case dict():
            return {name: meaning(one) for name, one in value.items()}
        case list():
            return [meaning(one) for one in value]
        case str() if "T" in value and len(value) >= 20:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return value
            return (moment, moment.utcoffset())
        case bool():
            return value
        case int() | float():
            return float(value)
        case _:
            return value


def from_text(text):
    return meaning(json.loads(text))


@pytest.mark.parametrize("kind", MODELS)
def test_every_example_of_the_kind_is_read_and_written_without_a_change(kind):
    paths = sorted(PACKAGE.glob(f"{kind}-*.json"))
    read_back = 0
    for path in paths:
        text = path.read_text("utf-8")
        given = json.loads(text)
        if given.get("resourceType") == kind:
            once = written(read(kind, json_object(path.read_bytes())))
            assert from_text(once) == from_text(text), path.name
            assert written(read(kind, json_object(once.encode()))) == once, path.name
            read_back += 1
    assert read_back >= LEAST[kind]


class Hospital:
    """A FHIR server that holds the examples and answers as the specification says: `_search` by POST, `_elements`, PUT by id.

    The examples' addresses bear no GB/T 2260 code, so a hospital that joins adds the extension; nothing else is changed.
    """

    def __init__(self, region="330106"):
        self.held = {(kind, given["id"]): given for kind in MODELS for given in examples(kind)}
        if region:
            extension = {"url": flat.REGION, "valueCode": region}
            for given in (g for (kind, _), g in self.held.items() if kind == "Patient"):
                given["address"] = [{"extension": [extension]}, *given.get("address", [])]

    def __call__(self, request):
        *_, kind, number = request.url.path.split("/")
        if request.method == "PUT":
            self.held[kind, number] = json.loads(request.content)
            return httpx2.Response(200, json=self.held[kind, number])
        *_, kind, _ = request.url.path.split("/")
        asked = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        found = [given for (held, _), given in self.held.items() if held == kind and matches(given, asked)]
        found.sort(key=lambda given: str(given.get("period", {}).get("end", "")), reverse=True)
        cut = {"resourceType", *asked.get("_elements", "").split(",")}
        entry = [
            {
                "resource": {n: v for n, v in given.items() if n in cut or n.startswith("value")},
                "search": {"mode": "match"},
            }
            for given in found
        ]
        return httpx2.Response(200, json={"resourceType": "Bundle", "type": "searchset", "entry": entry})


def matches(given, asked):
    """The search parameters that the adapter uses."""
    reference = given.get("for", given.get("subject", {})).get("reference", "")
    for name, wanted in asked.items():
        match name:
            case "_id" if given["id"] not in wanted.split(","):
                return False
            case "patient" | "subject" if reference not in wanted.split(","):
                return False
            case "status" if given["status"] != wanted:
                return False
            case "category":
                codes = {coding.get("code") for one in given.get("category", ()) for coding in one.get("coding", ())}
                if wanted not in codes:
                    return False
    return True


@pytest.fixture
def local(exchanges):
    """The shipped mapping with the code of the examples' hospital in one table."""
    document = tomllib.loads((ROOT / "adapters/health/mapping.toml").read_text("utf-8"))
    document["codes"]["return_to"][DISCHARGED_HOME] = "community"
    return mapping.parse(document, exchanges)


def register(hospital, local):
    return FhirRegister("http://hospital/fhir", "t", local, Calls(SHORT), httpx2.MockTransport(hospital))


def wanted(exchange, local, **changes):
    keys = tuple(given["id"] for given in examples("Patient"))
    return Wanted(exchange, keys, frozenset(local.exchanges[exchange].fields), **changes)


async def test_the_examples_tasks_map_to_referrals(local):
    async with closing(register(Hospital(), local)) as made:
        found = await made.read(wanted("X09", local, birth=True))
    # Of the twelve tasks, those of this patient belong to a group, and only a group's number is a case's.
    assert set(found) == {"example"}
    record = found["example"]
    assert (record.region, record.born) == ("330106", date(1974, 12, 25))
    assert record.values == {"case_id": "G20170201-001", "appointment_time": "2016-10-30T22:25:05Z"}


async def test_the_examples_encounters_map_to_returns(local):
    async with closing(register(Hospital(), local)) as made:
        found = await made.read(wanted("X10", local))
    assert {key: dict(record.values) for key, record in found.items()} == {
        "example": {"return_date": "2015-01-17"},
        "f001": {"case_id": "v1451", "return_to": "community"},
        "f201": {"case_id": "Encounter_Roel_20130311", "return_date": "2013-03-20"},
        "xcda": {"case_id": "1234213.52345873"},
    }


async def test_nothing_in_words_leaves_the_examples(local):
    async with closing(register(Hospital(), local)) as made:
        found = [await made.read(wanted(exchange, local, birth=True)) for exchange in ("X09", "X10")]
    said = json.dumps([dict(r.values) for one in found for r in one.values()], ensure_ascii=False)
    for secret in ("waiting", "Chalmers", "Peter", "Heuvel", "specimen", "Oncology"):
        assert secret not in said


async def test_an_example_patient_without_a_regions_code_is_refused(local):
    async with closing(register(Hospital(region=""), local)) as made:
        with pytest.raises(ProviderFault) as caught:
            await made.read(wanted("X09", local))
    assert caught.value.code == "provider_garbage"


async def test_a_code_that_is_not_in_the_table_is_told_and_not_passed_on(exchanges):
    shipped = mapping.load(ROOT / "adapters/health/mapping.toml", exchanges)
    async with closing(register(Hospital(), shipped)) as made:
        with pytest.raises(ProviderFault) as caught:
            await made.read(wanted("X10", shipped))
    assert (caught.value.code, caught.value.facts["field"]) == ("provider_code_unknown", "return_to")


async def test_every_example_patient_can_be_enrolled_and_none_has_a_chinese_number(local):
    hospital = Hospital()
    async with closing(register(hospital, local)) as made:
        people = [person async for person in made.people()]
    assert {person.key for person in people} == {given["id"] for given in examples("Patient")}
    assert {person.numbers for person in people} == {()}


@pytest.mark.parametrize("code", flat.OBSERVED)
def test_an_observation_of_any_type_of_value_is_read_or_left_out(code):
    """Whatever a hospital observes under one of our codes, its value is a scalar that the mapping then judges."""
    stay = read("Encounter", examples("Encounter")[0])
    types = set()
    for given in examples("Observation"):
        assert flat.stay(stay, [read("Observation", given)], ()) == flat.stay(stay, [], ())
        ours = read("Observation", given | {"code": {"coding": [{"code": code}]}})
        value = flat.stay(stay, [ours], ()).get(flat.OBSERVED[code])
        types.add(type(value))
        assert value is None or isinstance(value, (str, bool, date))
    assert len(types) > 1


async def test_a_referral_to_an_example_patient_comes_back_as_it_went(local):
    hospital = Hospital()
    line = InboundLine(1, None, "f201", {"case_id": "case-1"}, {"risk_band": "crisis", "reason_codes": ["warning"]})
    async with closing(register(hospital, local)) as made:
        await made.take(Inbound("d-1", "X08", "P02", EDUCATION, {}, (line,)))
        found = await made.read(wanted("X09", local))
    assert found["f201"].values["case_id"] == "case-1"
    (request,) = [
        given
        for (kind, _), given in hospital.held.items()
        if kind == "ServiceRequest" and given.get("requisition", {}).get("system") == "urn:runxin:case"
    ]
    assert (request["subject"]["reference"], request["priority"]) == ("Patient/f201", "stat")
    assert from_text(written(read("ServiceRequest", request))) == from_text(json.dumps(request))
