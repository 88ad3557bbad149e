"""Rules of the source that no type says: who may write without an entry, what a log line may hold, who may print."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for package in ("gateway", "policies", "adapters", "keys") for p in (ROOT / package).rglob("*.py"))

# Everything else changes the store as the effect of an entry, inside the log's own transaction.
WRITERS = {
    "gateway/audit/": "the log itself",
    "gateway/store/": "defines the transaction",
    "gateway/flows/inbox.py": "spends the proof of a request that has no entry of its own",
    "gateway/flows/upkeep.py": "forgets what has ended",
    "gateway/flows/retention.py": "claims the dry run that is due; what it finds is an entry",
    "gateway/flows/policy_asked.py": "counts by day what was asked, without a child; the log records each request itself",
    "gateway/flows/own_scope.py": "notes at the first start of a new database in which epoch it begins; nothing is filed yet",
    "gateway/flows/registration.py": "remembers which entry announced a key",
    "gateway/flows/reidentify.py": "gives a grant back whose look failed; the failure is an entry already",
    "gateway/identity/token_endpoint.py": "spends assertion and proof before anything is asked",
    "gateway/console/works.py": "sessions of the human door, before and after what it does",
    "gateway/console/mount.py": "sessions of the human door, before and after what it does",
}
PRINTERS = ("gateway/cli", "adapters/sandbox/demo/", "adapters/edge/__main__.py")
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


def name_of(path):
    return str(path.relative_to(ROOT))


def calls(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield node


def last_name(node):
    """`database` of `house.database`, `log` of `log` or `self._log`."""
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    return node.id.strip("_") if isinstance(node, ast.Name) else ""


def unrecorded_writes(path):
    return [
        node.lineno
        for node in calls(path)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr == "write"
        and last_name(node.func.value) == "database"
    ]


def is_log_call(node):
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and last_name(node.func.value) in ("log", "logger")
    )


def talkative(node):
    """A part of a log call that may spell out a record: an f-string, `str()`, `repr()`, `format()`, `%`."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr) and not is_route(part):
            return True
        if isinstance(part, ast.Call) and last_name(part.func) in ("str", "repr", "format", "vars", "asdict"):
            return True
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod):
            return True
    return False


def is_route(text):
    """`f"console.{door.name}"`: a word of ours and the name of one of our own routes."""
    inner = [part for part in text.values if isinstance(part, ast.FormattedValue)]
    return all(isinstance(part.value, ast.Attribute) and part.value.attr == "name" for part in inner)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nobody_changes_the_store_beside_the_log(path):
    if not name_of(path).startswith(tuple(WRITERS)):
        assert unrecorded_writes(path) == []


def test_every_exception_from_that_is_still_needed():
    for where in WRITERS:
        if (ROOT / where).is_file():
            assert unrecorded_writes(ROOT / where), where


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_log_line_spells_out_a_record(path):
    bad = [
        node.lineno
        for node in calls(path)
        if is_log_call(node) and any(talkative(part) for part in (*node.args, *(word.value for word in node.keywords)))
    ]
    assert bad == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_the_event_of_a_log_line_is_a_fixed_word(path):
    bad = [
        node.lineno
        for node in calls(path)
        if is_log_call(node) and node.args and not (isinstance(node.args[0], ast.Constant) and len(node.args) == 1)
    ]
    assert bad == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_only_the_command_line_prints(path):
    if not name_of(path).startswith(PRINTERS):
        assert [
            n.lineno for n in calls(path) if isinstance(n.func, ast.Name) and n.func.id in ("print", "pprint")
        ] == []


@pytest.mark.parametrize(
    "line",
    [
        "log.error(f'child {x}')",
        "self._log.info('event', code=str(record))",
        "log.warning('event', code='%s' % record)",
        "log.info('event', code=repr(error))",
    ],
)
def test_the_rules_would_find_a_planted_line(line):
    (call,) = [node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call) and is_log_call(node)]
    assert any(talkative(part) for part in (*call.args, *(word.value for word in call.keywords)))


def test_the_rules_would_find_a_planted_write(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("async def leak(house):\n    async with house.database.write() as writing:\n        pass\n")
    assert unrecorded_writes(planted) == [2]
