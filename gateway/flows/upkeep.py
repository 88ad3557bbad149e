"""Small work beside the requests: refusal roll-ups, envelopes past their time, spent proofs, terms that have ended.

Rules kept here: what time brings about is asked by nobody, so its entries name no requester; a roll-up that could not be
written is not lost.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

from gateway.audit.pruning import prune
from gateway.domain.parties import Caller, Client, Party
from gateway.domain.vocabulary import Department, Door, EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.account import Account
from gateway.flows.evaluation_quota import forget_counts
from gateway.flows.house import House
from gateway.flows.renewals import ask_anew
from gateway.flows.retention import dry_run
from gateway.flows.reviews import alarm_overdue, ask_holders
from gateway.store.basis import micros
from gateway.store.consent_links import wipe_ended_offers
from gateway.store.database import Writing
from gateway.store.exchanges import Delivery, finish, forget_expired, overdue
from gateway.store.proof_claims import forget_claims


async def roll_up(house: House, *, close: bool = False) -> int:
    """One `auth.refused` entry per source of each ended minute. close: the running minute too (at shutdown)."""
    now = int(house.clock.now().timestamp()) + (60 if close else 0)
    waiting = house.refusals.due(now=now)
    for done, draft in enumerate(waiting):
        try:
            await house.log.append(draft)
        except BaseException:
            house.refusals.keep(waiting[done:])
            raise
    return len(waiting)


async def upkeep(house: House) -> None:
    """Destroy what has ended, tell of what nobody did in time, ask anew and ask for what is due.

    Of the log nothing is destroyed here that was not signed for: a dry run plans, and pruning follows its certificate.
    """
    await expire(house)
    await dry_run(house)
    await prune(house.database)
    await alarm_overdue(house)
    await ask_anew(house)
    if house.holders is not None:
        await ask_holders(house, house.holders)
    now = int(house.clock.now().timestamp())
    async with house.database.write() as writing:
        await forget_claims(writing, now=now)
        await wipe_ended_offers(writing, micros(house.clock.now()))
        await forget_expired(writing, now)
        await forget_counts(writing, house.clock.now())


async def expire(house: House) -> int:
    """Destroy envelopes past their 72 hours, an entry each. Returns how many."""
    async with house.database.read() as reading:
        rows = await overdue(reading, int(house.clock.now().timestamp()), 500)
    count = 0
    for row in rows:
        # Somebody else (an acknowledgement, another worker) may have been faster: then there is nothing to say.
        with contextlib.suppress(Denied):
            await _expire(house, row)
            count += 1
    return count


async def _expire(house: House, row: Delivery) -> None:
    account = Account(
        EntryKind.EXPIRED, own_caller(), "", exchange=row.exchange, door=Door(row.door), purpose=row.purpose
    )
    account.provider = Department(row.sender.partition("/")[2])
    children = json.loads(row.facts)["children"].values()
    account.children = tuple(dict.fromkeys(bytes.fromhex(child) for child in children))
    account.references["delivery"] = row.delivery_id

    async def destroy(writing: Writing) -> None:
        if not await finish(writing, row.delivery_id, "expired", expected=("waiting", "delivered")):
            raise Denied("delivery_state")

    await house.log.append(replace(account.draft(Outcome.DONE), requester=None), effect=destroy)


def own_caller() -> Caller:
    """The gateway itself, as the actor of what time alone brings about."""
    party = Party("0" * 18, Department.CIVIL_AFFAIRS)
    client = Client("gateway", party, "000000", thumbprint="", public_key=b"")
    return Caller(client=client, officer=None, region="", body_digest=b"", evidence=(), request_id="upkeep")
