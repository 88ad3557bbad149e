"""The house rules that a machine can hold: import layers, file sizes, names, who may build which step's value."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "policies", "adapters", "keys")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_imports_go_down_only():
    lint = Path(sys.executable).parent / "lint-imports"
    result = subprocess.run([str(lint)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_500_lines(path):
    assert len(path.read_text("utf-8").splitlines()) <= 500


def test_the_median_file_is_at_most_150_lines():
    sizes = sorted(len(path.read_text("utf-8").splitlines()) for path in SOURCES)
    assert sizes[len(sizes) // 2] <= 150


def test_no_room_is_called_utils_helpers_common_or_manager():
    bad = [p for p in SOURCES if re.search(r"(^|_)(utils?|helpers?|common|managers?)(_|\.|$)", p.stem)]
    assert not bad


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert not tree.body or ast.get_docstring(tree), "a module opens with what it is for"


# value of a step -> the folders whose code may build it
BUILDERS = {
    "Caller": ("gateway/identity", "gateway/flows/inbox.py", "gateway/flows/upkeep.py"),
    "Recognised": ("gateway/flows/recognise.py", "gateway/flows/inbox.py"),
    "Basis": ("gateway/consent",),
    "Permit": ("policies",),
    "Checked": ("gateway/release/check.py", "gateway/release/envelope_check.py"),
    "Receipt": ("gateway/audit",),
}


@pytest.mark.parametrize("value", BUILDERS)
def test_only_its_step_builds_the_value(value):
    strangers = []
    for path in SOURCES:
        where = str(path.relative_to(ROOT))
        if where.startswith(BUILDERS[value]):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == value:
                strangers.append(f"{where}:{node.lineno}")
    assert not strangers


def test_the_lock_names_no_index_and_the_old_casbin_is_not_in_it():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    assert not re.search(r"^casbin==", lock, re.MULTILINE)
    for banned in ("clkhash", "gmssl", "tongsuopy", "zh-core-web-sm", "ff3", "sinonym"):
        assert not re.search(rf"^{banned}==", lock, re.MULTILINE)


def test_every_runtime_dependency_is_pinned_in_the_lock():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pinned = set(re.findall(r"^([a-z0-9.\-]+)==", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    for line in project["project"]["dependencies"]:
        name = (
            re.match(r"[A-Za-z0-9.\-]+", line)[0].lower().replace("_", "-").replace("fhir.resources", "fhir-resources")
        )
        assert name in pinned or name.replace("-", ".") in pinned, name


# Written in pieces, so that no file needs to be left out for holding the pattern itself.
OF_THIS_MACHINE = "|".join(
    ["/(work|farm)/", "/tmp/" + "bash_", "pypi" + r"\.org", "python" + "hosted", "registry" + r"\.npmjs"]
)


def test_nothing_tracked_names_this_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    pattern = re.compile(OF_THIS_MACHINE)
    bad = []
    for name in filter(None, tracked):
        path = ROOT / name
        if not path.is_file():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            pytest.fail(f"{name} is not text")
        if pattern.search(text):
            bad.append(name)
    assert not bad
