"""`make mutants`: the mutation score of `gateway/release`, module by module; the fast tests of the room against each mutant.

The tests are collected once; each mutant lives in a forked process with a limit of CPU time, in which one fault is planted into the
imported module: code of functions and methods is exchanged in place, changed constants wherever they were imported. Nothing on
disk changes. A mutant is killed when a test fails, when the module cannot be made with it, or when the limit is reached.
Survivors are printed. Exit code 1 below the bar, 2 where a test fails without any mutant.

Arguments: names of modules; `--every N` takes each N-th mutant only, and says so.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import os
import resource
import sys
import time
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant, mutants_of, planted

BAR = 0.85
ROOM = Path("gateway/release")
# The tests that are about a module, quickest first; a mutant that only other tests would find counts as a survivor.
TESTS = {
    "activity_form": ["activity_form"],
    "aggregate": ["aggregate"],
    "kanonymity": ["kanonymity"],
    "publication": ["publication"],
    "labels": ["check", "floor"],
    "scan": ["scan"],
    "detectors": ["numbers", "scan", "check"],
    "numbers": ["numbers", "forms"],
    "form": ["forms", "reduce", "check"],
    "forms": ["forms", "reduce", "check"],
    "forms_identity": ["forms", "reduce", "check"],
    "forms_time": ["forms", "reduce", "check"],
    "codes": ["codes", "forms"],
    "floor": ["floor", "reduce", "check"],
    "obligation_text": ["wire", "floor"],
    "wire": ["wire"],
    "wire_reading": ["wire_reading", "wire"],
    "reidentification": ["floor"],
    "shift": ["floor", "reduce"],
}
USUAL = ["reduce", "check", "golden", "properties"]
SECONDS = 30


class MutationRun:
    """A pytest plugin: collects as ever, then runs mutants in place of the tests."""

    def __init__(self, paths: list[Path], every: int) -> None:
        self.paths, self.every = paths, every
        self.total = self.killed = 0

    def pytest_collection_modifyitems(self, items) -> None:
        """Few examples of each property, always the same, none shrunk."""
        for item in items:
            name = "_hypothesis_internal_use_settings"
            known = getattr(item.obj, name, None)
            if known is not None:
                phases = [Phase.explicit, Phase.generate]
                fewer = settings(known, max_examples=5, derandomize=True, database=None, phases=phases)
                setattr(item.obj, name, fewer)

    def pytest_runtestloop(self, session) -> bool:
        by_file: dict[str, list] = {}
        for item in session.items:
            by_file.setdefault(item.path.stem.removeprefix("test_release_"), []).append(item)
        # What was collected stays untouched by the collector, so that forks share its pages.
        gc.freeze()
        for path in self.paths:
            module = path.parent.name if path.name == "__init__.py" else path.stem
            items = [item for name in TESTS.get(module, USUAL) for item in by_file.get(name, [])]
            self._measure(path, items)
        return True

    def _measure(self, path: Path, items: list) -> None:
        mutants = list(mutants_of(path.read_text("utf-8")))[:: self.every]
        if not mutants:
            return
        module = importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
        started = time.monotonic()
        if not items or killed_of([None], module, items) == [True]:
            print(f"{path}: no tests, or they fail without a mutant", flush=True)
            os._exit(2)
        killed = killed_of(mutants, module, items)
        for mutant, dead in zip(mutants, killed, strict=True):
            if not dead:
                print(f"  {path}:{mutant.line}  {mutant.what}")
        self.total += len(mutants)
        self.killed += sum(killed)
        share = sum(killed) / len(mutants)
        print(
            f"{path}: {sum(killed)} of {len(mutants)} killed, {share:.1%}, {time.monotonic() - started:.0f} s",
            flush=True,
        )


def killed_of(mutants: list[Mutant | None], module: ModuleType, items: list) -> list[bool]:
    """For each mutant whether a test failed or never ended; as many at a time as there are processors."""
    killed = [False] * len(mutants)
    running: dict[int, int] = {}
    waiting = list(enumerate(mutants))[::-1]
    sys.stdout.flush()
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            number, mutant = waiting.pop()
            child = os.fork()
            if child == 0:
                live(mutant, module, items)
            running[child] = number
        child, status = os.wait()
        killed[running.pop(child)] = status != 0
    return killed


def live(mutant: Mutant | None, module: ModuleType, items: list) -> None:
    """In the forked process: plant the mutant, run the tests up to the first that fails, and exit with what became of it."""
    code = 1
    try:
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if mutant is not None:
            plant(planted(Path(str(module.__file__)).read_text("utf-8"), mutant), module)
        code = 1 if any(fails(item, after) for item, after in zip(items, [*items[1:], None], strict=True)) else 0
    finally:
        os._exit(code)


def fails(item, after) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=after))


def plant(tree: ast.Module, module: ModuleType) -> None:
    """Make the module anew from the tree, and carry what differs into the module as others have imported it."""
    spoilt = ModuleType(module.__name__)
    spoilt.__file__ = module.__file__
    kept = sys.modules[module.__name__]
    sys.modules[module.__name__] = spoilt
    try:
        exec(compile(tree, str(module.__file__), "exec"), spoilt.__dict__)
    finally:
        sys.modules[module.__name__] = kept
    for name, new in vars(spoilt).items():
        old = vars(module).get(name)
        foreign = isinstance(new, type | FunctionType) and new.__module__ != module.__name__
        if name.startswith("__") or foreign:
            continue
        exchange(name, old, new)
    for one in list(sys.modules.values()):
        for value in list(vars(one).values()) if one and one.__name__.startswith("gateway.release") else ():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def exchange(name: str, old: object, new: object) -> None:
    """One name of a module: code in place, classes member by member, anything else wherever the old object was imported."""
    old_code, new_code = _function(old), _function(new)
    if old_code is not None and new_code is not None:
        old_code.__code__, old_code.__defaults__ = new_code.__code__, new_code.__defaults__
        old_code.__kwdefaults__ = new_code.__kwdefaults__
    elif isinstance(old, type) and isinstance(new, type):
        for member, value in vars(new).items():
            if _function(value) is not None and member in vars(old):
                exchange(member, vars(old)[member], value)
            elif isinstance(value, int | str | frozenset) and not member.startswith("__"):
                setattr(old, member, value)
    else:
        for one in list(sys.modules.values()):
            if one is not None and getattr(one, "__dict__", {}).get(name) is old:
                setattr(one, name, new)


def _function(value: object) -> FunctionType | None:
    value = getattr(value, "fget", None) or getattr(value, "__wrapped__", value)
    return value if isinstance(value, FunctionType) else None


def main() -> int:
    parser = argparse.ArgumentParser(description="mutation score of gateway/release")
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    paths = [
        path
        for path in sorted(ROOM.rglob("*.py"))
        if not asked.modules or (path.parent.name if path.name == "__init__.py" else path.stem) in asked.modules
    ]
    run = MutationRun(paths, asked.every)
    files = ["tests/unit/release", "tests/properties/test_release_properties.py"]
    pytest.main(["-q", "-m", "not soak", "-k", "not pycanon", "-W", "ignore", "-o", "timeout=0", *files], plugins=[run])
    if not run.total:
        return 2
    sample = f" (each {asked.every}th mutant)" if asked.every > 1 else ""
    score = run.killed / run.total
    print(f"mutation score of {ROOM}: {score:.1%}, {run.killed} of {run.total} killed{sample}; bar {BAR:.0%}")
    return 0 if score >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
