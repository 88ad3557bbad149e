"""The matcher of `model.conf`, read as an abstract syntax tree: its necessary conjuncts, and itself as compiled code.

A top-level conjunct of the form `r.X == p.Y`, `gN(r.X, p.Y)` or `inRegion(r.X, p.Y)`, alone or as `(p.Y == "*" || …)`, is a
necessary condition: where it is false, Casbin adds only "indeterminate". The index prunes by these.

Rules kept here: only comparison, `and`, `or` and the five known functions may stand in a matcher; a matcher that names
anything else does not load (no eval, no regexMatch, no clock).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

FUNCTIONS = frozenset({"g", "g2", "g3", "g4", "inRegion"})
EQUAL = "equal"
_ALLOWED = (ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Call, ast.Attribute, ast.Name, ast.Load, ast.Constant)
_ORDER = (ast.Eq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


class MatcherError(ValueError):
    """The matcher holds something that a matcher of this house may not hold."""


@dataclass(frozen=True, slots=True)
class Conjunct:
    """A necessary condition that the index can use. relation: `equal` or a function's name."""

    request: str
    policy: str
    relation: str
    wildcard: bool


@dataclass(frozen=True, slots=True)
class Matcher:
    """A read matcher. parts: policy column -> compiled test of each top-level conjunct, in the matcher's order. tops: the
    conjuncts themselves, with the policy columns that each reads.
    """

    source: str
    conjuncts: tuple[Conjunct, ...]
    code: CodeType
    parts: tuple[tuple[str, CodeType], ...]
    tops: tuple[tuple[frozenset[str], ast.expr], ...]

    def compiled(self, functions: Mapping[str, Callable[[str, str], bool]]) -> Callable[[Any, Any], bool]:
        """The matcher as a function of (request, row), two objects with the columns as attributes."""
        made: Callable[[Any, Any], bool] = eval(self.code, {"__builtins__": {}, **functions})  # noqa: S307 - built from the checked tree
        return made

    def compiled_parts(
        self, functions: Mapping[str, Callable[[str, str], bool]]
    ) -> tuple[tuple[str, Callable[[Any, Any], bool]], ...]:
        """Each conjunct as a function of (request, row), with the policy column that it reads."""
        names = {"__builtins__": {}, **functions}
        return tuple((column, eval(code, names)) for column, code in self.parts)  # noqa: S307 - built from the checked tree

    def compiled_part(
        self, functions: Mapping[str, Callable[[str, str], bool]], wanted: Callable[[str], bool]
    ) -> Callable[[Any, Any], bool]:
        """The conjuncts of which every policy column is wanted, as one function of (request, row).

        For predicates of which each column satisfies exactly one, the parts together are the matcher, if no conjunct reads columns
        of two parts: `ValueError` where one does.
        """
        chosen = []
        for columns, top in self.tops:
            held = {wanted(column) for column in columns}
            if len(held) != 1:
                raise ValueError("a conjunct reads columns of two parts")
            if held == {True}:
                chosen.append(top)
        tree = ast.BoolOp(op=ast.And(), values=chosen) if len(chosen) > 1 else (chosen or [ast.Constant(True)])[0]
        names = {"__builtins__": {}, **functions}
        made: Callable[[Any, Any], bool] = eval(_code(tree), names)  # noqa: S307 - built from the checked tree
        return made


def read(source: str, *, request: frozenset[str], policy: frozenset[str]) -> Matcher:
    """The matcher behind a Casbin expression.

    request, policy: the columns that `r` and `p` have. Raises `MatcherError`.
    """
    text = re.sub(r"\|\|", " or ", re.sub(r"&&", " and ", source))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as failure:
        raise MatcherError("the matcher is no expression") from failure
    _require_allowed(tree, request, policy)
    tops = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    return Matcher(
        source=source,
        conjuncts=tuple(conjunct for top in tops if (conjunct := _conjunct(top))),
        code=_code(tree),
        parts=tuple((_column(top), _code(top)) for top in tops),
        tops=tuple((frozenset(_columns(top)), top) for top in tops),
    )


def _require_allowed(tree: ast.expr, request: frozenset[str], policy: frozenset[str]) -> None:
    columns = {"r": request, "p": policy}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=("r" | "p") as side), attr=name):
                if name not in columns[side]:
                    raise MatcherError("the matcher names an unknown column")
            case ast.Attribute():
                raise MatcherError("the matcher reads an attribute of something else than `r` or `p`")
            case ast.Call(func=ast.Name(id=name), args=[ast.Attribute(), ast.Attribute()], keywords=[]):
                if name not in FUNCTIONS:
                    raise MatcherError("the matcher calls an unknown function")
            case ast.Call():
                raise MatcherError("the matcher calls a function on something else than two columns")
            case ast.Compare(ops=[_, _, *_]):
                raise MatcherError("the matcher chains comparisons")
            case ast.Name(id=name):
                if name not in FUNCTIONS | {"r", "p"}:
                    raise MatcherError("the matcher names something unknown")
            case ast.Constant(value=value):
                if value != "*":
                    raise MatcherError("the only constant of a matcher is `*`")
            case ast.cmpop():
                if not isinstance(node, _ORDER):
                    raise MatcherError("the matcher compares in an unknown way")
            case _:
                if not isinstance(node, _ALLOWED):
                    raise MatcherError("the matcher holds an unknown construct")


def _conjunct(node: ast.expr) -> Conjunct | None:
    match node:
        case ast.Compare(left=ast.Attribute(), ops=[ast.Eq()], comparators=[ast.Attribute()]):
            pair = _pair(node.left, node.comparators[0])
            return Conjunct(*pair, relation=EQUAL, wildcard=False) if pair else None
        case ast.Call(func=ast.Name(id=name), args=[left, right]):
            pair = _pair(left, right)
            ordered = pair and isinstance(left, ast.Attribute) and _side(left) == "r"
            return Conjunct(*pair, relation=name, wildcard=False) if pair and ordered else None
        case ast.BoolOp(op=ast.Or(), values=[ast.Compare() as star, inner]):
            found = _conjunct(inner)
            if found and ast.unparse(star) in (f"p.{found.policy} == '*'", f"'*' == p.{found.policy}"):
                return Conjunct(found.request, found.policy, found.relation, wildcard=True)
    return None


def _pair(left: ast.expr, right: ast.expr) -> tuple[str, str] | None:
    if not (isinstance(left, ast.Attribute) and isinstance(right, ast.Attribute)):
        return None
    names = {_side(left): left.attr, _side(right): right.attr}
    return (names["r"], names["p"]) if set(names) == {"r", "p"} else None


def _side(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def _column(node: ast.expr) -> str:
    """The policy column that a conjunct reads (the first one, if it reads several)."""
    names = _columns(node)
    return names[0] if names else ""


def _columns(node: ast.expr) -> list[str]:
    return [each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and _side(each) == "p"]


def _code(node: ast.expr) -> CodeType:
    function = ast.Expression(
        ast.Lambda(
            args=ast.arguments(
                posonlyargs=[], args=[ast.arg("r"), ast.arg("p")], kwonlyargs=[], kw_defaults=[], defaults=[]
            ),
            body=node,
        )
    )
    return compile(ast.fix_missing_locations(function), "<matcher>", "eval")
