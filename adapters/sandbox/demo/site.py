"""Who takes part in the demo: organisations with their keys, clients, officers, and the files that a real site would write.

Rules kept here: every private key is made here and stays in a file of mode 0600 of its owner's folder; the gateway gets public
halves in a site file; the organisations are invented, their codes valid (GB 32100).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.sandbox import codes
from adapters.sandbox.schools import School
from gateway.client.configuration import Configuration, OfficerKey
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Department
from keys.sealing_keys import SealingPair
from keys.signing import SigningKey

CITY = "330100"
HOME = "330106"
TWO = ("ca", "ed")
FIVE = (*TWO, "he", "yl", "wf")
"""Bodies that have an edge, in the short form of the demo and in the whole one."""
PEOPLE: dict[str, dict[str, tuple[str, ...]]] = {
    "ca": {
        "M0101": ("case_worker",),
        "M0102": ("child_supervisor",),
        "M0900": ("approver",),
        "M0901": ("approver",),
        "M0990": ("auditor",),
    },
    "ed": {"J0201": ("case_worker", "registrar"), "J0900": ("approver",), "J0901": ("approver",)},
    "he": {"H0101": ("clinician",), "H0900": ("approver",), "H0901": ("approver",)},
    "sc": {"T0417": ("school_psychologist",), "T0900": ("approver",)},
    "yl": {
        "Q0301": ("case_worker",),
        "Q0355": ("hotline_operator",),
        "Q0900": ("approver",),
        "Q0901": ("approver",),
    },
    "wf": {
        "F0001": ("case_worker",),
        "F0038": ("hotline_operator",),
        "F0900": ("approver",),
        "F0901": ("approver",),
    },
    "out": {"N0101": ("case_worker",), "N0900": ("approver",)},
}
"""Staff numbers and functions, by body."""


@dataclass(frozen=True, slots=True)
class Body:
    """An organisation acting for one department, with its keys. `name` is its folder and client id."""

    name: str
    zh: str
    party: Party
    region: str
    client_key: SigningKey = field(repr=False)
    edge_key: SigningKey = field(repr=False)
    admin_key: SigningKey = field(repr=False)
    sealing: SealingPair = field(repr=False)
    people: dict[str, SigningKey] = field(repr=False)

    def officer(self, person: str, function: str) -> OfficerKey:
        """One of the body's people, in one function."""
        return OfficerKey(person, function, self.people[person])


@dataclass(frozen=True, slots=True)
class Site:
    """All bodies, and where their files are. edges: the bodies that have one, whose key signs all that they send."""

    folder: Path
    bodies: dict[str, Body]
    edges: tuple[str, ...] = TWO

    def __getitem__(self, name: str) -> Body:
        return self.bodies[name]

    def configuration(self, name: str, gateway: str, *, officer: OfficerKey | None, log_vkey: str) -> Configuration:
        """The SDK's configuration of a body's own system."""
        body = self.bodies[name]
        return Configuration(
            gateway=gateway,
            client_id=f"{name}-system",
            party=body.party,
            client_key=body.client_key,
            officer=officer,
            sealing=(body.sealing,),
            sender_key=body.edge_key if name in self.edges else body.client_key,
            log_vkey=log_vkey,
        )


def found(folder: Path, school: School, edges: tuple[str, ...] = TWO) -> Site:
    """Invent the bodies and make their keys. edges: see `Site`."""
    rows = (
        ("ca", "西湖区民政局", Department.CIVIL_AFFAIRS, HOME, codes.social_credit_code("11", HOME, 701)),
        ("ed", "西湖区教育局", Department.EDUCATION, HOME, codes.social_credit_code("11", HOME, 702)),
        ("sc", school.name, Department.EDUCATION, school.county, school.code),
        ("he", "西湖区人民医院", Department.HEALTH, HOME, codes.social_credit_code("12", HOME, 706)),
        ("yl", "共青团西湖区委", Department.YOUTH_LEAGUE, HOME, codes.social_credit_code("51", HOME, 703)),
        ("wf", "西湖区妇联", Department.WOMENS_FEDERATION, HOME, codes.social_credit_code("51", HOME, 705)),
        (
            "out",
            "海曙区民政局",
            Department.CIVIL_AFFAIRS,
            codes.OUTSIDE,
            codes.social_credit_code("11", codes.OUTSIDE, 704),
        ),
    )
    bodies = {}
    for name, zh, department, region, code in rows:
        home = folder / name
        home.mkdir(parents=True, mode=0o700)
        keys = {kind: SigningKey.generate() for kind in ("client", "edge", "admin")}
        people = {person: SigningKey.generate() for person in PEOPLE[name]}
        for kind, key in {**keys, **people}.items():
            key.save(home / f"{kind}.pem")
        pair = SealingPair.generate("xwing" if name in ("he", "yl") else "x25519")
        pair.save(home / "sealing.json")
        bodies[name] = Body(
            name=name,
            zh=zh,
            party=Party(code, department),
            region=region,
            client_key=keys["client"],
            edge_key=keys["edge"],
            admin_key=keys["admin"],
            sealing=pair,
            people=people,
        )
    return Site(folder, bodies, edges)


def write_site_file(site: Site, path: Path, edges: dict[str, str]) -> None:
    """What `runxin register` reads. edges: body -> URL under which the gateway reaches its edge."""
    lines: list[str] = []

    def row(section: str, **values: object) -> None:
        lines.append(f"[[{section}]]")
        lines.extend(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
        lines.append("")

    for body in site.bodies.values():
        party = body.party.text
        department = str(body.party.department)
        row("organisations", code=body.party.organisation, name=body.zh, region=body.region, departments=[department])
        row("clients", id=f"{body.name}-system", party=party, key=x(body.client_key))
        row("people_admins", id=f"{body.name}-admin", party=party, key=x(body.admin_key))
        row("sealing_keys", party=party, suite=body.sealing.suite, key=unpadded(body.sealing.public_key))
        if body.name in edges:
            row("clients", id=f"{body.name}-edge", party=party, key=x(body.edge_key))
            row("sender_keys", party=party, key=x(body.edge_key))
            row("edges", party=party, region="330000", url=edges[body.name], sender_key=x(body.edge_key))
        else:
            row("sender_keys", party=party, key=x(body.client_key))
    path.write_text("\n".join(lines), "utf-8")


def write_edge_files(
    site: Site,
    name: str,
    *,
    port: int,
    gateway: str,
    public: dict[str, Any],
    exchanges: Path,
    source: Mapping[str, str | int],
    local: int | None = None,
) -> Path:
    """`edge.toml` and the edge's SDK configuration; returns the former.

    local: port of the door for the department's own system, whose sendings an officer of `OFFICERS` answers for.
    """
    body = site[name]
    home = site.folder / name
    (home / "gateway.jwk").write_text(json.dumps(public["orders"]), "ascii")
    client = {
        "gateway": gateway,
        "client_id": f"{name}-edge",
        "party": body.party.text,
        "client_key": "edge.pem",
        "sender_key": "edge.pem",
        "sealing": ["sealing.json"],
        "log_vkey": public["log"],
    }
    edge = {
        "organisation": body.party.organisation,
        "department": str(body.party.department),
        "region": body.region,
        "port": port,
        "exchanges": str(exchanges.resolve()),
        "mapping": str(Path(__file__).parents[2] / str(body.party.department) / "mapping.toml"),
        "directory": "directory.sqlite3",
        "signing_key": "edge.pem",
        "gateway_key": "gateway.jwk",
        "log": "edge.jsonl",
        "medical": body.party.department is Department.HEALTH,
    }
    sections: dict[str, Mapping[str, object]] = {
        "edge": edge,
        "source": source,
        # The league's envelopes are fetched by a client of its own, which holds no directory.
        "gateway": {"client": "client.toml", "inbox": name != "yl"},
    }
    officer: dict[str, Mapping[str, object]] = {}
    if local is not None:
        _write_secret(home / "local-token", local_token(name))
        sections["local"] = {"port": local, "token": "local-token"}
        person, function = OFFICERS[name]
        officer = {"officer": {"person": person, "function": function, "key": f"{person}.pem"}}
    (home / "client.toml").write_text(_toml({"": client, **officer}), "utf-8")
    path = home / "edge.toml"
    path.write_text(_toml(sections), "utf-8")
    return path


OFFICERS = {"he": ("H0101", "clinician"), "yl": ("Q0355", "hotline_operator"), "wf": ("F0038", "hotline_operator")}
"""Who answers for what a department's own system sends through its edge: person and function."""


def local_token(name: str) -> str:
    """What a department's own system shows at its edge's local door."""
    return f"demo-only-{name}"


def _toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Tables of one level; a JSON string, number, boolean or list of strings is also one of TOML."""
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]"] * bool(section)
        lines += [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, "ascii")


def escrow(body: Body) -> str:
    """A holder of half of the protective keys, as the settings name it."""
    return f"{body.party.text}:{body.sealing.suite}:{unpadded(body.sealing.public_key)}"


def x(key: SigningKey) -> str:
    """The public half as a site file wants it."""
    return unpadded(key.verify_key.public)


def unpadded(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
