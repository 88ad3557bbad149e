"""A child named on the command line: by a file with a department's pseudonym. Rules kept here: never in an argument, which every
user of the machine can read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.flows.house import House


async def child_in(house: House, file: Path, department: str) -> bytes:
    """The gateway's own present name of the child whose pseudonym, as that department has it, is in the file.

    Raises `BadRequest`: `pseudonym_invalid`, `pseudonym_scope`, `subject_missing` (no such file or department).
    """
    from gateway.domain.subjects import GATEWAY_SCOPE, Scope
    from gateway.domain.vocabulary import Department
    from gateway.errors import BadRequest
    from gateway.store.exchanges import resolve_alias
    from keys.text import read

    try:
        text, scope = file.read_text("ascii").strip(), Scope.open(Department(department))
    except (OSError, ValueError):
        raise BadRequest("subject_missing") from None
    [own] = house.ring.translate([read(text, scope)], GATEWAY_SCOPE)
    async with house.database.read() as reading:
        return await resolve_alias(reading, own.point)
