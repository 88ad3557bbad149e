"""依据: why a request is covered, and until when.

Rules kept here: a `Basis` is built by `gateway/consent` only; it never carries a birth date; `until` is the earliest end
of everything it rests on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.exchanges import Exchange
from gateway.domain.parties import Party
from gateway.domain.subjects import Recognised
from gateway.domain.vocabulary import Action, AgeBand, ConsentState, Department, Door


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for, after the door has validated it. Ids are the gateway's internal ones.

    region: the region code that the request concerns (from the case, or the requester's own).
    recipient: for deliveries, who shall receive; for queries, the caller's own party.
    """

    exchange: Exchange
    purpose: str
    door: Door
    action: Action
    recipient: Party
    fields: tuple[str, ...]
    case_id: str | None = None
    reason: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Basis:
    """Step (3) done: what covers this request.

    con: the Casbin value. consent_fields: fields that the consent covers, None where no consent is involved.
    age_band: as asserted by consent or case; the provider's edge refuses where its register contradicts it.
    references: ids of consent, case, approval, for the encrypted detail only.
    citations: law texts for notices and labels.
    """

    recognised: Recognised
    ask: Ask
    con: ConsentState
    case_id: str | None
    case_region: str | None
    age_band: AgeBand | None
    consent_fields: frozenset[str] | None
    until: datetime
    references: tuple[tuple[str, str], ...] = ()
    duties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """个案. parties: those that may act in it. state: see `gateway/consent/cases.py`."""

    case_id: str
    child: bytes
    opener: Party
    parties: frozenset[Party]
    exchanges: frozenset[str]
    region: str
    state: str
    opened_at: datetime
    age_band: AgeBand | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """同意. One exchange, one purpose, named recipients, named fields, one term; no wildcard, no bundling (C10).

    ends: last day of a month, at most 12 months after `given`. child_grant: True, False (objection) or None (not
    asked). grantor: guardian, civil_affairs_guardian or child.
    """

    consent_id: str
    child: bytes
    exchange: str
    purpose: str
    recipients: frozenset[Department]
    fields: frozenset[str]
    age_band: AgeBand
    grantor: str
    relation: str
    child_grant: bool | None
    given: datetime
    ends: datetime
    state: str
    notice_version: str
    issuer: Party
    evidence_digest: str


@dataclass(frozen=True, slots=True)
class Approval:
    """审批: an approver's signature that lets one officer open one case's records, at most 30 days (网保条例 36)."""

    approval_id: str
    case_id: str
    officer_id: str
    officer_organisation: str
    approver_id: str
    approver_organisation: str
    exchanges: frozenset[str]
    from_: datetime
    until: datetime
    statement: str
