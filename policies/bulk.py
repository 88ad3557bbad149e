"""Many decisions at once, for the replay of a log: the compiled matcher, asked in the order in which requests repeat themselves.

A matcher is a conjunction, so its conjuncts may be asked in any order. Those about exchange and asker are asked once per pair,
those about purpose, action, department and state of the basis once per combination, and the rest (region, field, time)
per request, of the rows whose region encloses the request's. What is remembered is which rows are left, never an answer.

Rules kept here: the same conjuncts as the matcher's, so the decision is the matcher's (a differential test holds it to Casbin);
rows that no request can tell apart count once; a denial stands before every permission.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from policies import regions
from policies.matcher import Matcher
from policies.rows import Rule

COMBINATION = ("pur", "act", "dom", "con")
_WORDS = attrgetter(*COMBINATION)
_TOLD_APART_BY = attrgetter("eft", "sub", "dom", "obj", "fld", "act", "pur", "reg", "con", "nbf", "exp")
_REMEMBERED = 200_000
_ByRegion = dict[str, list[Rule]]


class Bulk:
    """The rows of one version, ready for many requests. functions: what the matcher calls."""

    def __init__(
        self, rules: Sequence[Rule], matcher: Matcher, functions: Mapping[str, Callable[[str, str], bool]]
    ) -> None:
        different = {_TOLD_APART_BY(rule): rule for rule in rules}
        self._by_words: dict[str, dict[str, list[Rule]]] = {}
        for rule in different.values():
            self._by_words.setdefault(rule.obj, {}).setdefault(rule.sub, []).append(rule)
        self._askers = {rule.sub: rule for rule in rules}
        self._exchange = matcher.compiled_part(functions, lambda column: column == "obj")
        self._asker = matcher.compiled_part(functions, lambda column: column == "sub")
        self._combination = matcher.compiled_part(functions, lambda column: column in COMBINATION)
        self._rest = matcher.compiled_part(functions, lambda column: column not in ("obj", "sub", *COMBINATION))
        self._regional = any(each.relation == "inRegion" and each.policy == "reg" for each in matcher.conjuncts)
        self._named: dict[str, frozenset[str]] = {}
        self._pairs: dict[tuple[str, str], list[list[Rule]]] = {}
        self._left: dict[tuple[str, ...], tuple[_ByRegion, _ByRegion]] = {}

    def decide(self, request: Any) -> bool:
        """Whether a request is allowed."""
        question = (request.obj, request.sub, request.pur, request.act, request.dom, request.con)
        left = self._left.get(question)
        if left is None:
            left = self._narrowed(request, question)
        denying, allowing = left
        if not allowing:
            return False
        rest, enclosing = self._rest, regions.enclosing(request.reg)
        for prefix in enclosing if denying else ():
            for rule in denying.get(prefix, ()):
                if rest(request, rule):
                    return False
        for prefix in enclosing:
            for rule in allowing.get(prefix, ()):
                if rest(request, rule):
                    return True
        return False

    def _narrowed(self, request: Any, question: tuple[str, ...]) -> tuple[_ByRegion, _ByRegion]:
        """What may still match, denials and permissions, by the region of the rule ("" where the matcher asks no region)."""
        if len(self._left) >= _REMEMBERED:
            self._left.clear()
            self._pairs.clear()
            self._named.clear()
        denying: _ByRegion = {}
        allowing: _ByRegion = {}
        for alike in self._of_pair(request):
            if self._combination(request, alike[0]):
                for rule in alike:
                    side = allowing if rule.eft == "allow" else denying
                    side.setdefault(regions.prefix(rule.reg) if self._regional else "", []).append(rule)
        self._left[question] = denying, allowing
        return denying, allowing

    def _of_pair(self, request: Any) -> list[list[Rule]]:
        """The rows that hold for an exchange and an asker; those of the same words in the other columns together."""
        pair = (request.obj, request.sub)
        found = self._pairs.get(pair)
        if found is None:
            names = self._names_of(request)
            alike: dict[Any, list[Rule]] = {}
            for by_asker in self._by_words.values():
                if self._exchange(request, next(iter(by_asker.values()))[0]):
                    for name in names & by_asker.keys():
                        for rule in by_asker[name]:
                            alike.setdefault(_WORDS(rule), []).append(rule)
            found = self._pairs[pair] = list(alike.values())
        return found

    def _names_of(self, request: Any) -> frozenset[str]:
        """The words of the rules that hold for whoever asks."""
        known = self._named.get(request.sub)
        if known is None:
            known = frozenset(word for word, rule in self._askers.items() if self._asker(request, rule))
            self._named[request.sub] = known
        return known
