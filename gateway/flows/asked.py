"""What a request names, held against what the house knows: exchange, purpose, fields, case, reason.

Rules kept here: an unknown word is refused and never repeated; a reference counts only in the mouth of the department that was
given it; nothing of a child is looked at yet.
"""

from __future__ import annotations

from types import TracebackType

from gateway.consent.doors import REASONS
from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import Action, ExchangeState
from gateway.errors import BadRequest, Denied, GatewayError
from gateway.flows.account import Account
from gateway.flows.house import House
from gateway.store.basis import record_of
from gateway.store.database import Reading

_PARTS = frozenset({"line", "region", "request", "exchange", "seal"})
"""Parts of a frame that a check may name instead of a field."""


def exchange_asked(house: House, account: Account, name: str, purpose: str, *, action: Action) -> Exchange:
    """The catalogue's exchange; refuses unknown, declared, stopped ones and the wrong story."""
    catalogue = house.catalogue
    exchange = catalogue.exchanges.get(name)
    if exchange is None:
        raise BadRequest("exchange_unknown")
    account.exchange = exchange.id
    account.purpose = purpose if purpose in catalogue.purposes else ""
    house.registry.require_running(exchange.id, account.caller.client.client_id)
    if exchange.state is not ExchangeState.SERVED:
        raise Denied("not_served", exchange=exchange.id)
    if exchange.pattern.is_query is not (action is Action.QUERY):
        raise BadRequest("wrong_story", exchange=exchange.id)
    if purpose != exchange.purpose:
        raise Denied("purpose", exchange=exchange.id)
    return exchange


def fields_asked(exchange: Exchange, names: tuple[str, ...] | None) -> tuple[str, ...]:
    """The fields that a request names, each once, or all; an unknown name is refused, never ignored."""
    if names is None:
        return tuple(exchange.fields)
    once = dict.fromkeys(names)
    if not once or not once.keys() <= exchange.fields.keys():
        raise BadRequest("field_unknown", exchange=exchange.id)
    return tuple(once)


async def case_asked(reference: str | None, caller: Caller, reading: Reading) -> str | None:
    """The case behind the caller's own reference; any other goes on as a case that is nobody's, and is refused there."""
    if reference is None:
        return None
    return await record_of(reading, "case", reference, str(caller.party.department)) or "unknown"


def reason_asked(reason: str | None) -> str | None:
    """A reason of the closed list. It is stored beside a delivery, so nothing else may stand there, whatever the door."""
    if reason is not None and reason not in REASONS:
        raise BadRequest("reason_unknown")
    return reason


class naming_known_fields:  # noqa: N801 (reads as the block that it is)
    """Inside this block an error names only fields of the catalogue: a name that somebody else chose may be anything."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not isinstance(error, GatewayError):
            return
        if error.facts.get("field") not in {None, *self._exchange.fields, *_PARTS}:
            error.facts["field"] = "unknown"
