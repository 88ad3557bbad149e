"""What the pages say is so: links lead somewhere, named tests exist, commands, routes and settings are all described."""

import ast
import re
import tomllib

import pytest
from fastapi.routing import APIRoute

from gateway.api.routes import router
from gateway.settings import Settings
from tests.docs.generate import HERE, command_paths
from tests.docs.generate import PAGES as GENERATED
from tests.docs.pages import PAGES, READMES, ROOT, anchor, blocks, headings, links

HONEST = "blind towards the wire, towards its store and towards a thief of its store; it is not blind towards whoever holds its running keys"


def plain(page):
    return re.sub(r"\s+", " ", page.read_text("utf-8"))


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_says_what_the_code_says(name):
    assert (HERE / name).read_text("utf-8") == GENERATED[name](), "run `python -m tests.docs.generate`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_internal_links_lead_somewhere(page):
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert file.is_relative_to(ROOT)
        if fragment:
            assert fragment in {anchor(text) for _, text in headings(file)}, f"{page.name}: {target}"


def test_both_readmes_have_the_same_headings_and_the_same_examples():
    english, chinese = READMES
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    code = [[b.text for b in blocks(page) if b.language in ("python", "sh")] for page in READMES]
    assert code[0] == code[1]
    assert [b.language for b in blocks(english)] == [b.language for b in blocks(chinese)]
    assert len(links(english)) == len(links(chinese))


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_make_targets_and_their_variables_are_those_of_the_makefile(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = page.read_text("utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)", text))
    assert {"demo", "test"} <= named <= targets
    for variable in re.findall(r"\b([A-Z]+)=\S+ make", text):
        assert f"$({variable}" in makefile or f"%,$({variable})" in makefile


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_runxin_commands_that_a_page_names_exist(page):
    known = set(command_paths())
    groups = {path[:length] for path in known for length in range(len(path))}
    code = (
        "\n".join([b.text for b in blocks(page) if b.language == "sh"])
        + "\n"
        + "\n".join(re.findall(r"`(runxin [^`]*)`", page.read_text("utf-8")))
    )
    for said in re.findall(r"\brunxin ((?:[a-z][a-z-]* ?)+)", code):
        path: tuple[str, ...] = ()
        for word in said.split():
            if path not in groups:
                break
            path = (*path, word)
        assert path in known, f"{page.name}: runxin {' '.join(path)}"


def test_every_route_is_described():
    text = (HERE / "routes.md").read_text("utf-8")
    for route in router.routes:
        assert isinstance(route, APIRoute)
        path = route.path.replace(":path}", "}")
        for method in route.methods:
            assert f"`{method} {path}`" in text, f"{method} {route.path}"


def test_no_route_is_described_that_is_not_there():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    known = {(method, route.path.replace(":path}", "}")) for route in router.routes for method in route.methods}
    known.add(("GET", "/v1/openapi.json"))
    named = re.findall(r"`(GET|POST) (/[^`?]*)`", text)
    assert len(named) > 10
    for method, path in named:
        assert (method, path) in known, (method, path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_a_page_names_exist(page):
    known = {f"RUNXIN_{name.upper()}" for name in Settings.model_fields}
    known.add("RUNXIN_CONSOLE_PASSWORD")  # read by the command that makes accounts, and by nothing else
    known.add("RUNXIN_ROOT_KEY")  # the key itself: read by its provider, never a setting
    named = set(re.findall(r"\bRUNXIN_[A-Z_]+\b", page.read_text("utf-8")))
    assert named <= known, named - known


def test_every_test_that_the_properties_name_exists():
    text = (ROOT / "docs" / "security-properties.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 30
    for file, function in named:
        path = ROOT / file
        assert path.exists(), file
        if function:
            defined = {
                node.name
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert function in defined, f"{file}::{function}"


# Decisions speak of what is gone and the design of what is to come; generated pages name what the code names.
OF_TODAY = [page for page in PAGES if "adr" not in page.parts and page.parent != HERE and page.name != "design.md"]


@pytest.mark.parametrize("page", OF_TODAY, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    prose = page.read_text("utf-8")
    for name in re.findall(r"`((?:gateway|policies|adapters|keys|tests|docs)/[\w./-]+?)`", prose):
        of_a_data_folder = name.startswith("keys/") and name.endswith(".json")
        assert of_a_data_folder or (ROOT / name.rstrip("/")).exists(), f"{page.name}: {name}"


@pytest.mark.parametrize("page", ["README.md", "docs/threat-model.md", "docs/security-properties.md"])
def test_what_the_gateway_is_not_blind_to_stands_there(page):
    assert HONEST in plain(ROOT / page)
    assert "no outside review of this code" in plain(ROOT / page) or "no outside review" in plain(ROOT / page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_holds_no_machine_path_and_no_package_index(page):
    text = page.read_text("utf-8")
    assert not re.search(r"(?<![\w.])/(?:work|tmp|root|home)/", text)
    assert not re.search("pypi" + r"\.org|" + "python" + "hosted|npm" + "js", text)


def test_every_dependency_is_accounted_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text("utf-8").lower()
    for wanted in project["dependencies"]:
        name = re.split(r"[\[<>=; ]", wanted)[0].lower()
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name


def test_every_decision_is_in_the_index():
    folder = ROOT / "docs" / "adr"
    listed = set(links(folder / "README.md"))
    assert {page.name for page in folder.glob("*.md")} - {"README.md"} == listed
    for page in folder.glob("0*.md"):
        number, _ = page.name.split("-", 1)
        assert headings(page)[0][1].startswith(f"{number}: ")
        assert "State: " in page.read_text("utf-8")
