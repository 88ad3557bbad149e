"""A person as a caller, where no client stands between: the person's own signature over what is asked is the proof.

Rules kept here: only a signature that was verified for this very use makes a caller; what would be a client's id says by which door it
came in, and is nobody's.
"""

from __future__ import annotations

import hashlib

from gateway.domain.parties import Caller, Client, Officer, Person

CONSOLE = "console"


def signer_as_caller(person: Person, statement: str, *, function: str, request_id: str, via: str = CONSOLE) -> Caller:
    """The signer of a verified statement. function: in which the person acts, "" where the statement needs none."""
    return Caller(
        client=Client(via, person.party, "000000", thumbprint="", public_key=b""),
        officer=Officer(person.person_id, person.party, function, person.thumbprint),
        region="",
        body_digest=hashlib.sha256(statement.encode()).digest(),
        evidence=(),
        request_id=request_id,
    )
