"""The three younger departments as real processes, and an edge's parts over them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from adapters.base.calls import Calls, Limits
from adapters.base.drop import template
from adapters.health.register import FhirRegister
from adapters.health.soap import SoapRegister
from adapters.sandbox import codes
from adapters.womens_federation.register import NightlyRegister
from adapters.womens_federation.sftp import Account
from adapters.youth_league.register import VendorRegister
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from tests.contract.orders import ROOT, mapping_of

TOKEN = "a token of the department"
HEALTH = Party(codes.social_credit_code("12", "330106", 11), Department.HEALTH)
LEAGUE = Party(codes.social_credit_code("51", "330106", 12), Department.YOUTH_LEAGUE)
FEDERATION = Party(codes.social_credit_code("51", "330106", 13), Department.WOMENS_FEDERATION)
SHORT = Limits(seconds=1.5, attempts=2, failures=1000)
CALM = {
    "latency_ms": 0,
    "error_rate": 0,
    "garbage": False,
    "surplus": False,
    "too_much": 0,
    "mime": "",
    "charset": "",
}
FORM = ROOT / "adapters/womens_federation/template.toml"


def turn(running, **knobs):
    """Set the knobs of a simulated system over HTTP; those that are not named are calm."""
    parts = urlsplit(running.address)
    answer = httpx2.post(f"http://{parts.netloc}/knobs", json={**CALM, **knobs}, trust_env=False)
    assert answer.is_success


def account(home: Path, running, host_key="host_key.pub"):
    """The pinned account of the simulated 12338 vendor."""
    return Account(
        "127.0.0.1", urlsplit(running.address).port, "runxin", (home / host_key).read_text(), home / "client_key"
    )


def fhir(running, exchanges, limits=SHORT):
    return FhirRegister(running.address, TOKEN, mapping_of("health", exchanges), Calls(limits))


def soap(running, exchanges, limits=SHORT):
    wsdl = ROOT / "adapters/health/referral.wsdl"
    return SoapRegister(wsdl, running.address, TOKEN, mapping_of("health", exchanges), Calls(limits))


def vendor(running, exchanges, limits=SHORT):
    return VendorRegister(running.address, TOKEN, mapping_of("youth_league", exchanges), Calls(limits))


def nightly(home, running, exchanges, store, noted=None, **kwargs):
    # One connection over SSH takes longer than one over a pooled socket.
    limits = Limits(seconds=10, attempts=1, failures=1000)
    return NightlyRegister(
        account(home, running, **kwargs),
        template(FORM),
        store,
        mapping_of("womens_federation", exchanges),
        Calls(limits),
        noted=noted,
    )


@asynccontextmanager
async def closing(register):
    """Close a register whatever happens."""
    try:
        yield register
    finally:
        await register.close()
