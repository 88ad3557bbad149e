"""个人权利 (X31): a request of guardian or child, taken in at any department, answered by the one that holds the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.consent import rights as rights_room
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.domain.vocabulary import EntryKind
from gateway.errors import BadRequest, Denied
from gateway.flows.calendar_days import DAYS
from gateway.flows.cases import own_reference
from gateway.flows.change import Made, change, change_of_child
from gateway.flows.decide import party_named
from gateway.flows.desk import listed, named, task, when
from gateway.flows.house import House
from gateway.flows.query import Answer
from gateway.flows.requests import SignedRequest, SubjectRequest
from gateway.store.basis_desk import rights_open_at
from gateway.store.basis_lists import RightsFound
from gateway.store.database import Reading


@dataclass(frozen=True, slots=True)
class RightRequest:
    """`POST /v1/rights`. source: the party whose register holds the data; exchange: id, or `*` for a restriction of all."""

    subject: SubjectRequest
    right: rights_room.Right
    exchange: str
    source: str


@dataclass(frozen=True, slots=True)
class RightAnswer:
    """`POST /v1/rights/grant` and `/v1/rights/refuse`. retained: the data lies under a legal term. reason: written, to be told."""

    right: str
    retained: bool = False
    reason: str = field(repr=False, default="")


async def ask(house: House, signed: SignedRequest, read: Callable[[bytes], RightRequest]) -> Answer:
    """Record a request. A restriction holds from this entry on."""

    async def make(caller: Caller, child: Child, request: RightRequest, _reading: Reading) -> Made:
        exchange, source = house.catalogue.exchanges.get(request.exchange), party_named(house, request.source)
        if exchange is None and request.exchange != "*":
            raise BadRequest("exchange_unknown")
        if exchange is not None and source.department not in exchange.providers:
            # Nobody else's register holds it, and a task must not name the child to who does not know it.
            raise Denied("right_source")
        asked = rights_room.ask_right(
            caller,
            child,
            request.right,
            exchange=request.exchange,
            source=source,
            now=house.clock.now(),
            days=DAYS,
        )
        return Made(asked, {"right": own_reference(house, caller, "right", asked.record_id), "state": "open"})

    return await change_of_child(house, signed, read, make, kind=EntryKind.RIGHTS_REQUEST)


async def waiting(house: House, signed: SignedRequest) -> bytes:
    """Open requests that the caller's party has to answer."""

    def show(caller: Caller, asked: RightsFound) -> dict[str, Any]:
        told = task(house, caller, "right", asked.request_id, asked.child, asked.exchange)
        return told | {"kind": asked.kind, "opened": when(asked.opened), "due": when(asked.due)}

    return await listed(house, signed, "rights", rights_open_at, show)


async def grant(house: House, signed: SignedRequest, read: Callable[[bytes], RightAnswer]) -> Answer:
    """The source grants it; whoever received the data is owed word."""

    async def make(caller: Caller, request: RightAnswer, reading: Reading) -> Made:
        asked = await _asked(house, caller, request.right, reading)
        granted = rights_room.grant_right(caller, asked, now=house.clock.now(), days=DAYS, retained=request.retained)
        return Made(granted, {"right": request.right, "state": "granted"})

    return await change(house, signed, read, make, kind=EntryKind.RIGHTS_REQUEST)


async def refuse(house: House, signed: SignedRequest, read: Callable[[bytes], RightAnswer]) -> Answer:
    """The source refuses it, with its written reason."""

    async def make(caller: Caller, request: RightAnswer, reading: Reading) -> Made:
        asked = await _asked(house, caller, request.right, reading)
        return Made(
            rights_room.refuse_right(caller, asked, request.reason), {"right": request.right, "state": "refused"}
        )

    return await change(house, signed, read, make, kind=EntryKind.RIGHTS_REQUEST)


async def _asked(house: House, caller: Caller, reference: str, reading: Reading) -> RightsFound:
    tasks = await rights_open_at(reading, caller.party.text)
    found = named(house, caller, "right", reference, tasks, lambda each: each.request_id)
    if found is None:
        raise Denied("right_source")
    return found
