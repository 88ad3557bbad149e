"""Small faults to plant in a module, one at a time: what a slip of the hand would do to a comparison, a condition, an
operator, a number, a text, a result or a refusal.

Left alone are annotations, docstrings, decorators, imports, `__all__` and the parts of f-strings: a fault there is found by the
type checker, or is none.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted fault: the `change`-th way to spoil the `place`-th node. what: original and fault in source form."""

    line: int
    what: str
    place: int
    change: int


def mutants_of(source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source, in the order of its lines."""
    for place, node in enumerate(_nodes(ast.parse(source))):
        for number, change in enumerate(_changes(node)):
            spoilt = copy.deepcopy(node)
            before, after = ast.unparse(node), change(spoilt)
            what = f"{_short(before)} -> {_short(ast.unparse(after or spoilt))}"
            yield Mutant(getattr(node, "lineno", 0), what, place, number)


def planted(source: str, mutant: Mutant) -> ast.Module:
    """The module with the fault in it."""
    tree = ast.parse(source)
    target = _nodes(tree)[mutant.place]
    after = _changes(target)[mutant.change](target)
    if after is not None:
        _replace(tree, target, after)
    return ast.fix_missing_locations(tree)


Change = Callable[[ast.AST], ast.AST | None]


def _changes(node: ast.AST) -> list[Change]:
    """Ways to spoil a node: each changes it in place and gives None, or gives what stands in its stead."""
    match node:
        case ast.Compare(ops=ops):
            return [_compared(index) for index, op in enumerate(ops) if type(op) in COMPARISONS]
        case ast.BoolOp():
            return [_other_junction]
        case ast.UnaryOp(op=ast.Not()):
            return [lambda spoilt: spoilt.operand]
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            return [_other_operator]
        case ast.Constant(value=bool() | int() | str()):
            return [_other_constant]
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            return [lambda spoilt: ast.copy_location(ast.Return(ast.Constant(None)), spoilt)]
        case ast.Raise():
            return [lambda spoilt: ast.copy_location(ast.Pass(), spoilt)]
        case ast.Continue():
            return [lambda spoilt: ast.copy_location(ast.Break(), spoilt)]
    return []


def _compared(index: int) -> Change:
    def change(node: ast.AST) -> None:
        node.ops[index] = COMPARISONS[type(node.ops[index])]()

    return change


def _other_junction(node: ast.AST) -> None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _other_operator(node: ast.AST) -> None:
    node.op = OPERATORS[type(node.op)]()


def _other_constant(node: ast.AST) -> None:
    match node.value:
        case bool():
            node.value = not node.value
        case int():
            node.value += 1
        case str():
            node.value = node.value[:-1] if node.value else "x"


def _nodes(tree: ast.Module) -> list[ast.AST]:
    found: list[ast.AST] = []
    pending: list[ast.AST] = list(reversed(_statements(tree.body)))
    while pending:
        node = pending.pop()
        found.append(node)
        pending += reversed(list(_inside(node)))
    return found


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """A node's own parts that are worth spoiling."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        if isinstance(node, ast.JoinedStr):
            yield from (part.value for part in node.values if isinstance(part, ast.FormattedValue))
            return
        if name == "body" and isinstance(value, list):
            yield from _statements(value)
        elif isinstance(value, list):
            yield from (one for one in value if isinstance(one, ast.AST))
        elif isinstance(value, ast.AST):
            yield value


def _statements(body: list[ast.stmt]) -> list[ast.stmt]:
    return [
        one
        for one in body
        if not isinstance(one, ast.Import | ast.ImportFrom)
        and not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        and not (isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) in ("__all__", "T"))
    ]


def _replace(tree: ast.Module, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list) and any(one is old for one in value):
                value[[one is old for one in value].index(True)] = new


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
