"""Adapters inside the gateway: what may be seen there is answered and labelled, what may not is refused before anybody is asked."""

from dataclasses import replace

import pytest

from adapters.embedded import EmbeddedAdapter, EmbeddedAdapters
from gateway.domain.vocabulary import Level, Profile
from gateway.errors import BadRequest, Denied, GatewayFault, ProviderFault
from policies.catalogue import load
from tests.contract.api_house import WARNING, api_house, refused

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def whole(tmp_path_factory):
    async with api_house(tmp_path_factory.mktemp("embedded")) as made:
        yield made


class AtHand:
    """A source in this process: answers as the house's provider would, or fails as it is told."""

    def __init__(self, provider):
        self._provider = provider
        self.fault = None
        self.orders = []

    async def fetch(self, order):
        self.orders.append(order)
        if self.fault is not None:
            raise self.fault
        return self._provider.answer(order)


class InFront(EmbeddedAdapters):
    """The adapters of some parties, put together without settings files."""

    def __init__(self, sources, others):
        super().__init__([], others, timeout=5.0)
        self._answering = {party: EmbeddedAdapter(party, source, 5.0) for party, source in sources.items()}


@pytest.fixture
async def walls(whole):
    """The house, in which the adapters of civil affairs and of education are embedded."""
    whole.settle()
    ca = whole.caller("ca")
    for item in await ca.take():
        await ca.post("/v1/inbox/acknowledge", {"delivery": item["delivery"], "status": "stored"})
    plain = whole.app.state.house
    whole.source = AtHand(whole.provider)
    parties = {whole.site[name].party: whole.source for name in ("ca", "ed")}
    adapters = InFront(parties, plain.providers)
    whole.embed = lambda **more: setattr(
        whole.app.state, "house", replace(plain, providers=adapters, embedded=adapters.parties, **more)
    )
    whole.unembed = lambda: setattr(whole.app.state, "house", plain)
    whole.embed()
    await whole.mark()
    yield whole
    whole.unembed()


@pytest.fixture
def ca(walls):
    return walls.caller("ca", "M0101", "case_worker")


@pytest.fixture
def sc(walls):
    return walls.caller("sc", "T0417", "school_psychologist")


def sensitive():
    found = [e for e in load().exchanges.values() if e.profile is Profile.D0 or e.level is Level.L5]
    return sorted(exchange.id for exchange in found)


async def labels(walls):
    return [(entry["kind"], entry["outcome"], entry.get("sighted", False)) for entry in await walls.entries()]


# --- questions ---------------------------------------------------------------------------------------------------------------


async def test_embedded_provider_answers_and_the_entry_says_that_the_gateway_saw(walls, ca):
    child = walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    await walls.mark()
    answer = await ca.post("/v1/query", ca.ask(child, case))
    assert answer.status_code == 200
    assert len(walls.source.orders) == 1
    assert walls.provider.orders == []  # nothing went to the edge that is registered as well
    assert await labels(walls) == [("query", "released", True)]


async def test_answer_of_an_edge_is_not_labelled(walls, ca):
    walls.unembed()
    child = walls.child()
    walls.enrol_pupil(child)
    case = await ca.approved_case(child, ["X02"], "M0900")
    await walls.mark()
    assert (await ca.post("/v1/query", ca.ask(child, case))).status_code == 200
    assert await labels(walls) == [("query", "released", False)]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (ProviderFault("provider_busy"), "provider_busy"),
        (ProviderFault("mapping_local_name"), "provider_refused"),
        (GatewayFault("directory_invalid"), "provider_refused"),
        (BadRequest("order_unserved"), "provider_refused"),
        (TimeoutError(), "provider_timeout"),
        (Denied("age_band_contradicted"), "age_band_contradicted"),
        (ZeroDivisionError(), "provider_refused"),
    ],
)
async def test_fault_of_an_embedded_adapter_is_told_as_an_edge_s_would_be(walls, fault, code):
    party = walls.site["ed"].party
    walls.source.fault = fault
    with pytest.raises((ProviderFault, Denied)) as raised:
        await EmbeddedAdapter(party, walls.source, 5.0).fetch(object())
    assert raised.value.code == code
    assert set(raised.value.facts.values()) <= {party.text}


# --- deliveries --------------------------------------------------------------------------------------------------------------


async def test_every_exchange_of_profile_d0_or_level_l5_is_refused_before_anything_is_known_of_the_child(walls, sc, ca):
    """Also where nobody consented: the answer is the same."""
    assert {"X05", "X08", "X09", "X10", "X12", "X18", "X19", "X20"} <= set(sensitive())
    response = await sc.post("/v1/send-permits", sc.wish(walls.child(), ca))
    refused(response, 403, "sighted_refused")
    await sc.consent(child := walls.child())
    await walls.mark()
    for door in ("normal", "emergency"):
        more = {"reason": "self_harm_risk"} if door == "emergency" else {}
        refused(await sc.post("/v1/send-permits", sc.wish(child, ca, door=door, **more)), 403, "sighted_refused")
    wish = sc.wish(child, ca, exchange="X20", purpose="P07", door="protective", reason="violence")
    refused(await sc.post("/v1/send-permits", wish), 403, "sighted_refused")
    assert await labels(walls) == [("send_permit", "denied", True)] * 3
    assert {entry["code"] for entry in await walls.entries()} == {"sighted_refused"}


async def test_permit_from_before_is_refused_when_it_is_cited(walls, sc, ca):
    walls.unembed()
    child = walls.child()
    await sc.consent(child)
    permit = await sc.permit(child, ca)
    envelope = sc.envelope(permit, child, ca, WARNING)
    walls.embed()
    refused(await sc.hand_in(envelope), 403, "sighted_refused")


async def test_envelope_that_waits_is_destroyed_when_its_recipient_is_embedded(walls, sc, ca):
    walls.unembed()
    child = walls.child()
    await sc.consent(child)
    delivery = await sc.delivered(child, ca)
    walls.embed()
    await walls.mark()
    assert await ca.take() == []
    (entry,) = await walls.entries()
    assert (entry["kind"], entry["code"], entry["sighted"]) == ("recalled", "sighted_refused", True)
    assert await sc.state_of(delivery) == "recalled"


async def test_site_that_says_so_may_try_them_too_and_each_entry_is_labelled(walls, sc, ca):
    walls.embed(embedded_may_serve_sensitive=True)
    child = walls.child()
    await sc.consent(child)
    await walls.mark()
    delivery = await sc.delivered(child, ca)
    (taken,) = await ca.take()
    assert taken["delivery"] == delivery
    assert await labels(walls) == [
        ("send_permit", "done", True),
        ("accepted", "done", True),
        ("delivered", "released", True),
    ]
