"""What the README's examples need, left in civil affairs' folder: a ready SDK configuration, an approved case, a ready request.

Rules kept here: the identifier stays in the department's own folder, as it would in its own system, in files of mode 0600.

    bodies/ca/system.toml   the SDK's and `runxin token`'s configuration: client, officer, sealing key, the log's pinned key
    bodies/ca/child.json    {"identifier": [kind, text], "case": reference}: an invented child with an open, approved case
    bodies/ca/query.json    the same question with the child's pseudonym, ready to be sent by curl
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from adapters.sandbox.demo.desk import Desk
from adapters.sandbox.population import Child

EXCHANGE, PURPOSE = "X02", "P14"


def leave(desk: Desk, child: Child, case: str) -> None:
    """Write the three files for a desk whose officer has an approved case on the child. Raises what the SDK raises."""
    home = desk.site.folder / desk.name
    with desk.client() as client:
        (pseudonym,) = client.pseudonyms([desk.identifier(child)])
    _write(home / "system.toml", configuration(desk))
    _write(home / "child.json", _json({"identifier": list(desk.identifier(child)), "case": case}))
    query = {"exchange": EXCHANGE, "purpose": PURPOSE, "subject": {"pseudonym": pseudonym}, "case": case}
    _write(home / "query.json", _json(query))


def configuration(desk: Desk) -> str:
    """The desk's SDK configuration as a file's text; key files by name, because they lie beside it."""
    assert desk.officer is not None
    values = {
        "gateway": desk.gateway,
        "client_id": f"{desk.name}-system",
        "party": desk.party.text,
        "client_key": "client.pem",
        "sender_key": "edge.pem",
        "sealing": ["sealing.json"],
        "log_vkey": desk.log_vkey,
    }
    officer = {
        "person": desk.officer.person_id,
        "function": desk.officer.function,
        "key": f"{desk.officer.person_id}.pem",
    }
    lines = [*_toml(values), "", "[officer]", *_toml(officer)]
    return "\n".join(lines) + "\n"


def _toml(values: dict[str, Any]) -> list[str]:
    # A JSON string or list of strings is also one of TOML.
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
