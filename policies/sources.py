"""规则源: everything that a version is made of, as text: model, catalogue, cases, and the rules as rows.

A folder (`model.conf`, `catalogue/`, `cases/`, `rules/`) and a source are two forms of one thing: reading what was written gives
the same source, and writing what was read gives the same bytes.

Rules kept here: rules stand in the order of their files, one file an exchange and one for what stands above all; a file that is
not in the one text form is refused, never repaired; an edit names rules and cases by id and name, and an unknown name is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from policies import catalogue as catalogues
from policies import expectations, rows
from policies.catalogue import Catalogue
from policies.expectations import CaseError, Expectation
from policies.rows import Rule, RuleError

MODEL, CATALOGUE, CASES, RULES = "model.conf", "catalogue", "cases", "rules"
ABOVE_ALL = "00-above-all.csv"


class SourceError(ValueError):
    """The folder or the edit is not of the documented form. The message names the file and never a value."""


@dataclass(frozen=True, slots=True)
class Source:
    """The texts of a version. files: `model.conf`, `catalogue/…` and `cases/…` by path. rules: in the order of their files."""

    files: Mapping[str, str]
    rules: tuple[Rule, ...]

    @property
    def model(self) -> str:
        """The text of `model.conf`."""
        return self.files[MODEL]

    def catalogue(self) -> Catalogue:
        """The catalogue, read. Raises `CatalogueError`."""
        return catalogues.parse(self._below(CATALOGUE))

    def cases(self) -> tuple[Expectation, ...]:
        """The cases, read. Raises `CaseError`."""
        return expectations.parse(self._below(CASES))

    @property
    def cases_digest(self) -> str:
        """SHA-256 hex over the names and bytes of the case files: who approves a version approves its cases too."""
        digest = hashlib.sha256()
        for name, text in sorted(self._below(CASES).items()):
            content = text.encode("utf-8")
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def texts(self) -> dict[str, str]:
        """Every file of the folder form by its path."""
        written = dict(sorted(self.files.items()))
        for name in sorted({file_of(rule) for rule in self.rules}):
            written[f"{RULES}/{name}"] = rows.write_csv(rule for rule in self.rules if file_of(rule) == name)
        return written

    def _below(self, folder: str) -> dict[str, str]:
        return {
            path.removeprefix(f"{folder}/"): text for path, text in self.files.items() if path.startswith(f"{folder}/")
        }


@dataclass(frozen=True, slots=True)
class Edit:
    """What a draft changes. put: rules that come, or replace those of their id. remove: ids. put_cases: TOML of `[[case]]` tables
    that come, or replace those of their name. remove_cases: names.
    """

    put: tuple[Rule, ...] = ()
    remove: frozenset[str] = frozenset()
    put_cases: str = ""
    remove_cases: frozenset[str] = frozenset()


def file_of(rule: Rule) -> str:
    """The file of a rule: its exchange's where its id begins with the exchange, otherwise the one above all."""
    return f"{rule.obj}.csv" if rule.id.partition(".")[0] == rule.obj else ABOVE_ALL


def ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules in the order of their files, and within a file as they stood."""
    return tuple(sorted(rules, key=file_of))


# --- the folder form ------------------------------------------------------------------------------------------------------


def read_folder(home: Path) -> Source:
    """The source in a folder. Raises `SourceError`, `CatalogueError` or `RuleError`."""
    files = {MODEL: _read(home / MODEL)}
    files |= {f"{CATALOGUE}/{name}": text for name, text in catalogues.read_texts(home / CATALOGUE).items()}
    files |= {f"{CASES}/{path.name}": _read(path) for path in sorted((home / CASES).glob("*.toml"))}
    rules: list[Rule] = []
    for path in sorted((home / RULES).glob("*.csv")):
        rules += _rules_of(path.name, _read(path))
    return Source(files, tuple(rules))


def write_folder(source: Source, home: Path) -> None:
    """Write the folder form into a new folder. Raises `FileExistsError`."""
    home.mkdir(parents=True)
    for name, text in source.texts().items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8"))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError) as failure:
        raise SourceError(f"{path.name} cannot be read as UTF-8 text") from failure


def _rules_of(name: str, text: str) -> list[Rule]:
    parsed = rows.parse_csv(text)
    if any(file_of(rule) != name for rule in parsed):
        raise SourceError(f"{name}: a rule `X02.…` of exchange X02 stands in X02.csv, any other in {ABOVE_ALL}")
    if rows.write_csv(parsed) != text:
        raise SourceError(f"{name} is not in the one text form: LF line ends, quotes only where CSV needs them")
    return parsed


# --- edits ----------------------------------------------------------------------------------------------------------------


def edited(source: Source, edit: Edit) -> Source:
    """The source after an edit. Raises `RuleError` or `CaseError` where a name is unknown or used twice."""
    return Source(_edited_files(source, edit), _edited_rules(source.rules, edit))


def _edited_rules(rules: tuple[Rule, ...], edit: Edit) -> tuple[Rule, ...]:
    coming = {rule.id: rule for rule in edit.put}
    if len(coming) != len(edit.put):
        raise RuleError("(edit)", "id", "is put twice")
    known = {rule.id for rule in rules}
    if edit.remove - known:
        raise RuleError("(edit)", "id", "to be removed is no rule of this version")
    if edit.remove & coming.keys():
        raise RuleError("(edit)", "id", "is both put and removed")
    kept = [coming.pop(rule.id, rule) for rule in rules if rule.id not in edit.remove]
    return ordered([*kept, *coming.values()])


def _edited_files(source: Source, edit: Edit) -> dict[str, str]:
    coming = _tables(edit.put_cases)[1]
    names = {table.name for table in coming}
    if len(names) != len(coming):
        raise CaseError("a case is put twice")
    files: dict[str, str] = {}
    known: set[str] = set()
    for path, text in source.files.items():
        if not path.startswith(f"{CASES}/"):
            files[path] = text
            continue
        head, tables = _tables(text)
        known |= {table.name for table in tables}
        kept = [table for table in tables if table.name not in names | edit.remove_cases]
        kept += [table for table in coming if path == table.path]
        files[path] = text if kept == tables else head + "\n".join(table.text for table in kept)
    if edit.remove_cases - known:
        raise CaseError("a case to be removed is no case of this version")
    for table in coming:
        files.setdefault(table.path, "\n".join(each.text for each in coming if each.path == table.path))
    return {path: text for path, text in files.items() if text.strip()}


@dataclass(frozen=True, slots=True)
class _Case:
    """One `[[case]]` table of a file, as text."""

    name: str
    path: str
    text: str


def _tables(text: str) -> tuple[str, list[_Case]]:
    """What stands before the first `[[case]]` table, and the tables; each text ends with one line end."""
    head, *bodies = f"\n{text}".split("\n[[case]]\n")
    tables = []
    for body in bodies:
        written = "[[case]]\n" + body.strip("\n") + "\n"
        (case,) = expectations.parse({"(edit)": written})
        tables.append(_Case(case.name, f"{CASES}/{case.request.obj}.toml", written))
    if not tables and head.strip():
        raise CaseError("a case begins with a line `[[case]]`")
    return head.removeprefix("\n"), tables
