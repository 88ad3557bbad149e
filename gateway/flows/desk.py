"""The common way of a desk's list: a signed GET that names each task by the caller's own reference and child by its own pseudonym.

Rules kept here: a party sees its own tasks only; an id of ours never leaves, so two parties cannot join what each was told;
a reference is resolved by computing it again over the party's own open tasks, and anybody else's leads nowhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC
from typing import Any, TypeVar

from gateway.domain.canonical import canonical
from gateway.domain.parties import Caller
from gateway.domain.subjects import Child
from gateway.flows.cases import own_reference
from gateway.flows.deliver import own_pseudonym
from gateway.flows.house import House
from gateway.flows.inbox import spend_proof
from gateway.flows.recognise import name_for, scope_of
from gateway.flows.requests import SignedRequest
from gateway.store.basis import moment
from gateway.store.database import Reading

Task = TypeVar("Task")


async def listed(
    house: House,
    signed: SignedRequest,
    name: str,
    find: Callable[[Reading, str], Awaitable[Sequence[Task]]],
    show: Callable[[Caller, Task], dict[str, Any]],
) -> bytes:
    """The caller's open tasks as `{name: […]}`."""
    async with house.database.read() as reading:
        authenticated = await house.authenticator.authenticate(
            signed.method, signed.path, signed.headers, signed.body, officer_required=True, reading=reading
        )
        caller = authenticated.caller
        found = await find(reading, caller.party.text)
    await spend_proof(house, authenticated.proof_id)
    return canonical({name: [show(caller, task) for task in found]})


def task(house: House, caller: Caller, kind: str, record_id: str, child: bytes, exchange: str) -> dict[str, Any]:
    """What every task says: the caller's reference, exchange, and the child as the caller calls it in that exchange."""
    defined = house.catalogue.exchanges.get(exchange)
    scope = scope_of(caller.party.department, defined)
    return {
        kind: own_reference(house, caller, kind, record_id),
        "exchange": exchange,
        "subject": {"pseudonym": name_for(house.ring, Child(own_pseudonym(house, child)), scope)},
    }


def named(
    house: House, caller: Caller, kind: str, reference: str, tasks: Sequence[Task], id_of: Callable[[Task], str]
) -> Task | None:
    """The open task that the caller calls so, None where it has none of this name."""
    return next((each for each in tasks if own_reference(house, caller, kind, id_of(each)) == reference), None)


def when(value: int) -> str:
    """ISO 8601 UTC of stored microseconds."""
    return moment(value).astimezone(UTC).isoformat()
