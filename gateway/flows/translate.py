"""Step (6), first half: pseudonyms and record references from the provider's scope into the caller's.

Rules kept here: line by line as ordered; a provider that answers another child than the one ordered, twice, or a line that
nobody ordered, is at fault; a record reference crosses only as HMAC under the recipient scope's reference key.
"""

from __future__ import annotations

from gateway.domain.exchanges import Exchange
from gateway.domain.orders import Line, Order, Release
from gateway.domain.permits import Permit
from gateway.domain.subjects import Child, Recognised, Scope
from gateway.errors import ProviderFault
from gateway.flows.recognise import name_for, scope_of
from keys.ring import KeyRing
from keys.text import write as write_pseudonym


def translate_lines(
    ring: KeyRing, release: Release, order: Order, permit: Permit, *, called: str | None = None
) -> Release:
    """The release with subjects and references as the caller knows them. called: the pseudonym by which the caller asked; a child
    with an earlier name (an alias) is answered for under the name that was asked.

    Raises `ProviderFault` (`release_lines`, `release_subject`) where the provider did not keep to the order.
    """
    ordered = {line.number: line.subject for line in order.lines}
    if release.request != order.request or release.exchange != order.exchange or release.provider != order.provider:
        raise ProviderFault("release_lines", edge=order.provider.text)
    numbers = [line.number for line in release.lines] + list(release.missing)
    if sorted(numbers) != sorted(ordered):
        raise ProviderFault("release_lines", edge=order.provider.text)
    recognised = permit.basis.recognised
    exchange = permit.basis.ask.exchange
    target = scope_of(order.recipient.department, exchange)
    lines = []
    for line in release.lines:
        if line.subject != ordered[line.number]:
            raise ProviderFault("release_subject", edge=order.provider.text)
        name = _name(ring, recognised, target, called)
        references = cross_references(ring, line, exchange, target, order.provider.text)
        lines.append(Line(line.number, name, references, line.region, line.values, line.sealing))
    return Release(
        release.request,
        release.exchange,
        release.provider,
        tuple(lines),
        release.missing,
        surplus=release.surplus,
        sighted=release.sighted,
    )


def _name(ring: KeyRing, recognised: Recognised, target: Scope, called: str | None) -> str | None:
    child, known = recognised.subject, recognised.known
    if not isinstance(child, Child):
        return None
    if called is None or known is None or known.scope != target:
        return name_for(ring, child, target)
    if known.epoch == ring.current_epoch(target):
        return called.lower()  # Bech32m is written in lower case, whichever way it was sent
    return write_pseudonym(ring.translate([known], target)[0])


def cross_references(ring: KeyRing, line: Line, exchange: Exchange, target: Scope, holder: str) -> dict[str, str]:
    """Record ids in the recipient's form. holder: whose ids they are, so that equal ids of two holders stay apart."""
    crossed = {}
    for name, value in line.references.items():
        field = exchange.fields.get(name)
        if field is None or field.type != "record_id":
            raise ProviderFault("release_reference", field=name, edge=holder)
        crossed[name] = ring.reference(target, name.removesuffix("_id"), f"{holder}|{value}")
    return crossed
