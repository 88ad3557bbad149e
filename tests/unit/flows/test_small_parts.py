"""Small parts of the flows that no route shows alone."""

import asyncio
import sqlite3
import time

import httpx2
import pytest

from adapters.remote import ANSWER_AT_MOST, RemoteEdges
from gateway.domain.entries import EntryDraft
from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Order, SealingKey
from gateway.domain.parties import Party
from gateway.domain.permits import Obligation
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome, Transform
from gateway.errors import (
    BadRequest,
    Denied,
    GatewayError,
    GatewayFault,
    NoResult,
    NotAuthenticated,
    ProviderFault,
)
from gateway.flows.account import Account, is_outage, recorded
from gateway.flows.asked import naming_known_fields, reason_asked
from gateway.flows.inbox import narrowed
from gateway.flows.refusals import CROWD, Refusals
from gateway.flows.upkeep import own_caller
from keys.signing import SigningKey
from policies.catalogue import load
from tests.support.stand_in_lane import OverTransport

pytestmark = pytest.mark.anyio
EDUCATION = Party("11330106MB0007026L", Department.EDUCATION)
CANARY = "330106201607074219"


# --- refusals -----------------------------------------------------------------------------------------------------------------------


def test_a_running_minute_is_not_rolled_up():
    refusals = Refusals(key=b"k" * 32)
    refusals.note("192.0.2.1", "proof_invalid", now=119)
    assert refusals.due(now=119) == []
    assert len(refusals.due(now=120)) == 1
    assert refusals.due(now=120) == []


def test_a_crowd_of_sources_shares_one_roll_up_and_bounded_memory():
    refusals = Refusals(key=b"k" * 32, sources=3)
    for number in range(10):
        refusals.note(f"192.0.2.{number}", "proof_invalid", now=0)
    drafts = refusals.due(now=60)
    assert len(drafts) == 4
    crowd = next(draft for draft in drafts if draft.detail["source"] == CROWD)
    assert crowd.detail["refusals"] == 7


def test_what_could_not_be_written_comes_again_before_what_is_new_and_never_without_bound():
    refusals = Refusals(key=b"k" * 32, sources=3)
    refusals.note("192.0.2.1", "proof_invalid", now=0)
    refusals.keep(refusals.due(now=60))
    refusals.note("192.0.2.1", "token_invalid", now=60)
    codes = [draft.detail["codes"] for draft in refusals.due(now=120)]
    assert codes == [{"proof_invalid": "1"}, {"token_invalid": "1"}]
    refusals.keep([EntryDraft(EntryKind.AUTH_REFUSED, Outcome.DENIED)] * 50)
    assert len(refusals.due(now=120)) == 3


# --- accounts -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (sqlite3.OperationalError("gone"), True),
        (OSError(28, "full"), True),
        (ConnectionRefusedError(), True),
        (RuntimeError("bug"), False),
        (KeyError("bug"), False),
        (BadRequest("json_malformed"), False),
    ],
)
def test_an_outage_is_told_from_a_bug(error, outage):
    assert is_outage(error) is outage


def test_what_is_told_of_a_protective_use_stays_protective():
    account = Account(EntryKind.REVIEW_CLOSED, own_caller(), "")
    account.adopt(EntryDraft(EntryKind.REVIEW_CLOSED, Outcome.DONE, children=(b"c" * 32,), protective=True))
    draft = account.draft(Outcome.DONE)
    assert draft.protective
    assert draft.door is Door.PROTECTIVE


class Told:
    """The log's place: what was appended, in order."""

    def __init__(self):
        self.drafts = []

    async def append(self, draft, *, effect=None, proof_id=None):
        self.drafts.append(draft)


@pytest.mark.parametrize(
    ("error", "heard", "told"),
    [
        (None, None, []),
        (Denied("purpose"), "purpose", [(Outcome.DENIED, "purpose")]),
        (NoResult(), "no_result", [(Outcome.NO_RESULT, "no_result")]),
        (ProviderFault("provider_timeout"), "provider_timeout", [(Outcome.FAULT, "provider_timeout")]),
        (KeyError(CANARY), "internal", [(Outcome.FAULT, "internal")]),
        (OSError(28, CANARY), "store_unavailable", [(Outcome.FAULT, "store_unavailable")]),
        (NotAuthenticated("proof_replayed"), "proof_replayed", []),
        (GatewayFault("audit_unavailable"), "audit_unavailable", []),
        (asyncio.CancelledError(), None, []),
    ],
)
async def test_every_end_of_a_story_is_told_once_and_goes_on(error, heard, told):
    log, caught = Told(), None
    try:
        async with recorded(log, Account(EntryKind.QUERY, own_caller(), "")):
            if error is not None:
                raise error
    except BaseException as ending:
        caught = ending
    assert [(draft.outcome, draft.code) for draft in log.drafts] == told
    assert getattr(caught, "code", None) == heard
    assert CANARY not in str(log.drafts)
    if isinstance(error, GatewayError | asyncio.CancelledError) or error is None:
        assert caught is error
    else:
        assert caught.__cause__ is error


async def test_a_refusal_names_the_rules_that_refused():
    log, account = Told(), Account(EntryKind.QUERY, own_caller(), "")
    with pytest.raises(Denied):
        async with recorded(log, account):
            raise Denied("purpose", rules=("r1", "r2"))
    assert log.drafts[0].detail["rules"] == ["r1", "r2"]


# --- what is asked ------------------------------------------------------------------------------------------------------------------


def x05() -> Exchange:
    return load().exchanges["X05"]


@pytest.mark.parametrize(("field", "told"), [("urgency", "urgency"), ("line", "line"), ("n" + CANARY, "unknown")])
def test_an_error_names_only_fields_of_the_catalogue(field, told):
    with pytest.raises(BadRequest) as caught, naming_known_fields(x05()):
        raise BadRequest("envelope_invalid", field=field, edge=EDUCATION.text)
    assert caught.value.facts == {"field": told, "edge": EDUCATION.text}


def test_an_error_without_a_field_stays_as_it_is():
    with pytest.raises(BadRequest) as caught, naming_known_fields(x05()):
        raise BadRequest("region_required")
    assert caught.value.facts == {}


def test_a_reason_is_of_the_closed_list():
    assert reason_asked(None) is None
    assert reason_asked("violence") == "violence"
    with pytest.raises(BadRequest):
        reason_asked("a_neighbour_told_us")


# --- hand-out -----------------------------------------------------------------------------------------------------------------------


class Now:
    """As much of a permit as the comparison reads."""

    def __init__(self, regions=("3301",), **grants):
        self.regions, self.grants = regions, grants


CLEAR = Obligation(Transform.CLEAR, sealed=True)
MASKED = Obligation(Transform.MASK, form="phone.middle4", sealed=True)


@pytest.mark.parametrize(
    ("was", "now", "refused"),
    [
        (CLEAR, Now(school_contact=CLEAR), False),
        (MASKED, Now(school_contact=CLEAR), False),  # what went in is stricter than what is asked for now
        (CLEAR, Now(school_contact=MASKED), True),
        (CLEAR, Now(), True),
        (CLEAR, Now(school_contact=Obligation(Transform.SUPPRESS, sealed=True)), True),
        (CLEAR, Now(regions=("330106",), school_contact=CLEAR), True),
        (CLEAR, Now(regions=("",), school_contact=CLEAR), True),
    ],
)
def test_a_line_goes_out_only_as_strict_as_it_would_go_in(was, now, refused):
    agreed = {"grants": {"school_contact": was.text}, "regions": ["3301"]}
    assert narrowed(agreed, now) is refused


# --- the gateway's side of an edge -----------------------------------------------------------------------------------------------------


class Edge:
    party, url = EDUCATION, "http://edge.test"


class Stream(httpx2.AsyncByteStream):
    """Parts of an answer, each after a pause."""

    def __init__(self, part, count, pause=0.0):
        self.part, self.count, self.pause, self.sent = part, count, pause, 0

    async def __aiter__(self):
        for _ in range(self.count):
            await asyncio.sleep(self.pause)
            self.sent += len(self.part)
            yield self.part


async def fetch(stream, headers=None, timeout=0.3):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers or {}, stream=stream))
    edges = RemoteEdges(SigningKey.generate(), timeout=timeout, stand_in=OverTransport(transport))
    order = Order(
        request="rq",
        exchange="X02",
        purpose="P14",
        provider=EDUCATION,
        recipient=EDUCATION,
        recipient_key=SealingKey(EDUCATION, "x25519", "0" * 16, b"k" * 32),
        lines=(),
        grants={},
        regions=("",),
        age_band=None,
        request_digest="0" * 64,
        expires_at=int(time.time()) + 30,
    )
    with pytest.raises(ProviderFault) as caught:
        await edges.at(Edge()).fetch(order)
    assert caught.value.facts == {"edge": EDUCATION.text}
    return caught.value.code


async def test_an_answer_that_drips_is_timed_out_as_a_whole():
    started = time.monotonic()
    assert await fetch(Stream(b" ", 10_000, pause=0.05)) == "provider_timeout"
    assert time.monotonic() - started < 2


async def test_an_answer_without_end_is_cut_off_and_not_read_on():
    stream = Stream(b" " * 65_536, 10_000)
    assert await fetch(stream, timeout=5) == "provider_too_much"
    assert stream.sent <= ANSWER_AT_MOST + 2 * 65_536


async def test_a_packed_answer_is_not_unpacked():
    stream = Stream(b"\x1f\x8b" + b"x" * 100, 1)
    assert await fetch(stream, {"content-encoding": "gzip"}) == "provider_garbage"
    assert stream.sent == 0
