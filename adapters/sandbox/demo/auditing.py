"""Steps h and o of the story: the auditor exports one child's whole history, and a changed byte is found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.sandbox.cast import Cast
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.stage import Stage
from adapters.sandbox.demo.story import Outcome, Story
from adapters.sandbox.population import Child


def step_h(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """That child's whole history, proved whole; one byte of a copy changed, and the verifier names the entry."""
    stage = story.stage
    export = stage.folder / "audit-export"
    take_export(story, "h", roles.pupil, desks["auditor"], export)
    story.event("h", "runxin audit verify (the log)", "", "auditor", "", "verified", lambda: verified(stage, []))
    story.event(
        "h", "runxin audit verify (the copy)", "", "auditor", "", "verified", lambda: verified(stage, [str(export)])
    )

    broken = stage.folder / "audit-export-broken"
    index = change_one_byte(export, broken)
    story.event(
        "h",
        "one byte of a copy changed",
        "",
        "auditor",
        "",
        f"entry {index}",
        lambda: verified(stage, [str(broken)]),
    )
    shutil.rmtree(broken)


def step_o(story: Story, roles: Cast, auditor: Desk) -> None:
    """The same child once more: what went between five departments since then is part of the history, and proved whole."""
    export = story.stage.folder / "audit-export-five"
    take_export(story, "o", roles.pupil, auditor, export)
    vkey = str(story.stage.public["log"])
    story.event("o", "verify.py in the copy", "", "auditor", "", "verified", lambda: verified_alone(export, vkey))


def take_export(story: Story, step: str, child: Child, auditor: Desk, export: Path) -> None:
    """`runxin audit export` of the log with one child's history, named by its pseudonym in a file."""
    with auditor.client() as client:
        name = client.pseudonyms([auditor.identifier(child)])[0]
    subject = story.stage.folder / "auditor-subject.txt"
    subject.write_text(name, "ascii")

    def act() -> Outcome:
        asked = ("--subject", str(subject), "--department", "civil_affairs", "--details")
        said = json.loads(story.stage.runxin("audit", "export", str(export), *asked))
        return "exported", int(said["entry"]), ()

    story.event(step, "export with the child's history", "", "auditor", "", "exported", act, role="pupil")


def verified(stage: Stage, arguments: Sequence[str]) -> Outcome:
    """`runxin audit verify`: `verified`, or the entry that it names."""
    try:
        stage.runxin("audit", "verify", *arguments)
    except RuntimeError as error:
        named = re.search(r"entry \d+", str(error))
        return (named[0] if named else "failed"), None, ()
    return "verified", None, ()


def verified_alone(export: Path, vkey: str) -> Outcome:
    """What the verifier says that lies in an export, run by a Python that knows nothing of this repository."""
    done = subprocess.run(  # noqa: S603 - the export that was made a moment ago
        [sys.executable, "-I", str(export / "verify.py"), str(export), vkey],
        capture_output=True,
        check=False,
        timeout=120,
    )
    return ("failed" if done.returncode else "verified"), None, ()


def change_one_byte(export: Path, copy: Path) -> int:
    """Copy an export and change one byte of the seventh entry; its index."""
    shutil.copytree(export, copy)
    bundle = next(path for path in sorted((copy / "tile" / "entries").rglob("*")) if path.is_file())
    data = bytearray(bundle.read_bytes())
    at = 0
    for _ in range(7):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    place = at + 2 + data[at + 2 :].index(b'"t":') + 8
    data[place] = ord("1") if data[place] != ord("1") else ord("2")
    bundle.write_bytes(bytes(data))
    return 7
