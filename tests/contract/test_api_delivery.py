"""The second story behind the machine door: permits, envelopes, the inbox; what is refused, and what is taken back in time."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.canonical import canonical
from gateway.flows.upkeep import expire
from gateway.store.registry_changes import enable_client, reset_switch, throw_switch
from keys.signing import SigningKey
from tests.contract.api_house import CANARY, REPORT, WARNING, refused

pytestmark = pytest.mark.anyio
PERMITS, DELIVERIES = "/v1/send-permits", "/v1/deliveries"


@pytest.fixture
async def walls(whole):
    whole.settle()
    ca = whole.caller("ca")
    for item in await ca.take():
        await ca.post("/v1/inbox/acknowledge", {"delivery": item["delivery"], "status": "stored"})
    await whole.mark()
    return whole


@pytest.fixture
async def child(walls, sc):
    """A child whose guardian and self agreed to X05."""
    made = walls.child()
    walls.given = await sc.consent(made)
    await walls.mark()
    return made


async def one_entry(walls, kind, outcome, code):
    (entry,) = await walls.entries()
    assert (entry["kind"], entry["outcome"], entry.get("code", "")) == (kind, outcome, code)
    assert CANARY not in json.dumps(entry)
    return entry


async def denied(walls, response, status, code, *, kind="accepted"):
    document = refused(response, status, code)
    await one_entry(walls, kind, "denied", code)
    return document


async def permitted(walls, sc, ca, child, **more):
    permit = await sc.permit(child, ca, **more)
    await walls.mark()
    return permit


# --- permits --------------------------------------------------------------------------------------------------------------------


async def test_no_consent_gives_no_permit(walls, sc, ca):
    response = await sc.post(PERMITS, sc.wish(walls.child(), ca))
    await denied(walls, response, 403, "consent_none", kind="send_permit")


async def test_a_withdrawal_a_moment_ago_gives_no_permit(walls, sc, ca, child):
    await sc.withdraw(walls.given)
    await walls.mark()
    response = await sc.post(PERMITS, sc.wish(child, ca))
    await denied(walls, response, 403, "consent_withdrawn", kind="send_permit")


async def test_an_unknown_recipient_is_refused(walls, sc, ca, child):
    wish = sc.wish(child, ca) | {"recipient": f"{CANARY}/education"}
    response = await sc.post(PERMITS, wish)
    await denied(walls, response, response.status_code, "recipient_unknown", kind="send_permit")


async def test_a_line_number_twice_is_refused(walls, sc, ca, child):
    wish = sc.wish(child, ca)
    response = await sc.post(PERMITS, wish | {"lines": wish["lines"] * 2})
    await denied(walls, response, response.status_code, "lines_invalid", kind="send_permit")


async def test_a_reason_that_is_none_is_kept_nowhere(walls, sc, ca, child):
    response = await sc.post(PERMITS, sc.wish(child, ca, reason="zhang_san_ma_ma"))
    refused(response, response.status_code, "reason_unknown", "zhang_san_ma_ma")
    response = await sc.post(PERMITS, sc.wish(child, ca, reason=CANARY))
    refused(response, 422, "body_invalid")


async def test_a_permit_tells_the_recipient_key_and_lets_nothing_leave(walls, sc, ca, child):
    permit = await sc.permit(child, ca)
    await one_entry(walls, "send_permit", "done", "")
    assert permit["recipient_key"]["kid"] == ca.body.sealing.kid
    assert await ca.take() == []


# --- handing in -------------------------------------------------------------------------------------------------------------------


async def test_a_permit_is_used_once(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    envelope = sc.envelope(permit, child, ca, WARNING)
    assert (await sc.hand_in(envelope)).status_code == 202
    await one_entry(walls, "accepted", "done", "")
    await walls.mark()
    await denied(walls, await sc.hand_in(envelope), 409, "permit_used")


async def test_a_permit_ends_after_five_minutes(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    walls.clock.ahead = timedelta(minutes=5, seconds=1)
    response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING))
    await denied(walls, response, response.status_code, "permit_stale")


async def test_a_permit_of_another_client_is_unknown(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    ed = walls.caller("ed", "J0201", "case_worker")
    response = await ed.hand_in(sc.envelope(permit, child, ca, WARNING))
    await denied(walls, response, response.status_code, "permit_unknown")


async def test_a_permit_that_never_was_is_unknown_and_its_name_is_kept_nowhere(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    envelope = sc.envelope(permit, child, ca, WARNING) | {"permit": CANARY}
    response = await sc.hand_in(envelope)
    await denied(walls, response, response.status_code, "permit_unknown")
    async with walls.house.database.read() as reading:
        from gateway.audit.reading import open_detail

        row = await walls.row(reading, walls.seen)
        assert CANARY not in json.dumps(await open_detail(reading, walls.house.log.keeper, row))


async def test_a_permit_for_one_child_carries_no_other(walls, sc, ca, child):
    other = walls.child()
    await sc.consent(other)
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(sc.envelope(permit, other, ca, WARNING))
    await denied(walls, response, response.status_code, "permit_other")


async def test_a_permit_for_one_recipient_serves_no_other(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(sc.envelope(permit, child, walls.caller("ed"), WARNING))
    await denied(walls, response, response.status_code, "permit_other")


async def test_a_withdrawal_between_permit_and_hand_in_refuses(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    await sc.withdraw(walls.given)
    await walls.mark()
    await denied(walls, await sc.hand_in(sc.envelope(permit, child, ca, WARNING)), 403, "consent_withdrawn")


async def test_a_rule_that_changed_between_permit_and_hand_in_makes_the_permit_stale(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    with walls.rules(lambda rule: None if rule.id == "X05.ed.s05" else rule):
        response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING))
    await denied(walls, response, response.status_code, "permit_stale")


async def test_without_the_guardians_contact_the_gate_stays_shut(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING | {"guardian_contacted": "N"}))
    await denied(walls, response, 403, "guardian_not_contacted")


async def test_an_envelope_by_an_unknown_key_is_unsigned(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING, signer=SigningKey.generate()))
    await denied(walls, response, response.status_code, "envelope_unsigned")


async def test_an_envelope_signed_by_another_party_is_unsigned(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING, signer=walls.site["yl"].client_key))
    await denied(walls, response, response.status_code, "envelope_unsigned")


def bent(envelope, bend):
    copy = json.loads(json.dumps(envelope))
    bend(copy["lines"][0])
    return copy


def no_seal(line):
    del line["seal"]


def other_signature(line):
    line["seal"]["signature"] = "A" * 86


def other_ciphertext(line):
    line["fields"]["risk_band"] = {"c": "A" * 86}


def opened_field(line):
    line["fields"]["risk_band"] = {"v": "warning", "s": "A" * 22}


def canary_field(line):
    line["fields"]["n" + CANARY] = {"v": CANARY, "s": "A" * 22}


def canary_digest(line):
    line["seal"]["digests"]["n" + CANARY] = "A" * 43


def canary_reference(line):
    line["references"] = {"n" + CANARY: CANARY}


def canary_value(line):
    line["fields"]["urgency"]["v"] = CANARY


def other_line(line):
    line["line"] = 7


def unknown_part(line):
    line[CANARY] = CANARY


@pytest.mark.parametrize(
    "bend",
    [
        no_seal,
        other_signature,
        other_ciphertext,
        opened_field,
        canary_field,
        canary_digest,
        canary_reference,
        canary_value,
        other_line,
        unknown_part,
    ],
)
async def test_a_changed_envelope_is_refused_and_nothing_of_it_repeated(walls, sc, ca, child, bend):
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(bent(sc.envelope(permit, child, ca, WARNING), bend))
    assert 400 <= response.status_code < 500
    refused(response, response.status_code, response.json()["code"])
    await one_entry(walls, "accepted", "denied", response.json()["code"])
    assert await ca.take() == []


async def test_a_required_field_left_out_is_named(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    values = {name: value for name, value in WARNING.items() if name != "risk_band"}
    response = await sc.hand_in(sc.envelope(permit, child, ca, values))
    document = await denied(walls, response, response.status_code, "field_required")
    assert document["facts"]["field"] == "risk_band"


async def test_an_unsealed_field_that_must_be_sealed_is_refused(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    open_permit = json.loads(json.dumps(permit).replace("+sealed", ""))
    response = await sc.hand_in(sc.envelope(open_permit, child, ca, WARNING))
    await denied(walls, response, response.status_code, "envelope_invalid")


async def test_a_record_outside_the_recipients_region_is_refused(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING, region="330203"))
    await denied(walls, response, 403, "region")


# --- idempotency --------------------------------------------------------------------------------------------------------------------


async def test_the_same_request_under_the_same_key_gets_the_same_answer(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    envelope = sc.envelope(permit, child, ca, WARNING)
    first = await sc.hand_in(envelope, key="a key of the sender")
    again = await sc.hand_in(envelope, key="a key of the sender")
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert [(e["kind"], e.get("code", "")) for e in await walls.entries()] == [
        ("accepted", ""),
        ("accepted", "repeated"),
    ]
    assert len(await ca.take()) == 1


async def test_two_attempts_at_the_same_moment_deliver_once_and_hear_the_same(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    envelope = sc.envelope(permit, child, ca, WARNING)
    answers = await asyncio.gather(*(sc.hand_in(envelope, key="a key at a moment") for _ in range(4)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert len(await ca.take()) == 1


async def test_another_request_under_the_same_key_is_a_conflict(walls, sc, ca, child):
    permit = await permitted(walls, sc, ca, child)
    await sc.hand_in(sc.envelope(permit, child, ca, WARNING), key="a key used twice")
    await walls.mark()
    response = await sc.hand_in(sc.envelope(permit, child, ca, WARNING), key="a key used twice")
    await denied(walls, response, response.status_code, "idempotency_conflict")


@pytest.mark.parametrize("key", ["", "short", "x" * 129])
async def test_a_hand_in_needs_a_key(walls, sc, ca, child, key):
    permit = await permitted(walls, sc, ca, child)
    body = {"envelope": sc.envelope(permit, child, ca, WARNING)}
    response = await sc.post(DELIVERIES, body, idempotency_key=key)
    await denied(walls, response, response.status_code, "idempotency_key_missing")


# --- the inbox ------------------------------------------------------------------------------------------------------------------------


async def handed_in(walls, sc, ca, child, **more):
    delivery = await sc.delivered(child, ca, **more)
    await walls.mark()
    return delivery


async def test_what_was_handed_in_is_handed_out_sealed_and_once_acknowledged_gone(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    (item,) = await ca.take()
    assert item["delivery"] == delivery
    (line,) = item["envelope"]["lines"]
    assert set(line["fields"]) == {"risk_band", "observed_from", "school_contact"}
    assert all(set(cell) == {"c"} for cell in line["fields"].values())
    assert line["subject"] == ca.pseudonym(child)
    assert await ca.take() == []  # held by its taker
    await one_entry(walls, "delivered", "released", "")
    done = await ca.post("/v1/inbox/acknowledge", {"delivery": delivery, "status": "stored"})
    assert done.status_code == 200
    assert await sc.state_of(delivery) == "acknowledged"


async def test_the_guardian_reads_which_fields_really_went(walls, sc, ca, child):
    await handed_in(walls, sc, ca, child)
    await ca.take()
    from gateway.store.basis_lists import accesses_of

    async with walls.house.database.read() as reading:
        (row,) = [r for r in await accesses_of(reading, walls.point(child)) if r.outcome == "released"]
    assert set(row.fields.split()) == {"risk_band", "observed_from", "school_contact"}


async def test_the_inbox_of_somebody_else_stays_shut(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    for name in ("ed", "yl", "wf", "out"):
        assert await walls.caller(name).take() == []
    ed = walls.caller("ed")
    response = await ed.post("/v1/inbox/acknowledge", {"delivery": delivery, "status": "stored"})
    unknown = await ed.post("/v1/inbox/acknowledge", {"delivery": "dl-" + "a" * 26, "status": "stored"})
    refused(response, 404, "delivery_unknown", delivery)
    assert response.content == unknown.content
    entries = await walls.entries()
    assert {(e["kind"], e["outcome"], e["code"]) for e in entries} == {("acknowledged", "denied", "delivery_unknown")}
    assert await sc.state_of(delivery) == "waiting"


async def test_acknowledging_twice_is_no_fault_and_changing_ones_mind_is(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    early = await ca.post("/v1/inbox/acknowledge", {"delivery": delivery, "status": "stored"})
    refused(early, 409, "delivery_state", delivery)
    await ca.take()
    for _ in range(2):
        done = await ca.post("/v1/inbox/acknowledge", {"delivery": delivery, "status": "stored"})
        assert done.status_code == 200
    other = await ca.post("/v1/inbox/acknowledge", {"delivery": delivery, "status": "rejected"})
    refused(other, 409, "delivery_state", delivery)


async def test_what_a_recipient_says_stands_in_no_leaf(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    await ca.take()
    await walls.mark()
    body = {"delivery": delivery, "status": "rejected", "code": CANARY}
    refused(await ca.post("/v1/inbox/acknowledge", body), 422, "body_invalid")
    await walls.mark()
    await ca.post("/v1/inbox/acknowledge", body | {"code": "zhang_san_has_moved"})
    entry = await one_entry(walls, "acknowledged", "done", "rejected")
    assert "zhang" not in json.dumps(entry)


@pytest.mark.parametrize("body", [{"wait": 26}, {"wait": -1}, {"limit": 0}, {"limit": 101}, {"wait": "1"}, {CANARY: 1}])
async def test_an_inbox_is_asked_within_limits(walls, ca, body):
    response = await ca.post("/v1/inbox/take", body)
    await denied(walls, response, 422, "body_invalid", kind="delivered")


async def test_whoever_waits_at_the_inbox_is_woken(walls, sc, ca, child):
    waiting = asyncio.create_task(ca.take(wait=20))
    await asyncio.sleep(0.05)
    delivery = await sc.delivered(child, ca)
    (item,) = await asyncio.wait_for(waiting, 5)
    assert item["delivery"] == delivery


# --- taken back in time -----------------------------------------------------------------------------------------------------------------


async def recalled(walls, sc, ca, delivery, code):
    """Nothing leaves, the envelope is gone, one `recalled` entry says why, and the sender is told."""
    assert await ca.take() == []
    entry = await one_entry(walls, "recalled", "denied", code)
    assert entry["exchange"] == "X05"
    assert await sc.state_of(delivery) == "recalled"
    from gateway.store.exchanges import get_delivery

    async with walls.house.database.read() as reading:
        assert (await get_delivery(reading, delivery)).envelope is None
    await walls.mark()
    assert await ca.take() == []
    assert await walls.entries() == []


async def test_a_withdrawal_between_hand_in_and_hand_out_recalls(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    await sc.withdraw(walls.given)
    await walls.mark()
    await recalled(walls, sc, ca, delivery, "consent_withdrawn")


async def test_the_kill_switch_of_the_exchange_recalls_whoever_threw_it(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    await ca.fetch_token()
    await sc.get("/v1/deliveries")
    # Thrown by another worker: nobody tells this one's copy of the registry.
    await walls.change(lambda writing: throw_switch(writing, "exchange", "X05", by="x", now=1))
    await walls.mark()
    try:
        await recalled(walls, sc, ca, delivery, "exchange_stopped")
    finally:
        await walls.change(lambda writing: reset_switch(writing, "exchange", "X05"))
        walls.house.registry.forget()


@pytest.mark.parametrize("how", ["switch", "disabled"])
async def test_a_sender_that_was_stopped_is_recalled(walls, sc, ca, child, how):
    delivery = await handed_in(walls, sc, ca, child)
    if how == "switch":
        await walls.change(lambda writing: throw_switch(writing, "client", "sc-system", by="x", now=1))
    else:
        await walls.change(lambda writing: enable_client(writing, "sc-system", enabled=False))
    await walls.mark()
    try:
        assert await ca.take() == []
        await one_entry(walls, "recalled", "denied", "client_disabled")
    finally:
        await walls.change(lambda writing: reset_switch(writing, "client", "sc-system"))
        await walls.change(lambda writing: enable_client(writing, "sc-system", enabled=True))
        walls.house.registry.forget()
    assert await sc.state_of(delivery) == "recalled"


async def test_a_recipient_stopped_during_its_long_poll_takes_nothing_and_nothing_is_destroyed(walls, sc, ca, child):
    await ca.fetch_token()
    waiting = asyncio.create_task(ca.post("/v1/inbox/take", {"wait": 5, "limit": 10}))
    await asyncio.sleep(0.1)
    await walls.change(lambda writing: throw_switch(writing, "client", "ca-system", by="x", now=1))
    walls.house.registry.forget()
    delivery = await sc.delivered(child, ca)
    refused(await waiting, 401, "client_disabled", delivery)
    await walls.change(lambda writing: reset_switch(writing, "client", "ca-system"))
    walls.house.registry.forget()
    assert [item["delivery"] for item in await ca.take()] == [delivery]


async def test_a_rule_dropped_since_recalls(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    with walls.rules(lambda rule: None if rule.id == "X05.ed.s05" else rule):
        await recalled(walls, sc, ca, delivery, "permit_narrowed")


async def test_a_stricter_obligation_since_recalls_what_was_sealed_laxer(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)

    def stricter(rule):
        return replace(rule, obl="mask:phone.middle4+sealed") if rule.id == "X05.ed.s05" else rule

    with walls.rules(stricter):
        await recalled(walls, sc, ca, delivery, "permit_narrowed")


async def test_a_region_narrowed_since_recalls(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)

    def narrower(rule):
        return replace(rule, reg="330106001") if rule.obj == "X05" and rule.act == "receive" else rule

    with walls.rules(narrower):
        assert await ca.take() == []
    entries = await walls.entries()
    assert [entry["kind"] for entry in entries] == ["recalled"]
    assert await sc.state_of(delivery) == "recalled"


async def test_an_envelope_ends_after_its_hours(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    walls.clock.ahead = timedelta(hours=73)
    assert await expire(walls.house) >= 1
    mine = [e for e in await walls.entries() if e["kind"] == "expired"]
    assert mine
    assert all("from" not in entry and entry["outcome"] == "done" for entry in mine)
    assert await sc.state_of(delivery) == "expired"
    await walls.mark()
    assert await expire(walls.house) == 0
    assert await walls.entries() == []


async def test_an_envelope_past_its_hours_is_not_handed_out_even_before_it_is_cleared(walls, sc, ca, child):
    delivery = await handed_in(walls, sc, ca, child)
    walls.clock.ahead = timedelta(hours=73)
    await recalled(walls, sc, ca, delivery, "expired")


async def test_a_fault_of_ours_at_hand_out_holds_one_envelope_back_and_no_other(walls, sc, ca, child, monkeypatch):
    other = walls.child()
    await sc.consent(other)
    stuck = await sc.delivered(child, ca)
    free = await sc.delivered(other, ca)
    await walls.mark()
    find = walls.house.basis.find

    async def broken(recognised, ask, reading, **more):
        if recognised.subject.key == walls.point(child):
            raise RuntimeError(CANARY)
        return await find(recognised, ask, reading, **more)

    monkeypatch.setattr(type(walls.house.basis), "find", lambda _self, *args, **more: broken(*args, **more))
    assert [item["delivery"] for item in await ca.take()] == [free]
    kinds = [(e["kind"], e["outcome"], e.get("code", "")) for e in await walls.entries()]
    assert sorted(kinds) == [("delivered", "fault", "internal"), ("delivered", "released", "")]
    assert await sc.state_of(stuck) == "delivered"
    monkeypatch.undo()
    walls.clock.ahead = timedelta(seconds=90)
    assert stuck in [item["delivery"] for item in await ca.take()]


# --- the exceptional doors ----------------------------------------------------------------------------------------------------------------


async def test_the_protective_door_leaves_no_trace_in_any_ordinary_history(walls, ca):
    reporter = walls.caller("sc", "T0500", "reporter")
    child = walls.child()
    subject = {"subject": {"pseudonym": ca.pseudonym(child)}}
    before = (await ca.post("/v1/guardians/accesses", subject)).json()
    delivery = await reporter.delivered(child, ca, REPORT, exchange="X20", purpose="P07", door="protective")
    (item,) = [item for item in await ca.take() if item["delivery"] == delivery]
    assert item["door"] == "protective"
    await ca.post("/v1/inbox/acknowledge", {"delivery": delivery, "status": "stored"})
    reviews = (await reporter.get("/v1/reviews")).json()["reviews"]
    task = next(review for review in reviews if review["kind"] == "protective")
    closer = walls.caller("sc", "T0417", "school_psychologist")
    done = await closer.post("/v1/reviews/close", {"review": task["review"], "finding": "justified"})
    assert done.status_code == 200, done.text
    told = {entry["kind"] for entry in await walls.entries() if entry.get("door") == "protective"}
    assert told == {"send_permit", "accepted", "delivered", "acknowledged", "review.opened", "review.closed"}
    kinds = [skeleton["kind"] for skeleton, _ in await walls.history(child)]
    assert set(kinds) == {"guardian.view"}
    assert (await ca.post("/v1/guardians/accesses", subject)).json() == before


async def test_an_emergency_is_granted_owes_notice_and_review_and_says_so(walls, sc, ca):
    child = walls.child()
    await sc.delivered(child, ca, WARNING | {"guardian_contacted": "N"}, door="emergency", reason="self_harm_risk")
    kinds = [entry["kind"] for entry in await walls.entries()]
    assert kinds == ["send_permit", "accepted", *sorted(["review.opened", "notice.owed"], key=kinds.index)]
    assert {"emergency"} == {entry["door"] for entry in await walls.entries()}


async def test_an_emergency_without_a_reason_is_refused(walls, sc, ca):
    response = await sc.post(PERMITS, sc.wish(walls.child(), ca, door="emergency"))
    entry_code = "reason_missing"
    await denied(walls, response, response.status_code, entry_code, kind="send_permit")


# --- grants ---------------------------------------------------------------------------------------------------------------------------------


async def test_one_signed_grant_is_made_once(walls):
    import time

    from gateway.client import statements

    ca = walls.caller("ca")
    now = int(time.time())
    subject = statements.enrolment_grant(party=ca.party, size=700, until=now + 3600)
    signed = [
        statements.approval(p, ca.party, ca.body.people[p], subject=subject, now=now, lifetime=86_400)
        for p in ("M0900", "M0901")
    ]
    assert (await ca.post("/v1/pseudonyms/grants", {"approvals": signed})).status_code == 200
    await walls.mark()
    response = await ca.post("/v1/pseudonyms/grants", {"approvals": signed})
    await denied(walls, response, 409, "approval_replayed", kind="pseudonyms.grant")
    again = [
        statements.approval(p, ca.party, ca.body.people[p], subject=subject, now=now + 1, lifetime=86_400)
        for p in ("M0901", "M0900")
    ]
    await walls.mark()
    response = await ca.post("/v1/pseudonyms/grants", {"approvals": again})
    await denied(walls, response, 409, "approval_replayed", kind="pseudonyms.grant")
    assert canonical(subject)


# --- who is meant, and who may say a diagnosis ------------------------------------------------------------------------------------------------


async def test_a_child_that_got_a_number_since_is_looked_up_under_its_new_name(walls, sc, ca, child):
    from gateway.store.exchanges import put_alias

    delivery = await handed_in(walls, sc, ca, child)
    # What is recorded from now on stands under the new name, where nobody has agreed to anything.
    later = walls.point(walls.child())
    await walls.change(lambda writing: put_alias(writing, walls.point(child), later, "x"))
    await walls.mark()
    await recalled(walls, sc, ca, delivery, "consent_none")


@pytest.mark.parametrize("medical", [True, False])
async def test_whether_the_sender_is_a_medical_institution_reaches_the_check(
    walls, sc, ca, child, medical, monkeypatch
):
    from gateway.flows import deliver
    from gateway.store.registry_changes import put_organisation

    ours = walls.house.registry.organisation(sc.party.organisation)
    permit = await sc.permit(child, ca)
    await walls.change(lambda writing: put_organisation(writing, replace(ours, medical=medical)))
    walls.house.registry.forget()
    seen, check = [], deliver.check_envelope

    def listening(envelope, **more):
        seen.append(more["medical"])
        return check(envelope, **more)

    monkeypatch.setattr(deliver, "check_envelope", listening)
    assert (await sc.hand_in(sc.envelope(permit, child, ca, WARNING))).status_code == 202
    await walls.change(lambda writing: put_organisation(writing, ours))
    walls.house.registry.forget()
    assert seen == [medical]
