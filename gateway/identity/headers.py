"""Security headers come once or not at all.

Rules kept here: a header that is repeated is refused (RFC 9449, 4.3 for `DPoP`), so no two parts of the house can look at
two different ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import NotAuthenticated

_CODES = {"dpop": "proof_invalid", "authorization": "token_invalid", "officer-assertion": "officer_invalid"}


def single(headers: Mapping[str, str], name: str) -> str | None:
    """The header's only value, None if absent. name: lower case. Raises `NotAuthenticated` where it is repeated."""
    if type(headers) is dict:  # the door's own, which holds each of these once
        return headers.get(name)
    every = getattr(headers, "getlist", None)
    if every is None:
        return headers.get(name)
    values: list[str] = every(name)
    if len(values) > 1:
        raise NotAuthenticated(_CODES.get(name, "token_invalid"))
    return values[0] if values else None
