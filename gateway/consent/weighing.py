"""同意的权衡: what a child's consents for one exchange amount to at one moment. Pure.

Rules kept here, always the most protective reading: a withdrawal beats everything that was given before it or in the same
moment; an objection of a child from 8 on stops an L5 flow until a human has reviewed it; of several consents in force only
the fields that all of them cover are covered and the earliest end counts; under 14 nobody but a guardian consents; a band
of 14 and above needs the child's own word beside the guardian's for L5 (PIPL 31, 民法典 19, 35).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.basis import Ask
from gateway.domain.vocabulary import AgeBand, Level
from gateway.errors import Denied
from gateway.store.basis import ConsentFound

BANDS = tuple(AgeBand)
"""Youngest first: of two asserted bands the older one counts, because it asks for more consents."""

_GUARDIANS = frozenset({"guardian", "civil_affairs_guardian"})
# States that refuse with a code of their own when nothing in force is left.
_LAPSED = (
    ("suspended", "consent_suspended"),
    ("needs_renewal", "consent_renewal"),
    ("refused", "consent_refused"),
)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What covers the ask: ids, fields that every consent in force names, oldest band asserted, earliest end (µs)."""

    consent_ids: tuple[str, ...]
    fields: frozenset[str]
    age_band: AgeBand
    ends: int


def oldest(*bands: str | AgeBand | None) -> AgeBand | None:
    """The oldest of the bands that were asserted, None if none was."""
    known = [AgeBand(band) for band in bands if band is not None]
    return max(known, key=BANDS.index) if known else None


def withdrawn(consents: Iterable[ConsentFound], ask: Ask) -> ConsentFound | None:
    """The last withdrawal that concerns this purpose and recipient."""
    return max(
        (c for c in consents if c.state == "withdrawn" and _concerns(c, ask)),
        key=lambda consent: consent.changed,
        default=None,
    )


def weigh(consents: list[ConsentFound], ask: Ask, *, case_band: str | None, now: int) -> Weighed:
    """What covers `ask` at `now` (µs). Which code refuses is fixed, so that equal situations answer equally.

    Raises Denied(consent_withdrawn | child_objects | consent_expired | consent_suspended | consent_renewal |
    consent_refused | consent_recipient | consent_none | guardian_consent_missing | child_consent_missing |
    consent_fields).
    """
    barrier = withdrawn(consents, ask)
    since = barrier.changed if barrier else -1
    standing = [c for c in consents if c.given > since and c.given <= now < c.ends and c.purpose == ask.purpose]
    mine = [c for c in standing if ask.recipient.department in c.recipients]
    if ask.exchange.level is Level.L5 and any(c.state == "held" for c in mine):
        raise Denied("child_objects")
    active = [c for c in mine if c.state == "active"]
    if not active:
        raise Denied(_why_none(consents, standing, ask, barrier=barrier is not None, now=now))
    # The case's band is an older department's word than the consent's, but a band only ever rises with time, so the
    # older of the two asks for more and is taken.
    band = oldest(case_band, *(c.age_band for c in active))
    assert band is not None
    _require_grantors(active, band, ask.exchange.level)
    fields = frozenset.intersection(*(c.fields for c in active))
    if not fields.intersection(ask.fields):
        raise Denied("consent_fields")
    return Weighed(tuple(c.consent_id for c in active), fields, band, min(c.ends for c in active))


def _concerns(consent: ConsentFound, ask: Ask) -> bool:
    return consent.purpose == ask.purpose and ask.recipient.department in consent.recipients


def _why_none(consents: list[ConsentFound], standing: list[ConsentFound], ask: Ask, *, barrier: bool, now: int) -> str:
    if barrier:
        return "consent_withdrawn"
    states = {c.state for c in standing if _concerns(c, ask)}
    for state, code in _LAPSED:
        if state in states:
            return code
    if any(c.state == "active" for c in standing):
        return "consent_recipient"
    if any(c.state == "active" and c.ends <= now and _concerns(c, ask) for c in consents):
        return "consent_expired"
    return "consent_none"


def _require_grantors(active: list[ConsentFound], band: AgeBand, level: Level) -> None:
    guardian = any(c.grantor in _GUARDIANS for c in active)
    child = any(c.child_grant == "granted" for c in active)
    if not guardian and (level is Level.L5 or not band.child_consents):
        raise Denied("guardian_consent_missing")
    if level is Level.L5 and band.child_consents and not child:
        raise Denied("child_consent_missing")
