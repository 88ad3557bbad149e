"""Expected decisions as data (`policies/cases/*.toml`): what a version must answer, field by field.

A case names who asks, what, through which door, with which basis, and expects either obligations per field or a denial code, and
the kind and outcome of the entry that the log will show.

Rules kept here: an unknown key is refused; a case that expects nothing is refused; every expectation is exact - a field that
is granted but not expected fails the case as much as a missing one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain.vocabulary import Action, ConsentState, Department, Door, EntryKind, Outcome
from policies import deciding
from policies.snapshot import Request, Snapshot

HOME = Path(__file__).parent / "cases"
NOW = "2026-11-22T00:00:00Z"
REGION = "330106"
_ENTRIES = {Action.QUERY: EntryKind.QUERY, Action.SUBMIT: EntryKind.SEND_PERMIT, Action.RECEIVE: EntryKind.DELIVERED}
_KEYS = frozenset(
    {
        "name",
        "who",
        "action",
        "exchange",
        "door",
        "purpose",
        "to",
        "con",
        "region",
        "now",
        "fields",
        "consent_fields",
        "grants",
        "withheld",
        "denied",
        "entry",
    }
)


class CaseError(ValueError):
    """A case file is not of the documented form."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One case. grants: field -> obligation text. withheld: field -> code. denied: code, empty where something is granted."""

    name: str
    request: Request
    consumer: Department
    fields: tuple[str, ...]
    consent_fields: frozenset[str] | None
    grants: Mapping[str, str]
    withheld: Mapping[str, str]
    denied: str
    entry: str

    def difference(self, snapshot: Snapshot) -> str:
        """What the version answers otherwise; empty where it answers as expected."""
        answered = deciding.answer(
            snapshot, self.request, self.fields, consumer=self.consumer, consent_fields=self.consent_fields
        )
        found = {field: obligation.text for field, obligation in answered.grants.items()}
        if answered.code != self.denied:
            return f"{self.name}: expected code `{self.denied}`, found `{answered.code}`"
        if not self.denied and (found, answered.withheld) != (self.grants, self.withheld):
            return f"{self.name}: expected {self.grants} / {self.withheld}, found {found} / {dict(answered.withheld)}"
        entry = entry_of(Action(self.request.act), denied=bool(answered.code))
        if entry != self.entry:
            return f"{self.name}: expected entry {self.entry}, found {entry}"
        return "" if self.denied else self._excess(snapshot)

    def _excess(self, snapshot: Snapshot) -> str:
        """A granted case says more: the rules alone refuse the same request for another purpose, by another door, and by
        what the purpose tree does not hold. Otherwise only the catalogue would stand between a rule and its misuse.
        """
        door, _, purpose = self.request.pur.partition(".")
        other = "P01" if purpose != "P01" else "P02"
        near = [f"{door}.{other}", *(f"{each}.{purpose}" for each in Door if each != door)]
        for pur in near:
            verdicts = snapshot.judge(self.request._replace(pur=pur), self.grants)
            if any(verdict.allowed for verdict in verdicts.values()):
                return f"{self.name}: the rules alone would also allow this for {pur}"
        return ""


def entry_of(action: Action, *, denied: bool) -> str:
    """`<kind>.<outcome>` of the entry that an answer leaves in the log."""
    return f"{_ENTRIES[action]}.{Outcome.DENIED if denied else Outcome.RELEASED}"


def read(home: Path = HOME) -> tuple[Expectation, ...]:
    """Every case of a folder. Raises `CaseError`."""
    return parse({path.name: path.read_text(encoding="utf-8") for path in sorted(home.glob("*.toml"))})


def parse(texts: Mapping[str, str]) -> tuple[Expectation, ...]:
    """Every case of some files, by their names. Raises `CaseError`."""
    cases = tuple(case for name in sorted(texts) for case in _file(name, texts[name]))
    if len({case.name for case in cases}) != len(cases):
        raise CaseError("two cases have one name")
    return cases


def failures(snapshot: Snapshot, cases: tuple[Expectation, ...]) -> tuple[str, ...]:
    """What a version answers otherwise than expected."""
    return tuple(difference for case in cases if (difference := case.difference(snapshot)))


def _file(name: str, text: str) -> Iterator[Expectation]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise CaseError(f"{name} is not readable TOML") from failure
    if set(document) != {"case"} or not isinstance(document["case"], list):
        raise CaseError(f"{name}: a file holds [[case]] tables only")
    for number, table in enumerate(document["case"], 1):
        yield _case(table, f"{name}, case {number}")


def _case(table: dict[str, Any], where: str) -> Expectation:
    if unknown := set(table) - _KEYS:
        raise CaseError(f"{where}: unknown key `{min(unknown)}`")
    try:
        action, door = Action(table["action"]), Door(table.get("door", "normal"))
        department = Department(table["who"].partition("@")[2])
        consumer = Department(table["to"]) if "to" in table else department
        who = f"inbox@{consumer}" if action is Action.RECEIVE else table["who"]
        request = Request(
            sub=who,
            dom=str(consumer if action is Action.RECEIVE else department),
            obj=table["exchange"],
            fld="",
            act=str(action),
            pur=f"{door}.{table['purpose']}",
            reg=table.get("region", REGION),
            con=str(ConsentState(table["con"])),
            now=table.get("now", NOW),
        )
        case = Expectation(
            name=table["name"],
            request=request,
            consumer=consumer,
            fields=tuple(table.get("fields", ())),
            consent_fields=frozenset(table["consent_fields"]) if "consent_fields" in table else None,
            grants=table.get("grants", {}),
            withheld=table.get("withheld", {}),
            denied=table.get("denied", ""),
            entry=table["entry"],
        )
    except (KeyError, ValueError) as failure:
        raise CaseError(f"{where}: a key is missing or holds an unknown word") from failure
    if bool(case.grants) == bool(case.denied):
        raise CaseError(f"{where}: a case expects grants or a denial code")
    return case
