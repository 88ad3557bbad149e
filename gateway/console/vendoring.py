"""Copies the console's third-party files from `node_modules` into `gateway/console/vendor`, which git ignores.

`python -m gateway.console.vendoring` runs at set-up. `vendor.toml` names each file with version, size and SHA-256.

Rules kept here: a file of another size or digest is not copied and stops the set-up; nothing is loaded from anywhere at run time;
without npm the gateway runs and the console says that its files are missing.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

HOME = Path(str(resources.files("gateway.console")))
VENDOR = HOME / "vendor"


def listed() -> dict[str, dict[str, str | int]]:
    """What `vendor.toml` names: file -> package, version, path, size, sha256, licence."""
    return {row["file"]: row for row in tomllib.loads((HOME / "vendor.toml").read_text("utf-8"))["files"]}


@cache
def missing() -> tuple[str, ...]:
    """Listed files that are not there. A file that is there was checked when it was copied."""
    return tuple(name for name in listed() if not (VENDOR / name).is_file())


def copy(modules: Path) -> list[str]:
    """Copy and check every file; the names of those that do not fit."""
    VENDOR.mkdir(exist_ok=True)
    wrong = []
    for name, row in listed().items():
        source = modules / str(row["package"]) / str(row["path"])
        data = source.read_bytes() if source.is_file() else b""
        if len(data) != row["size"] or hashlib.sha256(data).hexdigest() != row["sha256"]:
            wrong.append(name)
            continue
        (VENDOR / name).write_bytes(data)
    return wrong


def main() -> int:
    """Copy from `node_modules` of the present folder."""
    wrong = copy(Path("node_modules"))
    for name in wrong:
        sys.stderr.write(f"{name}: missing from node_modules, or not of the listed size and SHA-256\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
