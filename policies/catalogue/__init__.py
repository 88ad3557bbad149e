"""The catalogue: what may be exchanged at all, before any rule is asked (共享目录).

`load` reads departments, purposes, field classes, functions, impact assessments and one TOML file per exchange, and refuses
the whole catalogue at the first thing that is not exactly right.

Rules kept here: one field name has one class everywhere (rules address classes); purposes, classes and
departments are closed lists; `digest` covers the bytes of every file, so a version names exactly this catalogue.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.exchanges import Exchange
from gateway.domain.vocabulary import Department
from policies.catalogue.exchange_file import read_exchange
from policies.catalogue.reading import CatalogueError, Table

__all__ = ["Catalogue", "CatalogueError", "Function", "load"]

HOME = Path(__file__).parent
_PURPOSE = re.compile(r"P[0-9]{2}\Z")
_FILES = ("departments", "purposes", "field_classes", "functions", "assessments")


@dataclass(frozen=True, slots=True)
class Function:
    """岗位职能: in which departments a person may act in it, and by which group names rules may address it."""

    name: str
    zh: str
    en: str
    departments: tuple[Department, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """共享目录, loaded and checked. digest: SHA-256 hex over the names and bytes of its files."""

    exchanges: Mapping[str, Exchange]
    purposes: Mapping[str, str]
    field_classes: Mapping[str, str]
    functions: Mapping[str, Function]
    digest: str

    @property
    def field_names(self) -> Mapping[str, str]:
        """Every field name of the catalogue with its class."""
        return {field.name: field.field_class for each in self.exchanges.values() for field in each.fields.values()}


def load(home: Path = HOME) -> Catalogue:
    """The catalogue in a folder. Raises `CatalogueError` with a sentence that names the file and the place."""
    paths = [home / f"{name}.toml" for name in _FILES] + sorted((home / "exchanges").glob("*.toml"))
    _check_departments(Table.of_file(home / "departments.toml"))
    purposes = _names(Table.of_file(home / "purposes.toml"))
    if any(not _PURPOSE.fullmatch(code) for code in purposes):
        raise CatalogueError("purposes.toml: a purpose is like P01")
    classes = _names(Table.of_file(home / "field_classes.toml"))
    functions = dict(_function(name, table) for name, table in Table.of_file(home / "functions.toml").entries())
    assessments = _assessments(Table.of_file(home / "assessments.toml"))
    exchanges = [
        read_exchange(path, purposes=purposes, classes=classes, assessments=assessments)
        for path in paths[len(_FILES) :]
    ]
    if not exchanges:
        raise CatalogueError("exchanges: the catalogue is empty")
    _require_one_meaning(exchanges)
    return Catalogue(
        exchanges={exchange.id: exchange for exchange in exchanges},
        purposes=purposes,
        field_classes=classes,
        functions=functions,
        digest=_digest(home, paths),
    )


def _names(table: Table) -> dict[str, str]:
    names: dict[str, str] = {}
    for code, entry in table.entries():
        names[code] = entry.text("zh")
        entry.text("en")
        entry.finish()
    return names


def _check_departments(table: Table) -> None:
    entries = dict(table.entries())
    if set(entries) != set(Department):
        raise table.refusal("exactly the five departments stand here")
    for code, entry in entries.items():
        entry.text("zh")
        entry.text("en")
        if entry.flag("governmental") != Department(code).governmental:
            raise entry.refusal("`governmental` is settled by law (PIPL 34, 37), not here")
        entry.finish()


def _function(name: str, table: Table) -> tuple[str, Function]:
    function = Function(
        name=name,
        zh=table.text("zh"),
        en=table.text("en"),
        departments=table.words("departments", Department),
        groups=table.texts("groups"),
    )
    table.finish()
    return name, function


def _assessments(table: Table) -> dict[str, str]:
    approved: dict[str, str] = {}
    for reference, entry in table.entries():
        exchange, state = entry.text("exchange"), entry.text("state")
        entry.day("approved")
        entry.text("approver")
        entry.finish()
        if state == "approved":
            approved[reference] = exchange
    return approved


def _require_one_meaning(exchanges: list[Exchange]) -> None:
    classes: dict[str, str] = {}
    for exchange in exchanges:
        for field in exchange.fields.values():
            if classes.setdefault(field.name, field.field_class) != field.field_class:
                raise CatalogueError(f"{exchange.id}.toml [{field.name}]: this field has another class elsewhere")


def _digest(home: Path, paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(home).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
