"""The demo's log, held against the recorded bytes: whole, in order, one entry for each request and each refusal, nothing unsaid."""

import json
from collections import Counter

import pytest

from gateway.domain.vocabulary import EntryKind
from tests.spec.rederivation import CONSEQUENCES, REFUSED
from tests.spec.rederived_log import changed, pinned_vkey, verdict

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("export", ["audit-export", "audit-export-five"])
def test_export_verifies_under_the_key_that_participants_pinned(told_demo, export):
    passed, said = verdict(told_demo / export, pinned_vkey(told_demo))
    assert passed, said


@pytest.mark.parametrize("index", [0, 7, 55, -1])
def test_changed_byte_of_any_entry_is_named(told_demo, derived, tmp_path, index):
    place = index % len(derived.exported)
    for byte in (1, 40):
        broken = changed(told_demo / "audit-export-five", tmp_path / f"{byte}", place, byte=byte)
        passed, said = verdict(broken, pinned_vkey(told_demo))
        assert not passed
        assert f"entry {place}" in said


def test_opened_details_belong_to_the_verified_export(derived):
    assert len(derived.exported) > 100
    assert [entry.skeleton for entry in derived.entries[: len(derived.exported)]] == derived.exported


def test_details_in_the_export_are_those_that_the_auditor_opens(told_demo, derived):
    shown = sorted((told_demo / "audit-export-five" / "details").glob("*"), key=lambda path: int(path.name))
    point = next(entry for entry in derived.entries if entry.word("kind") == EntryKind.AUDIT_EXPORT).children[0]
    for path in shown:
        salted = path.read_bytes()
        entry = derived.entries[int(path.name)]
        assert json.loads(salted[32:])["facts"] == entry.facts
    asked_for = {entry.index for entry in derived.entries if entry.facts and entry.children == (point,)}
    assert {index for index in asked_for if index < len(derived.exported)} <= {int(path.name) for path in shown}


def test_only_protective_details_stay_sealed(derived):
    sealed = [entry for entry in derived.entries if entry.sealed]
    assert sealed
    assert {entry.sealed for entry in sealed} == {"detail_escrowed"}
    assert {entry.word("door") for entry in sealed} == {"protective"}
    assert all(entry.sealed for entry in derived.entries if entry.word("door") == "protective")


def test_every_authenticated_request_that_matters_is_exactly_one_entry(derived):
    """Reads of one's own tray and of public proofs leave none; a long poll leaves one where something was handed out."""
    silent = ("/v1/keys/senders/", "/v1/audit/receipts/", "/v1/deliveries", "/v1/reviews")
    for call in derived.calls:
        entry = derived.entry_of.get(call.place)
        nothing_handed_out = call.path == "/v1/inbox/take" and not call.said.get("envelopes")
        if (
            call.method == "GET"
            or not call.client
            or call.status == 401
            or call.path == "/oauth/token"
            or nothing_handed_out
        ):
            assert entry is None or not call.path.startswith(silent)
            continue
        assert entry is not None, f"{call.path} answered {call.status} {call.code} without an entry"
        assert entry.is_about(call) or call.path == "/v1/inbox/take"
    about = [entry.index for entry in derived.entry_of.values()]
    assert len(about) == len(set(about))
    untied = [
        entry.index
        for entry in derived.entries
        if "request" in entry.skeleton and entry.word("kind") not in CONSEQUENCES and entry.index not in about
    ]
    assert untied == [], "entries of requests that nobody made"


def test_each_refusal_is_one_entry_with_the_code_that_the_caller_read(derived):
    refused = [call for call in derived.calls if call.status >= 400 and call.status != 401]
    assert len(refused) == len(REFUSED)  # step e but the 401, and the guardian who was not contacted
    for call in refused:
        assert derived.entry_of[call.place].word("code") == call.code
        assert derived.entry_of[call.place].word("outcome") == ("no_result" if call.code == "no_result" else "denied")
    denied = [
        e for e in derived.entries if e.word("outcome") in ("denied", "no_result") and e.word("kind") != "auth.refused"
    ]
    assert len(denied) == len(refused)


def test_receipts_cover_the_exact_bytes_of_request_and_answer(derived):
    stated = [call for call in derived.calls if call.receipt is not None]
    assert len(stated) > 50
    for call in stated:
        entry = derived.entries[call.receipt]
        assert entry.is_about(call)
        assert entry.is_answered_by(call)


def test_entries_stand_in_the_order_in_which_the_desks_asked(derived):
    order = [derived.entry_of[call.place].index for call in derived.desk_calls if call.place in derived.entry_of]
    assert order == sorted(order)
    times = [entry.skeleton["t"] for entry in derived.entries]
    assert times == sorted(set(times))


def test_entry_says_who_asked_as_the_proofs_do(derived):
    for call in derived.calls:
        entry = derived.entry_of.get(call.place)
        if entry is None or entry.facts is None:
            continue
        assert entry.facts["client"] == call.client
        body = call.client.rsplit("-", 1)[0]
        assert entry.facts["organisation"] == derived.recipients.party_of[body].split("/")[0]
        if call.officer:
            assert (entry.facts["officer"], entry.facts["function"]) == (call.officer["sub"], call.officer["function"])
        assert call.headers["dpop"] in entry.facts["evidence"]


def test_log_calls_each_child_by_one_name_whichever_department_asks(derived):
    found = derived.children_by_point
    roles = derived.truth.roles
    assert {roles.pupil.number, roles.other.number, roles.teen.number, roles.outside.number} <= set(found.values())
    assert len(found) == len(set(found.values()))


def test_refusal_before_authentication_is_only_in_the_minutes_roll_up(derived):
    unauthenticated = Counter(call.code for call in derived.calls if call.status == 401)
    assert unauthenticated == {"officer_key_unknown": 1}
    rolled = Counter()
    for entry in derived.entries:
        if entry.word("kind") == "auth.refused":
            codes = {code: int(count) for code, count in entry.facts["codes"].items()}
            assert entry.facts["refusals"] == sum(codes.values())
            rolled.update(codes)
        else:
            assert entry.word("code") != "officer_key_unknown"
    assert rolled == unauthenticated


def test_emergency_left_a_notice_owed_and_a_review(derived):
    (accepted,) = (e for e in derived.entries if e.word("kind") == "accepted" and e.word("door") == "emergency")
    for kind in CONSEQUENCES:
        (one,) = (e for e in derived.entries if e.word("kind") == kind and e.word("door") == "emergency")
        assert one.facts["about"] == accepted.facts["delivery"]
        assert one.facts["request"] == accepted.facts["request"]


def test_every_delivery_went_its_way_in_the_log(derived):
    """accepted, delivered, acknowledged: once each and in this order, with the same fields out as in."""
    told = [entry for entry in derived.entries if entry.word("kind") == "accepted" and entry.word("outcome") == "done"]
    assert len(told) == len([event for event in derived.events if event.status == "accepted"]) == 13
    for entry in told:
        if entry.facts is None:
            continue
        way = [e for e in derived.entries if e.facts and e.facts.get("delivery") == entry.facts["delivery"]]
        assert [e.word("kind") for e in way] == ["accepted", "delivered", "acknowledged"]
        assert way[0].facts["fields"] == way[1].facts["fields"]
        handed = derived.handed[entry.facts["delivery"]]
        assert handed.permit == entry.facts["permit"]
        assert (
            sorted({name for line in handed.lines for name in (*line.values, *line.references)})
            == way[1].facts["fields"]
        )
    protective = [(e.word("exchange"), e.word("kind")) for e in derived.entries if e.word("door") == "protective"]
    way = ["send_permit", "accepted", "review.opened", "delivered", "acknowledged"]
    assert protective == [(exchange, kind) for exchange in ("X20", "X19") for kind in way]


def test_log_says_to_whom_each_delivery_went_by_which_rules_and_on_which_consents(derived):
    """Also of one that nobody ever takes, and of every line of a long one."""
    told = [e for e in derived.entries if e.word("kind") == "accepted" and e.word("outcome") == "done" and e.facts]
    for entry in told:
        handed = derived.handed[entry.facts["delivery"]]
        assert entry.facts["recipient"] == derived.recipients.party_of[handed.taker]
        assert {rule.split(".")[0] for rule in entry.facts["rules"]} == {handed.exchange}
        consents = entry.facts.get("basis_consent", [])
        given = {
            e.facts["consent"]
            for e in derived.entries
            if e.word("kind") == "consent.given"
            and e.word("exchange") == handed.exchange
            and set(e.children) <= set(entry.children)
            and e.facts["recipients"] == [derived.recipients.party_of[handed.taker].split("/")[1]]
        }
        expected = given if entry.word("door") == "normal" else set()
        assert set([consents] if isinstance(consents, str) else consents) == expected
