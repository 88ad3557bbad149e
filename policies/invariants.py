"""Invariants: sentences about all requests that must hold in every version, proved at each publish.

A sentence names a box of requests that must never be allowed. Inside the box the classes of requests are enumerated
(`classes`), so the absence of an allowed class is a proof and a breach comes with a synthetic counterexample.

Rules kept here: a counterexample is built from the catalogue's words alone and never from a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.domain.vocabulary import ExchangeState, Pattern
from policies.catalogue import Catalogue
from policies.classes import REFUSED, RequestClass, Space, answers
from policies.rows import ANY, BEGINNING, END, Rule
from policies.snapshot import Snapshot

# The one exchange whose purpose is to tell a class of difficulty, and the hand-over that carries the file (C63).
STATUS_EXCHANGES = ("X01", "X03", "X32")


@dataclass(frozen=True, slots=True)
class Invariant:
    """不变式: no request within `box` is ever allowed."""

    name: str
    zh: str
    box: Rule


@dataclass(frozen=True, slots=True)
class Breach:
    """A counterexample: a class of requests that the version allows although the invariant forbids it."""

    invariant: str
    requests: RequestClass
    answer: str


def box(name: str, **columns: str) -> Rule:
    """A box of requests, written like a rule; columns that are not named are `*`."""
    open_columns = dict.fromkeys(("sub", "dom", "obj", "fld", "act", "pur", "reg", "con"), ANY)
    return Rule(
        id=name,
        eft="allow",
        nbf=BEGINNING,
        exp=END,
        obl="clear",
        code="-",
        owner="all",
        legal="-",
        reason="-",
        **{**open_columns, **columns},
    )


def invariants(catalogue: Catalogue) -> tuple[Invariant, ...]:
    """The house's invariants, for one catalogue."""
    found = [
        Invariant(
            "no diagnosis to a people's organisation",
            "诊断不到群团组织",
            box("diagnosis", sub="people_organisation", fld="class:diagnosis"),
        ),
        Invariant(
            "no L5 field without basis", "L5 无依据不放行", box("basis", obj="level:L5", pur="normal", con="none")
        ),
        Invariant(
            "nothing in the normal door after withdrawal",
            "撤回后普通通道不放行",
            box("withdrawn", obj="personal", pur="normal", con="withdrawn"),
        ),
        Invariant("no administrator sees data", "管理员不接触数据", box("administrators", sub="administrator")),
        Invariant("no harm in the normal door", "侵害信息不走普通通道", box("harm", fld="class:harm", pur="normal")),
        Invariant("no reporter leaves", "报告人不下发", box("reporter", fld="class:reporter", act="receive")),
        Invariant("no volunteer sees L5", "志愿者不接触 L5", box("volunteers", sub="volunteers", obj="level:L5")),
    ]
    found += [
        Invariant(
            f"no status class to a purpose that does not need it: {each.id}",
            "困境类别不到不需要它的用途",
            box("status", obj=each.id, fld="class:status"),
        )
        for each in catalogue.exchanges.values()
        if each.id not in STATUS_EXCHANGES
    ]
    found += [
        Invariant(
            f"no door that the catalogue does not open: {each.id}",
            "目录未开的通道不放行",
            box("door", obj=each.id, pur=door),
        )
        for each in catalogue.exchanges.values()
        if each.state is ExchangeState.SERVED and each.pattern is not Pattern.COMPARE
        for door in _closed_doors(catalogue, each.id)
    ]
    return tuple(found)


def breaches(snapshot: Snapshot, wanted: tuple[Invariant, ...] | None = None) -> tuple[Breach, ...]:
    """One counterexample for each invariant that a version breaks; empty is the proof that all hold."""
    space = Space(snapshot.catalogue, snapshot.relations, snapshot.rules)
    checked = invariants(snapshot.catalogue) if wanted is None else wanted
    return tuple(breach for each in checked for breach in _first(_breaches(space, each)))


def _breaches(space: Space, invariant: Invariant) -> Iterator[Breach]:
    forbidden = space.shape(invariant.box)
    for cell in space.cells(invariant.box):
        meeting = space.meeting(cell, forbidden)
        if not any(space.shapes[number].rule.allows for number in meeting):
            continue
        said = answers([space.shapes[number] for number in meeting], lambda _: True)
        for requests, mask in space.classes(cell, forbidden, meeting):
            if (found := said(mask)) != REFUSED:
                yield Breach(invariant.name, requests, found)


def _first(found: Iterator[Breach]) -> Iterator[Breach]:
    for breach in found:
        yield breach
        return


def _closed_doors(catalogue: Catalogue, exchange: str) -> tuple[str, ...]:
    each = catalogue.exchanges[exchange]
    opened = {door for consumer in each.consumers for door in each.doors_for(consumer)}
    return tuple(door for door in ("normal", "emergency", "protective") if door not in opened)


__all__ = ["Breach", "Invariant", "box", "breaches", "invariants"]
