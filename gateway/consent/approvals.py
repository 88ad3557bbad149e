"""审批: an approver's signed word that lets one officer open one case's records, or go beyond a limit for one day.

Rules kept here: the signature is over the digest of exactly what is approved; the approver is another person with another
key, in whatever role or department he acts, of the officer's own organisation and a party to the case; at most 30 days
(网保条例 36); one statement makes one approval, once. That the signature is sound is `identity`'s business, what it means
is decided here.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.consent.changes import Change, Refer, actors_of, digest, person_name, references_for, statement_digest
from gateway.consent.doors import day_of
from gateway.consent.states import CASE_CLOSED
from gateway.domain.entries import DetailValue, EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller, Person
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied
from gateway.store.basis import CaseFound, micros
from gateway.store.basis_writes import add_approval, add_references
from gateway.store.database import Writing

LONGEST = timedelta(days=30)
_CASE_KEYS = frozenset({"kind", "case", "officer", "organisation", "exchanges", "from", "until"})
_LIMIT_KEYS = frozenset({"kind", "limit", "officer", "organisation", "exchanges", "day"})


@dataclass(frozen=True, slots=True)
class ApprovalClaims:
    """An approval whose signature `identity` has verified.

    subject: what was approved, as signed. digest: SHA-256 hex of its canonical JSON, as signed. statement: the compact JWS.
    Subjects: {"kind":"case-access","case":reference,"officer","organisation","exchanges":[…],"from":unix,"until":unix} and
    {"kind":"limit","limit":"emergency"|"fuse","officer","organisation","exchanges":[…],"day":"YYYY-MM-DD"}.
    """

    approver: Person
    subject: Mapping[str, Any]
    digest: str
    statement: str = field(repr=False)


def record_approval(
    caller: Caller, claims: ApprovalClaims, case: CaseFound | None, *, now: datetime, refer: Refer
) -> Change:
    """Record an approval of a case's access. case: what the subject's reference stands for, None where it is unknown.

    Raises BadRequest(approval_form), Denied(approval_digest | approval_self | approval_organisation | approval_term |
    approval_expired | case_missing | case_party | case_closed | case_exchange), and in the effect
    Denied(approval_replayed).
    """
    subject = _subject(claims, _CASE_KEYS, "case-access")
    officer, exchanges = _officer(claims), _exchanges(subject)
    begins, ends = _moment(subject["from"]), _moment(subject["until"])
    if not begins < ends or ends - begins > LONGEST:
        raise Denied("approval_term")
    if ends <= now:
        raise Denied("approval_expired")
    if case is None:
        raise Denied("case_missing")
    if not {caller.party.text, claims.approver.party.text} <= case.parties:
        raise Denied("case_party")
    if case.state in CASE_CLOSED:
        raise Denied("case_closed")
    if not exchanges <= case.exchanges:
        raise Denied("case_exchange")
    row = _row(claims, case.case_id, officer, exchanges) | {"begins": micros(begins), "ends": micros(ends)}
    return _change(caller, claims, row, now=now, refer=refer, child=case.child)


def record_limit(caller: Caller, claims: ApprovalClaims, *, now: datetime, refer: Refer) -> Change:
    """Record a second approver's word for going beyond a day's limit. It is good for today only.

    Raises BadRequest(approval_form), Denied(approval_digest | approval_self | approval_organisation | approval_term), and
    in the effect Denied(approval_replayed).
    """
    subject = _subject(claims, _LIMIT_KEYS, "limit")
    officer, exchanges = _officer(claims), _exchanges(subject)
    if subject["limit"] not in {"emergency", "fuse"}:
        raise BadRequest("approval_form")
    if subject["day"] != day_of(now):
        raise Denied("approval_term")
    ends = micros(now + timedelta(days=1))
    key = f"{subject['limit']}:{subject['day']}"
    row = _row(claims, key, officer, exchanges) | {"begins": micros(now), "ends": ends}
    return _change(caller, claims, row, now=now, refer=refer, child=None)


def _subject(claims: ApprovalClaims, keys: frozenset[str], kind: str) -> Mapping[str, Any]:
    subject = claims.subject
    if set(subject) != keys or subject["kind"] != kind:
        raise BadRequest("approval_form")
    if not hmac.compare_digest(digest(dict(subject)), claims.digest):
        raise Denied("approval_digest")
    return subject


def _officer(claims: ApprovalClaims) -> str:
    """The officer's name. The approver is somebody else of the same organisation."""
    officer, organisation = claims.subject["officer"], claims.subject["organisation"]
    if not isinstance(officer, str) or not re.fullmatch(r"[\w.-]{1,64}", officer):
        raise BadRequest("approval_form")
    # Names are compared without department or function: nobody approves himself under another role.
    if organisation != claims.approver.party.organisation:
        raise Denied("approval_organisation")
    if officer == claims.approver.person_id:
        raise Denied("approval_self")
    return person_name(organisation, officer)


def _exchanges(subject: Mapping[str, Any]) -> frozenset[str]:
    named = subject["exchanges"]
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise BadRequest("approval_form")
    if not all(re.fullmatch(r"X\d{2}", name) for name in named):
        raise BadRequest("approval_form")
    return frozenset(named)


def _moment(value: object) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**33:
        raise BadRequest("approval_form")
    return datetime.fromtimestamp(value, UTC)


def _row(claims: ApprovalClaims, subject: str, officer: str, exchanges: frozenset[str]) -> dict[str, object]:
    approver = claims.approver
    return {
        "subject": subject,
        "officer": officer,
        "approval_id": new_id("ap"),
        "approver": person_name(approver.party.organisation, approver.person_id),
        "approver_key": approver.thumbprint,
        "exchanges": " ".join(sorted(exchanges)),
        "statement": claims.statement,
        "statement_digest": statement_digest(claims.statement),
    }


def _change(
    caller: Caller,
    claims: ApprovalClaims,
    row: dict[str, object],
    *,
    now: datetime,
    refer: Refer,
    child: bytes | None,
) -> Change:
    approval_id = str(row["approval_id"])
    row["recorded"] = micros(now)
    references = references_for("approval", approval_id, [caller.party.department], refer)

    async def effect(writing: Writing) -> None:
        if not await add_approval(writing, row):
            raise Denied("approval_replayed")
        await add_references(writing, references)

    detail: dict[str, DetailValue] = {
        "approval": approval_id,
        "subject": str(row["subject"]),
        "officer": str(row["officer"]),
        "approver": str(row["approver"]),
        "exchanges": str(row["exchanges"]).split(),
        "statement": claims.statement,
    }
    draft = EntryDraft(
        kind=EntryKind.APPROVAL,
        outcome=Outcome.DONE,
        requester=caller.party.department,
        children=(child,) if child else (),
        actors=(*actors_of(caller), f"person:{row['officer']}", f"person:{row['approver']}"),
        detail=detail,
    )
    return Change(draft, effect, approval_id)
