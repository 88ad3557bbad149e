"""The labels that travel with every release and envelope.

Rules kept here: purpose, expiry and the ban on passing on stand on every release (PIPL 23, 政务数据共享条例 25); the GB/T 42460
level is told from what the grants really let out, never better than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from gateway.domain.clock import policy_time
from gateway.domain.exchanges import Exchange
from gateway.domain.permits import Grants, Obligation
from gateway.domain.vocabulary import Profile, Transform

_IDENTIFYING = frozenset({"name", "phone", "id_number", "address"})
_DIRECT, _REMOVED, _ACCEPTABLE, _AGGREGATE = "1", "2", "3", "4"
_BY_PROFILE = {
    Profile.D0: _DIRECT,
    Profile.D1: _REMOVED,
    Profile.D2: _REMOVED,
    Profile.Q: _REMOVED,
    Profile.D3: _ACCEPTABLE,
    Profile.D4: _AGGREGATE,
}


def labels(
    exchange: Exchange,
    purpose: str,
    until: datetime,
    grants: Mapping[str, Obligation] | None = None,
) -> dict[str, str]:
    """Labels of one release: `exchange`, `purpose`, `until` (UTC), `onward` (always `no`), `level`, `profile`, `gbt42460`.

    grants: what was granted; any identifying field in clear makes the GB/T 42460 level 1. Level 1: identifies directly;
    2: direct identifiers removed; 3: risk of re-identification acceptable; 4: aggregate; `none`: no personal information.
    """
    return {
        "exchange": exchange.id,
        "purpose": purpose,
        "until": policy_time(until),
        "onward": "no",
        "level": str(exchange.level),
        "profile": str(exchange.profile),
        "gbt42460": de_identification_level(exchange, grants),
    }


def de_identification_level(exchange: Exchange, grants: Mapping[str, Obligation] | None = None) -> str:
    """GB/T 42460 level of a release under `grants`: `1` to `4`, or `none` where the exchange carries no personal information."""
    return _level(exchange, Grants.of(grants or {}))


@lru_cache(maxsize=1_024)
def _level(exchange: Exchange, grants: Grants) -> str:
    if exchange.profile is not Profile.D4 and not exchange.personal:
        return "none"
    for name, obligation in grants.items():
        defined = exchange.fields.get(name)
        if defined and obligation.transform is Transform.CLEAR and defined.type in _IDENTIFYING:
            return _DIRECT
    return _BY_PROFILE.get(exchange.profile, _DIRECT)
