"""三个通道: which door the law opens for whom, and the limits of the emergency door.

Rules kept here: a door exists only where the exchange's consent code for that recipient opens it (DESIGN section 6); an
emergency needs a reason code (no prose crosses below D0), is good for 72 hours, is limited to 5 children per officer and 20
per client a day before a second approver, and is suspended for whoever leaves a review overdue; the two exceptions are
never one (PIPL 13(1)(四), 18: emergency notifies afterwards, protective does not).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.domain.basis import Ask
from gateway.domain.clock import SHANGHAI
from gateway.domain.parties import Caller
from gateway.domain.vocabulary import Action, ConsentCode, Door
from gateway.errors import BadRequest, Denied, ProgrammingError
from gateway.store.basis import ApprovalFound, Evidence

EMERGENCY_TERM = timedelta(hours=72)

REASONS = {
    "life_in_danger": "生命危险",
    "self_harm_risk": "自伤自杀风险",
    "violence": "正在遭受暴力",
    "missing": "走失或失联",
    "acute_illness": "急性发病",
    "unattended": "无人照料且有现实危险",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a door or a person reaches before a second approver. The officer's 250 health records within 24 hours are
    half of the 500 of 法释〔2017〕10号 art. 5; the client's and department's numbers are a site's own.

    required: kinds of standing without which nothing goes; of the others those that were recorded hold (`standings`).
    """

    emergency_children_per_officer: int = 5
    emergency_children_per_client: int = 20
    records_per_officer: int = 250
    records_per_client: int = 2_500
    records_per_department: int = 25_000
    required: frozenset[str] = frozenset({"clearance"})


def require_door(caller: Caller, ask: Ask) -> ConsentCode:
    """The consent code under which this ask comes in. Reads nothing, so it tells nothing of any child.

    Raises Denied(purpose | door_closed | reason_missing), BadRequest(reason_unknown).
    """
    if ask.purpose != ask.exchange.purpose:
        raise Denied("purpose")
    code = ask.exchange.consent.get(ask.recipient.department)
    if code is None or ask.door not in code.doors:
        raise Denied("door_closed")
    if ask.action is Action.SUBMIT and caller.party.department not in ask.exchange.providers:
        raise Denied("door_closed")
    if ask.action is not Action.SUBMIT and ask.recipient != caller.party:
        raise ProgrammingError("who asks or takes is the recipient")
    if ask.door is Door.EMERGENCY and ask.action is not Action.RECEIVE:
        _require_reason(ask.reason)
    return code


def _require_reason(reason: str | None) -> None:
    if reason is None or not reason.strip():
        raise Denied("reason_missing")
    if reason not in REASONS:
        raise BadRequest("reason_unknown")


def require_emergency(found: Evidence, ask: Ask, *, day: str, now: int, limits: Limits) -> tuple[str, ...]:
    """Ids of the second approver's words that were needed to pass the day's limits, mostly none.

    Raises Denied(emergency_suspended | emergency_limit).
    """
    if found.overdue_reviews:
        raise Denied("emergency_suspended")
    within = (
        found.officer_emergencies < limits.emergency_children_per_officer
        and found.client_emergencies < limits.emergency_children_per_client
    )
    if within:
        return ()
    word = second_approval(found.approvals, f"emergency:{day}", ask.exchange.id, now)
    if word is None:
        raise Denied("emergency_limit")
    return (word.approval_id,)


def second_approval(approvals: list[ApprovalFound], subject: str, exchange: str, now: int) -> ApprovalFound | None:
    """A second approver's word for this day, limit and exchange, if there is one in force."""
    for approval in approvals:
        covers = approval.subject == subject and exchange in approval.exchanges
        if covers and approval.begins <= now < approval.ends:
            return approval
    return None


def day_of(moment: datetime) -> str:
    """The Asia/Shanghai date of a moment, `YYYY-MM-DD`: limits run from midnight to midnight there."""
    return moment.astimezone(SHANGHAI).date().isoformat()
