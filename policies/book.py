"""The policy book: the one module that imports Casbin, and the one that decides.

A version is an immutable snapshot; publishing swaps one reference. For each decision Casbin's own, unmodified `enforce_ex` runs
on a view that holds only the candidate rows of the index.

Rules kept here: `pycasbin` 2.8 and never its stopped name `casbin` beside it; an empty policy refuses to start; no management
call ever touches a snapshot; any exception of the engine is a fault, never an answer.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import casbin
from casbin.core_enforcer import CoreEnforcer
from casbin.util.expression import SimpleEval

from gateway.domain.basis import Basis
from gateway.domain.clock import Clock, SystemClock, policy_time
from gateway.domain.permits import Permit
from gateway.errors import GatewayError, GatewayFault
from policies import deciding, matcher, regions, rows, sources
from policies.ancestry import Ancestry, ancestries
from policies.catalogue import Catalogue
from policies.rows import Rule
from policies.snapshot import Request, Snapshot
from policies.sources import Source

HOME = Path(__file__).parent
_SERIES = "2.8."
ASKED_AT_MOST = 10_000
"""Distinct requests that are counted between two takings; what comes beyond is not replayed."""


class PolicyError(ValueError):
    """The policy does not load. The message says what is wrong, never with a value from outside."""


class Casbin:
    """Casbin as an engine: the shared, read-only parts of a model, and a view per call.

    A view is a `CoreEnforcer` whose policy list is the candidate rows; the parsed matcher is kept, one evaluator a thread.
    """

    def __init__(self, model_text: str, relations: dict[str, Ancestry]) -> None:
        model = casbin.Enforcer.new_model(text=model_text)
        parent = CoreEnforcer.__new__(CoreEnforcer)
        parent.logger = logging.getLogger("runxin.casbin")
        parent.logger.disabled = True  # Casbin would log whole requests at WARNING
        parent.model = model
        parent._initialize()
        for name, relation in relations.items():
            model["g"][name].rm = relation
        self._policy_tokens = model["p"]["p"].tokens
        self._tree = CoreEnforcer._get_expression(model["m"]["m"].value).ast_parsed_value
        # `enforce_ex` scans the matcher's text for eval() at each call; `matcher.read` refuses it once, at load.
        model["m"]["m"].value = "kept"
        self._model = model
        self._parts = {"logger": parent.logger, "eft": parent.eft, "enabled": True}
        self._parts |= {"rm_map": parent.rm_map, "cond_rm_map": parent.cond_rm_map}
        self._evaluators = threading.local()
        self.request_columns = frozenset(token.removeprefix("r_") for token in model["r"]["r"].tokens)
        self.policy_columns = tuple(token.removeprefix("p_") for token in self._policy_tokens)

    def enforce(self, rows: list[list[str]], request: Sequence[str]) -> tuple[bool, Sequence[str]]:
        """`enforce_ex` of Casbin on these rows. Nothing that threads share is written."""
        view = _View.__new__(_View)
        view.__dict__ = {
            **self._parts,
            "model": {**self._model, "p": {"p": _Rows(self._policy_tokens, rows)}},
            "fm": _Functions,
            "expression": self._evaluator,
        }
        allowed, row = CoreEnforcer.enforce_ex(view, *request)
        return allowed, row

    def _evaluator(self, functions: dict[str, Any]) -> Evaluator:
        evaluator: Evaluator | None = getattr(self._evaluators, "kept", None)
        if evaluator is None:
            evaluator = Evaluator("", functions)
            evaluator.ast_parsed_value = self._tree
            self._evaluators.kept = evaluator
        evaluator.functions = functions
        return evaluator


class Evaluator(SimpleEval):  # type: ignore[misc]  # pycasbin carries no types
    """Casbin's evaluator with its own handlers, less the guards against what this matcher cannot hold.

    `matcher.read` has allowed only columns, `*` and five functions of text, so no node can give a module or a function, no
    name is missing and no constant is long.
    """

    def _eval(self, node: Any) -> Any:
        return self.nodes[type(node)](node)

    def _eval_name(self, node: Any) -> Any:
        return self.names[node.id]

    def _eval_constant(self, node: Any) -> Any:
        return node.value

    def _eval_compare(self, node: Any) -> Any:
        # One comparison at a time stands in a matcher (`matcher.read`), so there is no chain to follow.
        return self.operators[type(node.ops[0])](self._eval(node.left), self._eval(node.comparators[0]))

    def _eval_call(self, node: Any) -> Any:
        one, other = node.args
        return self.functions[node.func.id](self._eval(one), self._eval(other))


class _Rows:
    """The policy of one call: the candidate rows under the model's column names."""

    __slots__ = ("policy", "tokens")

    def __init__(self, tokens: list[str], policy: list[list[str]]) -> None:
        self.tokens = tokens
        self.policy = policy


class _Functions:
    """The functions of one call: `inRegion`; Casbin itself adds g to g4."""

    @staticmethod
    def get_functions() -> dict[str, Any]:
        return {"inRegion": regions.in_region}


class _View(CoreEnforcer):  # type: ignore[misc]  # pycasbin carries no types
    """A per-call enforcer: `enforce_ex` is Casbin's, only the parsing of the matcher is remembered."""

    expression: Any = None

    def _get_expression(self, _expr: str, functions: dict[str, Any] | None = None) -> SimpleEval:
        return self.expression(functions)


class PolicyBook:
    """规则簿: decides by the active snapshot.

    version: `sha256:<hex>` of the active snapshot. clock: injectable.
    """

    def __init__(self, snapshot: Snapshot, *, clock: Clock | None = None) -> None:
        self._snapshot = snapshot
        self._clock = clock or SystemClock()
        self._asked: Counter[tuple[str, ...]] = Counter()
        self._counting = threading.Lock()

    @classmethod
    def open(cls, home: Path = HOME, *, clock: Clock | None = None) -> PolicyBook:
        """The book of a folder with `model.conf`, `catalogue/` and `rules/`.

        Raises `PolicyError`, `SourceError`, `CatalogueError`, `RuleError` or `MatcherError`.
        """
        return cls(compiled(sources.read_folder(home)), clock=clock)

    @property
    def version(self) -> str:
        """The version that decides now."""
        return self._snapshot.version

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the version that decides now."""
        return self._snapshot.catalogue

    @property
    def snapshot(self) -> Snapshot:
        """The active snapshot; hold it where several questions must see one version."""
        return self._snapshot

    def publish(self, snapshot: Snapshot) -> None:
        """Make a snapshot the active one: one reference, so every decision sees the old version or the new one."""
        self._snapshot = snapshot

    def decide(self, basis: Basis, *, region: str | None = None) -> Permit:
        """The permit for one request (DESIGN step 4).

        region: region of the organisation whose action this is, where it is not the caller's (a recipient's `receive`);
        without it `receive` reads `basis.ask.region`. Raises `Denied` with the codes of `policies/deciding.py`, and
        `GatewayFault("policy_failed")` where the engine itself failed: nothing is allowed then.
        """
        snapshot = self._snapshot
        try:
            request = deciding.request_for(basis, now=policy_time(self._clock.now()), region=region)
            self._count(request)
            return deciding.decide(snapshot, basis, request)
        except GatewayError:
            raise
        except Exception as failure:  # an engine that raises must never be read as an answer
            raise GatewayFault("policy_failed") from failure

    def take_asked(self) -> Mapping[tuple[str, ...], int]:
        """How often each request was put to this book since this was last asked: sub, dom, obj, act, pur, reg, con.

        No child, no field and no time; a draft is replayed against them.
        """
        with self._counting:
            taken, self._asked = self._asked, Counter()
        return taken

    def _count(self, request: Request) -> None:
        asked = (request.sub, request.dom, request.obj, request.act, request.pur, request.reg, request.con)
        with self._counting:
            if asked in self._asked or len(self._asked) < ASKED_AT_MOST:
                self._asked[asked] += 1


def compiled(source: Source) -> Snapshot:
    """The snapshot of a source, every row checked. Raises as `PolicyBook.open`."""
    catalogue = source.catalogue()
    return build(catalogue, rows.checked(source.rules, catalogue), source.model)


def build(catalogue: Catalogue, rules: Sequence[Rule], model_text: str | None = None) -> Snapshot:
    """A snapshot of checked parts. Raises `PolicyError` or `MatcherError`."""
    require_engine()
    if not rules:
        raise PolicyError("the policy is empty: without a rule there is nothing to decide by")
    text = (HOME / "model.conf").read_text(encoding="utf-8") if model_text is None else model_text
    engine = Casbin(text, ancestries(catalogue))
    if engine.policy_columns != rows.CASBIN_COLUMNS:
        raise PolicyError("the model defines other policy columns than the rules have")
    read = matcher.read(_matcher_line(text), request=engine.request_columns, policy=frozenset(engine.policy_columns))
    return Snapshot(catalogue=catalogue, rules=rules, matcher=read, engine=engine, model_text=text)


def require_engine() -> None:
    """Refuse to start with another engine than the tested one: `pycasbin` 2.8, and no `casbin` beside it."""
    if providers_of_casbin() != {"pycasbin"}:
        raise PolicyError("the module `casbin` must come from the distribution pycasbin and from no other")
    if not metadata.version("pycasbin").startswith(_SERIES):
        raise PolicyError("pycasbin must be of the tested series 2.8")


@cache
def providers_of_casbin() -> frozenset[str]:
    """The distributions that claim the module `casbin`. Asked once: what is imported stays imported, and it takes 80 ms."""
    return frozenset(name.lower() for name in metadata.packages_distributions().get("casbin", ()))


def _matcher_line(text: str) -> str:
    lines = [line.partition("=")[2] for line in text.splitlines() if line.replace(" ", "").startswith("m=")]
    if len(lines) != 1:
        raise PolicyError("the model has exactly one matcher")
    return lines[0]
