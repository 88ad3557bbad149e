"""One policy version: model, catalogue, rules and obligations under one hash, never changed once built.

Rules kept here: immutable; a decision reads exactly one snapshot; the version is SHA-256 over everything that can change an
answer; fields with equal candidates share one call of the engine.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

from policies import regions
from policies.ancestry import Ancestry, ancestries
from policies.bulk import Bulk
from policies.catalogue import Catalogue
from policies.index import Index, Walk
from policies.matcher import Matcher
from policies.rows import CASBIN_COLUMNS, Rule, write_csv


class Request(NamedTuple):
    """What Casbin is asked, in the order of `model.conf`."""

    sub: str
    dom: str
    obj: str
    fld: str
    act: str
    pur: str
    reg: str
    con: str
    now: str


_FIELD, _NOW = Request._fields.index("fld"), Request._fields.index("now")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Casbin's answer on one field, with the rows that it could have matched.

    witness: the row that `enforce_ex` names, None where no row matched. matching: every allow row that matched, in order
    (empty unless allowed).
    """

    allowed: bool
    witness: Rule | None
    matching: tuple[Rule, ...]
    candidates: tuple[int, ...]


class Engine(Protocol):
    """Casbin, asked about a few rows."""

    def enforce(self, rows: list[list[str]], request: Sequence[str]) -> tuple[bool, Sequence[str]]:
        """Decision and explaining row, as `enforce_ex` gives them."""
        ...


KEPT_AT_MOST = 10_000

T = TypeVar("T")


class Snapshot:
    """规则版本: immutable.

    catalogue, rules: checked. matcher: read from the model. engine: Casbin. model_text: bytes of `model.conf`, hashed.
    """

    def __init__(
        self, *, catalogue: Catalogue, rules: Sequence[Rule], matcher: Matcher, engine: Engine, model_text: str
    ) -> None:
        self.catalogue = catalogue
        self.rules = tuple(rules)
        self.matcher = matcher
        self.engine = engine
        self.model_text = model_text
        self.relations: Mapping[str, Ancestry] = ancestries(catalogue)
        links: dict[str, Callable[[str, str], bool]] = {name: each.has_link for name, each in self.relations.items()}
        self.functions = {**links, "inRegion": regions.in_region}
        self.matches = matcher.compiled(self.functions)
        self.parts = matcher.compiled_parts(self.functions)
        self._rows = [rule.projection for rule in self.rules]
        self.index = Index(
            matcher.conjuncts, self.relations, self._rows, columns=CASBIN_COLUMNS, request=Request._fields
        )
        self.version = version_of(model_text, catalogue, self.rules)
        # Between two of these moments no rule begins or ends, so a verdict stays exact without any time limit of its own.
        self._moments = sorted({moment for rule in self.rules for moment in (rule.nbf, rule.exp)})
        self._kept: dict[tuple[Hashable, ...], Any] = {}

    def judge(self, request: Request, fields: Iterable[str]) -> Mapping[str, Verdict]:
        """Casbin's verdict for each field of one request; `request.fld` is not read."""
        wanted = tuple(fields)
        return self.once(request, ("verdicts", wanted), lambda: self._judge(request, wanted))

    def once(self, request: Request, question: tuple[Hashable, ...], work: Callable[[], T]) -> T:
        """What `work` finds out about a request, whose field it must not read; nobody changes what it gives.

        question: what `work` is, and all else that it depends on. The same question within the same span of the rules' times is
        answered from memory, exactly.
        """
        span = bisect_right(self._moments, request.now)
        asked = (*request[:_FIELD], *request[_FIELD + 1 : _NOW], span, *question)
        known: T | None = self._kept.get(asked)
        if known is None:
            known = work()
            if len(self._kept) >= KEPT_AT_MOST:
                self._kept.clear()
            self._kept[asked] = known
        return known

    def _judge(self, request: Request, fields: tuple[str, ...]) -> dict[str, Verdict]:
        walk = self.walk(request)
        shared: dict[tuple[int, ...], Verdict] = {}
        verdicts: dict[str, Verdict] = {}
        for field in fields:
            candidates = walk.candidates(field)
            if candidates not in shared:
                shared[candidates] = self._verdict(request._replace(fld=field), candidates)
            verdicts[field] = shared[candidates]
        return verdicts

    def walk(self, request: Request, *, free: str | None = None) -> Walk:
        """The index's walk for a request; `free` names a column that may hold anything."""
        return self.index.walk(request, free=free)

    def failing(self, request: Request, rule: Rule) -> tuple[str, ...]:
        """The columns of a rule that keep it from matching a request."""
        return tuple(column for column, holds in self.parts if not holds(request, rule))

    def enforce(self, request: Request) -> tuple[bool, Sequence[str]]:
        """Casbin's decision and explanation for one full request, through the index."""
        candidates = self.walk(request).candidates(request.fld)
        return self._enforce(request, candidates)

    def decide_compiled(self, request: Request) -> bool:
        """The same decision by the compiled matcher: for replay and diff only."""
        return self._bulk.decide(request)

    @cached_property
    def _bulk(self) -> Bulk:
        return Bulk(self.rules, self.matcher, self.functions)

    def _enforce(self, request: Request, candidates: tuple[int, ...]) -> tuple[bool, Sequence[str]]:
        # One row that cannot match keeps Casbin on its "rules exist, none matched" path, never on the empty-policy one.
        rows = [self._rows[number] for number in candidates] or self._rows[:1]
        return self.engine.enforce(rows, request)

    def _verdict(self, request: Request, candidates: tuple[int, ...]) -> Verdict:
        allowed, row = self._enforce(request, candidates)
        witness = self._rule_of(row, candidates)
        if not allowed:
            return Verdict(allowed=False, witness=witness, matching=(), candidates=candidates)
        if len(candidates) == 1 and witness is not None:
            return Verdict(allowed=True, witness=witness, matching=(witness,), candidates=candidates)
        rules = [self.rules[number] for number in candidates]
        matching = tuple(rule for rule in rules if rule.allows and self.matches(request, rule))
        return Verdict(allowed=True, witness=witness, matching=matching, candidates=candidates)

    def _rule_of(self, row: Sequence[str], candidates: tuple[int, ...]) -> Rule | None:
        return next((self.rules[number] for number in candidates if self._rows[number] is row), None)


def version_of(model_text: str, catalogue: Catalogue, rules: Sequence[Rule]) -> str:
    """`sha256:<hex>` over model, catalogue and rules with their obligations."""
    digest = hashlib.sha256()
    for part in (model_text, catalogue.digest, write_csv(rules)):
        encoded: Any = part.encode("utf-8")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return f"sha256:{digest.hexdigest()}"
