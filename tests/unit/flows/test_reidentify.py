"""Who is this child? One view, fifteen minutes, two departments' approvals; everything less is refused."""

import asyncio
import json

import pytest

from gateway.client import statements
from gateway.client.errors import AnswerRejected, GatewayRefused
from gateway.domain.orders import Release
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Transform
from gateway.errors import ProviderFault
from gateway.flows.reidentify import VIEW_WITHIN
from keys.envelope import seal_line
from keys.signing import SigningKey
from tests.unit.flows.naming_world import built, child, number_of

pytestmark = pytest.mark.anyio
CHILD, OTHER = child(21), child(22)


@pytest.fixture
async def world(tmp_path):
    async with built(tmp_path) as made:
        rows = made.edges["ed"].register.rows
        rows["S0021"], rows["S0022"] = number_of(CHILD), number_of(OTHER)
        async with made.client("ed", None) as machine:
            await made.edges["ed"].source.enrol(machine.evaluate, None)
        yield made


async def refused(work):
    with pytest.raises(GatewayRefused) as caught:
        await work
    return caught.value.code


def asked(world, *, of=CHILD, exchange="X13", requester="yl", source="ed", **changes):
    """What the youth league wants to know: who is the child that it got in X13, under its closed scope there?"""
    subject = statements.reidentification(
        officer_id="worker",
        party=world[requester].party,
        pseudonym=world.named(requester, of, exchange or None),
        source=world[source].party,
        reason="imminent_danger",
        exchange=exchange,
    )
    return {**subject, **changes}


def signed(world, subject, *, requester="yl", person="worker", **changes):
    body = world[requester]
    return statements.reidentification_request(
        person, body.party, body.people[person], subject=subject, **{"now": world.clock.seconds, **changes}
    )


def approved(world, subject, *approvers):
    return [world.approval(name, person, subject) for name, person in approvers or (("ca", "boss"), ("wf", "boss"))]


async def granted(world, client, subject=None):
    subject = subject or asked(world)
    return await client.ask_reidentification(signed(world, subject), approved(world, subject))


async def test_the_sources_own_register_answers_sealed_and_once(world):
    async with world.client("yl") as client:
        grant = await granted(world, client)
        record = await client.view_reidentification(grant, world["ed"].party)
        kind, number = number_of(CHILD)
        assert record.values == {"identifier_kind": kind, "identifier": number}
        assert record.subject == world.named("yl", CHILD, "X13")
        assert number not in repr(record)
        assert await refused(client.view_reidentification(grant, world["ed"].party)) == "reidentification_viewed"
    told = [(e.get("code"), e["outcome"]) for e in await world.entries(kind="reidentification")]
    assert told == [
        ("granted", "done"),
        ("viewing", "done"),
        (None, "released"),
        ("reidentification_viewed", "denied"),
    ]


async def test_the_entry_stands_before_the_source_hears_of_it(world):
    seen = []
    edge = world.edges["ed"]
    fetch = edge.source.fetch

    async def watching(order):
        seen.extend(e.get("code") for e in await world.entries(kind="reidentification"))
        return await fetch(order)

    edge.source.fetch = watching
    async with world.client("yl") as client:
        await client.view_reidentification(await granted(world, client), world["ed"].party)
    assert seen == ["granted", "viewing"]


async def test_nothing_that_the_gateway_handles_or_keeps_holds_the_identifier(world):
    async with world.client("yl") as client:
        grant = await granted(world, client)
        answer = await world.posted(client, "/v1/reidentifications/view", {"reidentification": grant})
    number = number_of(CHILD)[1].encode()
    assert answer.status_code == 200
    assert number not in answer.content
    assert set(answer.json()) == {"source", "line"}
    assert all(set(value) == {"c"} for value in answer.json()["line"]["fields"].values())
    files = [path.read_bytes() for path in world.folder.iterdir() if path.is_file() and path.name.startswith("gateway")]
    assert not any(number in data for data in files)


async def test_one_approver_alone_is_refused(world):
    subject = asked(world)
    async with world.client("yl") as client:
        one = approved(world, subject, ("ca", "boss"))
        assert await refused(client.ask_reidentification(signed(world, subject), one)) == "body_invalid"
        assert await refused(client.ask_reidentification(signed(world, subject), one * 2)) == "approval_departments"


async def test_two_approvers_from_one_department_are_refused(world):
    subject = asked(world)
    both = approved(world, subject, ("ca", "boss"), ("ca", "chief"))
    async with world.client("yl") as client:
        assert await refused(client.ask_reidentification(signed(world, subject), both)) == "approval_departments"


async def test_an_approver_of_the_requesters_own_department_is_refused(world):
    subject = asked(world)
    both = approved(world, subject, ("yl", "boss"), ("ca", "boss"))
    async with world.client("yl") as client:
        assert await refused(client.ask_reidentification(signed(world, subject), both)) == "approval_own_department"


async def test_the_requester_as_approver_is_refused(world):
    subject = asked(world, officer="boss")
    both = approved(world, subject, ("yl", "boss"), ("ca", "boss"))
    async with world.client("yl", "boss") as client:
        request = signed(world, subject, person="boss")
        assert await refused(client.ask_reidentification(request, both)) == "approval_self"


async def test_an_expired_request_is_refused(world):
    subject = asked(world)
    request = signed(world, subject, lifetime=3600)
    approvals = approved(world, subject)
    world.clock.step(3600 + 61)
    async with world.client("yl") as client:
        assert await refused(client.ask_reidentification(request, approvals)) == "request_expired"


async def test_a_request_for_longer_than_a_day_is_refused(world):
    subject = asked(world)
    async with world.client("yl") as client:
        request = signed(world, subject, lifetime=86_401)
        assert await refused(client.ask_reidentification(request, approved(world, subject))) == "request_invalid"


async def test_an_expired_approval_is_refused(world):
    subject = asked(world)
    old = [world.approval(name, "boss", subject, lifetime=60) for name in ("ca", "wf")]
    world.clock.step(121)
    async with world.client("yl") as client:
        assert await refused(client.ask_reidentification(signed(world, subject), old)) == "approval_expired"


@pytest.mark.parametrize(
    "change",
    [{"pseudonym": "other"}, {"reason": "curiosity"}, {"source": "wf"}, {"exchange": "X14"}],
    ids=["child", "reason", "source", "exchange"],
)
async def test_a_request_altered_after_its_approvals_is_refused(world, change):
    subject = asked(world)
    approvals = approved(world, subject)
    if "pseudonym" in change:
        change = {"pseudonym": world.named("yl", OTHER, "X13")}
    if "source" in change:
        change = {"source": world["wf"].party.text}
    async with world.client("yl") as client:
        altered = signed(world, {**subject, **change})
        assert await refused(client.ask_reidentification(altered, approvals)) == "approval_subject"


async def test_a_request_whose_bytes_were_altered_is_refused(world):
    subject = asked(world)
    head, payload, signature = signed(world, subject).split(".")
    other_payload = signed(world, {**subject, "reason": "curiosity"}).split(".")[1]
    async with world.client("yl") as client:
        for forged in (f"{head}.{other_payload}.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA"):
            assert await refused(client.ask_reidentification(forged, approved(world, subject))) == "request_invalid"


async def test_a_request_signed_by_anybody_else_is_refused(world):
    subject = asked(world)
    async with world.client("yl") as client:
        for person in ("boss", "chief"):
            request = signed(world, subject, person=person)
            assert await refused(client.ask_reidentification(request, approved(world, subject))) == "request_other"
        stranger = statements.reidentification_request(
            "worker", world["yl"].party, SigningKey.generate(), subject=subject, now=world.clock.seconds
        )
        assert await refused(client.ask_reidentification(stranger, approved(world, subject))) == "requester_unknown"
        # An approval is no request, whoever signed it.
        approval = world.approval("yl", "boss", subject)
        assert await refused(client.ask_reidentification(approval, approved(world, subject))) == "request_invalid"


async def test_another_party_cannot_hand_in_a_request(world):
    subject = asked(world)
    async with world.client("he") as client:
        assert await refused(client.ask_reidentification(signed(world, subject), approved(world, subject))) == (
            "request_other"
        )


async def test_a_pseudonym_of_another_scope_is_refused(world):
    subject = asked(world, pseudonym=world.named("yl", CHILD))
    async with world.client("yl") as client:
        assert await refused(client.ask_reidentification(signed(world, subject), approved(world, subject))) == (
            "pseudonym_scope"
        )


async def test_one_set_of_signatures_serves_once(world):
    subject = asked(world)
    request, approvals = signed(world, subject), approved(world, subject)
    async with world.client("yl") as client:
        await client.ask_reidentification(request, approvals)
        assert await refused(client.ask_reidentification(request, approvals)) == "reidentification_used"


async def test_the_view_ends_after_fifteen_minutes(world):
    async with world.client("yl") as client:
        late, intime = await granted(world, client), await granted(world, client, asked(world, of=OTHER))
        world.clock.step(VIEW_WITHIN - 1)
        await client.view_reidentification(intime, world["ed"].party)
        world.clock.step(1)
        assert await refused(client.view_reidentification(late, world["ed"].party)) == "reidentification_expired"


async def test_a_grant_is_its_officers_alone(world):
    async with world.client("yl") as client:
        grant = await granted(world, client)
    async with world.client("yl", "boss") as colleague, world.client("ca") as other:
        for stranger in (colleague, other):
            assert await refused(stranger.view_reidentification(grant, world["ed"].party)) == "reidentification_unknown"


async def test_two_views_at_once_are_one_view(world):
    async with world.client("yl") as client:
        grant = await granted(world, client)
        ended = await asyncio.gather(
            *(client.view_reidentification(grant, world["ed"].party) for _ in range(5)), return_exceptions=True
        )
    assert sorted(getattr(end, "code", "seen") for end in ended) == ["reidentification_viewed"] * 4 + ["seen"]


async def test_a_source_that_fails_does_not_cost_the_view(world):
    async with world.client("yl") as client:
        grant = await granted(world, client)
        world.edges["ed"].down = ProviderFault("provider_timeout", edge="ed")
        assert await refused(client.view_reidentification(grant, world["ed"].party)) == "provider_timeout"
        world.edges["ed"].down = None
        assert (await client.view_reidentification(grant, world["ed"].party)).values["identifier"]


async def test_a_child_that_the_source_does_not_know_is_no_result(world):
    async with world.client("yl") as client:
        grant = await granted(world, client, asked(world, of=child(999)))
        assert await refused(client.view_reidentification(grant, world["ed"].party)) == "no_result"


@pytest.mark.parametrize("wrong", ["another child", "unsealed", "another field", "another key"])
async def test_a_source_that_answers_anything_else_is_at_fault(world, wrong):
    edge = world.edges["ed"]

    async def answering(order):
        (ordered,) = order.lines
        values = {"identifier_kind": "cn-rid", "identifier": "x"}
        plain, sealed = Obligation(Transform.CLEAR), Obligation(Transform.CLEAR, sealed=True)
        if wrong == "another field":
            values["name"] = "x"
        line = seal_line(
            values,
            grants=dict.fromkeys(values, plain if wrong == "unsealed" else sealed),
            info=edge.source._info(order, ordered),
            recipient=order.recipient_key,
            signer=SigningKey.generate() if wrong == "another key" else world["ed"].sender_key,
            number=1,
            subject=world.named("ed", OTHER) if wrong == "another child" else ordered.subject,
            references={},
            region=None,
        )
        return Release(order.request, order.exchange, world["ed"].party, (line,), ())

    edge.source.fetch = answering
    async with world.client("yl") as client:
        grant = await granted(world, client)
        code = await refused(client.view_reidentification(grant, world["ed"].party))
    assert code == ("release_unsigned" if wrong == "another key" else "form_violation")


async def test_the_sdk_believes_no_other_source_than_the_one_asked(world):
    async with world.client("yl") as client:
        grant = await granted(world, client)
        with pytest.raises(AnswerRejected, match="answer_other"):
            await client.view_reidentification(grant, world["ca"].party)


async def test_the_entries_name_everybody_in_their_detail_and_nobody_in_clear(world):
    async with world.client("yl") as client:
        await client.view_reidentification(await granted(world, client), world["ed"].party)
    for entry in await world.entries(kind="reidentification"):
        text = json.dumps(entry)
        assert "worker" not in text
        assert "boss" not in text
        assert "ri-" not in text
