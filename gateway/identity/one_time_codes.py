"""One-time codes of guardians' links, and who stands behind a link when it is answered.

Rules kept here: a code is 130 bits of chance, so that nobody guesses one; it stands in the answer to the officer and on the paper that
the guardian is given, and nowhere else: not in an address's path or query, not in the store, not in the log.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from gateway.domain.parties import Caller, Officer
from gateway.errors import NotAuthenticated
from gateway.identity.client_assertions import require_enabled
from gateway.store.registry import Snapshot

CHARACTERS = 26
"""Of base32, which has no 0, 1, 8 and 9 to be mistaken for letters: 130 bits."""
GROUP = 4
_SPACING = re.compile(r"[\s\-‐-―－]+")


def new_code() -> str:
    """A fresh code in groups of four, lower case: `abcd-efgh-…`."""
    text = base64.b32encode(secrets.token_bytes(20)).decode("ascii").lower()[:CHARACTERS]
    return "-".join(text[start : start + GROUP] for start in range(0, CHARACTERS, GROUP))


def code_digest(text: str) -> str:
    """SHA-256 (hex) of a code as typed: spaces, hyphens, capitals and full-width letters do not matter.

    Raises NotAuthenticated(link_unknown) for what cannot be a code.
    """
    plain = _SPACING.sub("", text[:200]).lower().translate(_NARROW)
    if not re.fullmatch(rf"[a-z2-7]{{{CHARACTERS}}}", plain, re.ASCII):
        raise NotAuthenticated("link_unknown")
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


_NARROW = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}


def caller_behind(client_id: str, person_id: str, function: str, *, snapshot: Snapshot, request_id: str) -> Caller:
    """Who handed a link over: client and officer, in the function of that time. What the guardian answers is recorded as theirs.

    Raises NotAuthenticated where the client may not ask for anything any more.
    """
    client = snapshot.clients.get(client_id)
    if client is None:
        raise NotAuthenticated("link_unknown")
    require_enabled(client, snapshot)
    officer = Officer(person_id, client.party, function, thumbprint="")
    return Caller(
        client=client, officer=officer, region=client.region, body_digest=b"", evidence=(), request_id=request_id
    )
