"""A departmental system that is slow, faulty, talkative or wrong, as a real process: a code for each, and nothing leaks."""

import json

import httpx2
import pytest

from adapters.base.calls import Calls, Limits
from adapters.education.register import RestRegister
from adapters.education.signature import AppKey
from gateway.errors import ProviderFault
from gateway.release.wire import release_to_wire
from tests.contract.orders import EDUCATION, X02, Ask, mapping_of

pytestmark = pytest.mark.anyio
KEY = AppKey("edge", b"a secret of the platform")
CALM = {"latency_ms": 0, "error_rate": 0, "garbage": False, "surplus": False, "too_much": 0, "clock_skew": 0}


@pytest.fixture
async def turned(school_system, exchanges, ring, tmp_path):
    """An edge with short limits, and the knobs of its system; calm again afterwards."""
    limits = Limits(seconds=0.5, attempts=2, failures=50)
    register = RestRegister(school_system.address, KEY, mapping_of("education", exchanges), Calls(limits))
    async with Ask.over(register, EDUCATION, exchanges, ring, tmp_path) as ask:
        await ask.enrol()

        def turn(**knobs):
            path, body = "/openapi/v1/knobs", json.dumps(knobs).encode()
            skew = ask.skew
            headers = KEY.headers("POST", path, body, now=lambda: __import__("time").time() + skew)
            ask.skew = knobs.get("clock_skew", skew)
            assert httpx2.post(school_system.address + path, content=body, headers=headers, trust_env=False).is_success

        ask.skew, ask.turn = 0, turn
        yield ask
        turn(**CALM)


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"latency_ms": 2000}, "provider_timeout"),
        ({"error_rate": 1.0}, "provider_unavailable"),
        ({"garbage": True}, "provider_garbage"),
        ({"too_much": 6}, "provider_too_much"),
        ({"clock_skew": 900}, "provider_refused"),
    ],
)
async def test_each_knob_has_its_fault(turned, players, knobs, code):
    turned.turn(**knobs)
    with pytest.raises(ProviderFault) as caught:
        await turned.asked("X02", "P14", [players.pupil], X02)
    assert caught.value.code == code
    assert (await turned.source.health()).code in (code, "")
    turned.turn(**CALM)
    assert (await turned.asked("X02", "P14", [players.pupil], X02)).missing == ()


async def test_a_system_that_fails_now_and_then_is_asked_again(turned, players):
    turned.turn(error_rate=0.3)
    answered = 0
    for _ in range(30):
        try:
            answered += (await turned.asked("X02", "P14", [players.pupil], X02)).missing == ()
        except ProviderFault as fault:
            assert fault.code == "provider_unavailable"
    # One try succeeds 70 times in a hundred, two 91 times.
    assert answered >= 22


async def test_surplus_columns_never_leave_the_edge(turned, players, population):
    turned.turn(surplus=True)
    release = await turned.asked("X02", "P14", [players.pupil], {"grade": "clear", "enrolled": "answer_only"})
    assert release.surplus > 10
    text = json.dumps(release_to_wire(release), ensure_ascii=False)
    assert set(release.lines[0].values) == {"grade", "enrolled"}
    pupil = players.pupil
    for secret in (
        pupil.name,
        pupil.identifier,
        pupil.school_key,
        pupil.address,
        pupil.guardians[0].phone,
        "xsbh",
        "sfzjh",
    ):
        assert secret not in text
