"""Code lists as data: tables of national standards and the closed lists of the catalogue, read once at import.

Rules kept here: a table is a closed set of strings with a Chinese and an English label and names its source; a table that
is not here is not understood, and a field of it is withheld unless the catalogue lists the field's values itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class CodeTable:
    """One closed list. labels: code -> (Chinese, English). source: the standard or text that the list follows."""

    name: str
    source: str
    labels: Mapping[str, tuple[str, str]]

    @property
    def codes(self) -> frozenset[str]:
        """The codes alone."""
        return frozenset(self.labels)


def _load() -> dict[str, CodeTable]:
    tables: dict[str, CodeTable] = {}
    for file in ("standards.toml", "care.toml"):
        document = tomllib.loads(files(__name__).joinpath(file).read_text(encoding="utf-8"))
        for name, table in document.items():
            if name in tables:
                raise ValueError("code table defined twice")
            labels = {code: (zh, en) for code, (zh, en) in table["codes"].items()}
            tables[name] = CodeTable(name=name, source=table["source"], labels=labels)
    return tables


TABLES: Mapping[str, CodeTable] = _load()
