"""Access tokens: client credentials with private_key_jwt, bound to the client's key."""

from __future__ import annotations

from gateway.flows.house import House
from gateway.flows.requests import SignedRequest


async def issue(house: House, signed: SignedRequest) -> dict[str, str | int]:
    """The token endpoint's answer. No entry: nothing of anybody is asked yet; refusals are rolled up per minute."""
    answer = await house.token_endpoint.issue(path=signed.path, headers=signed.headers, body=signed.body)
    return answer.body
