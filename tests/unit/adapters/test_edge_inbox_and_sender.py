"""The inbox loop and the department's own door, over a gateway's port that remembers what it was told."""

import asyncio
import json

import pytest

from adapters.base.source import Record
from adapters.edge.inbox import Inbox
from adapters.edge.log import EdgeLog
from adapters.edge.port import Received, ReceivedLine, Sent
from adapters.edge.sender import Sender
from gateway.domain.orders import Acknowledgement
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department, Door
from gateway.errors import BadRequest, Denied, NotAuthenticated, ProviderFault

pytestmark = pytest.mark.anyio
CIVIL = Party("11330106MB00000011", Department.CIVIL_AFFAIRS)


class Directory:
    """A map, as the real one answers."""

    def __init__(self, **entries):
        self.entries = entries

    def record(self, pseudonym):
        return self.entries.get(pseudonym)

    def pseudonym(self, record):
        return next((p for p, r in self.entries.items() if r == record), None)


class Gateway:
    """Hands out what is not acknowledged, again and again, as the contract says."""

    def __init__(self, *envelopes):
        self.waiting = {e.delivery: e for e in envelopes}
        self.told = []
        self.sent = []
        self.polls = 0

    async def inbox(self, *, wait, limit):
        while self.waiting and self.polls < 50:
            self.polls += 1
            for envelope in list(self.waiting.values()):
                yield envelope

    async def acknowledge(self, acknowledgement):
        self.told.append(acknowledgement)
        del self.waiting[acknowledgement.delivery]

    async def send(self, sending):
        self.sent.append(sending)
        return Sent("d-1", "log 7 8", {2: "consent_none"})


class Source:
    def __init__(self, faults=None):
        self.faults = faults or {}
        self.got = []

    async def receive(self, message):
        if code := self.faults.get(message.delivery):
            raise ProviderFault(code)
        self.got.append(message)
        return Acknowledgement(message.delivery, "stored")

    def is_about_children(self, exchange):
        return exchange != "X16"

    async def local_values(self, exchange, records):
        return {"MZ1": Record("MZ1", "330106101201", None, {"plan_id": "FA1", "status": "active"})}


def envelope(delivery, subject="cao1a", **changes):
    line = ReceivedLine(1, subject, {}, {"risk_band": "crisis"})
    return Received(delivery, "X05", "P01", CIVIL, {"exchange": "X05"}, (line,), **changes)


@pytest.fixture
def log(tmp_path):
    log = EdgeLog(tmp_path / "edge.jsonl")
    yield log
    log.close()


def told(log):
    return [json.loads(line) for line in log.path.read_text().splitlines()]


async def test_a_stored_envelope_is_acknowledged_under_its_local_record(log):
    gateway, source = Gateway(envelope("d-1")), Source()
    assert await Inbox(gateway, source, Directory(cao1a="MZ1"), log).once(wait=0)
    assert gateway.told == [Acknowledgement("d-1", "stored")]
    assert source.got[0].lines[0].record == "MZ1"
    assert told(log)[0]["unresolved"] == 0


async def test_an_unknown_child_is_handed_over_with_its_pseudonym(log):
    gateway, source = Gateway(envelope("d-1")), Source()
    assert await Inbox(gateway, source, Directory(), log).once(wait=0)
    line = source.got[0].lines[0]
    assert (line.record, line.subject) == (None, "cao1a")
    assert told(log)[0]["unresolved"] == 1


async def test_a_passing_fault_is_not_acknowledged_and_blocks_nobody(log):
    gateway = Gateway(envelope("d-1"), envelope("d-2"))
    inbox = Inbox(gateway, Source({"d-1": "provider_timeout"}), Directory(cao1a="MZ1"), log)
    assert not await inbox.once(wait=0)
    assert gateway.told == [Acknowledgement("d-2", "stored")]
    assert list(gateway.waiting) == ["d-1"]
    assert {"event": "fault", "delivery": "d-1", "exchange": "X05", "code": "provider_timeout"}.items() <= told(log)[
        0
    ].items()


async def test_an_envelope_that_does_not_open_is_rejected_with_its_code(log):
    gateway = Gateway(envelope("d-1", refused="seal_invalid"))
    assert await Inbox(gateway, Source(), Directory(), log).once(wait=0)
    assert gateway.told == [Acknowledgement("d-1", "rejected", "seal_invalid")]


async def test_an_envelope_whose_senders_key_is_not_pinned_yet_comes_again(log):
    gateway = Gateway(envelope("d-1", refused="sender_unpinned", later=True))
    assert not await Inbox(gateway, Source(), Directory(), log).once(wait=0)
    assert gateway.told == []


async def test_the_loop_outlives_errors_and_stops_when_told(log):
    class Broken(Gateway):
        async def inbox(self, *, wait, limit):
            self.polls += 1
            raise ConnectionError("10.0.0.1 says no")
            yield

    gateway, stop = Broken(), asyncio.Event()
    task = asyncio.create_task(Inbox(gateway, Source(), Directory(), log).run(stop))
    while not gateway.polls:
        await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert told(log)[0]["code"] == "gateway_unreachable"
    assert "10.0.0.1" not in log.path.read_text()


def sender(gateway, log):
    return Sender(gateway, Source(), Directory(cao1a="MZ1", cao1b="MZ2"), region="330106", token=b"token", log=log)


ASKED = {
    "exchange": "X13", "purpose": "P04", "door": "normal", "recipient": "11330106MB00000028/education", "key": "key-0001",
}  # fmt: skip


async def test_records_of_the_register_and_given_values_are_sent(log):
    gateway = Gateway()
    body = {
        **ASKED,
        "records": [{"record": "MZ1"}, {"record": "MZ2", "values": {"status": "paused"}, "region": "330105"}],
    }
    said = await sender(gateway, log).send(json.dumps(body).encode(), "token")
    assert said == {"delivery": "d-1", "receipt": "log 7 8", "denied": {"2": "consent_none"}}
    sending = gateway.sent[0]
    assert (sending.door, sending.key, sending.case) == (Door.NORMAL, "key-0001", None)
    assert [(line.subject, dict(line.values), line.region) for line in sending.lines] == [
        ("cao1a", {"plan_id": "FA1", "status": "active"}, "330106"),
        ("cao1b", {"status": "paused"}, "330105"),
    ]
    assert "MZ1" not in log.path.read_text()


@pytest.mark.parametrize("token", ["", "Token", "token ", "é"])
async def test_a_system_without_the_token_is_refused(log, token):
    with pytest.raises(NotAuthenticated, match="local_unauthorised"):
        await sender(Gateway(), log).send(b"{}", token)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"records": [{"record": "MZ9"}]}, "local_record_unknown"),
        ({"records": [{"record": "MZ2"}]}, "local_record_unknown"),
        ({"door": "back"}, "local_request_invalid"),
        ({"recipient": "education"}, "local_request_invalid"),
        ({"records": [{"name": "欧阳若曦"}]}, "local_request_invalid"),
        ({"extra": 1}, "local_request_invalid"),
    ],
)
async def test_a_malformed_request_or_an_unknown_record_is_refused(log, change, code):
    gateway = Gateway()
    body = {**ASKED, "records": [{"record": "MZ1"}], **change}
    with pytest.raises(BadRequest) as caught:
        await sender(gateway, log).send(json.dumps(body).encode(), "token")
    assert caught.value.code == code
    assert "欧阳" not in str(caught.value.facts)
    assert gateway.sent == []


async def test_a_sending_of_which_every_line_is_denied_is_refused_with_the_codes(log):
    class Denying(Gateway):
        async def send(self, sending):
            return Sent("", "", {1: "consent_none"})

    body = {**ASKED, "records": [{"record": "MZ1"}]}
    with pytest.raises(Denied, match="local_all_denied") as caught:
        await sender(Denying(), log).send(json.dumps(body).encode(), "token")
    assert caught.value.facts == {"line_1": "consent_none"}


def test_the_log_takes_no_member_that_is_not_on_its_list(log):
    with pytest.raises(ValueError, match="not for the log"):
        log.note("order", subject="cao1a")
