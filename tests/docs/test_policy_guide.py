"""The policy guide, walked: one drafts, two administrators sign, the version decides, one signature takes it back."""

import asyncio
import re
import shlex
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tests.docs.pages import ROOT, blocks

sys.path.insert(0, str(ROOT / "tests" / "policies"))

from policy_house import ROOT_KEY, rooms

GUIDE = ROOT / "docs" / "policy-guide.md"
WALK = [block for block in blocks(GUIDE) if block.where == "policy"]
_WRITTEN = re.compile(r"cat > (?P<name>[\w.]+) <<'END'\n(?P<text>.*?)\nEND\n", re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A deployment with two approvers, whose keys lie in the folder in which the reader types."""

    async def enrol():
        async with rooms(tmp_path) as house:
            for name, department in (("wu", "education"), ("he", "health")):
                (await house.enrol(name, department)).save(tmp_path / f"{name}.pem")

    asyncio.run(enrol())
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATA": str(tmp_path / "gateway"), "ROOT_KEY_SOURCE": "env", "DEMO": "1"}.items():
        monkeypatch.setenv(f"RUNXIN_{name}", value)
    return tmp_path


def walk(folder, monkeypatch, block, draft):
    """Do what a block says, line by line; what each command printed."""
    for written in _WRITTEN.finditer(block.text):
        (folder / written["name"]).write_text(written["text"] + "\n", "utf-8")
    printed = []
    for line in _WRITTEN.sub("", block.text).splitlines():
        command, _, out = line.partition(" > ")
        monkeypatch.setenv("RUNXIN_ROOT_KEY", ROOT_KEY)  # each command takes it out of its environment
        name, *arguments = shlex.split(command.replace("$DRAFT", draft))
        assert name == "runxin"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}: {result.output}"
        if out:
            (folder / out).write_text(result.stdout, "utf-8")
        printed.append(result.stdout)
    return printed


def test_the_guide_leads_from_draft_to_rollback(folder, monkeypatch):
    drafting, signing, returning = WALK
    (drafted,) = walk(folder, monkeypatch, drafting, "")
    draft = re.search(r"pc-[a-z2-7]{26}", drafted)[0]
    (said,) = [block.text for block in blocks(GUIDE) if block.language == "text"]
    for line in said.splitlines():
        assert line in drafted.splitlines()
    *_, owner, other, activated, shown, explained = walk(folder, monkeypatch, signing, draft)
    assert "still to sign: another" in owner
    assert "still to sign: nobody" in other
    assert activated.startswith("activated ")
    version = re.search(r"version: (\S+)", drafted)[1]
    assert re.search(rf"2 {version} activated \S+ deciding", shown)
    assert f"{draft} active" in shown
    assert "enrolled: clear by X02.ca.new" in explained
    *_, back, refused = walk(folder, monkeypatch, returning, draft)
    assert back.startswith("rolled_back ")
    assert (
        "enrolled: refused, no_rule; smallest change: sub=case_worker@civil_affairs, by people_administrator" in refused
    )


def test_what_the_guide_shows_of_a_rule_is_a_rule_of_the_shipped_folder():
    (row,) = [block.text for block in blocks(GUIDE) if block.language == "csv"]
    assert row in (ROOT / "policies" / "rules" / "X02.csv").read_text("utf-8").splitlines()
