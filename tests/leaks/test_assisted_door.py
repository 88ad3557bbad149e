"""The assisted door: an identifier in the body is turned into a point and forgotten; entries say that it was used.

A house of its own (two systems, two edges, the gateway), asked through the assisted door in good and in bad ways. The gateway's
folder is searched while it runs, so that the write-ahead log is there, and again after it has stopped.
"""

import json

import pytest

from adapters.sandbox.cast import cast
from adapters.sandbox.demo.__main__ import set_up
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.stage import build_stage, keep_metrics
from adapters.sandbox.demo.telling import Teller
from adapters.sandbox.population import DEFAULT_DAY, Canaries
from gateway.client.errors import GatewayRefused
from tests.spec.rederived_log import opened
from tests.support.canaries import Searcher
from tests.support.recorded import calls

pytestmark = pytest.mark.timeout(900)

CHILDREN = 300
"""Small, and still somebody for each role."""


class House:
    """What remains after the assisted door was used: the folder, what was refused, what was found while it ran."""

    def __init__(self, folder):
        self.folder = folder
        self.refused = {}
        self.answered = {}
        self.while_running = []

    def refusal(self, name, act):
        with pytest.raises(GatewayRefused) as refused:
            act()
        self.refused[name] = refused.value


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assisted") / "house"
    with build_stage(folder, CHILDREN, lambda *_: None) as stage:
        set_up(stage, Teller("en"))
        house = House(folder)
        people = stage.population.canaries()
        house.searcher = Searcher(Canaries(people.names, (*people.identifiers, BAD_CHECK), people.phones))
        roles = cast(stage.population)
        log = str(stage.public["log"])
        desk = ThinDesk(
            stage.site,
            "ca",
            stage.gateway,
            log,
            folder / "exchanges.json",
            stage.site["ca"].officer("M0101", "case_worker"),
        )
        use_the_assisted_door(house, desk, roles.pupil)
        keep_metrics(stage)
        house.while_running = gateways_side(house)
    house.after = gateways_side(house)
    return house


BAD_CHECK = "330106201501011238"
"""Nobody's: its last character is not its check."""


class ThinDesk(Desk):
    """A desk whose system cannot blind: consents, too, name the child as it is."""

    def client(self):
        client = super().client()
        record = client.record_consent
        client.record_consent = lambda statement, identifier: record(statement, identifier=identifier, assisted=True)
        return client


def use_the_assisted_door(house, desk, child):
    """One good question with all that it needs, and the ways in which it can go wrong."""
    known = desk.identifier(child)
    desk.consent(
        child,
        exchange="X13",
        purpose="P04",
        recipients=["youth_league"],
        fields=["status"],
        band=child.band(DEFAULT_DAY),
        child_grant="granted",
    )
    with desk.client() as client:
        case = client.open_case(
            identifier=known, exchanges=["X02"], parties=[desk.party], region=child.county, assisted=True
        )
    desk.approve(case, "M0900", desk.officer.person_id, ["X02"])
    with desk.client() as client:
        answer = client.ask("X02", "P14", identifier=known, case=case, assisted=True)
        house.answered["X02"] = dict(answer.values)
        house.answered["page"] = client.guardian_accesses(identifier=known, assisted=True)
        house.refusal("purpose", lambda: client.ask("X02", "P06", identifier=known, case=case, assisted=True))
        house.refusal("no case", lambda: client.ask("X02", "P14", identifier=known, assisted=True))
        house.refusal("unknown case", lambda: client.ask("X02", "P14", identifier=known, case=known[1], assisted=True))
        for name, body in malformed(known, case).items():
            house.refusal(name, lambda body=body: post(client, "/v1/query", body))


def malformed(known, case):
    """Requests with a real identifier where it should not stand, or a wrong one where it should."""
    kind, number = known
    good = {"exchange": "X02", "purpose": "P14", "door": "normal", "case": case}
    subject = {"identifier": {"kind": kind, "value": number}}
    return {
        "forbidden": good | {"exchange": "X22", "subject": subject},
        "bad check": good | {"subject": {"identifier": {"kind": kind, "value": BAD_CHECK}}},
        "unknown kind": good | {"subject": {"identifier": {"kind": number, "value": number}}},
        "unknown member": good | {"subject": subject, number: number},
        "number as pseudonym": good | {"subject": {"pseudonym": number}},
        "number as exchange": good | {"subject": subject, "exchange": number},
        "number as purpose": good | {"subject": subject, "purpose": number},
        "number as field": good | {"subject": subject, "fields": [number]},
        "number as reason": good | {"subject": subject, "reason": number},
    }


def post(client, path, body):
    """A signed request with a body of our own making, through the client's own session."""
    return client._run(client._core._session.post(path, body))


def gateways_side(house):
    """Every canary in the data folder, the log, the metrics, the answers and the orders."""
    folder = house.folder
    paths = [path for path in (folder / "gateway").rglob("*") if path.is_file()]
    paths += [folder / "gateway.log", folder / "metrics.txt", *(folder / "capture" / "gateway").glob("*.out")]
    paths += [path for edge in ("ca", "ed") for path in (folder / "capture" / f"edge-{edge}").glob("*.in")]
    house.searched = sorted(path.name for path in paths)
    return [leak for path in paths for leak in house.searcher.search(path.name, path.read_bytes())]


def test_assisted_question_is_answered_as_any_other(house):
    assert house.answered["X02"]["enrolled"] == "Y"
    assert house.answered["page"]["accesses"]


def test_identifier_did_come_in(house):
    """Otherwise there would be nothing to keep."""
    received = [path.read_bytes() for path in (house.folder / "capture" / "gateway").glob("*.in")]
    found = [leak for data in received for leak in house.searcher.search("in", data)]
    assert len(found) >= 12
    assert {(leak.kind, leak.form) for leak in found} == {("number", "utf-8 plain")}


def test_nothing_is_kept_while_the_gateway_runs_nor_after_it_stopped(house):
    assert house.while_running == []
    assert house.after == []


def test_nothing_is_told_back(house):
    for refused in house.refused.values():
        words = json.dumps([refused.code, refused.detail, refused.detail_zh, dict(refused.facts)])
        assert house.searcher.search("refusal", words.encode()) == []


def test_malformed_and_forbidden_uses_are_refused_by_code(house):
    assert {name: refused.code for name, refused in house.refused.items()} == {
        "purpose": "purpose",
        "no case": "case_missing",
        "unknown case": "body_invalid",
        "forbidden": "not_served",
        "bad check": "identifier_invalid",
        "unknown kind": "body_invalid",
        "unknown member": "body_invalid",
        "number as pseudonym": "pseudonym_invalid",
        "number as exchange": "body_invalid",
        "number as purpose": "body_invalid",
        "number as field": "body_invalid",
        "number as reason": "body_invalid",
    }


def test_entries_say_that_the_assisted_door_was_used_and_no_other_entry_does(house, tmp_path):
    recorded = calls(house.folder / "capture" / "gateway", house.folder / "site.toml")
    entries = opened(house.folder, tmp_path)
    by_identifier = {call.receipt: call.path for call in recorded if call.receipt and b'"identifier"' in call.body}
    assert {"/v1/cases", "/v1/consents", "/v1/query", "/v1/guardians/accesses"} == set(by_identifier.values())
    refused = next(entry for entry in entries if entry.word("code") == "case_missing")
    expected = {**by_identifier, refused.index: "/v1/query"}
    marked = {entry.index for entry in entries if entry.skeleton.get("assisted")}
    assert {path for index, path in expected.items() if index not in marked} == set()
    assert marked == set(expected)
