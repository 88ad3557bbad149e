"""The five departments of the demo as their edges meet them: the simulated system, the way to reach it, whom it knows and as what.

Rules kept here: everything listens on loopback and lies in the demo's folder; secrets stand in files of mode 0600; the systems over
HTTP answer with every column that they have, as talkative vendors do, so that what stays behind stays behind at the edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from adapters.sandbox import circles, civil_affairs_system, education_system, fhir_system, sftp_system, vendor_system
from adapters.sandbox.population import Child
from adapters.sandbox.processes import Running

SECRET = "demo-only"  # noqa: S105 - the demo's own, on loopback, in a folder that the next demo removes
WEBHOOK_SECRET = "demo-only-webhook"  # noqa: S105 - likewise
APP_KEY = "runxin-edge"

Reach = Mapping[str, str | int]
"""The `[source]` table of an edge's settings."""


@dataclass(frozen=True, slots=True)
class Department:
    """A department's system. start(folder, children) -> the process and how an edge reaches it; knows: whether it keeps a record of a
    child; record: under which key. local: whether the system sends through its edge's local door.
    """

    start: Callable[[Path, int], tuple[Running, Reach]]
    knows: Callable[[Child], bool]
    record: Callable[[Child], str]
    local: bool = False


def _civil_affairs(folder: Path, children: int) -> tuple[Running, Reach]:
    register = civil_affairs_system.start(folder, count=children)
    return register, {"kind": "sql", "url": register.address}


def _education(folder: Path, children: int) -> tuple[Running, Reach]:
    knobs = education_system.Knobs(surplus=True)
    schools = education_system.start(folder, app_key=APP_KEY, app_secret=SECRET, count=children, knobs=knobs)
    secret = str((folder / "app-secret").resolve())
    return schools, {"kind": "rest", "base": schools.address, "app_key": APP_KEY, "app_secret": secret}


def _health(folder: Path, children: int) -> tuple[Running, Reach]:
    hospital = fhir_system.start(folder, token=SECRET, count=children)
    _make_talkative(hospital.address.removesuffix("/fhir"))
    return hospital, {"kind": "fhir", "base": hospital.address, "token": str(folder / "secret")}


def _youth_league(folder: Path, children: int) -> tuple[Running, Reach]:
    hotline = vendor_system.start(folder, token=SECRET, count=children)
    _make_talkative(hotline.address)
    secret = folder / "webhook-secret"
    secret.touch(mode=0o600)
    secret.write_text(WEBHOOK_SECRET, "ascii")
    return hotline, {
        "kind": "vendor",
        "base": hotline.address,
        "token": str(folder / "secret"),
        "webhook_secret": str(secret),
    }


def _womens_federation(folder: Path, children: int) -> tuple[Running, Reach]:
    nightly = sftp_system.start(folder, count=children)
    return nightly, {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": urlsplit(nightly.address).port or 0,
        "user": "runxin",
        "host_key": str(folder / "host_key.pub"),
        "key": str(folder / "client_key"),
        "template": str(Path(__file__).parents[2] / "womens_federation" / "template.toml"),
    }


def _make_talkative(address: str) -> None:
    httpx2.post(f"{address}/knobs", json={"surplus": True}, timeout=60, trust_env=False).raise_for_status()


DEPARTMENTS = {
    "ca": Department(_civil_affairs, lambda child: child.known_to_civil_affairs, lambda child: child.civil_key),
    "ed": Department(_education, lambda child: child.known_to_education, lambda child: child.school_key),
    "he": Department(_health, circles.known_to_health, circles.patient_key, local=True),
    "yl": Department(_youth_league, circles.known_to_youth_league, circles.client_key, local=True),
    "wf": Department(_womens_federation, circles.known_to_womens_federation, circles.family_key, local=True),
}
"""By the body whose edge stands in front of the system."""
