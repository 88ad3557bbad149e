"""Random rule sets and requests, and stock pycasbin over the same rows: the oracle of the differential tests and the bench.

Rules kept here: everything follows from a seed; the stock enforcer has pycasbin's own role managers, evaluator and loop.
"""

from __future__ import annotations

import logging
import random

import casbin

from policies import catalogue as catalogues
from policies import regions
from policies.ancestry import ancestries
from policies.book import HOME
from policies.catalogue import Catalogue
from policies.rows import BEGINNING, END, Rule
from policies.snapshot import Request

CATALOGUE = catalogues.load()
MODEL = (HOME / "model.conf").read_text(encoding="utf-8")
TREE = ancestries(CATALOGUE)
SUBJECTS = sorted(TREE["g"].above)
GROUPS = sorted(TREE["g"].names - set(SUBJECTS))
EXCHANGES = sorted(TREE["g2"].above)
KINDS = sorted(TREE["g2"].names - set(EXCHANGES))
PURPOSES = sorted(TREE["g3"].above)
FIELDS = sorted(TREE["g4"].above)
CLASSES = sorted(TREE["g4"].names - set(FIELDS))
DEPARTMENTS = ["civil_affairs", "education", "health", "youth_league", "womens_federation"]
ACTIONS = ["query", "submit", "receive"]
STATES = ["statutory", "granted", "withdrawn", "none", "emergency", "protective"]
REGIONS = ["330000", "330100", "330106", "330106001", "330106001200", "330200", "500000", "510101", "110000"]
TIMES = [BEGINNING, "2026-01-01T00:00:00Z", "2026-06-30T16:00:00Z", "2026-11-22T00:00:00Z", END]
OBLIGATIONS = ["clear", "clear+sealed", "suppress", "answer_only", "mask:name.surname+sealed;review"]


def rule(rng: random.Random, number: int, *, wild: float) -> Rule:
    """One row; `wild` is the chance of a wildcard or group in each column."""

    def pick(exact: list[str], broad: list[str]) -> str:
        return rng.choice(broad) if rng.random() < wild else rng.choice(exact)

    eft = "deny" if rng.random() < 0.15 else "allow"
    begin, end = sorted(rng.sample(range(len(TIMES)), 2)) if rng.random() < wild else (0, len(TIMES) - 1)
    return Rule(
        id=f"R{number}",
        eft=eft,
        sub=pick(SUBJECTS, [*GROUPS, "*"] if eft == "deny" else GROUPS),
        dom=pick(DEPARTMENTS, ["*"]),
        obj=pick(EXCHANGES, [*KINDS, "*"]),
        fld=pick(FIELDS, [*CLASSES, "*"]),
        act=pick(ACTIONS, ["*"]),
        pur=pick(PURPOSES, ["normal", "emergency", "protective", "*"]),
        reg=pick(REGIONS, ["*"]),
        con=pick(STATES, ["*"]),
        nbf=TIMES[begin],
        exp=TIMES[end],
        obl="none" if eft == "deny" else rng.choice(OBLIGATIONS),
        code="rule_denied" if eft == "deny" else "-",
        owner="all",
        legal="-",
        reason="-",
    )


def rules(seed: int, size: int, *, wild: float = 0.5) -> list[Rule]:
    """A rule set."""
    rng = random.Random(seed)
    return [rule(rng, number, wild=wild) for number in range(size)]


def request(rng: random.Random, known: list[Rule]) -> Request:
    """A request near one of the rules, so that a good share is allowed, denied by a rule, and denied by default."""
    near = rng.choice(known)

    def concrete(value: str, names: list[str], relation: str) -> str:
        if value in names and rng.random() < 0.9:
            return value
        below = [name for name in names if value == "*" or value in TREE[relation].above[name]]
        return rng.choice(below or names) if rng.random() < 0.93 else rng.choice([*names, "stranger"])

    region = near.reg if near.reg != "*" else rng.choice(REGIONS)
    if rng.random() < 0.3:
        region = rng.choice([each for each in REGIONS if each.startswith(regions.prefix(region))] or REGIONS)
    return Request(
        sub=concrete(near.sub, SUBJECTS, "g"),
        dom=near.dom if near.dom != "*" else rng.choice(DEPARTMENTS),
        obj=concrete(near.obj, EXCHANGES, "g2"),
        fld=concrete(near.fld, FIELDS, "g4"),
        act=near.act if near.act != "*" else rng.choice(ACTIONS),
        pur=concrete(near.pur, PURPOSES, "g3"),
        reg=region,
        con=near.con if near.con != "*" else rng.choice(STATES),
        now=rng.choice([*TIMES[1:-1], "2026-03-03T03:03:03Z"]),
    )


def stock(known: list[Rule], catalogue: Catalogue = CATALOGUE) -> casbin.Enforcer:
    """pycasbin's own Enforcer over the same rows, with its own role managers."""
    enforcer = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    logging.getLogger("casbin.enforcer").setLevel(logging.CRITICAL)
    enforcer.add_function("inRegion", regions.in_region)
    enforcer.model["p"]["p"].policy = [list(each.projection) for each in known]
    for name, relation in ancestries(catalogue).items():
        manager = enforcer.rm_map[name]
        for below, names in relation.above.items():
            for above in names - {below}:
                manager.add_link(below, above)
    return enforcer
