"""简体中文 and English: catalogues, names of the field's words, numbers and times as people write them.

Rules kept here: Chinese is the default; the source text is English and `locale/zh_CN.po` its translation, read as text at start
(nothing is compiled); every time is shown in Asia/Shanghai; a word without a name is shown as it stands, never guessed.
"""

from __future__ import annotations

import gettext
import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from babel import Locale
from babel.dates import format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from gateway.domain.clock import SHANGHAI

DEFAULT = "zh"
TAGS = {"zh": "zh-CN", "en": "en"}
_LOCALES = {"zh": Locale.parse("zh_Hans_CN"), "en": Locale.parse("en")}
_MONTHS = _LOCALES["en"].months["format"]["abbreviated"]


class _Catalogue(gettext.NullTranslations):
    """Messages from a `.po` file held in memory."""

    def __init__(self, messages: dict[str, str]) -> None:
        super().__init__()
        self._messages = messages

    def gettext(self, message: str) -> str:
        return self._messages.get(message) or message


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations of a language."""
    if language == "en":
        return gettext.NullTranslations()
    with resources.files("gateway.console").joinpath("locale/zh_CN.po").open("rb") as file:
        read = read_po(file)
    return _Catalogue({str(entry.id): str(entry.string) for entry in read if entry.id and entry.string})


@cache
def _words() -> dict[str, dict[str, dict[str, str]]]:
    """Names of the closed word lists: kind of word -> word -> language -> name."""
    own = tomllib.loads(resources.files("gateway.console").joinpath("words.toml").read_text("utf-8"))
    for kind, file in (("department", "departments"), ("purpose", "purposes"), ("class", "field_classes")):
        text = resources.files("policies").joinpath(f"catalogue/{file}.toml").read_text("utf-8")
        own[kind] = {word: {"zh": row["zh"], "en": row["en"]} for word, row in tomllib.loads(text).items()}
    return own


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language as templates and sentences use it. language: `zh` or `en`."""

    language: str

    @property
    def tag(self) -> str:
        """BCP 47 tag for `lang`."""
        return TAGS[self.language]

    def text(self, message: str) -> str:
        """A message in this language."""
        return catalogue(self.language).gettext(message)

    def word(self, kind: str, word: Any) -> str:
        """The name of a word of a closed list; the word itself where it has none."""
        return _words().get(kind, {}).get(str(word), {}).get(self.language, str(word))

    def words(self, kind: str) -> dict[str, str]:
        """Every word of a list with its name."""
        return {word: names[self.language] for word, names in _words()[kind].items()}

    def name(self, thing: Any) -> str:
        """The name of something that carries `zh` and `en`."""
        return str(getattr(thing, self.language))

    def number(self, value: float) -> str:
        """A number, grouped; both languages group whole numbers alike."""
        return f"{value:,}" if isinstance(value, int) else format_decimal(value, locale=_LOCALES[self.language])

    def time(self, seconds: float) -> str:
        """A moment (unix seconds) in Asia/Shanghai."""
        # Written out: a list holds a thousand of them, and reading Babel's pattern for each took most of the page's time.
        one = datetime.fromtimestamp(seconds, SHANGHAI)
        clock = f"{one.hour:02}:{one.minute:02}:{one.second:02}"
        if self.language == "zh":
            return f"{one.year}年{one.month}月{one.day}日 {clock}"
        return f"{one.day} {_MONTHS[one.month]} {one.year}, {clock}"

    def span(self, seconds: float) -> str:
        """A duration in its largest unit."""
        return format_timedelta(int(seconds), locale=_LOCALES[self.language], threshold=1)
