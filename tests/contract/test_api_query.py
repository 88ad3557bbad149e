"""The first story behind the machine door: every refusal and every bad input is a problem document and one entry."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.canonical import canonical
from gateway.domain.orders import PlainValue, SealedValue
from gateway.store.registry_changes import reset_switch, throw_switch
from keys.signing import SigningKey
from tests.contract.api_house import CANARY, PUPIL, refused

pytestmark = pytest.mark.anyio
QUERY = "/v1/query"


@pytest.fixture
async def walls(whole):
    whole.settle()
    whole.house.refusals.due(now=2**40)
    return whole


@pytest.fixture
async def asked(walls, ca):
    """(child, case): a pupil with an approved case, so that a straight question is answered."""
    child = walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    await walls.mark()
    return child, case


async def one_entry(walls, kind, outcome, code):
    (entry,) = await walls.entries()
    assert (entry["kind"], entry["outcome"], entry.get("code", "")) == (kind, outcome, code)
    assert CANARY not in json.dumps(entry)
    return entry


async def denied(walls, response, status, code, *, kind="query", outcome="denied"):
    document = refused(response, status, code)
    await one_entry(walls, kind, outcome, code)
    return document


# --- answered ---------------------------------------------------------------------------------------------------------------


async def test_a_straight_question_is_answered_with_its_receipt(walls, ca, asked):
    response = await ca.post(QUERY, ca.ask(*asked))
    assert response.status_code == 200
    entry = await one_entry(walls, "query", "released", "")
    origin, index, size = response.headers["audit-receipt"].split(" ")
    assert int(size) == int(index) + 1
    assert origin == walls.house.log.origin
    assert entry["exchange"] == "X02"
    assert {name: cell["v"] for name, cell in response.json()["lines"][0]["fields"].items()} == PUPIL


async def test_the_assisted_door_is_marked_and_keeps_nothing(walls, ca, asked):
    child, case = asked
    body = ca.ask(child, case) | {"subject": {"identifier": {"kind": "cn-rid", "value": child}}}
    response = await ca.post(QUERY, body)
    assert response.status_code == 200
    assert child not in response.text
    assert (await one_entry(walls, "query", "released", ""))["assisted"] is True
    assert child not in json.dumps(await walls.history(child))


# --- step e of the demo: every denial -----------------------------------------------------------------------------------------


async def test_a_wrong_purpose_is_denied(walls, ca, asked):
    await denied(walls, await ca.post(QUERY, ca.ask(*asked, purpose="P06")), 403, "purpose")
    assert walls.provider.orders == []


async def test_no_case_is_denied(walls, ca, asked):
    await denied(walls, await ca.post(QUERY, ca.ask(asked[0], None)), 403, "case_missing")


async def test_a_case_of_another_child_is_denied(walls, ca, asked):
    await denied(walls, await ca.post(QUERY, ca.ask(walls.child(), asked[1])), 403, "case_other_child")


async def test_a_case_without_an_approval_is_denied(walls, ca):
    child = walls.child()
    case = await ca.approved_case(child, ["X02"], "M0900", approve=False)
    await walls.mark()
    await denied(walls, await ca.post(QUERY, ca.ask(child, case)), 403, "approval_missing")


async def test_a_closed_case_is_denied(walls, ca, asked):
    closed = await ca.post("/v1/cases/close", {"case": asked[1]})
    await walls.mark()
    if closed.status_code == 200:
        await denied(walls, await ca.post(QUERY, ca.ask(*asked)), 403, "case_closed")
    else:
        refused(closed, closed.status_code, "case_event")


async def test_an_exchange_outside_the_case_is_denied(walls, ca):
    child = walls.child()
    case = await ca.approved_case(child, ["X01"], "M0900")
    await walls.mark()
    await denied(walls, await ca.post(QUERY, ca.ask(child, case)), 403, "case_exchange")


async def test_a_caller_outside_the_rules_region_is_denied(walls):
    out = walls.caller("out", "N0101", "case_worker")
    child = walls.child()
    case = await out.approved_case(child, ["X02"], "N0900")
    await walls.mark()
    with walls.rules(lambda rule: replace(rule, reg="3301") if rule.obj == "X02" else rule):
        response = await out.post(QUERY, out.ask(child, case))
    await denied(walls, response, 403, "region")
    assert walls.provider.orders == []


async def test_an_officer_in_a_function_without_a_rule_is_denied(walls, asked):
    auditor = walls.caller("ca", "M0990", "auditor")
    response = await auditor.post(QUERY, auditor.ask(*asked))
    assert response.status_code == 403
    refused(response, 403, response.json()["code"])
    (entry,) = await walls.entries()
    assert entry["outcome"] == "denied"


async def test_absent_unknown_and_outside_the_region_answer_alike(walls, ca):
    answers, entries = [], []
    for place in ("absent", "330100", "330203"):
        child = walls.child()
        if place != "absent":
            walls.enrol_pupil(child, region="330203")
        case = await ca.approved_case(child, ["X02"], "M0900")
        await walls.mark()
        response = await ca.post(QUERY, ca.ask(child, case))
        refused(response, 404, "no_result")
        answers.append((response.content, sorted(response.headers)))
        entry = await one_entry(walls, "query", "no_result", "no_result")
        detail = (await walls.history(child))[-1][1]["facts"]
        entries.append((sorted(entry), sorted(detail)))
        assert walls.provider.orders
    assert len({repr(answer) for answer in answers}) == 1
    assert len({repr(entry) for entry in entries}) == 1


async def test_a_reference_of_another_department_leads_nowhere(walls, ca, asked):
    child, case = asked
    ed = walls.caller("ed", "J0201", "case_worker")
    own = await ed.approved_case(child, ["X01"], "J0900")
    await walls.mark()
    await denied(walls, await ca.post(QUERY, ca.ask(child, own)), 403, "case_missing")
    await walls.mark()
    await denied(walls, await ed.post("/v1/cases/close", {"case": case}), 403, "case_missing", kind="case.changed")


async def test_a_shared_case_has_a_reference_for_each_department_that_only_it_may_use(walls, ca):
    child, ed = walls.child(), walls.caller("ed", "J0201", "case_worker")
    made = await ca.post(
        "/v1/cases",
        {
            "subject": {"pseudonym": ca.pseudonym(child)},
            "exchanges": ["X01"],
            "parties": [ca.party.text, ed.party.text],
            "region": "330106",
        },
    )
    theirs = made.json()["case"]
    await walls.mark()
    question = {
        "exchange": "X01",
        "purpose": "P06",
        "subject": {"pseudonym": ed.pseudonym(child)},
        "case": theirs,
    }
    await denied(walls, await ed.post(QUERY, question), 403, "case_missing")


async def test_the_kill_switch_of_an_exchange_holds_at_once(walls, ca, asked):
    await walls.change(lambda writing: throw_switch(writing, "exchange", "X02", by="x", now=1))
    walls.house.registry.forget()
    await walls.mark()
    try:
        await denied(walls, await ca.post(QUERY, ca.ask(*asked)), 403, "exchange_stopped")
        assert walls.provider.orders == []
    finally:
        await walls.change(lambda writing: reset_switch(writing, "exchange", "X02"))
        walls.house.registry.forget()
    assert (await ca.post(QUERY, ca.ask(*asked))).status_code == 200


async def test_a_switch_thrown_while_the_provider_answers_stops_the_answer(walls, ca, asked):
    async def meanwhile():
        await walls.change(lambda writing: throw_switch(writing, "exchange", "X02", by="x", now=1))
        walls.house.registry.forget()
        await walls.mark()

    walls.provider.before = meanwhile
    try:
        await denied(walls, await ca.post(QUERY, ca.ask(*asked)), 403, "exchange_stopped")
        assert walls.provider.orders
    finally:
        await walls.change(lambda writing: reset_switch(writing, "exchange", "X02"))
        walls.house.registry.forget()


async def test_a_declared_exchange_is_not_served(walls, ca, asked):
    declared = next(e for e in walls.house.catalogue.exchanges.values() if str(e.state) == "declared")
    await denied(walls, await ca.post(QUERY, ca.ask(*asked, exchange=declared.id)), 501, "not_served")


async def test_a_delivery_cannot_be_asked_for(walls, ca, asked):
    response = await ca.post(QUERY, ca.ask(*asked, exchange="X05", purpose="P01"))
    await denied(walls, response, response.status_code, "wrong_story")


# --- bad input after authentication -------------------------------------------------------------------------------------------


def body_of(ca, child, case_, **more):
    return {name: value for name, value in (ca.ask(child, case_) | more).items() if value is not None}


MALFORMED = {
    "empty": b"",
    "not json": CANARY.encode() + b"{",
    "half": b'{"exchange":"X02"',
    "array": b"[]",
    "bytes": b"\xff\xfe" + CANARY.encode(),
    "bom": b"\xef\xbb\xbf{}",
    "duplicate": b'{"exchange":"X02","exchange":"X02"}',
    "duplicate canary": f'{{"{CANARY}":1,"{CANARY}":2}}'.encode(),
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 900 + b"]" * 900,
    "not a number": b'{"exchange":NaN}',
    "long number": b'{"exchange":' + b"9" * 10_000 + b"}",
    "lone surrogate": b'{"exchange":"\\ud800"}',
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_body_is_refused_and_recorded(walls, ca, raw):
    await ca.fetch_token()
    await walls.mark()
    response = await ca.post(QUERY, raw)
    code = response.json()["code"]
    assert code in ("json_malformed", "body_invalid")
    await denied(walls, response, 400 if code == "json_malformed" else 422, code)


WRONG = {
    "unknown field": {CANARY: "x"},
    "unknown field with a letter": {"n" + CANARY: "x"},
    "exchange": {"exchange": CANARY},
    "exchange of another type": {"exchange": int(CANARY)},
    "purpose": {"purpose": CANARY},
    "door": {"door": CANARY},
    "case": {"case": CANARY},
    "case as a list": {"case": [CANARY]},
    "fields as text": {"fields": CANARY},
    "field name": {"fields": [CANARY]},
    "no field": {"fields": []},
    "reason": {"reason": CANARY},
    "subject as text": {"subject": CANARY},
    "unknown part of the subject": {"subject": {CANARY: CANARY}},
    "identifier of another kind": {"subject": {"identifier": {"kind": CANARY, "value": CANARY}}},
    "identifier with more": {"subject": {"identifier": {"kind": "cn-rid", "value": CANARY, CANARY: 1}}},
}


@pytest.mark.parametrize("more", WRONG.values(), ids=WRONG)
async def test_a_body_of_another_form_is_refused_by_place_and_never_by_value(walls, ca, asked, more):
    document = await denied(
        walls, await ca.post(QUERY, json.dumps(body_of(ca, *asked, **more)).encode()), 422, "body_invalid"
    )
    assert set(document["facts"]) == {"place", "fault"}


REFUSED = {
    "unknown exchange": ({"exchange": "X99"}, "exchange_unknown"),
    "unknown field of the exchange": ({"fields": ["n" + CANARY]}, "field_unknown"),
    "unknown reason": ({"reason": "because"}, "reason_unknown"),
    "no subject": ({"subject": None}, "subject_missing"),
    "both subjects": (
        {"subject": {"pseudonym": CANARY, "identifier": {"kind": "cn-rid", "value": CANARY}}},
        "subject_missing",
    ),
    "no pseudonym": ({"subject": {"pseudonym": CANARY}}, "pseudonym_invalid"),
    "bad checksum": ({"subject": {"identifier": {"kind": "cn-rid", "value": CANARY[:-1] + "0"}}}, "identifier_invalid"),
    "unknown kind": ({"subject": {"identifier": {"kind": "cn-xyz", "value": CANARY}}}, "identifier_invalid"),
    "other door": ({"door": "protective"}, "door_closed"),
    "emergency door": ({"door": "emergency", "reason": "violence"}, "door_closed"),
}


@pytest.mark.parametrize(("more", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_well_formed_body_that_means_nothing_is_refused(walls, ca, asked, more, code):
    response = await ca.post(QUERY, body_of(ca, *asked, **more))
    assert 400 <= response.status_code < 500
    refused(response, response.status_code, code, CANARY[:-1])
    await one_entry(walls, "query", "denied", code)


async def test_a_pseudonym_of_another_department_is_refused(walls, ca, asked):
    child, case = asked
    foreign = walls.caller("ed").pseudonym(child)
    response = await ca.post(QUERY, body_of(ca, child, case, subject={"pseudonym": foreign}))
    document = refused(response, response.status_code, "pseudonym_scope", foreign)
    assert document["code"] == "pseudonym_scope"
    await one_entry(walls, "query", "denied", "pseudonym_scope")


async def test_a_refusal_is_a_line_of_the_guardians_list(walls, ca, asked):
    child, _ = asked
    await ca.post(QUERY, ca.ask(child, None))
    page = (await ca.post("/v1/guardians/accesses", {"subject": {"pseudonym": ca.pseudonym(child)}})).json()
    assert [line["outcome"] for line in page["accesses"]] == ["未予提供"]


# --- the provider fails or breaks the contract ----------------------------------------------------------------------------------


async def faulty(walls, ca, asked, status, code):
    response = await ca.post(QUERY, ca.ask(*asked))
    return await denied(walls, response, status, code, outcome="fault")


async def test_a_provider_that_times_out_is_a_fault(walls, ca, asked):
    async def sleep():
        await asyncio.sleep(3)

    walls.provider.before = sleep
    await faulty(walls, ca, asked, 504, "provider_timeout")


GARBAGE = {
    "nothing": b"",
    "html": b"<html>" + CANARY.encode(),
    "other json": json.dumps({"id": CANARY}).encode(),
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "not a number": b"NaN",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_a_provider_that_answers_garbage_is_a_fault(walls, ca, asked, answer):
    walls.provider.bend_bytes = lambda _: (200, answer)
    await faulty(walls, ca, asked, 502, "provider_garbage")


async def test_an_answer_that_says_a_thing_twice_is_garbage(walls, ca, asked):
    walls.provider.bend_bytes = lambda body: (200, body[:-1] + b',"missing":[]}')
    await faulty(walls, ca, asked, 502, "provider_garbage")


async def test_a_provider_that_answers_too_much_is_a_fault(walls, ca, asked):
    walls.provider.bend_bytes = lambda _: (200, b" " * (5 * 1024 * 1024))
    await faulty(walls, ca, asked, 502, "provider_too_much")


async def test_a_provider_that_refuses_is_a_fault_and_its_words_stay_there(walls, ca, asked):
    walls.provider.bend_bytes = lambda _: (500, json.dumps({"code": CANARY, "detail": CANARY}).encode())
    await faulty(walls, ca, asked, 502, "provider_refused")


async def test_a_provider_whose_register_contradicts_the_band_denies(walls, ca, asked):
    walls.provider.bend_bytes = lambda _: (403, json.dumps({"code": "age_band_contradicted"}).encode())
    response = await ca.post(QUERY, ca.ask(*asked))
    await denied(walls, response, response.status_code, "age_band_contradicted")


def line_of(release):
    return release.lines[0]


def with_line(release, **parts):
    return replace(release, lines=(replace(line_of(release), **parts),))


BENT = {
    "another line": (lambda o, r: with_line(r, number=2), "release_lines|provider_garbage"),
    "another request": (lambda o, r: replace(r, request="rq-other"), "release_unsigned|release_lines"),
    "the line twice missing": (lambda o, r: replace(r, missing=(1,)), "release_lines|provider_garbage"),
    "nothing about the line": (lambda o, r: replace(r, lines=()), "release_lines"),
    "unsigned": (lambda o, r: with_line(r, sealing=None), "release_unsigned"),
    "a reference that is none": (lambda o, r: with_line(r, references={"n" + CANARY: CANARY}), "release_reference"),
    "a reference where a value stands": (lambda o, r: with_line(r, references={"grade": CANARY}), "release_reference"),
    "a region that is none": (lambda o, r: with_line(r, region="33"), "form_violation|provider_garbage"),
}


@pytest.mark.parametrize(("bend", "codes"), BENT.values(), ids=BENT)
async def test_a_bent_release_is_a_fault_and_nothing_leaves(walls, ca, asked, bend, codes):
    walls.provider.bend_release = bend
    response = await ca.post(QUERY, ca.ask(*asked))
    code = response.json()["code"]
    assert code in codes.split("|")
    await denied(walls, response, 502, code, outcome="fault")


async def test_a_release_about_another_child_is_a_fault(walls, ca, asked):
    other = walls.caller("ed").pseudonym(walls.child())
    walls.provider.bend_release = lambda o, r: with_line(r, subject=other)
    await faulty(walls, ca, asked, 502, "release_subject")


async def test_a_release_by_another_key_is_a_fault(walls, ca, asked):
    walls.provider.signer = SigningKey.generate()
    await faulty(walls, ca, asked, 502, "release_unsigned")


async def test_a_value_changed_after_signing_is_a_fault(walls, ca, asked):
    def bend(_order, release):
        values = dict(line_of(release).values)
        values["grade"] = PlainValue("08", values["grade"].salt)
        return with_line(release, values=values)

    walls.provider.bend_release = bend
    await faulty(walls, ca, asked, 502, "release_unsigned")


@pytest.mark.parametrize(
    ("name", "value"),
    [("grade", CANARY), ("enrolled", "maybe"), ("as_of", "yesterday"), ("child_name", "张三"), ("n" + CANARY, "张三")],
)
async def test_a_field_not_ordered_or_not_in_its_form_is_a_fault_that_names_only_known_fields(
    walls, ca, asked, name, value
):
    walls.provider.extra = {name: value}
    document = await faulty(walls, ca, asked, 502, "form_violation")
    assert document["facts"]["field"] in (name if name in PUPIL else "unknown", "unknown")
    assert value not in json.dumps(document)


async def test_a_field_sealed_against_the_order_is_a_fault(walls, ca, asked):
    def bend(order, _release):
        from gateway.domain.permits import Obligation
        from gateway.domain.vocabulary import Transform

        grants = dict(order.grants) | {"grade": Obligation(Transform.CLEAR, sealed=True)}
        made = walls.provider.line(order, 1, order.lines[0].subject, "330106", PUPIL, grants=grants)
        assert isinstance(made.values["grade"], SealedValue)
        return replace(_release, lines=(made,))

    walls.provider.bend_release = bend
    await faulty(walls, ca, asked, 502, "form_violation")


async def test_an_unknown_fault_is_a_bare_500_recorded_and_its_text_is_nowhere(walls, ca, asked, operator):
    def bend(_order, _release):
        raise RuntimeError(f"the text of {CANARY}")

    walls.provider.bend_release = bend
    response = await ca.post(QUERY, ca.ask(*asked))
    document = await denied(walls, response, 500, "internal", outcome="fault")
    assert set(document["facts"]) == {"request"}
    (_, detail) = (await walls.history(asked[0]))[-1]
    assert detail["facts"]["internal"] == "RuntimeError"
    assert document["facts"]["request"] == detail["facts"]["request"]
    assert CANARY not in json.dumps([operator, detail])
    assert operator == [{"event": "fault", "route": QUERY, "code": "internal", "exception": "RuntimeError"}]


async def test_an_order_names_the_provider_its_own_name_of_the_child_and_no_other(walls, ca, asked):
    child, case = asked
    await ca.post(QUERY, ca.ask(child, case, fields=["enrolled", "enrolled"]))
    (order,) = walls.provider.orders
    assert order.lines[0].subject == walls.caller("ed").pseudonym(child)
    assert set(order.grants) == {"enrolled"}
    sent = canonical({"order": repr(order)})
    assert ca.pseudonym(child).encode() not in sent
    assert case.encode() not in sent


async def test_a_clock_that_goes_wrong_does_not_open_a_case(walls, ca, asked):
    walls.clock.ahead = timedelta(days=400)
    response = await ca.post(QUERY, ca.ask(*asked))
    assert response.status_code in (200, 403, 502)
    assert len(await walls.entries()) == 1


async def test_a_consent_withdrawn_while_the_provider_answers_stops_the_answer(walls, ca):
    yl, child = walls.caller("yl", "Q0301", "case_worker"), walls.child()
    given = await yl.consent(
        child, exchange="X01", purpose="P06", recipients=["youth_league"], fields=["in_programme", "as_of"]
    )
    walls.provider.records[ca.pseudonym(child)] = ("330106", {"in_programme": "Y", "as_of": "2026-11-20"})
    case = await yl.approved_case(child, ["X01"], "Q0900")
    question = {
        "exchange": "X01",
        "purpose": "P06",
        "subject": {"pseudonym": yl.pseudonym(child)},
        "case": case,
        "fields": ["in_programme", "as_of"],
    }
    assert (await yl.post(QUERY, question)).status_code == 200

    async def meanwhile():
        await yl.withdraw(given)
        await walls.mark()

    walls.provider.before = meanwhile
    await denied(walls, await yl.post(QUERY, question), 403, "consent_withdrawn")
