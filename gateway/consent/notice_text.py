"""告知书: what a guardian is told before answering, from the catalogue and the officer's offer, in plain Chinese or plain English.

Rules kept here: everything that PIPL 17, 23 and 30 ask for stands in it (who gives, who receives, what for, which items, how long, why it
may be refused); it names no child; the digest covers every word of it, so that the evidence says what was read, in which language; what
has no English words (names of organisations and laws) stays Chinese and is not guessed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources

from gateway.consent.artefact import ConsentClaims
from gateway.consent.changes import digest
from gateway.consent.guardians import DEPARTMENTS
from gateway.domain.exchanges import Exchange
from gateway.domain.vocabulary import Level

LANGUAGES = ("zh", "en")
_DEPARTMENTS = {
    "zh": DEPARTMENTS,
    "en": {
        "civil_affairs": "the civil affairs department",
        "education": "the education department",
        "health": "the health department",
        "youth_league": "the Communist Youth League",
        "womens_federation": "the Women's Federation",
    },
}
_REFUSAL_IN_ENGLISH = (
    "You may refuse. Refusing changes nothing about {whose} school, treatment, basic living allowance or other services, "
    "and nobody will ask you about the same matter for 90 days."
)
_WITHDRAWAL_IN_ENGLISH = (
    "If you agree, you may take it back at any time where you were given this paper. Sharing then stops at once."
)
# (language, whether it speaks to the child) -> why it may be refused, and how it is taken back.
_RIGHTS = {
    ("zh", False): (
        "您可以不同意。不同意不影响孩子上学、看病和领取基本生活保障等服务，90天内也不会就同一件事再来征求。",
        "同意以后，您可以随时到交给您这张单子的单位撤回，撤回后马上停止共享。",
    ),
    ("zh", True): (
        "你可以不同意。不同意不影响你上学、看病和领取基本生活保障等服务，90天内也不会就同一件事再来问你。",
        "同意以后，你可以随时到交给你这张单子的单位撤回，撤回后马上停止共享。",
    ),
    ("en", False): (_REFUSAL_IN_ENGLISH.format(whose="your child's"), _WITHDRAWAL_IN_ENGLISH),
    ("en", True): (_REFUSAL_IN_ENGLISH.format(whose="your"), _WITHDRAWAL_IN_ENGLISH),
}
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True, slots=True)
class Notice:
    """The words of a page. to_child: it speaks to the child itself. sensitive: separate consent to sensitive information.
    language: `zh` or `en`.
    """

    asked_by: str
    matter: str
    purpose: str
    providers: tuple[str, ...]
    recipients: tuple[str, ...]
    items: tuple[str, ...]
    until: str
    kept: str
    laws: tuple[str, ...]
    refusal: str
    withdrawal: str
    version: str
    to_child: bool
    sensitive: bool
    language: str = "zh"

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over every word."""
        # The language is no word: the same words have the digest that they always had.
        words = {name: getattr(self, name) for name in Notice.__slots__ if name != "language"}
        return digest({name: list(word) if isinstance(word, tuple) else word for name, word in words.items()})


def notice(
    claims: ConsentClaims, exchange: Exchange, *, purposes: Mapping[str, str], asked_by: str, language: str = "zh"
) -> Notice:
    """The notice of an offer. purposes: purpose code -> name in that language. asked_by: the organisation that hands the link over."""
    to_child = claims.grantor == "child"
    departments, chinese = _DEPARTMENTS[language], language == "zh"
    refusal, withdrawal = _RIGHTS[language, to_child]
    return Notice(
        asked_by=asked_by,
        matter=exchange.zh if chinese else exchange.en,
        purpose=purposes[claims.purpose],
        providers=tuple(departments[str(each)] for each in exchange.providers),
        recipients=tuple(departments[str(each)] for each in sorted(claims.recipients)),
        # In the order of the catalogue, which is the order in which the form is read.
        items=tuple(item.zh if chinese else item.en for name, item in exchange.fields.items() if name in claims.fields),
        until=_day(claims.ends, language),
        kept=exchange.retention if chinese else retention_in_english(exchange.retention),
        laws=tuple(f"《{cited.law}》{cited.articles}" for cited in exchange.citations),
        refusal=refusal,
        withdrawal=withdrawal,
        version=claims.notice_version,
        to_child=to_child,
        sensitive=exchange.level in (Level.L4, Level.L5),
        language=language,
    )


def retention_in_english(text: str) -> str:
    """A retention of the catalogue in English; as it stands where it has no English words."""
    return _retentions().get(text, text)


@cache
def _retentions() -> dict[str, str]:
    text = resources.files("gateway.consent").joinpath("retentions_in_english.toml").read_text("utf-8")
    return {row["zh"]: row["en"] for row in tomllib.loads(text)["retentions"]}


def _day(day: date, language: str) -> str:
    if language == "zh":
        return f"{day.year}年{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
