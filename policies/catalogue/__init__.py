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

__all__ = ["Catalogue", "CatalogueError", "Function", "load", "parse", "read_texts"]

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
    """共享目录, loaded and checked. purposes: code -> Chinese name. digest: SHA-256 hex over the names and bytes of its files."""

    exchanges: Mapping[str, Exchange]
    purposes: Mapping[str, str]
    purposes_in_english: Mapping[str, str]
    field_classes: Mapping[str, str]
    functions: Mapping[str, Function]
    digest: str

    @property
    def field_names(self) -> Mapping[str, str]:
        """Every field name of the catalogue with its class."""
        return {field.name: field.field_class for each in self.exchanges.values() for field in each.fields.values()}


def load(home: Path = HOME) -> Catalogue:
    """The catalogue in a folder. Raises `CatalogueError` with a sentence that names the file and the place."""
    return parse(read_texts(home))


def read_texts(home: Path) -> dict[str, str]:
    """The files of a catalogue folder by name, in their order. Raises `CatalogueError`."""
    paths = [home / f"{name}.toml" for name in _FILES] + sorted((home / "exchanges").glob("*.toml"))
    return {path.relative_to(home).as_posix(): _read(path) for path in paths}


def parse(texts: Mapping[str, str]) -> Catalogue:
    """The catalogue that these files are, named as `read_texts` names them. Raises `CatalogueError`."""
    names = [f"{name}.toml" for name in _FILES]
    if missing := [name for name in names if name not in texts]:
        raise CatalogueError(f"{missing[0]} is missing")
    chapters = {name: Table.of_text(texts[f"{name}.toml"], f"{name}.toml") for name in _FILES}
    _check_departments(chapters["departments"])
    purposes, in_english = _names(chapters["purposes"])
    if any(not _PURPOSE.fullmatch(code) for code in purposes):
        raise CatalogueError("purposes.toml: a purpose is like P01")
    classes, _ = _names(chapters["field_classes"])
    functions = dict(_function(name, table) for name, table in chapters["functions"].entries())
    assessments = _assessments(chapters["assessments"])
    below = sorted(name for name in texts if name not in names)
    exchanges = [_exchange(name, texts[name], purposes, classes, assessments) for name in below]
    if not exchanges:
        raise CatalogueError("exchanges: the catalogue is empty")
    _require_one_meaning(exchanges)
    return Catalogue(
        exchanges={exchange.id: exchange for exchange in exchanges},
        purposes=purposes,
        purposes_in_english=in_english,
        field_classes=classes,
        functions=functions,
        digest=_digest({name: texts[name] for name in [*names, *below]}),
    )


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError) as failure:
        raise CatalogueError(f"{path.name} is not readable TOML") from failure


def _exchange(
    name: str, text: str, purposes: dict[str, str], classes: dict[str, str], assessments: dict[str, str]
) -> Exchange:
    folder, _, file = name.partition("/")
    if folder != "exchanges" or "/" in file:
        raise CatalogueError("a catalogue holds its five files and one file an exchange in `exchanges`")
    return read_exchange(file, text, purposes=purposes, classes=classes, assessments=assessments)


def _names(table: Table) -> tuple[dict[str, str], dict[str, str]]:
    """Code -> Chinese name, and code -> English name."""
    names: dict[str, str] = {}
    in_english: dict[str, str] = {}
    for code, entry in table.entries():
        names[code], in_english[code] = entry.text("zh"), entry.text("en")
        entry.finish()
    return names, in_english


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


def _digest(texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name, text in texts.items():
        content = text.encode("utf-8")
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
