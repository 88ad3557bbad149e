"""What a request says, after its door has validated the form and before the house has decided anything.

Rules kept here: frozen values without behaviour; whatever may hold an identifier or a pseudonym is kept out of reprs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.orders import Envelope
from gateway.domain.vocabulary import AgeBand, Department, Door


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived: raw body bytes, header names in lower case. `source`: the peer's address."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    source: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class SubjectRequest:
    """Whom a request is about: a pseudonym of the caller's own scope, or (assisted door) an identifier."""

    pseudonym: str | None = field(repr=False, default=None)
    identifier_kind: str | None = None
    identifier_value: str | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """`POST /v1/query`. fields: None asks for everything that the exchange holds for this caller."""

    exchange: str
    purpose: str
    door: Door
    subject: SubjectRequest | None
    case: str | None = None
    fields: tuple[str, ...] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SendPermitRequest:
    """`POST /v1/send-permits`: may I send this exchange about these children to this recipient, and how?"""

    exchange: str
    purpose: str
    door: Door
    recipient: str
    lines: tuple[tuple[int, SubjectRequest | None], ...]
    case: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """`POST /v1/deliveries`."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class InboxRequest:
    """`POST /v1/inbox/take`. wait: seconds, at most 25."""

    wait: int = 0
    limit: int = 10


@dataclass(frozen=True, slots=True)
class AcknowledgeRequest:
    """`POST /v1/inbox/acknowledge`. status: stored or rejected."""

    delivery: str
    status: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """`POST /v1/pseudonyms/evaluate`: blinded points of the caller's own identifiers."""

    points: tuple[bytes, ...] = field(repr=False)
    grant: str | None = None


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """`POST /v1/cases`."""

    subject: SubjectRequest
    exchanges: frozenset[str]
    parties: frozenset[str]
    region: str
    age_band: AgeBand | None = None


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """`POST /v1/consents`: the child, and the officer's signed statement of everything else. approvals: two, where civil affairs
    is the guardian.
    """

    subject: SubjectRequest
    statement: str = field(repr=False)
    approvals: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class WithdrawalRequest:
    """`POST /v1/consents/withdraw`."""

    consent: str


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """`POST /v1/guardians/accesses` and `POST /v1/audit/children/history`."""

    subject: SubjectRequest


@dataclass(frozen=True, slots=True)
class EntriesRequest:
    """`POST /v1/audit/entries`: keyset paging: entries below the index `after`, newest first; -1 for the newest page.

    department: who asked; provider: who was asked. since_us, until_us: microseconds since 1970 UTC, half-open.
    """

    after: int = -1
    limit: int = 100
    kind: str | None = None
    exchange: str | None = None
    door: str | None = None
    purpose: str | None = None
    outcome: str | None = None
    code: str | None = None
    department: Department | None = None
    provider: Department | None = None
    since_us: int = 0
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class AliasRequest:
    """`POST /v1/pseudonyms/aliases`: the issued name and the later one; approvals where both have a history."""

    issued: SubjectRequest
    identified: SubjectRequest
    approvals: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """`POST /v1/pseudonyms/convert`: pseudonyms of one scope of the caller's. exchange: of a closed scope. epoch: the target, None
    for the newest. finished: the caller has nothing left to convert.
    """

    pseudonyms: tuple[str, ...] = field(repr=False)
    exchange: str | None = None
    epoch: int | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True)
class RotationRequest:
    """`POST /v1/keys/rotations`: the two signed approvals name scope and step."""

    approvals: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReidentificationRequest:
    """`POST /v1/reidentifications`: the officer's signed request and two approvers' signatures over the same."""

    request: str = field(repr=False)
    approvals: tuple[str, ...] = field(repr=False)
