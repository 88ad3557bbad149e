"""Who the children are: the population's truth, and each department's own directory, by which it knows its pseudonyms.

Rules kept here: the codes below are written down from the departments' own data dictionaries, not read from the adapters' mappings;
a body's pseudonyms are looked up in its own department's directory and nowhere else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.sandbox import circles
from adapters.sandbox.cast import Cast, cast
from adapters.sandbox.population import Child, Population

DIRECTORY_OF = {"ca": "ca", "out": "ca", "ed": "ed", "sc": "ed", "he": "he", "yl": "yl", "wf": "wf"}
"""Body -> the body whose edge holds its department's directory."""
DIRECTORIES = ("ca", "ed", "he", "yl", "wf")
RECORD_KEYS = (
    lambda child: child.civil_key,
    lambda child: child.school_key,
    circles.patient_key,
    circles.client_key,
    circles.family_key,
)
"""The five systems' own record keys; each has a first letter of its own."""

STAGES = {"1": "preschool", "2": "primary", "3": "junior", "4": "senior"}
STATUS_CLASSES = {
    "11": "orphan",
    "12": "de_facto_unattended",
    "20": "in_difficulty",
    "31": "left_behind",
    "32": "migrant",
}
ENROLMENT = {"01": "enrolled", "02": "suspended", "03": "dropped_out", "04": "transferred_out"}
REASONS = {
    "01": "family_crisis",
    "02": "single_parent",
    "03": "exam_pressure",
    "04": "hardship",
    "05": "lack_of_care",
    "06": "migrant_or_left_behind",
    "07": "psychological",
    "08": "self_reported",
}
EDUCATION_REASONS = {
    "JTBG": "family_crisis",
    "DQJT": "single_parent",
    "SXYL": "exam_pressure",
    "SHKN": "hardship",
    "JHQS": "lack_of_care",
    "LDLS": "migrant_or_left_behind",
    "XLXW": "psychological",
    "ZDQZ": "self_reported",
}
DEPARTMENTS = {
    "MZ": "civil_affairs",
    "JY": "education",
    "WJ": "health",
    "TW": "youth_league",
    "FL": "womens_federation",
}
REGISTER_STATUS = {"1": "active", "2": "paused", "3": "closed"}


class Truth:
    """The people of a demo and what the departments call them."""

    def __init__(self, demo: Path, population: Population) -> None:
        self.population = population
        self.roles: Cast = cast(population)
        self.by_key = {key(child): child for child in population.children for key in RECORD_KEYS}
        self._directories = {name: _directory(demo / "bodies" / name / "directory.sqlite3") for name in DIRECTORIES}

    @property
    def different_names(self) -> int:
        """In how many ways each child is called that all five departments know; fewer where any two of its names agree."""
        names: dict[int, set[str]] = {}
        known: dict[int, int] = {}
        for directory in self._directories.values():
            for pseudonym, record in directory.items():
                number = self.by_key[record].number
                known[number] = known.get(number, 0) + 1
                names.setdefault(number, set()).add(pseudonym.rpartition("1")[2])
        return min(len(names[number]) for number, count in known.items() if count == len(self._directories))

    def child(self, body: str, pseudonym: str) -> Child | None:
        """Whom a body means by a pseudonym. None for one that its department does not know (no file, no record)."""
        key = self._directories[DIRECTORY_OF[body]].get(pseudonym)
        return self.by_key[key] if key else None

    def role(self, child: Child | None) -> str:
        """The role in which the story speaks of a child, "" for none."""
        for name in ("pupil", "other", "teen", "outside"):
            if child is not None and child.number == getattr(self.roles, name).number:
                return name
        return ""


def _directory(path: Path) -> dict[str, str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return dict(connection.execute("SELECT pseudonym, record FROM entries"))


def enrolment(child: Child) -> Mapping[str, Any]:
    """X02 about a child, as it is."""
    assert child.school is not None
    grade = "" if child.stage == "1" else str((0, 0, 0, 6, 9)[int(child.stage)] + int(child.grade[1])).zfill(2)
    return {
        "enrolled": "Y" if child.enrolment in ("01", "02") else "N",
        "stage": STAGES[child.stage],
        "grade": grade,
        "school_org_code": child.school.code,
        "boarding": "Y" if child.boarding else "N",
        "status": ENROLMENT[child.enrolment],
        "as_of": child.updated.isoformat(),
    }


def standing(child: Child) -> Mapping[str, Any]:
    """X01 about a child, as it is."""
    return {
        "in_programme": "Y" if child.in_programme else "N",
        "status_class": STATUS_CLASSES[child.status_class],
        "as_of": child.updated.isoformat(),
    }


def register_line(child: Child) -> dict[str, Any]:
    """X13: the line of civil affairs' own register, record ids as civil affairs writes them."""
    care = child.care
    assert care is not None
    return {
        "register_id": care.register_id,
        "plan_id": care.plan_id,
        "entry_reasons": sorted(REASONS[code] for code in care.reasons),
        "responsible_department": DEPARTMENTS[care.responsible],
        "status": REGISTER_STATUS[care.status],
        "next_action_due": care.next_action.isoformat(),
    }
