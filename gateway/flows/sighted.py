"""What an embedded adapter may take part in: its party's keys lie with the gateway, which therefore sees what that party sees.

Rules kept here: an exchange is sighted where the adapter of its sender, provider or recipient is embedded; every entry of it says so;
by default none of profile D0 or level L5 is, and that is refused before anything is asked of an adapter or known of a child.
"""

from __future__ import annotations

from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Party
from gateway.domain.vocabulary import Level, Profile
from gateway.errors import Denied
from gateway.flows.house import House


def is_sighted(house: House, *parties: Party) -> bool:
    """Whether the adapter of any of these is embedded."""
    return bool(house.embedded) and not house.embedded.isdisjoint(parties)


def refuse_sighted(house: House, exchange: Exchange, *, sighted: bool) -> None:
    """Raises `Denied("sighted_refused")` where an exchange that nobody between its ends may see would be seen."""
    sensitive = exchange.profile is Profile.D0 or exchange.level is Level.L5
    if sighted and sensitive and not house.embedded_may_serve_sensitive:
        raise Denied("sighted_refused", exchange=exchange.id)
