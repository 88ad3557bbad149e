"""重新征求: after a policy version has changed what an exchange is, whoever recorded a consent to it is asked to ask anew.

Rules kept here: such a consent covers nothing from the first call under the new version on (`consent/basis.py`); this only writes it down
and makes the tasks, a few at a time, each batch with its entry; an exchange whose definition was looked through is not looked
through again by this worker.
"""

from __future__ import annotations

import contextlib

from gateway.consent import book
from gateway.consent.definition import definition
from gateway.consent.states import before_consent
from gateway.domain.entries import EntryDraft
from gateway.domain.exchanges import Exchange
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.flows.calendar_days import DAYS
from gateway.flows.house import House
from gateway.store.basis_desk import consents_to_another
from gateway.store.database import Writing


async def ask_anew(house: House) -> int:
    """Move consents to earlier definitions of the exchanges to `needs_renewal`, with a task each. Returns how many batches."""
    batches = 0
    for exchange in house.catalogue.exchanges.values():
        if house.looked_through.get(exchange.id) == definition(exchange):
            continue
        while await _any_left(house, exchange):
            # Another worker may have been faster: then there is nothing to say.
            with contextlib.suppress(Denied):
                await _one_batch(house, exchange)
                batches += 1
        house.looked_through[exchange.id] = definition(exchange)
    return batches


async def _any_left(house: House, exchange: Exchange) -> bool:
    states = sorted(before_consent("change_exchange"))
    async with house.database.read() as reading:
        return bool(await consents_to_another(reading, exchange.id, definition(exchange), states, limit=1))


async def _one_batch(house: House, exchange: Exchange) -> None:
    now = house.clock.now()

    async def effect(writing: Writing) -> None:
        if not await book.ask_anew(writing, exchange, now, days=DAYS):
            raise Denied("consent_event")

    draft = EntryDraft(
        kind=EntryKind.REVIEW_OPENED,
        outcome=Outcome.DONE,
        code="consent_renewal",
        exchange=exchange.id,
        purpose=exchange.purpose,
        policy_version=house.book.version,
        detail={"definition": definition(exchange)},
    )
    await house.log.append(draft, effect=effect)
