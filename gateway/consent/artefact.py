"""同意书: the consent artefact as a recording officer signed it - everything of the consent but the child.

Rules kept here: one exchange, one purpose, named recipients, named fields, one term; a wildcard, a bundle, an unknown key or
a birth date has no place to stand; ends on the last day of a month and at most 12 months away.

{"exchange":"X05","purpose":"P01","recipients":["civil_affairs"],"fields":["risk_band",…],"age_band":"8-13",
 "grantor":"guardian"|"civil_affairs_guardian"|"child","relation":"51" (GB/T 4761; "01" for the child itself),
 "guardian":"opaque word of the department that checked the relation" (empty for the child),
 "child_grant":"granted"|"objects"|"not_asked","method":"in_person"|"link_page"|"telephone"|"own_initiative",
 "given":unix seconds,"ends":"YYYY-MM-DD","notice_version":"…","evidence_digest":64 hex digits}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateway.consent.calendar import is_month_end, latest_end, shanghai_day
from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Person
from gateway.domain.vocabulary import AgeBand, Department, Level
from gateway.errors import BadRequest, Denied

OLDEST_STATEMENT = timedelta(days=30)
CLOCK_SKEW = timedelta(seconds=60)

_FORMS = {
    "exchange": r"X\d{2}",
    "purpose": r"P\d{2}",
    "age_band": r"0-7|8-13|14-15|16-17",
    "grantor": r"guardian|civil_affairs_guardian|child",
    "relation": r"\d{2}",
    "guardian": r"[A-Za-z0-9_.:-]{0,64}",
    "child_grant": r"granted|objects|not_asked",
    "method": r"in_person|link_page|telephone|own_initiative",
    "ends": r"\d{4}-\d{2}-\d{2}",
    "notice_version": r"[A-Za-z0-9_.:-]{1,64}",
    "evidence_digest": r"[0-9a-f]{64}",
}
KEYS = frozenset(_FORMS) | {"recipients", "fields", "given"}


@dataclass(frozen=True, slots=True)
class ConsentClaims:
    """A consent whose statement `identity` has verified. ends: last day covered. statement: the compact JWS."""

    exchange: str
    purpose: str
    recipients: frozenset[Department]
    fields: frozenset[str]
    age_band: AgeBand
    grantor: str
    relation: str
    guardian: str = field(repr=False)
    child_grant: str
    method: str
    given: datetime
    ends: date
    notice_version: str
    evidence_digest: str
    recorder: Person
    statement: str = field(repr=False)


def read_artefact(artefact: Mapping[str, Any], *, recorder: Person, statement: str) -> ConsentClaims:
    """The claims of an artefact. Raises BadRequest(consent_form), Denied(consent_wildcard)."""
    if set(artefact) != KEYS:
        raise BadRequest("consent_form")
    for name, form in _FORMS.items():
        value = artefact[name]
        if not isinstance(value, str) or not re.fullmatch(form, value):
            raise Denied("consent_wildcard") if value in ("*", "any") else BadRequest("consent_form")
    given = artefact["given"]
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 2**33:
        raise BadRequest("consent_form")
    try:
        recipients = frozenset(Department(name) for name in _names(artefact["recipients"]))
        ends = date.fromisoformat(artefact["ends"])
    except ValueError as error:
        raise BadRequest("consent_form") from error
    texts = {name: artefact[name] for name in _FORMS if name not in {"age_band", "ends"}}
    return ConsentClaims(
        **texts,
        recipients=recipients,
        fields=frozenset(_names(artefact["fields"])),
        age_band=AgeBand(artefact["age_band"]),
        given=datetime.fromtimestamp(given, UTC),
        ends=ends,
        recorder=recorder,
        statement=statement,
    )


def _names(value: object) -> list[str]:
    if value == "*" or (isinstance(value, list) and "*" in value):
        raise Denied("consent_wildcard")
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise BadRequest("consent_form")
    if len(set(value)) != len(value):
        raise BadRequest("consent_form")
    return value


def require_lawful(claims: ConsentClaims, exchange: Exchange, now: datetime) -> None:
    """Scope, term and grantor of a consent against the exchange that it is for.

    Raises Denied(consent_scope | consent_not_needed | consent_term | consent_stale | grantor_age | guardian_unnamed |
    child_view_missing).
    """
    if claims.exchange != exchange.id or claims.purpose != exchange.purpose:
        raise Denied("consent_scope")
    if not claims.fields <= set(exchange.fields):
        raise Denied("consent_scope")
    codes = [exchange.consent.get(department) for department in claims.recipients]
    if any(code is None for code in codes):
        raise Denied("consent_scope")
    # Asking for what the law already settles would pretend a choice that is none.
    if not all(code is not None and code.needs_consent for code in codes):
        raise Denied("consent_not_needed")
    _require_term(claims, now)
    _require_grantor(claims, exchange)


def _require_term(claims: ConsentClaims, now: datetime) -> None:
    if claims.given > now + CLOCK_SKEW or now - claims.given > OLDEST_STATEMENT:
        raise Denied("consent_stale")
    today, given_on = shanghai_day(now), shanghai_day(claims.given)
    if not is_month_end(claims.ends) or claims.ends > latest_end(given_on) or claims.ends < today:
        raise Denied("consent_term")


def _require_grantor(claims: ConsentClaims, exchange: Exchange) -> None:
    if claims.grantor == "child":
        # 民法典 19, PIPL 31: below 14 a child's view is heard, its consent is a guardian's to give.
        if not claims.age_band.child_consents or claims.child_grant != "granted":
            raise Denied("grantor_age")
    elif not claims.guardian:
        raise Denied("guardian_unnamed")
    younger = claims.age_band.view_recorded and not claims.age_band.child_consents
    if exchange.level is Level.L5 and younger and claims.child_grant == "not_asked":
        raise Denied("child_view_missing")
