"""告知下游: who must still hear of a withdrawal (X30), a correction, a deletion or a restriction (X31), and who answered.

Rules kept here: whoever received data is owed word, found from what left and not from who subscribed; an answer is given once
and by the party itself; what is not answered in time stands on the overdue list.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gateway.consent.changes import Change, actors_of
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import Denied
from gateway.store.basis import micros
from gateway.store.basis_lists import Owed, overdue_words, owed_to
from gateway.store.basis_tables import propagations
from gateway.store.basis_writes import add_rows, settle
from gateway.store.database import Reading, Writing


async def owe_word(
    writing: Writing,
    *,
    kind: str,
    record_id: str,
    child: bytes,
    exchange: str,
    parties: Iterable[str],
    now: datetime,
    due: datetime,
) -> list[str]:
    """Put one line per party on the list; the parties. kind: withdrawal, correct, delete, restrict."""
    named = sorted(set(parties))
    propagation_id = new_id("pg")
    rows = [
        {
            "propagation_id": propagation_id,
            "party": party,
            "kind": kind,
            "record_id": record_id,
            "child": child,
            "exchange": exchange,
            "opened": micros(now),
            "due": micros(due),
            "state": "owed",
            "answered": None,
        }
        for party in named
    ]
    await add_rows(writing, propagations, rows)
    return named


async def waiting_for(reading: Reading, party: str) -> list[Owed]:
    """What a party must still act on, oldest first."""
    return await owed_to(reading, party)


async def overdue(reading: Reading, now: datetime) -> list[Owed]:
    """What nobody answered in time: the overdue list of C13 and C58."""
    return await overdue_words(reading, micros(now))


def answer(caller: Caller, owed: Owed, *, now: datetime) -> Change:
    """The party says that it has acted. Raises Denied(propagation_party), in the effect Denied(propagation_answered)."""
    if owed.party != caller.party.text:
        raise Denied("propagation_party")
    key = {"propagation_id": owed.propagation_id, "party": owed.party}

    async def effect(writing: Writing) -> None:
        row = {"state": "answered", "answered": micros(now)}
        if not await settle(writing, propagations, key=key, before="owed", row=row):
            raise Denied("propagation_answered")

    draft = EntryDraft(
        kind=EntryKind.ACKNOWLEDGED,
        outcome=Outcome.DONE,
        exchange=owed.exchange,
        requester=caller.party.department,
        children=(owed.child,),
        actors=actors_of(caller),
        detail={"propagation": owed.propagation_id, "about": owed.kind},
    )
    return Change(draft, effect, owed.propagation_id)
