"""告知: the word that guardians are owed by whoever received, and the word that recipients are owed of a withdrawal (X30), a
correction, a deletion or a restriction (X31).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.consent import notices as notices_room
from gateway.consent import propagation
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind
from gateway.errors import Denied
from gateway.flows.change import Made, change
from gateway.flows.deliver import own_pseudonym
from gateway.flows.desk import listed, named, task, when
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest
from gateway.store.basis_desk import NoticeFound, notices_owed_by
from gateway.store.basis_lists import Owed, owed_to
from gateway.store.database import Reading


async def owed(house: House, signed: SignedRequest) -> bytes:
    """Notices that the caller's party still owes to guardians."""

    def show(caller: Caller, notice: NoticeFound) -> dict[str, Any]:
        told = task(house, caller, "notice", notice.notice_id, notice.child, notice.exchange)
        return told | {"door": notice.door, "citations": notice.citations, "due": when(notice.due)}

    return await listed(house, signed, "notices", notices_owed_by, show)


async def given(
    house: House, signed: SignedRequest, read: Callable[[bytes], tuple[str, notices_room.Method]]
) -> Answer:
    """The party told the guardian."""

    async def make(caller: Caller, request: tuple[str, notices_room.Method], reading: Reading) -> Made:
        reference, method = request
        tasks = await notices_owed_by(reading, caller.party.text)
        found = named(house, caller, "notice", reference, tasks, lambda each: each.notice_id)
        if found is None:
            raise Denied("notice_unknown")
        child = Child(own_pseudonym(house, found.child))
        told = notices_room.give_notice(caller, child, found.notice_id, method=method, now=house.clock.now())
        return Made(told, {"notice": reference, "state": "given"})

    return await change(house, signed, read, make, kind=EntryKind.NOTICE_OWED)


async def words(house: House, signed: SignedRequest) -> bytes:
    """What the caller's party must still act on: withdrawals, corrections, deletions, restrictions."""

    def show(caller: Caller, word: Owed) -> dict[str, Any]:
        told = task(house, caller, "propagation", word.propagation_id, word.child, word.exchange)
        return told | {"about": word.kind, "opened": when(word.opened), "due": when(word.due)}

    return await listed(house, signed, "propagations", owed_to, show)


async def answered(house: House, signed: SignedRequest, read: Callable[[bytes], str]) -> Answer:
    """The party has acted."""

    async def make(caller: Caller, reference: str, reading: Reading) -> Made:
        tasks = await owed_to(reading, caller.party.text)
        found = named(house, caller, "propagation", reference, tasks, lambda each: each.propagation_id)
        if found is None:
            raise Denied("propagation_party")
        done = propagation.answer(caller, found, now=house.clock.now())
        return Made(done, {"propagation": reference, "state": "answered"})

    return await change(house, signed, read, make, kind=EntryKind.ACKNOWLEDGED)
