"""What `gateway/consent/basis.py` reads for one call: case, approvals, consents, holds and counts, in one statement.

Rules kept here: one statement per check whatever it finds, so neither the number nor the kind of reads tells a caller what
exists; rows come back as plain values and are judged elsewhere; nothing is cached, so a withdrawal that is committed is
seen by the next check of every worker.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Integer,
    LargeBinary,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy import case as case_when

from gateway.domain.vocabulary import Door
from gateway.errors import ProgrammingError
from gateway.store import basis_tables as t
from gateway.store.database import Reading, Writing
from gateway.store.prepared import Prepared

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware moment."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """The aware UTC moment behind stored microseconds."""
    return _EPOCH + timedelta(microseconds=value)


# What every request reads and writes is a tuple: one is made in a fifth of a frozen dataclass's time.
class CaseFound(NamedTuple):
    """A case as stored. parties: `<organisation>/<department>`."""

    case_id: str
    child: bytes
    parties: frozenset[str]
    exchanges: frozenset[str]
    region: str
    age_band: str | None
    state: str
    opened: int

    def __repr__(self) -> str:
        return f"CaseFound(state={self.state!r})"


class ApprovalFound(NamedTuple):
    """An approval as stored. approver: `<organisation>/<person>`; approver_key: thumbprint of the key that signed."""

    approval_id: str
    subject: str
    approver: str
    approver_key: str
    exchanges: frozenset[str]
    begins: int
    ends: int


class ConsentFound(NamedTuple):
    """A consent as stored. ends: first moment no longer covered; changed: when it got its present state."""

    consent_id: str
    purpose: str
    recipients: frozenset[str]
    fields: frozenset[str]
    age_band: str
    grantor: str
    child_grant: str
    given: int
    ends: int
    state: str
    changed: int


class StandingFound(NamedTuple):
    """A dated fact as stored. subject: a party or `person:<organisation>/<person>`; ends: first moment no longer covered."""

    standing_id: str
    subject: str
    kind: str
    exchanges: frozenset[str]
    fields: frozenset[str]
    begins: int
    ends: int


@dataclass(slots=True)
class Evidence:
    """Everything stored that one check may rest on. holds: reasons in force for this child and exchange. The counts are
    only read where asked for: children reached through the emergency door today (others than this one), emergency reviews
    of this officer that are overdue, records seen within 24 hours by actor.
    """

    case: CaseFound | None = None
    approvals: list[ApprovalFound] = field(default_factory=list)
    consents: list[ConsentFound] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    standings: list[StandingFound] = field(default_factory=list)
    officer_emergencies: int = 0
    client_emergencies: int = 0
    overdue_reviews: int = 0
    fuses: dict[str, int] = field(default_factory=dict)


class Question(NamedTuple):
    """What to look up. officer: `<organisation>/<person>`; day: Asia/Shanghai date; hour: hours since 1970. department: the
    caller's party; recipient: the one that receives. definition: of the exchange as it stands now; a consent to another one needs
    renewal from that moment on, whether a job has written so or not.

    emergency, fuse: whether the counts of that kind are wanted.
    """

    case_id: str
    child: bytes
    exchange: str
    officer: str
    client: str
    department: str
    now: int
    day: str
    recipient: str = ""
    definition: str = ""
    emergency: bool = False
    fuse: bool = False

    def __repr__(self) -> str:
        return f"Question(exchange={self.exchange!r}, emergency={self.emergency}, fuse={self.fuse})"


# Columns of the one result: every part of the union fills those it has.
_TYPES: dict[str, Any] = {
    "kind": Integer(),
    "id": String(),
    "child": LargeBinary(),
    "parties": String(),
    "exchanges": String(),
    "fields": String(),
    "one": String(),
    "two": String(),
    "band": String(),
    "state": String(),
    "begins": BigInteger(),
    "ends": BigInteger(),
    "changed": BigInteger(),
}
_CASE, _APPROVAL, _CONSENT, _HOLD, _OFFICER, _CLIENT, _OVERDUE, _FUSE, _STANDING = range(9)


def _part(kind: int, **columns: Any) -> Select[Any]:
    given = {"kind": literal_column(str(kind)), **columns}
    return select(*(given.get(name, cast(null(), type_)).label(name) for name, type_ in _TYPES.items()))


def _records() -> list[Select[Any]]:
    case, approval, consent, hold = t.cases.c, t.approvals.c, t.consents.c, t.holds.c
    standing = t.standings.c
    words = {"exchanges": approval.exchanges, "one": approval.approver, "two": approval.approver_key}
    return [
        _part(
            _CASE,
            id=case.case_id,
            child=case.child,
            parties=case.parties,
            exchanges=case.exchanges,
            one=case.region,
            band=case.age_band,
            state=case.state,
            begins=case.opened,
        ).where(case.case_id == bindparam("case_id")),
        _part(
            _APPROVAL,
            id=approval.approval_id,
            state=approval.subject,
            begins=approval.begins,
            ends=approval.ends,
            **words,
        ).where(
            approval.subject.in_([bindparam("case_id"), bindparam("emergency_subject"), bindparam("fuse_subject")]),
            approval.officer == bindparam("officer"),
        ),
        _part(
            _CONSENT,
            id=consent.consent_id,
            parties=consent.recipients,
            exchanges=consent.purpose,
            fields=consent.fields,
            one=consent.grantor,
            two=consent.child_grant,
            band=consent.age_band,
            state=case_when(
                (
                    and_(consent.state == literal_column("'active'"), consent.definition != bindparam("definition")),
                    literal_column("'needs_renewal'"),
                ),
                else_=consent.state,
            ),
            begins=consent.given,
            ends=consent.ends,
            changed=consent.changed,
        ).where(consent.child == bindparam("child"), consent.exchange == bindparam("exchange")),
        _part(_HOLD, one=hold.reason).where(
            hold.child == bindparam("child"), hold.exchange.in_([bindparam("exchange"), "*"])
        ),
        _part(
            _STANDING,
            id=standing.standing_id,
            parties=standing.subject,
            exchanges=standing.exchanges,
            fields=standing.fields,
            one=standing.kind,
            begins=standing.begins,
            ends=standing.ends,
        ).where(standing.subject.in_([bindparam("recipient"), bindparam("party"), bindparam("officer_standing")])),
    ]


def _emergencies() -> list[Select[Any]]:
    use, review = t.emergency_uses.c, t.reviews.c
    return [
        *(
            _part(kind, begins=func.count()).where(
                use.day == bindparam("day"), use.actor == bindparam(actor), use.child != bindparam("child")
            )
            for kind, actor in ((_OFFICER, "officer_actor"), (_CLIENT, "client_actor"))
        ),
        _part(_OVERDUE, begins=func.count()).where(
            review.officer == bindparam("officer"),
            review.kind == "emergency",
            review.state == "open",
            review.due < bindparam("now"),
        ),
    ]


def _fuses() -> list[Select[Any]]:
    use = t.fuse_uses.c
    return [
        _part(_FUSE, id=use.actor, begins=cast(func.sum(use.records), BigInteger()))
        .where(
            use.actor.in_([bindparam("officer_actor"), bindparam("client_actor"), bindparam("department_actor")]),
            use.hour >= bindparam("hour"),
        )
        .group_by(use.actor)
    ]


@cache
def _statement(emergency: bool, fuse: bool) -> CompoundSelect[Any]:
    parts = _records()
    parts += _emergencies() if emergency else []
    parts += _fuses() if fuse else []
    return union_all(*parts)


@cache
def _prepared(emergency: bool, fuse: bool) -> Prepared:
    return Prepared(lambda: _statement(emergency, fuse))


def actors(question: Question) -> tuple[str, str, str]:
    """The names under which uses are counted: officer, client, department."""
    return f"person:{question.officer}", f"client:{question.client}", f"department:{question.department}"


async def evidence(reading: Reading, question: Question) -> Evidence:
    """Everything that the check of one call rests on, by one statement."""
    officer, client, department = actors(question)
    parameters: dict[str, object] = {
        "case_id": question.case_id,
        "emergency_subject": f"emergency:{question.day}",
        "fuse_subject": f"fuse:{question.day}",
        "officer": question.officer,
        "child": question.child,
        "exchange": question.exchange,
        "recipient": question.recipient,
        "definition": question.definition,
        "party": question.department,
        "officer_standing": officer,
    }
    if question.emergency or question.fuse:
        parameters |= {"officer_actor": officer, "client_actor": client}
    if question.emergency:
        parameters |= {"day": question.day, "now": question.now}
    if question.fuse:
        parameters |= {"department_actor": department, "hour": question.now // 3_600_000_000 - 24}
    rows = await _prepared(question.emergency, question.fuse).rows(reading, **parameters)
    found = Evidence()
    for row in rows:
        _place(found, row)
    return found


def _reference() -> Select[Any]:
    column = t.record_references.c
    return select(column.kind, column.holder, column.record_id).where(column.reference == bindparam("reference"))


_REFERENCE = Prepared(_reference)


async def record_of(reading: Reading, kind: str, reference: str, holder: str | None = None) -> str | None:
    """The id behind a reference of this kind (`case`, `consent`, `approval`, `review`), None where it is unknown.

    holder: the department or outside body that asks; another holder's reference is unknown to it.
    """
    row = await _REFERENCE.first(reading, reference=reference)
    if row is None or row[0] != kind or (holder is not None and row[1] != holder):
        return None
    return str(row[2])


async def case_of(reading: Reading, case_id: str) -> CaseFound | None:
    """One case by its id."""
    column = t.cases.c
    query = select(
        column.case_id,
        column.child,
        column.parties,
        column.exchanges,
        column.region,
        column.age_band,
        column.state,
        column.opened,
    ).where(column.case_id == case_id)
    row = (await reading.connection.execute(query)).one_or_none()
    if row is None:
        return None
    id_, child, parties, exchanges, region, band, state, opened = row
    return CaseFound(id_, bytes(child), words(parties), words(exchanges), region, band, state, opened)


class AccessRow(NamedTuple):
    """One line of a guardian's list. requester: `<organisation>/<department>`; at: microseconds; approval_id: the approval
    that let an officer look, "" where none is needed. It is for the monthly list of reads and never shown to a guardian.
    """

    child: bytes
    at: int
    access_id: str
    exchange: str
    purpose: str
    door: str
    requester: str
    provider: str
    outcome: str
    code: str
    fields: str
    approval_id: str = ""

    def __repr__(self) -> str:
        return f"AccessRow(exchange={self.exchange!r}, code={self.code!r})"


_ACCESS = Prepared(lambda: insert(t.accesses).values({name: bindparam(name) for name in AccessRow._fields}))


async def remember_accesses(writing: Writing, rows: Collection[AccessRow]) -> None:
    """Write lines of guardians' lists. A protective line is refused here too, whoever asks for it."""
    if any(row.door == Door.PROTECTIVE for row in rows):
        raise ProgrammingError("protective exchanges are not written to guardians' lists")
    if rows:
        for row in rows:
            await _ACCESS.run(writing, **row._asdict())


def words(text: str) -> frozenset[str]:
    """The words of a stored list."""
    return frozenset(text.split())


def _place(found: Evidence, row: Any) -> None:
    kind, id_, child, parties, exchanges, fields, one, two, band, state, begins, ends, changed = row
    if kind == _CONSENT:
        found.consents.append(
            ConsentFound(id_, exchanges, words(parties), words(fields), band, one, two, begins, ends, state, changed)
        )
    elif kind == _CASE:
        found.case = CaseFound(id_, bytes(child), words(parties), words(exchanges), one, band, state, begins)
    elif kind == _APPROVAL:
        found.approvals.append(ApprovalFound(id_, state, one, two, words(exchanges), begins, ends))
    elif kind == _HOLD:
        found.holds.append(one)
    elif kind == _STANDING:
        found.standings.append(StandingFound(id_, parties, one, words(exchanges), words(fields), begins, ends))
    elif kind == _OFFICER:
        found.officer_emergencies = begins
    elif kind == _CLIENT:
        found.client_emergencies = begins
    elif kind == _OVERDUE:
        found.overdue_reviews = begins
    else:
        found.fuses[id_] = begins
