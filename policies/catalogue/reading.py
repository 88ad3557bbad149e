"""Strict reading of TOML tables: every key is known, every value of its kind, every word of its list.

Rules kept here: an unknown key, a missing key, a wrong kind or an unknown word is refused with a sentence that names the
file and the place; nothing is guessed and nothing has a silent default that opens anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

Word = TypeVar("Word", bound=StrEnum)


class CatalogueError(ValueError):
    """The catalogue does not load. The message names the file and what is wrong with it."""


class Table:
    """One TOML table, read key by key; `finish` refuses whatever nobody asked for.

    where: how messages name this table, e.g. `X05.toml [fields.urgency]`.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = dict(values)
        self.where = where

    @classmethod
    def of_text(cls, text: str, name: str) -> Table:
        """The root table of a TOML text; `CatalogueError` if it is not one. name: the file's, for messages."""
        try:
            return cls(tomllib.loads(text), name)
        except tomllib.TOMLDecodeError as failure:
            raise CatalogueError(f"{name} is not readable TOML") from failure

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty text."""
        value = self._values.pop(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.refusal(f"`{key}` must be a text that is not empty")
        return value

    def optional_text(self, key: str) -> str | None:
        """A non-empty text, or None where the key is absent."""
        return self.text(key) if key in self._values else None

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A flag: true or false."""
        value = self._values.pop(key, default)
        if not isinstance(value, bool):
            raise self.refusal(f"`{key}` must be true or false")
        return value

    def optional_flag(self, key: str) -> bool | None:
        """A flag, or None where the key is absent."""
        return self.flag(key) if key in self._values else None

    def count(self, key: str, default: int | None = None) -> int | None:
        """A positive whole number, or the default where the key is absent."""
        value = self._values.pop(key, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
            raise self.refusal(f"`{key}` must be a positive whole number")
        return value

    def day(self, key: str) -> str:
        """A TOML local date, as ISO text."""
        value = self._values.pop(key, None)
        if value is None or not hasattr(value, "isoformat"):
            raise self.refusal(f"`{key}` must be a date")
        return str(value.isoformat())

    def word(self, key: str, words: type[Word]) -> Word:
        """One word of a closed list."""
        return self._word(self.text(key), key, words)

    def words(self, key: str, words: type[Word]) -> tuple[Word, ...]:
        """Several words of a closed list."""
        return tuple(self._word(value, key, words) for value in self.texts(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts without repetition; empty where the key is absent."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or any(not isinstance(item, str) or not item for item in value):
            raise self.refusal(f"`{key}` must be a list of texts")
        if len(set(value)) != len(value):
            raise self.refusal(f"`{key}` names something twice")
        return tuple(value)

    def table(self, key: str) -> Table:
        """The table under a key; empty where absent."""
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise self.refusal(f"`{key}` must be a table")
        return Table(value, f"{self.where} [{key}]")

    def optional_table(self, key: str) -> Table | None:
        """The table under a key, or None where the key is absent."""
        return self.table(key) if key in self._values else None

    def tables(self, key: str) -> tuple[Table, ...]:
        """The list of tables under a key; empty where absent."""
        value = self._values.pop(key, [])
        if not isinstance(value, list) or any(not isinstance(item, dict) for item in value):
            raise self.refusal(f"`{key}` must be a list of tables")
        return tuple(Table(item, f"{self.where} [[{key}]]") for item in value)

    def entries(self) -> tuple[tuple[str, Table], ...]:
        """Every key of this table with the table under it, in file order."""
        return tuple((key, self.table(key)) for key in tuple(self._values))

    def finish(self) -> None:
        """Refuse the keys that are left."""
        if self._values:
            raise self.refusal(f"unknown key `{min(self._values)}`")

    def refusal(self, sentence: str) -> CatalogueError:
        """The error that names this place."""
        return CatalogueError(f"{self.where}: {sentence}")

    def _word(self, value: str, key: str, words: type[Word]) -> Word:
        try:
            return words(value)
        except ValueError:
            known = ", ".join(word.value for word in words)
            raise self.refusal(f"`{key}` names an unknown word; known are {known}") from None
