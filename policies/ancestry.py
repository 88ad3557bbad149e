"""Who and what belongs to which group: the four relations of the matcher (g, g2, g3, g4), as immutable closures.

g   subject -> groups: `case_worker@education` -> `officer@education`, `officer`, `people_organisation` …
g2  exchange -> `personal`, `level:L5`, `pattern:VERIFY`, `consumer:education`
g3  purpose tree: `normal.P06` -> `normal`; the branches are the doors
g4  field -> `class:risk`

Rules kept here: everything follows from the catalogue; a name that is not known has no ancestors and is never stored, so a
stranger's request leaves no trace and costs the next one nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.vocabulary import Department, Door
from policies.catalogue import Catalogue

PEOPLES = "people_organisation"
GOVERNMENT = "government_department"


@dataclass(frozen=True, slots=True)
class Ancestry:
    """A reflexive, transitive relation: name -> every name it counts as, itself included."""

    above: Mapping[str, frozenset[str]]
    names: frozenset[str]

    def of(self, name: str) -> frozenset[str]:
        """Every name that `name` counts as; an unknown one counts as itself only."""
        return self.above.get(name) or frozenset((name,))

    def has_link(self, name1: str, name2: str) -> bool:
        """What Casbin's `g` asks."""
        return name1 == name2 or name2 in self.above.get(name1, ())


def ancestries(catalogue: Catalogue) -> dict[str, Ancestry]:
    """The four relations of a catalogue, by their name in the matcher."""
    return {
        "g": _closed(_subjects(catalogue)),
        "g2": _closed(_exchanges(catalogue)),
        "g3": _closed(_purposes(catalogue)),
        "g4": _closed(
            {name: {f"class:{of}"} for name, of in catalogue.field_names.items()},
            {f"class:{name}" for name in catalogue.field_classes},
        ),
    }


def _closed(parents: Mapping[str, set[str]], further: Iterable[str] = ()) -> Ancestry:
    above = {name: frozenset({name, *groups}) for name, groups in parents.items()}
    return Ancestry(above=above, names=frozenset(further).union(*above.values()))


def _subjects(catalogue: Catalogue) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = {}
    for function in catalogue.functions.values():
        for department in function.departments:
            kind = GOVERNMENT if department.governmental else PEOPLES
            local = {f"{group}@{department}" for group in function.groups}
            parents[f"{function.name}@{department}"] = {function.name, kind, *function.groups, *local}
    return parents


def _exchanges(catalogue: Catalogue) -> dict[str, set[str]]:
    parents: dict[str, set[str]] = {}
    for exchange in catalogue.exchanges.values():
        groups = {f"level:{exchange.level}", f"pattern:{exchange.pattern}"}
        groups |= {f"consumer:{department}" for department in exchange.consumers}
        parents[exchange.id] = groups | ({"personal"} if exchange.personal else {"impersonal"})
    return parents


def _purposes(catalogue: Catalogue) -> dict[str, set[str]]:
    return {f"{door}.{code}": {str(door)} for door in Door for code in catalogue.purposes}


def subject(function: str, department: Department) -> str:
    """The Casbin subject of a function in a department."""
    return f"{function}@{department}"
