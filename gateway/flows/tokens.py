"""Access tokens: client credentials with private_key_jwt, bound to the client's key."""

from __future__ import annotations

from gateway.errors import BadRequest, NotAuthenticated
from gateway.flows.house import House
from gateway.flows.requests import SignedRequest


async def issue(house: House, signed: SignedRequest) -> dict[str, str | int]:
    """The token endpoint's answer. No entry: nothing of anybody is asked yet; refusals are rolled up per minute."""
    try:
        answer = await house.token_endpoint.issue(path=signed.path, headers=signed.headers, body=signed.body)
    except BadRequest as error:
        # A malformed form authenticates nobody, so the minute's roll-up counts it like any other refusal here.
        raise NotAuthenticated(error.code, **error.facts) from error
    return answer.body
