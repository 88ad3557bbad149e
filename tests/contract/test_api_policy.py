"""Policy behind the machine door: explaining without being an oracle, and change sets from draft to rollback."""

import dataclasses
import gc
import json
import re
import sqlite3
import time
from contextlib import contextmanager, suppress

import pytest

from gateway.client import statements
from policies.rows import COLUMNS
from tests.contract.api_house import api_house, enrol_more, refused

pytestmark = pytest.mark.anyio
EXPLAIN, DRAFTS = "/v1/policy/explain", "/v1/policy/drafts"


@pytest.fixture(scope="module")
async def whole(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("house")) as made:
        await enrol_more(made, {"ed": {"J0300": ("security_administrator",)}})
        yield made


@contextmanager
def reads_of_the_store():
    """Every statement that SQLite runs meanwhile, in order, values left out."""
    found = []

    def note(text):
        found.append(re.sub(r"[xX]?'[^']*'|\b\d+\b", "?", text))

    connections = [each for each in gc.get_objects() if isinstance(each, sqlite3.Connection)]
    trace(connections, note)
    yield found
    trace(connections, None)


def trace(connections, callback):
    for connection in connections:
        # A closed one that nobody has collected yet says so; it reads nothing.
        with suppress(sqlite3.ProgrammingError):
            connection.set_trace_callback(callback)


def question(caller, child, **more):
    recipient = caller.walls.site["ca"].party.text
    return {"exchange": "X05", "action": "submit", "recipient": recipient, "pseudonym": caller.pseudonym(child), **more}


# --- explain ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def children(walls, sc):
    """Three children: one whose guardian consents, one of whom nothing is recorded, one whose guardian has taken it back."""
    with_consent, without, withdrawn = walls.child(), walls.child(), walls.child()
    await sc.consent(with_consent)
    await sc.withdraw(await sc.consent(withdrawn))
    return {"granted": with_consent, "none": without, "withdrawn": withdrawn}


async def explained(caller, document):
    response = await caller.post(EXPLAIN, document)
    assert response.status_code == 200, response.text
    return response


async def test_without_a_case_nobody_learns_what_is_recorded_about_a_child(walls, sc, children):
    """The oracle test: byte-equal answers from equal reads for children with, without and with withdrawn consent."""
    strange = await sc.approved_case(walls.child(), ["X05"], "T0900")
    closed = {}
    for state, child in children.items():
        closed[state] = await sc.approved_case(child, ["X05"], "T0900")
        done = await sc.post("/v1/cases/close", {"case": closed[state]})
        assert done.status_code == 200, done.text
    other_exchange = {state: await sc.approved_case(child, ["X02"], "T0900") for state, child in children.items()}
    await explained(sc, question(sc, walls.child()))  # whatever is done once only is done
    for caller in (sc, walls.caller("ed", "J0201", "case_worker")):
        for cases in (dict.fromkeys(children), dict.fromkeys(children, strange), closed, other_exchange,
                      dict.fromkeys(children, "cs-" + "a" * 26)):  # fmt: skip
            answers, reads = [], []
            for state, child in children.items():
                more = {"case": cases[state]} if cases[state] else {}
                walls.house.registry.forget()  # it is asked once a second: let it be asked now
                with reads_of_the_store() as found:
                    answers.append((await explained(caller, question(caller, child, **more))).content)
                reads.append([text for text in found if text.startswith("SELECT")])
            assert len(set(answers)) == 1
            assert json.loads(answers[0])["code"] == "basis_missing"
            assert reads[0] == reads[1] == reads[2]
            assert len(reads[0]) >= 2


async def test_with_an_open_case_the_real_basis_is_explained(walls, sc, children):
    codes, answers = {}, set()
    for state, child in children.items():
        case = await sc.approved_case(child, ["X05"], "T0900")
        answered = (await explained(sc, question(sc, child, case=case))).json()
        codes[state] = (answered["code"], {each["remedy"].get("who", "") for each in answered["fields"]})
        answers.add(json.dumps(answered))
    assert codes == {
        "granted": ("", {""}),
        "none": ("consent_none", {"guardian"}),
        "withdrawn": ("consent_withdrawn", {"guardian"}),
    }
    assert len(answers) == 3


async def test_an_explanation_that_names_a_child_is_an_entry_in_its_history_and_a_made_up_one_is_none(walls, sc):
    child = walls.child()
    await walls.mark()
    made_up = {name: value for name, value in question(sc, child).items() if name != "pseudonym"}
    await explained(sc, {**made_up, "con": "granted"})
    assert await walls.entries() == []
    answered = await explained(sc, question(sc, child))
    (entry,) = await walls.entries()
    assert (entry["kind"], entry["code"]) == ("policy.explained", "basis_missing")
    assert [skeleton["kind"] for skeleton, _ in await walls.history(child)] == ["policy.explained"]
    assert "audit-receipt" in answered.headers


@pytest.mark.parametrize(
    ("con", "code", "who"),
    [("granted", "", ""), ("none", "consent_none", "guardian"), ("withdrawn", "consent_withdrawn", "guardian")],
)
async def test_a_made_up_request_says_per_field_the_rule_and_the_smallest_change(sc, con, code, who):
    document = {"exchange": "X05", "action": "submit", "recipient": sc.walls.site["ca"].party.text, "con": con}
    answered = (await explained(sc, document)).json()
    assert answered["code"] == code
    assert len(answered["fields"]) >= 5
    for each in answered["fields"]:
        assert each["allowed"] == (not code)
        assert each["rules"]
        assert each["remedy"].get("who", "") == who


async def test_the_other_doors_and_unknown_words_are_refused(walls, sc):
    child = walls.child()
    refused(await sc.post(EXPLAIN, question(sc, child, door="emergency")), 422, "subject_unexpected")
    refused(await sc.post(EXPLAIN, {"exchange": "X05"}), 422, "body_invalid")
    refused(await sc.post(EXPLAIN, {"exchange": "X77", "con": "none"}), 404, "exchange_unknown")
    refused(await sc.post(EXPLAIN, {"exchange": "X05", "con": "none", "fields": ["nothing"]}), 422, "field_unknown")
    refused(await sc.post(EXPLAIN, {"exchange": "X05", "con": "perhaps"}), 422, "body_invalid", "perhaps")


# --- change sets ------------------------------------------------------------------------------------------------------------


CASE = """[[case]]
name = "X02 institution_officer@civil_affairs query normal statutory"
who = "institution_officer@civil_affairs"
action = "query"
exchange = "X02"
purpose = "P14"
con = "statutory"
fields = ["enrolled", "as_of"]
grants = { enrolled = "clear", as_of = "clear" }
entry = "query.released"
"""


def rows(walls, **columns):
    row = next(each for each in walls.house.book.snapshot.rules if each.id == "X02.ca.q01")
    changed = dataclasses.replace(row, id="X02.ca.new", sub="institution_officer@civil_affairs", **columns)
    return [{name: getattr(changed, name) for name in COLUMNS}]


def signed(walls, name, person, subject):
    body = walls.site[name]
    return statements.approval(person, body.party, body.people[person], subject=subject, now=int(time.time()))


async def made(caller, path, document, status=200):
    response = await caller.post(path, document)
    assert response.status_code == status, response.text
    return response.json()


async def test_a_change_goes_from_draft_to_rollback_by_signed_calls(walls):
    lin = walls.caller("ed", "J0300", "security_administrator")
    he = walls.caller("he", "H0900", "approver")
    before = walls.house.book.version
    await walls.mark()
    draft = await made(lin, DRAFTS, {"reason": "机构核验", "put": rows(walls), "cases": CASE}, 201)
    change = {"change": draft["change"]}
    seen = await made(he, f"{DRAFTS}/look", change)
    assert (seen["state"], seen["missing"], seen["review"]["complete"]) == ("draft", ["education", "another"], True)
    assert {each["subject"] for each in seen["review"]["changes"]} == {"institution_officer@civil_affairs"}
    refused(await lin.post(f"{DRAFTS}/activate", change), 403, "approval_missing")
    for name, person in (("ed", "J0900"), ("he", "H0900")):
        await made(he, f"{DRAFTS}/approve", {**change, "approval": signed(walls, name, person, seen["subject"])})
    active = await made(lin, f"{DRAFTS}/activate", change)
    assert walls.house.book.version == active["version"] == draft["version"] != before
    told = await made(lin, "/v1/policy/rollback/subject", {})
    approval = signed(walls, "he", "H0900", told["subject"])
    await made(lin, "/v1/policy/rollback", {"approval": approval})
    assert walls.house.book.version == before
    listed = (await lin.get("/v1/policy/versions")).json()
    assert [line["state"] for line in listed["versions"]] == ["deciding", "past", "past"]
    assert [(entry["kind"], entry["outcome"], entry["code"]) for entry in await walls.entries()] == [
        ("policy.changed", "done", "drafted"),
        ("policy.changed", "denied", "approval_missing"),
        ("policy.changed", "done", "approved"),
        ("policy.changed", "done", "approved"),
        ("policy.changed", "done", "activated"),
        ("policy.changed", "done", "rolled_back"),
    ]


async def test_who_works_with_children_drafts_no_rules(walls, sc):
    await walls.mark()
    refused(await sc.post(DRAFTS, {"reason": "r", "remove": ["X02.ca.q01"]}), 403, "policy_function")
    refused(await sc.get("/v1/policy/versions"), 403, "policy_function")
    assert {(entry["outcome"], entry["code"]) for entry in await walls.entries()} == {("denied", "policy_function")}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"reason": "r", "put": [{"id": "X02.n"}]}, "body_invalid"),
        ({"reason": "r", "remove": ["no such"]}, "policy_invalid"),
        ({"reason": "r\nr", "remove": ["X02.ca.q01"]}, "policy_reason"),
        ({"reason": "r", "cases": "canary-330106201607074219"}, "policy_invalid"),
        ({"reason": "r", "surprise": 1}, "body_invalid"),
    ],
)
async def test_a_bad_draft_is_refused_and_echoes_nothing(walls, document, code):
    lin = walls.caller("ed", "J0300", "security_administrator")
    refused(await lin.post(DRAFTS, document), 422, code, "surprise")


async def test_a_bad_row_names_its_column_and_not_its_value(walls):
    lin = walls.caller("ed", "J0300", "security_administrator")
    for columns, says in (({"dom": "a,b"}, "`dom`"), ({"fld": "x" * 300}, "`fld`"), ({"pur": "*;drop"}, "`pur`")):
        response = await lin.post(DRAFTS, {"reason": "r", "put": rows(walls, **columns)})
        document = refused(response, 422, "policy_invalid", *columns.values())
        assert says in json.dumps(document)
    too_long = await lin.post(DRAFTS, {"reason": "r", "put": rows(walls, fld="x" * 10_240)})
    refused(too_long, 422, "body_invalid")
