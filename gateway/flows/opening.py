"""How a story of an officer opens: somebody authenticated, an account that begins, and one reading for what has to be known.

Rules kept here: what is raised inside the block, once the caller is known, becomes an entry before the caller hears of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.domain.vocabulary import EntryKind
from gateway.flows.account import Account, recorded
from gateway.flows.house import House
from gateway.flows.requests import SignedRequest
from gateway.store.database import Reading


@asynccontextmanager
async def opened(house: House, signed: SignedRequest, kind: EntryKind) -> AsyncIterator[tuple[Account, Reading]]:
    """The account of an officer's request and the reading under which it was authenticated."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        account = Account(kind, authenticated.caller, authenticated.proof_id)
        async with recorded(house.log, account):
            yield account, reading
