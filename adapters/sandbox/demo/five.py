"""The demo's second half on stage: the hospital, the hotline of the youth league, the nightly files of the women's federation.

Rules kept here: like the rest of the stage, everything listens on loopback and lies in the demo's folder; the three edges send for
their departments' own systems, with an officer's key of their own; nothing of the first half is changed by them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from adapters.base.exchange_file import read as read_exchanges
from adapters.sandbox import circles, codes, fhir_system, sftp_system, vendor_system
from adapters.sandbox.demo import site as sites
from adapters.sandbox.demo.desk import enrol_people, enrolment_grant
from adapters.sandbox.demo.site import HOME, Body, Site
from adapters.sandbox.demo.stage import PASSPHRASE, Stage, _lines
from adapters.sandbox.population import Child
from adapters.sandbox.processes import Running, free_port, launch
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey

WEBHOOK_SECRET = "demo-only-webhook"  # noqa: S105 - the demo's own, on loopback
PEOPLE: dict[str, dict[str, tuple[str, ...]]] = {
    "he": {"H0101": ("clinician",), "H0900": ("approver",), "H0901": ("approver",)},
    "yl": {"Q0355": ("hotline_operator",), "Q0900": ("approver",), "Q0901": ("approver",)},
    "wf": {"F0038": ("hotline_operator",), "F0900": ("approver",), "F0901": ("approver",)},
    "ca": {"M0102": ("child_supervisor",)},
}
OFFICERS = {"he": ("H0101", "clinician"), "yl": ("Q0355", "hotline_operator"), "wf": ("F0038", "hotline_operator")}
KNOWN: dict[str, Callable[[Child], bool]] = {
    "he": circles.known_to_health,
    "yl": circles.known_to_youth_league,
    "wf": circles.known_to_womens_federation,
}
RECORD: dict[str, Callable[[Child], str]] = {
    "he": circles.patient_key,
    "yl": circles.client_key,
    "wf": circles.family_key,
}


def set_up(stage: Stage) -> None:
    """Systems, a hospital as an organisation, people, grants, edges; the three departments side by side."""
    _found(stage.site)
    ports = {name: (free_port(), free_port()) for name in OFFICERS}
    site_file = stage.folder / "site-five.toml"
    edges = {name: f"http://127.0.0.1:{port}" for name, (port, _) in ports.items()}
    three = Site(stage.folder / "bodies", {name: stage.site[name] for name in OFFICERS})
    sites.write_site_file(three, site_file, edges)
    stage.runxin("register", str(site_file))
    # A running gateway looks at its register once a second.
    time.sleep(2)
    exchanges, log = stage.folder / "exchanges.json", str(stage.public["log"])
    enrol_people(stage.site, stage.gateway, log, exchanges, PEOPLE)
    with ThreadPoolExecutor(3) as side_by_side:
        for made in [side_by_side.submit(_department, stage, name, *ports[name]) for name in OFFICERS]:
            made.result()


def _found(site: Site) -> None:
    """The hospital, and the people who come along."""
    home = site.folder / "he"
    home.mkdir(parents=True, mode=0o700)
    keys = {kind: SigningKey.generate() for kind in ("client", "edge", "admin")}
    pair = SealingPair.generate("xwing")
    pair.save(home / "sealing.json")
    for kind, key in keys.items():
        key.save(home / f"{kind}.pem")
    site.bodies["he"] = Body(
        name="he",
        zh="西湖区人民医院",
        party=Party(codes.social_credit_code("12", HOME, 706), Department.HEALTH),
        region=HOME,
        client_key=keys["client"],
        edge_key=keys["edge"],
        admin_key=keys["admin"],
        sealing=pair,
        people={},
    )
    for name, persons in PEOPLE.items():
        for person in persons:
            key = SigningKey.generate()
            key.save(site.folder / name / f"{person}.pem")
            site[name].people[person] = key


def _department(stage: Stage, name: str, port: int, local: int) -> None:
    """One department: its system, its directory under a grant, its edge."""
    system, source = _system(stage, name)
    stage.running.append(system)
    department = str(stage.site[name].party.department)
    stage.addresses |= {department: system.address, f"{department}_log": str(system.request_log)}
    exchanges, log = stage.folder / "exchanges.json", str(stage.public["log"])
    size = sum(map(KNOWN[name], stage.population.children))
    approvers = [person for person, functions in PEOPLE[name].items() if "approver" in functions]
    grant = enrolment_grant(stage.site, name, stage.gateway, log, exchanges, size + 50, approvers)
    config = sites.write_edge_files(
        stage.site,
        name,
        port=port,
        gateway=stage.gateway,
        public=stage.public,
        exchanges=exchanges,
        source={key: str(value) for key, value in source.items() if key != "port"},
    )
    _complete(stage, name, config, local, source)
    errors = stage.folder / f"edge-{name}.err"
    for _ in _lines(
        [sys.executable, "-m", "adapters.edge", "--config", str(config), "--enrol", "--grant", grant], errors
    ):
        pass
    running = launch("adapters.edge", ["--config", str(config)], errors=errors)
    stage.running.append(running)
    stage.addresses |= {f"{name}_edge": running.address, f"{name}_local": f"http://127.0.0.1:{local}"}


def _complete(stage: Stage, name: str, config: Path, local: int, source: dict[str, str | int]) -> None:
    """What the first half's edges do not need: the door for the department's own system, an officer, a port as a number."""
    home = stage.site.folder / name
    token = home / "local-token"
    token.touch(mode=0o600)
    token.write_text(f"{PASSPHRASE}-{name}", "ascii")
    text = config.read_text("utf-8")
    if "port" in source:
        text = text.replace("[source]\n", f"[source]\nport = {source['port']}\n")
    if name == "he":
        text = text.replace("[edge]\n", "[edge]\nmedical = true\n")
    config.write_text(f'{text}\n[local]\nport = {local}\ntoken = "local-token"\n', "utf-8")
    person, function = OFFICERS[name]
    officer = {"person": person, "function": function, "key": f"{person}.pem"}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in officer.items())
    client = home / "client.toml"
    client.write_text(f"{client.read_text('utf-8')}\n[officer]\n{lines}\n", "utf-8")


def _system(stage: Stage, name: str) -> tuple[Running, dict[str, str | int]]:
    """A departmental system and how its edge reaches it."""
    count, folder = len(stage.population.children), stage.folder / "systems"
    if name == "he":
        hospital = fhir_system.start(folder / "health", token=PASSPHRASE, count=count)
        return hospital, {"kind": "fhir", "base": hospital.address, "token": str(folder / "health" / "secret")}
    if name == "yl":
        vendor = vendor_system.start(folder / "youth_league", token=PASSPHRASE, count=count)
        secret = folder / "youth_league" / "webhook-secret"
        secret.touch(mode=0o600)
        secret.write_text(WEBHOOK_SECRET, "ascii")
        return vendor, {
            "kind": "vendor",
            "base": vendor.address,
            "token": str(folder / "youth_league" / "secret"),
            "webhook_secret": str(secret),
        }
    home = folder / "womens_federation"
    hotline = sftp_system.start(home, count=count)
    return hotline, {
        "kind": "sftp",
        "host": "127.0.0.1",
        "port": urlsplit(hotline.address).port or 0,
        "user": "runxin",
        "host_key": str(home / "host_key.pub"),
        "key": str(home / "client_key"),
        "template": str(Path(__file__).parents[2] / "womens_federation" / "template.toml"),
    }


def local_send(stage: Stage, name: str, request: dict[str, object]) -> httpx2.Response:
    """What a department's own system asks of its edge."""
    return httpx2.post(
        f"{stage.addresses[f'{name}_local']}/local/send",
        json=request,
        headers={"Local-Token": f"{PASSPHRASE}-{name}"},
        timeout=60,
        trust_env=False,
    )


def fields_of(stage: Stage, exchange: str) -> list[str]:
    """The catalogue's fields of an exchange, for a consent."""
    return sorted(read_exchanges(stage.folder / "exchanges.json")[exchange].fields)
