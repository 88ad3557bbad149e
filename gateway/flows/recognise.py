"""Step (2): from what the caller calls a child to what the gateway calls the child.

Rules kept here: a pseudonym is read only in the caller's own scope (open, or closed for this exchange); an identifier
(assisted door) is turned into a point and forgotten in the same breath, and is taken from the caller's quota whichever way the
request ends, because each is a guess; nothing tells whether the child is known.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.domain.exchanges import Exchange
from gateway.domain.subjects import GATEWAY_SCOPE, Child, NoChild, Pseudonym, Recognised, Scope
from gateway.domain.vocabulary import Department, Door, ScopeKind
from gateway.errors import BadRequest, Denied
from gateway.flows.account import Account
from gateway.flows.evaluation_quota import Tally
from gateway.flows.house import House
from gateway.flows.requests import SubjectRequest
from gateway.store.database import Reading
from gateway.store.exchanges import resolve_alias
from keys.identifiers import identify
from keys.ring import KeyRing
from keys.text import read as read_pseudonym
from keys.text import write as write_pseudonym


async def recognise(
    house: House,
    account: Account,
    exchange: Exchange | None,
    subject: SubjectRequest | None,
    reading: Reading,
) -> Recognised:
    """Whom the request is about. account: learns of an identifier in clear, and counts it.

    exchange: None for calls that belong to no exchange (cases, consents, a guardian's list).
    Raises `BadRequest` (`subject_missing`, `subject_unexpected`, `pseudonym_invalid`, `pseudonym_scope`,
    `identifier_invalid`) and `Denied("assisted_forbidden")`.
    """
    ring, caller = house.ring, account.caller
    if exchange is not None and not exchange.personal:
        if subject is not None:
            raise BadRequest("subject_unexpected")
        return Recognised(caller=caller, subject=NoChild())
    if subject is None:
        raise BadRequest("subject_missing")
    if subject.pseudonym is not None:
        scope = scope_of(caller.party.department, exchange)
        known = read_pseudonym(subject.pseudonym, scope)
        own = ring.translate([known], GATEWAY_SCOPE)[0]
        return Recognised(caller=caller, subject=await _child(own, reading), known=known)
    if subject.identifier_kind is None or subject.identifier_value is None:
        raise BadRequest("subject_missing")
    if exchange is not None and not exchange.assisted:
        raise Denied("assisted_forbidden")
    own = ring.derive(GATEWAY_SCOPE, identify(subject.identifier_kind, subject.identifier_value))
    _count(house, account)
    return Recognised(caller=caller, subject=await _child(own, reading), assisted=True)


def _count(house: House, account: Account) -> None:
    if account.tally is None:
        urgent = account.door in (Door.EMERGENCY, Door.PROTECTIVE)
        account.tally = Tally(account.caller, house.clock, urgent=urgent)
    account.tally.names += 1
    account.assisted = True


async def _child(own: Pseudonym, reading: Reading) -> Child:
    present = await resolve_alias(reading, own.point)
    if present == own.point:
        return Child(own)
    return Child(Pseudonym(scope=own.scope, epoch=own.epoch, point=present))


def scope_of(department: Department, exchange: Exchange | None) -> Scope:
    """The scope in which a department speaks of a child within an exchange: closed where the catalogue says so."""
    if exchange is not None and exchange.scopes.get(department) is ScopeKind.CLOSED:
        return _closed(department, exchange.id)
    return Scope.open(department)


@lru_cache(maxsize=1024)
def _closed(department: Department, exchange: str) -> Scope:
    return Scope.closed(str(department), exchange)


def name_for(ring: KeyRing, child: Child, scope: Scope) -> str:
    """What a holder calls this child, in text form."""
    return write_pseudonym(ring.translate([child.pseudonym], scope)[0])
