"""Names for requests, permits, deliveries, entries: 128 bits, base32, lower case, with a two-letter kind.

Rules kept here: random, but for a request's, which both ends compute from the request's own proof; never about a person, safe in
a URL.
"""

from __future__ import annotations

import hashlib
import secrets

from gateway.domain import base32

_BYTES = 16


def new_id(kind: str) -> str:
    """A fresh id such as `rq-3k…` (kind, hyphen, 26 characters)."""
    return _written(kind, secrets.token_bytes(_BYTES))


def request_id(proof: str) -> str:
    """What a request is called: the first 128 bits of SHA-256 over its proof, which is signed by the client and good once.

    What a provider seals is bound to it, so nobody in between can give an answer to one request for the answer to another.
    """
    return _written("rq", hashlib.sha256(b"runxin/request\x00" + proof.encode("ascii")).digest()[:_BYTES])


def _written(kind: str, value: bytes) -> str:
    return f"{kind}-{base32.encode(value)}"
