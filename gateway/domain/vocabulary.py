"""The closed word lists of the field (DESIGN section 2). One word for one idea; every list is an enum.

Rules kept here: values are the words that cross the wire and stand in the catalogue, so they never change meaning;
nothing is parsed leniently (an unknown word is a `ValueError` at the door that read it).
"""

from __future__ import annotations

from enum import StrEnum


class Department(StrEnum):
    """The five departments; 民政、教育、卫生健康、共青团、妇联."""

    CIVIL_AFFAIRS = "civil_affairs"
    EDUCATION = "education"
    HEALTH = "health"
    YOUTH_LEAGUE = "youth_league"
    WOMENS_FEDERATION = "womens_federation"

    @property
    def short(self) -> str:
        """Two letters for human parts of pseudonyms (`keys/text.py`)."""
        return _SHORT[self]

    @property
    def governmental(self) -> bool:
        """True for 民政、教育、卫健; 共青团 and 妇联 are people's organisations (PIPL 34/37, 未保法 10)."""
        return self in (Department.CIVIL_AFFAIRS, Department.EDUCATION, Department.HEALTH)


_SHORT = {
    Department.CIVIL_AFFAIRS: "ca",
    Department.EDUCATION: "ed",
    Department.HEALTH: "he",
    Department.YOUTH_LEAGUE: "yl",
    Department.WOMENS_FEDERATION: "wf",
}


class Door(StrEnum):
    """通道: how the law lets a request in. The branches of the purpose tree."""

    NORMAL = "normal"
    EMERGENCY = "emergency"
    PROTECTIVE = "protective"


class ConsentCode(StrEnum):
    """Consent codes of the catalogue (reference/requirements.md 4.1)."""

    STATUTORY = "N"
    PROTECTIVE = "N*"
    EMERGENCY = "E"
    GUARDIAN = "G"
    GUARDIAN_SEPARATE = "GS"
    GUARDIAN_SEPARATE_OR_EMERGENCY = "GE"
    ONE_TIME = "R"
    NO_PERSONAL_DATA = "-"

    @property
    def doors(self) -> frozenset[Door]:
        """The doors that the consent code opens (DESIGN section 6)."""
        return _DOORS[self]

    @property
    def needs_consent(self) -> bool:
        """Whether the normal door asks for a consent artefact."""
        return self in (
            ConsentCode.GUARDIAN,
            ConsentCode.GUARDIAN_SEPARATE,
            ConsentCode.GUARDIAN_SEPARATE_OR_EMERGENCY,
            ConsentCode.ONE_TIME,
        )


_DOORS = {
    ConsentCode.STATUTORY: frozenset({Door.NORMAL}),
    ConsentCode.PROTECTIVE: frozenset({Door.PROTECTIVE}),
    ConsentCode.EMERGENCY: frozenset({Door.EMERGENCY}),
    ConsentCode.GUARDIAN: frozenset({Door.NORMAL}),
    ConsentCode.GUARDIAN_SEPARATE: frozenset({Door.NORMAL}),
    ConsentCode.GUARDIAN_SEPARATE_OR_EMERGENCY: frozenset({Door.NORMAL, Door.EMERGENCY}),
    ConsentCode.ONE_TIME: frozenset({Door.NORMAL}),
    ConsentCode.NO_PERSONAL_DATA: frozenset({Door.NORMAL}),
}


class ConsentState(StrEnum):
    """The value `con` of a policy request (DESIGN section 6)."""

    STATUTORY = "statutory"
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    NONE = "none"
    EMERGENCY = "emergency"
    PROTECTIVE = "protective"


class AgeBand(StrEnum):
    """Age bands asserted by the issuing department; the gateway stores no birth date (DESIGN section 7)."""

    A0_7 = "0-7"
    A8_13 = "8-13"
    A14_15 = "14-15"
    A16_17 = "16-17"

    @property
    def child_consents(self) -> bool:
        """From 14 the child's own consent stands beside the guardian's for L5 (PIPL 31, 困境儿童办法)."""
        return self in (AgeBand.A14_15, AgeBand.A16_17)

    @property
    def view_recorded(self) -> bool:
        """From 8 the child's own view is recorded (民法典 19, 35)."""
        return self is not AgeBand.A0_7


class Pattern(StrEnum):
    """How an exchange moves (requirements.md section 1)."""

    VERIFY = "VERIFY"
    PUSH = "PUSH"
    CASE = "CASE"
    FILE = "FILE"
    SUB = "SUB"
    REPORT = "REPORT"
    PUBLISH = "PUBLISH"
    COMPARE = "COMPARE"

    @property
    def is_query(self) -> bool:
        """VERIFY is a query; COMPARE stays declared; the rest are deliveries."""
        return self is Pattern.VERIFY


class Level(StrEnum):
    """Sensitivity (requirements.md 4.1)."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"


class Profile(StrEnum):
    """De-identification profile of an exchange."""

    D0 = "D0"
    D1 = "D1"
    D2 = "D2"
    D3 = "D3"
    D4 = "D4"
    Q = "Q"
    NONE = "none"


class Transform(StrEnum):
    """The transform half of an obligation, from least to most protective."""

    CLEAR = "clear"
    GENERALISE = "generalise"
    PSEUDONYMISE = "pseudonymise"
    MASK = "mask"
    ANSWER_ONLY = "answer_only"
    SUPPRESS = "suppress"

    @property
    def rank(self) -> int:
        """0 (clear) to 5 (suppress); the most protective of several wins."""
        return _RANK[self]


_RANK = {transform: rank for rank, transform in enumerate(Transform)}


class Duty(StrEnum):
    """Duties that ride beside the transforms of a permit."""

    NOTIFY_GUARDIAN = "notify_guardian"
    REVIEW = "review"
    JUSTIFY = "justify"


class Action(StrEnum):
    """What a caller does to an exchange; the Casbin `act`."""

    QUERY = "query"
    SUBMIT = "submit"
    RECEIVE = "receive"


class ScopeKind(StrEnum):
    """Open: the department knows the child anyway. Closed: reached only by translation (DESIGN section 5)."""

    OPEN = "open"
    CLOSED = "closed"


class ExchangeState(StrEnum):
    """Served, or declared only (answers 501)."""

    SERVED = "served"
    DECLARED = "declared"


class Outcome(StrEnum):
    """How an exchange ended, as its entry says it."""

    RELEASED = "released"
    NO_RESULT = "no_result"
    DENIED = "denied"
    FAULT = "fault"
    DONE = "done"


class EntryKind(StrEnum):
    """Kinds of entry in the audit log."""

    QUERY = "query"
    SEND_PERMIT = "send_permit"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    RECALLED = "recalled"
    EXPIRED = "expired"
    ACKNOWLEDGED = "acknowledged"
    CASE_OPENED = "case.opened"
    CASE_CHANGED = "case.changed"
    APPROVAL = "approval"
    CONSENT_ASKED = "consent.asked"
    CONSENT_GIVEN = "consent.given"
    CONSENT_REFUSED = "consent.refused"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    NOTICE_OWED = "notice.owed"
    REVIEW_OPENED = "review.opened"
    REVIEW_CLOSED = "review.closed"
    GUARDIAN_VIEW = "guardian.view"
    RIGHTS_REQUEST = "rights.request"
    PERSON_ENROLLED = "person.enrolled"
    CLIENT_ENROLLED = "client.enrolled"
    KEY_EVENT = "key.event"
    GRANT = "pseudonyms.grant"
    EVALUATION = "pseudonyms.evaluated"
    REIDENTIFICATION = "reidentification"
    POLICY_CHANGED = "policy.changed"
    POLICY_EXPLAINED = "policy.explained"
    KILL_SWITCH = "kill_switch"
    INDEX = "index"
    HEARTBEAT = "heartbeat"
    AUDIT_QUERY = "audit.query"
    AUDIT_EXPORT = "audit.export"
    FINDING = "audit.finding"
    AUTH_REFUSED = "auth.refused"
    NOT_SENT = "not_sent"
    ALARM = "alarm"
    ERASURE = "erasure"
    RETENTION = "retention"
    SIGN_IN = "sign_in"
    ROLE_CHANGED = "role.changed"
    TAG_SUCCESSOR = "tag.successor"
    WITNESS = "witness"
