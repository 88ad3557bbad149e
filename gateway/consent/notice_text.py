"""告知书: what a guardian is told before answering, from the catalogue and the officer's offer, in plain Chinese.

Rules kept here: everything that PIPL 17, 23 and 30 ask for stands in it (who gives, who receives, what for, which items, how long, why it
may be refused); it names no child; the digest covers every word of it, so that the evidence says what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.consent.artefact import ConsentClaims
from gateway.consent.changes import digest
from gateway.consent.guardians import DEPARTMENTS
from gateway.domain.exchanges import Exchange
from gateway.domain.vocabulary import Level

REFUSAL = "您可以不同意。不同意不影响孩子上学、看病和领取基本生活保障等服务，90天内也不会就同一件事再来征求。"
WITHDRAWAL = "同意以后，您可以随时到交给您这张单子的单位撤回，撤回后马上停止共享。"
REFUSAL_OF_CHILD = "你可以不同意。不同意不影响你上学、看病和领取基本生活保障等服务，90天内也不会就同一件事再来问你。"
WITHDRAWAL_OF_CHILD = "同意以后，你可以随时到交给你这张单子的单位撤回，撤回后马上停止共享。"


@dataclass(frozen=True, slots=True)
class Notice:
    """The words of a page. to_child: it speaks to the child itself. sensitive: separate consent to sensitive information."""

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

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over every word."""
        words = {name: getattr(self, name) for name in Notice.__slots__}
        return digest({name: list(word) if isinstance(word, tuple) else word for name, word in words.items()})


def notice(claims: ConsentClaims, exchange: Exchange, *, purposes: Mapping[str, str], asked_by: str) -> Notice:
    """The notice of an offer. purposes: purpose code -> Chinese name. asked_by: the organisation that hands the link over."""
    to_child = claims.grantor == "child"
    return Notice(
        asked_by=asked_by,
        matter=exchange.zh,
        purpose=purposes[claims.purpose],
        providers=tuple(DEPARTMENTS[str(each)] for each in exchange.providers),
        recipients=tuple(DEPARTMENTS[str(each)] for each in sorted(claims.recipients)),
        # In the order of the catalogue, which is the order in which the form is read.
        items=tuple(item.zh for name, item in exchange.fields.items() if name in claims.fields),
        until=f"{claims.ends.year}年{claims.ends.month}月{claims.ends.day}日",
        kept=exchange.retention,
        laws=tuple(f"《{cited.law}》{cited.articles}" for cited in exchange.citations),
        refusal=REFUSAL_OF_CHILD if to_child else REFUSAL,
        withdrawal=WITHDRAWAL_OF_CHILD if to_child else WITHDRAWAL,
        version=claims.notice_version,
        to_child=to_child,
        sensitive=exchange.level in (Level.L4, Level.L5),
    )
