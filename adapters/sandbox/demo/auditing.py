"""Step h of the story: the auditor exports one child's whole history, and a changed byte is found."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from adapters.sandbox.cast import Cast
from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.demo.stage import Stage
from adapters.sandbox.demo.story import Outcome, Story


def step_h(story: Story, roles: Cast, desks: Mapping[str, Desk]) -> None:
    """That child's whole history, proved whole; one byte of a copy changed, and the verifier names the entry."""
    auditor = desks["auditor"]
    stage = story.stage
    with auditor.client() as client:
        name = client.pseudonyms([auditor.identifier(roles.pupil)])[0]
    subject = stage.folder / "auditor-subject.txt"
    subject.write_text(name, "ascii")
    export = stage.folder / "audit-export"

    def take_export() -> Outcome:
        said = json.loads(
            stage.runxin(
                "audit", "export", str(export), "--subject", str(subject), "--department", "civil_affairs", "--details"
            )
        )
        return "exported", int(said["entry"]), ()

    story.event("h", "export with the child's history", "", "auditor", "", "exported", take_export, role="pupil")
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


def verified(stage: Stage, arguments: Sequence[str]) -> Outcome:
    """`runxin audit verify`: `verified`, or the entry that it names."""
    try:
        stage.runxin("audit", "verify", *arguments)
    except RuntimeError as error:
        named = re.search(r"entry \d+", str(error))
        return (named[0] if named else "failed"), None, ()
    return "verified", None, ()


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
