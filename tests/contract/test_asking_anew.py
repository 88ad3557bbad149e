"""What time and a new policy version bring about by themselves: consents asked anew, holders asked for their shares."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.app import _holders
from gateway.errors import GatewayFault
from gateway.flows.renewals import ask_anew
from gateway.flows.upkeep import upkeep
from policies.book import build as build_snapshot
from tests.console.site import settings_in
from tests.contract.api_house import REPORT, refused

pytestmark = pytest.mark.anyio


def with_another_field(catalogue):
    """The same catalogue, in which X05 has one field more."""
    exchange = catalogue.exchanges["X05"]
    more = replace(exchange.fields["school_contact"], name="school_contact_2", required=False)
    wider = replace(exchange, fields={**exchange.fields, more.name: more})
    return replace(catalogue, exchanges={**catalogue.exchanges, "X05": wider}, digest="0" * 64)


async def test_a_version_that_changes_the_fields_asks_anew_from_its_first_call_on(walls, sc):
    child, ca = walls.child(), walls.caller("ca")
    await sc.consent(child)
    assert (await sc.post("/v1/send-permits", sc.wish(child, ca))).status_code == 200
    assert await ask_anew(walls.house) == 0
    book = walls.house.book
    before = book.snapshot
    book.publish(build_snapshot(with_another_field(before.catalogue), before.rules))
    try:
        refused(await sc.post("/v1/send-permits", sc.wish(child, ca)), 403, "consent_renewal")
        await walls.mark()
        await upkeep(walls.house)
        await upkeep(walls.house)
        tasks = (await sc.get("/v1/reviews")).json()["reviews"]
        assert [(task["kind"], task["exchange"]) for task in tasks] == [("renewal", "X05")]
        told = [entry for entry in await walls.entries() if entry.get("code") == "consent_renewal"]
        assert [(entry["kind"], entry["exchange"]) for entry in told] == [("review.opened", "X05")]
        await sc.consent(child)
        assert (await sc.post("/v1/send-permits", sc.wish(child, ca))).status_code == 200
    finally:
        book.publish(before)
        walls.house.looked_through.clear()


async def test_at_the_end_of_an_embargo_both_holders_are_asked_and_silence_is_an_alarm(walls, sc):
    child, ca, yl = (
        walls.child(),
        walls.caller("ca", "M0101", "case_worker"),
        walls.caller("yl", "Q0301", "case_worker"),
    )
    reporter = walls.caller("sc", "T0500", "reporter")
    assert await reporter.delivered(child, ca, REPORT, exchange="X20", purpose="P07", door="protective")
    held = replace(walls.house, holders=(ca.party, yl.party))
    await upkeep(held)
    assert not [task for task in (await yl.get("/v1/reviews")).json()["reviews"] if task["kind"] == "embargo"]
    walls.clock.ahead = timedelta(days=181)
    await upkeep(held)
    await upkeep(held)
    for holder in (ca, yl):
        (task,) = [task for task in (await holder.get("/v1/reviews")).json()["reviews"] if task["kind"] == "embargo"]
        assert "subject" not in task
    walls.clock.ahead = timedelta(days=240)
    await walls.mark()
    await upkeep(held)
    assert [entry["kind"] for entry in await walls.entries()].count("alarm") >= 2


def test_two_holders_of_one_department_stop_the_start(tmp_path):
    key = "A" * 43
    one, two = (f"{code}/civil_affairs:x25519:{key}" for code in ("11330106MB1234567A", "11330106MB7654321B"))
    with pytest.raises(GatewayFault, match="escrow_missing"):
        _holders(settings_in(tmp_path, protective_escrow=(one, two)))
    other = two.replace("civil_affairs", "health")
    assert [str(party.department) for party in _holders(settings_in(tmp_path, protective_escrow=(one, other)))] == [
        "civil_affairs",
        "health",
    ]
