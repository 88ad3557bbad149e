"""Sharing rules as typed rows (share_policy): the truth of which Casbin's rows are the projection.

`policies/rules/*.csv` is the seed, one file per exchange and one for the rules above all exchanges. Writing what was read gives
the same bytes.

Rules kept here: every column is checked against its vocabulary before a row exists, and a bad row is refused with a sentence
that names the column; no empty text anywhere (a careless matcher reads it as "any"); `*` in `sub` stands in deny rows only.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from gateway.domain.vocabulary import Action, ConsentState, Department, Door
from policies import obligations, regions
from policies.ancestry import ancestries
from policies.catalogue import Catalogue

HOME = Path(__file__).parent / "rules"
ANY = "*"
EFFECTS = ("allow", "deny")
BEGINNING, END = "1970-01-01T00:00:00Z", "9999-12-31T00:00:00Z"
DENIED = "rule_denied"
DENIALS = frozenset({"consent_withdrawn", "consent_none", DENIED})
_CHARSET = re.compile(r"[A-Za-z0-9_:@./*=+;-]{1,120}\Z")
_RULE_ID = re.compile(r"[A-Z0-9][A-Za-z0-9_.-]{1,60}\Z")
_TIME = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\Z")
_LINE = re.compile(r"[^\x00-\x1f\x7f]{1,300}\Z")


class RuleError(ValueError):
    """A row is refused. column: the column at fault; the message is a sentence that names it, never the value."""

    def __init__(self, rule: str, column: str, sentence: str) -> None:
        super().__init__(f"rule {rule}, column `{column}`: {sentence}")
        self.column = column


@dataclass(frozen=True)
class Rule:
    """共享规则: the thirteen columns that Casbin sees, then what people need to know about the row.

    code: the denial code that a deny row gives, `-` on allow rows. owner: the department that answers for the row.
    legal: the law it rests on. reason: why it stands, one sentence.
    """

    id: str
    eft: str
    sub: str
    dom: str
    obj: str
    fld: str
    act: str
    pur: str
    reg: str
    con: str
    nbf: str
    exp: str
    obl: str
    code: str
    owner: str
    legal: str
    reason: str

    @cached_property
    def projection(self) -> list[str]:
        """The row as `model.conf` defines it: sub, dom, obj, fld, act, pur, reg, con, nbf, exp, obl, id, eft."""
        return [getattr(self, column) for column in CASBIN_COLUMNS]

    @property
    def allows(self) -> bool:
        """True for an allow row."""
        return self.eft == "allow"


COLUMNS = tuple(field.name for field in fields(Rule))
CASBIN_COLUMNS = ("sub", "dom", "obj", "fld", "act", "pur", "reg", "con", "nbf", "exp", "obl", "id", "eft")


class Vocabulary:
    """The words that each column may hold, from the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        tree = ancestries(catalogue)
        self._words: Mapping[str, frozenset[str]] = {
            "eft": frozenset(EFFECTS),
            "sub": tree["g"].names | {ANY},
            "dom": frozenset({*map(str, Department), ANY}),
            "obj": tree["g2"].names | {ANY},
            "fld": tree["g4"].names | {ANY},
            "act": frozenset({*map(str, Action), ANY}),
            "pur": tree["g3"].names | {ANY},
            "con": frozenset({*map(str, ConsentState), ANY}),
            "owner": frozenset({*map(str, Department), "all"}),
        }

    def check(self, rule: Rule) -> Rule:
        """The row itself if every column is right. Raises `RuleError`."""
        if not _RULE_ID.fullmatch(rule.id):
            raise RuleError("(unnamed)", "id", "must be a short name of letters, digits, dot, dash")
        for column in CASBIN_COLUMNS:
            if not _CHARSET.fullmatch(getattr(rule, column)):
                raise RuleError(rule.id, column, "is empty, too long or holds a character that rules may not hold")
        for column, words in self._words.items():
            if getattr(rule, column) not in words:
                raise RuleError(rule.id, column, "names a word that its vocabulary does not hold")
        if rule.reg != ANY and not regions.is_region(rule.reg):
            raise RuleError(rule.id, "reg", "must be `*` or a region code of 6, 9 or 12 digits")
        for column in ("nbf", "exp"):
            if not _TIME.fullmatch(getattr(rule, column)):
                raise RuleError(rule.id, column, "must be a UTC time like 2026-01-01T00:00:00Z")
        if rule.nbf >= rule.exp:
            raise RuleError(rule.id, "exp", "must be later than nbf")
        for column in ("legal", "reason"):
            if not _LINE.fullmatch(getattr(rule, column)):
                raise RuleError(rule.id, column, "must be one line of 1 to 300 characters")
        self._check_effect(rule)
        return rule

    def _check_effect(self, rule: Rule) -> None:
        if rule.allows:
            if rule.sub == ANY:
                raise RuleError(rule.id, "sub", "`*` stands in deny rows only")
            if rule.code != "-":
                raise RuleError(rule.id, "code", "an allow row has none, written `-`")
            try:
                obligations.parse(rule.obl)
            except obligations.ObligationError as unknown:
                raise RuleError(rule.id, "obl", str(unknown)) from unknown
            return
        if rule.obl != obligations.NONE:
            raise RuleError(rule.id, "obl", "a deny row has none, written `none`")
        if rule.code not in DENIALS:
            raise RuleError(rule.id, "code", "a deny row names one of the denial codes that callers know")
        if rule.reg != ANY:
            raise RuleError(rule.id, "reg", "a deny row binds every region, or records of a narrower one escape it")


def read(home: Path, catalogue: Catalogue) -> tuple[Rule, ...]:
    """Every rule of a folder, files in the order of their names. Raises `RuleError`."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(home.glob("*.csv"))]
    return checked((rule for text in texts for rule in parse_csv(text)), catalogue)


def checked(rules: Iterable[Rule], catalogue: Catalogue) -> tuple[Rule, ...]:
    """The same rules, each checked and each id used once. Raises `RuleError`."""
    vocabulary = Vocabulary(catalogue)
    seen: set[str] = set()
    kept: list[Rule] = []
    for rule in rules:
        kept.append(vocabulary.check(rule))
        if rule.id in seen:
            raise RuleError(rule.id, "id", "is used twice")
        seen.add(rule.id)
    return tuple(kept)


def parse_csv(text: str) -> list[Rule]:
    """The rows of one file: a header of exactly `COLUMNS`, then one row a line. Raises `RuleError`."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as failure:
        raise RuleError("(file)", "(all)", "the file is no valid CSV") from failure
    if not lines or tuple(lines[0]) != COLUMNS:
        raise RuleError("(file)", "(header)", f"must be {','.join(COLUMNS)}")
    if any(len(line) != len(COLUMNS) for line in lines[1:]):
        raise RuleError("(file)", "(all)", f"every row has {len(COLUMNS)} columns")
    return [Rule(*line) for line in lines[1:]]


def write_csv(rules: Iterable[Rule]) -> str:
    """The one text form of a file of rules: header, LF line ends, quotes only where CSV needs them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(rule, column) for column in COLUMNS] for rule in rules)
    return out.getvalue()


def door_of(purpose: str) -> Door | None:
    """The door that a rule's purpose stands for, None for `*`."""
    return None if purpose == ANY else Door(purpose.partition(".")[0])
