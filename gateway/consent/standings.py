"""资格与期限: dated facts about who receives and who looks - an activity, a contract, a clearance, a training.

Rules kept here: a people's organisation, society or volunteer receives only what its activity needs and only while it lasts
(困境儿童办法, C62); a contractor's access ends with its contract, and what it held is certified returned or deleted (PIPL 21,
59, C60); a pairing goes only to helpers whose clearance is at most a year old (未保法 62, C38); L5 is opened by people whose
training is in date (PIPL 51(4), C39, C67). A kind that the site requires must be there; of the others those that were ever
recorded hold, so that an end is an end.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.consent.approvals import ApprovalClaims
from gateway.consent.changes import Change, actors_of, digest, person_name, statement_digest
from gateway.domain.basis import Ask
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import EntryKind, Level, Outcome
from gateway.errors import BadRequest, Denied
from gateway.store.basis import StandingFound, micros
from gateway.store.basis_desk import put_standing
from gateway.store.database import Writing

ACTIVITY, CONTRACT, CLEARANCE, TRAINING = "activity", "contract", "clearance", "training"
KINDS = frozenset({ACTIVITY, CONTRACT, CLEARANCE, TRAINING})
LONGEST = timedelta(days=366)
_KEYS = frozenset({"kind", "standing", "subject", "exchanges", "fields", "from", "until"})
_PARTY = re.compile(r"[0-9A-Z]{18}/[a-z_]{5,24}")
_PERSON = re.compile(r"person:[0-9A-Z]{18}/[\w.-]{1,64}", re.ASCII)
_CODES = {
    ACTIVITY: ("activity_missing", "activity_ended"),
    CONTRACT: ("contract_missing", "contract_ended"),
    CLEARANCE: ("clearance_missing", "clearance_ended"),
    TRAINING: ("training_missing", "training_ended"),
}
PAIRING = "X11"


@dataclass(frozen=True, slots=True)
class Standing:
    """What covers an ask. relied: the facts in force; fields: what the activity needs, None where none limits it."""

    relied: tuple[StandingFound, ...]
    fields: frozenset[str] | None


def require_standings(
    found: list[StandingFound], caller: Caller, ask: Ask, required: frozenset[str], now: int
) -> Standing:
    """Hold the parties and the person of an ask against what was recorded of them.

    Raises Denied(activity_missing | activity_ended | contract_missing | contract_ended | clearance_missing | clearance_ended |
    training_missing | training_ended).
    """
    relied: list[StandingFound] = []
    recipient, exchange = ask.recipient, ask.exchange
    for party in (recipient,) if caller.party == recipient else (caller.party, recipient):
        # Whether an organisation is a contractor is known only from its contracts; nobody is one without.
        relied += _in_force(found, CONTRACT, party.text, "", frozenset(), now)
    activity: list[StandingFound] = []
    if not recipient.department.governmental and exchange.personal:
        activity = _in_force(found, ACTIVITY, recipient.text, exchange.id, required, now)
    relied += activity
    if exchange.id == PAIRING:
        relied += _in_force(found, CLEARANCE, recipient.text, "", required, now)
    if exchange.level is Level.L5 and caller.officer:
        officer = f"person:{person_name(caller.officer.party.organisation, caller.officer.person_id)}"
        relied += _in_force(found, TRAINING, officer, "", required, now)
    fields = frozenset[str]().union(*(each.fields for each in activity)) if activity else None
    return Standing(tuple(relied), fields)


def _in_force(
    found: list[StandingFound], kind: str, subject: str, exchange: str, required: frozenset[str], now: int
) -> list[StandingFound]:
    missing, ended = _CODES[kind]
    mine = [each for each in found if each.kind == kind and each.subject == subject]
    if mine:
        covering = [each for each in mine if not exchange or exchange in each.exchanges]
        standing = [each for each in covering if each.begins <= now < each.ends]
        if standing:
            return standing
        if any(each.ends <= now for each in covering):
            raise Denied(ended)
    # An organisation whose activities are recorded receives under no exchange that none of them names.
    if mine or kind in required:
        raise Denied(missing)
    return []


def record_standing(caller: Caller, claims: ApprovalClaims, *, now: datetime) -> Change:
    """Record a fact that an approver signed. Subject: {"kind":"standing","standing":kind,"subject":party or
    "person:<organisation>/<person>","exchanges":[…],"fields":[…],"from":unix,"until":unix}.

    An activity or contract is signed by a governmental department of another organisation, a clearance or training by an
    approver of the organisation itself, never by the person whom it is about.

    Raises BadRequest(approval_form), Denied(approval_digest | approval_self | approval_organisation | approval_term |
    approval_expired), and in the effect Denied(approval_replayed).
    """
    row = _row(claims, now)

    async def effect(writing: Writing) -> None:
        if not await put_standing(writing, row):
            raise Denied("approval_replayed")

    draft = EntryDraft(
        kind=EntryKind.APPROVAL,
        outcome=Outcome.DONE,
        code="standing",
        requester=caller.party.department,
        actors=(*actors_of(caller), f"person:{row['approver']}"),
        detail={
            name: str(row[name]) for name in ("standing_id", "kind", "subject", "exchanges", "fields", "statement")
        },
    )
    return Change(draft, effect, str(row["standing_id"]))


def _row(claims: ApprovalClaims, now: datetime) -> dict[str, object]:
    said = claims.subject
    if set(said) != _KEYS or said["kind"] != "standing" or said["standing"] not in KINDS:
        raise BadRequest("approval_form")
    if not hmac.compare_digest(digest(dict(said)), claims.digest):
        raise Denied("approval_digest")
    kind, subject = str(said["standing"]), str(said["subject"])
    if not (_PERSON if kind == TRAINING else _PARTY).fullmatch(subject):
        raise BadRequest("approval_form")
    _require_signer(claims, kind, subject)
    begins, ends = (_moment(said[name]) for name in ("from", "until"))
    if not begins < ends or ends - begins > LONGEST:
        raise Denied("approval_term")
    if ends <= now:
        raise Denied("approval_expired")
    exchanges, fields = _names(said["exchanges"], r"X\d{2}"), _names(said["fields"], r"[a-z][a-z0-9_]{0,47}")
    if kind == ACTIVITY and not (exchanges and fields):
        raise BadRequest("approval_form")
    approver = claims.approver
    return {
        "subject": subject,
        "kind": kind,
        "standing_id": new_id("sg"),
        "exchanges": " ".join(exchanges),
        "fields": " ".join(fields),
        "begins": micros(begins),
        "ends": micros(ends),
        "certified": None,
        "approver": person_name(approver.party.organisation, approver.person_id),
        "statement": claims.statement,
        "statement_digest": statement_digest(claims.statement),
    }


def _require_signer(claims: ApprovalClaims, kind: str, subject: str) -> None:
    approver = claims.approver
    organisation = subject.removeprefix("person:").partition("/")[0]
    if subject == f"person:{person_name(approver.party.organisation, approver.person_id)}":
        raise Denied("approval_self")
    own = organisation == approver.party.organisation
    entrusted = kind in (ACTIVITY, CONTRACT)
    if own is entrusted or (entrusted and not approver.party.department.governmental):
        raise Denied("approval_organisation")


def _names(value: object, form: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) and re.fullmatch(form, each) for each in value):
        raise BadRequest("approval_form")
    return sorted(set(value))


def _moment(value: object) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**33:
        raise BadRequest("approval_form")
    return datetime.fromtimestamp(value, UTC)
