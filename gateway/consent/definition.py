"""What a consent to an exchange is a consent to, as one digest: another definition asks anew (PIPL 14(2), 23).

Rules kept here: exchange, purpose, level, profile, recipients with their consent codes, and fields with their classes count; names,
notices and citations may change without it.
"""

from __future__ import annotations

from gateway.consent.changes import digest
from gateway.domain.exchanges import Exchange

_MOST_KNOWN = 1_000
_known: dict[int, tuple[Exchange, str]] = {}


def definition(exchange: Exchange) -> str:
    """The digest, SHA-256 hex. It is asked for on every call, so that of an exchange object is computed once."""
    known = _known.get(id(exchange))
    if known is not None and known[0] is exchange:
        return known[1]
    shape = {
        "exchange": exchange.id,
        "purpose": exchange.purpose,
        "level": str(exchange.level),
        "profile": str(exchange.profile),
        "consent": {str(department): str(code) for department, code in exchange.consent.items()},
        "fields": {name: item.field_class for name, item in exchange.fields.items()},
    }
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[id(exchange)] = exchange, digest(shape)
    return _known[id(exchange)][1]
