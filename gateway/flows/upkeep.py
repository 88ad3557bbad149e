"""Small work beside the requests: refusal roll-ups, envelopes past their time, proofs that could not be replayed any more."""

from __future__ import annotations

from gateway.domain.parties import Caller, Client, Party
from gateway.domain.vocabulary import Department
from gateway.flows.house import House
from gateway.flows.inbox import expire
from gateway.store.exchanges import forget_expired
from gateway.store.proof_claims import forget_claims


async def roll_up(house: House, *, close: bool = False) -> int:
    """One `auth.refused` entry per source of each ended minute. close: the running minute too (at shutdown)."""
    now = int(house.clock.now().timestamp()) + (60 if close else 0)
    waiting = house.refusals.due(now=now)
    for draft in waiting:
        await house.log.append(draft)
    return len(waiting)


async def upkeep(house: House) -> None:
    """Destroy what has ended."""
    await expire(house, own_caller())
    now = int(house.clock.now().timestamp())
    async with house.database.write() as writing:
        await forget_claims(writing, now=now)
        await forget_expired(writing, now)


def own_caller() -> Caller:
    """The gateway itself, as the actor of what time alone brings about."""
    party = Party("0" * 18, Department.CIVIL_AFFAIRS)
    client = Client("gateway", party, "000000", thumbprint="", public_key=b"")
    return Caller(client=client, officer=None, region="", body_digest=b"", evidence=(), request_id="upkeep")
