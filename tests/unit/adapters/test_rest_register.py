"""What a REST platform may answer and what becomes of it: every fault has its code, nothing surplus passes."""

import json
from pathlib import Path

import httpx2
import pytest

from adapters.base import mapping
from adapters.base.calls import Calls, Limits
from adapters.base.source import Wanted
from adapters.education.register import RestRegister
from adapters.education.signature import AppKey
from gateway.errors import ProviderFault
from policies.catalogue import load

pytestmark = pytest.mark.anyio
MAPPING = mapping.load(Path(__file__).resolve().parents[3] / "adapters/education/mapping.toml", load().exchanges)
WANTED = Wanted("X02", ("XS1",), frozenset({"stage", "as_of"}))
GOOD = {"xsbh": "XS1", "xxqh": "330106", "xd": "2", "gxrq": "20261101"}


def register(answer, **limits):
    return RestRegister(
        "http://platform",
        AppKey("edge", b"secret"),
        MAPPING,
        Calls(Limits(attempts=1, **limits)),
        httpx2.MockTransport(answer),
    )


def says(body, status=200, kind="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda request: httpx2.Response(status, content=data, headers={"content-type": kind})


def slow(request):
    raise httpx2.ReadTimeout("…", request=request)


def gone(request):
    raise httpx2.ConnectError("…", request=request)


FAULTS = {
    "silence": (slow, "provider_timeout"),
    "nobody": (gone, "provider_unavailable"),
    "error 500": (says({}, 500), "provider_unavailable"),
    "unsigned": (says({}, 401), "provider_refused"),
    "redirect": (says({}, 302), "provider_garbage"),
    "html": (says(b"<html>", kind="text/html"), "provider_garbage"),
    "no json": (says(b"{"), "provider_garbage"),
    "wrong charset": (says('{"code":0,"data":"张"}'.encode("gb18030")), "provider_garbage"),
    "deep": (says(b"[" * 60_000), "provider_garbage"),
    "no rows": (says({"code": 0}), "provider_garbage"),
    "business error": (says({"code": 500, "msg": "身份证号 110105 不存在"}), "provider_garbage"),
    "rows of text": (says({"code": 0, "data": ["x"]}), "provider_garbage"),
    "another's record": (says({"code": 0, "data": [{**GOOD, "xsbh": "XS2"}]}), "provider_garbage"),
    "no region": (says({"code": 0, "data": [{**GOOD, "xxqh": ""}]}), "provider_garbage"),
    "wrong date": (says({"code": 0, "data": [{**GOOD, "gxrq": "2026/11"}]}), "provider_garbage"),
    "unknown code": (says({"code": 0, "data": [{**GOOD, "xd": "8"}]}), "provider_code_unknown"),
    "too many rows": (says({"code": 0, "data": [GOOD, GOOD]}), "provider_too_much"),
    "too many bytes": (says({"code": 0, "data": [GOOD], "x": "y" * 70_000}), "provider_too_much"),
}


@pytest.mark.parametrize("what", FAULTS)
async def test_each_misbehaviour_has_its_code_and_leaks_nothing(what):
    answer, code = FAULTS[what]
    with pytest.raises(ProviderFault) as caught:
        await register(answer, max_bytes=65_536).read(WANTED)
    assert caught.value.code == code
    assert set(caught.value.facts) <= {"field"}
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None


async def test_a_good_answer_is_read_and_surplus_is_counted_and_dropped():
    said = {**GOOD, "xm": "欧阳若曦", "sfzjh": "11010519491231002X", "jtzz": "…"}
    found = await register(says({"code": 0, "data": [said]})).read(WANTED)
    assert found["XS1"].values == {"stage": "primary", "as_of": "2026-11-01"}
    assert found["XS1"].surplus == 3
    assert "欧阳" not in repr(found["XS1"])


async def test_nothing_personal_stands_in_a_url():
    asked = []

    def answer(request):
        asked.append(request)
        return says({"code": 0, "data": [GOOD]})(request)

    await register(answer).read(WANTED)
    assert str(asked[0].url) == "http://platform/openapi/v1/students/query"
    assert json.loads(asked[0].content) == {"keys": ["XS1"], "fields": ["xsbh", "xxqh", "gxrq", "xd"]}
    assert {"x-app-key", "x-timestamp", "x-nonce", "x-sign"} <= set(asked[0].headers)
    assert b"secret" not in bytes(str(asked[0].headers), "utf-8")


async def test_a_platform_that_fails_for_good_is_asked_no_more():
    asked = []

    def answer(request):
        asked.append(request)
        return httpx2.Response(500)

    failing = register(answer, failures=2, cool_off=60)
    for code in ("provider_unavailable", "provider_unavailable", "provider_circuit_open"):
        with pytest.raises(ProviderFault, match=code):
            await failing.read(WANTED)
    assert len(asked) == 2
