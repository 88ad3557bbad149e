"""状态: the life of a case (requirements 1.4), of a consent and of a one-time link, as data. `docs/generated/` is drawn from here.

Rules kept here: an event that a state does not list is refused; every arrow of a case has an owner, a time limit in working
days and a counter of X28; side exits are open in every open state; whatever is closed stays closed.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.vocabulary import Department
from gateway.errors import Denied

_CA, _ED, _HE = Department.CIVIL_AFFAIRS, Department.EDUCATION, Department.HEALTH


@dataclass(frozen=True, slots=True)
class Arrow:
    """One transition. owner: who has to act next; days: working days it has for that; counter: X28's aggregate."""

    to: str
    owner: Department
    days: int
    counter: str = ""


CASE_START = "signal"

CASE_CLOSED = frozenset({"closed", "moved", "adult"})

CASE_ARROWS: dict[str, dict[str, Arrow]] = {
    "signal": {
        "contact_guardian": Arrow("guardian_contacted", _ED, 3, "contacted"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
    "guardian_contacted": {
        "decline": Arrow("declined", _CA, 20, "declined"),
        "consent": Arrow("consented", _ED, 5, "consented"),
    },
    "declined": {
        "consent": Arrow("consented", _ED, 5, "consented"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
    "consented": {
        "refer": Arrow("referred", _HE, 5, "referred"),
        "pair": Arrow("paired", _CA, 10, "paired"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
    "referred": {"accept": Arrow("accepted", _HE, 10, "accepted")},
    "accepted": {
        "miss": Arrow("no_show", _ED, 5, "no_show"),
        "see": Arrow("seen", _HE, 10, "seen"),
    },
    "no_show": {
        "accept": Arrow("accepted", _HE, 10, "accepted"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
    "seen": {
        "need_nothing": Arrow("not_needed", _CA, 5, "not_needed"),
        "treat_outside": Arrow("outpatient", _HE, 20, "outpatient"),
        "admit": Arrow("inpatient", _HE, 20, "inpatient"),
    },
    "not_needed": {"close": Arrow("closed", _CA, 0, "closed")},
    "outpatient": {
        "admit": Arrow("inpatient", _HE, 20, "inpatient"),
        "discharge": Arrow("discharged", _CA, 5, "discharged"),
    },
    "inpatient": {"discharge": Arrow("discharged", _CA, 5, "discharged")},
    "discharged": {"pair": Arrow("paired", _CA, 10, "paired")},
    "paired": {"follow_up": Arrow("follow_up", _CA, 20, "follow_up")},
    "follow_up": {
        "follow_up": Arrow("follow_up", _CA, 20, "follow_up"),
        "refer": Arrow("referred", _HE, 5, "referred"),
        "review": Arrow("reviewed", _CA, 10, "reviewed"),
    },
    "reviewed": {
        "follow_up": Arrow("follow_up", _CA, 20, "follow_up"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
    "withdrawn": {
        "consent": Arrow("consented", _ED, 5, "consented"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
    "emergency": {
        "contact_guardian": Arrow("guardian_contacted", _ED, 1, "contacted"),
        "see": Arrow("seen", _HE, 10, "seen"),
        "close": Arrow("closed", _CA, 0, "closed"),
    },
}

# Open in every open state. Birthdays keep the state: what changes is who must consent from then on.
CASE_SIDE_EXITS: dict[str, Arrow] = {
    "emergency": Arrow("emergency", _CA, 1, "emergency"),
    "withdraw": Arrow("withdrawn", _CA, 5, "withdrawn"),
    "move": Arrow("moved", _CA, 0, "moved"),
    "turn_14": Arrow("=", _CA, 10),
    "turn_16": Arrow("=", _CA, 10),
    "turn_18": Arrow("adult", _CA, 0, "adult"),
}

CONSENT_ARROWS: dict[str, dict[str, str]] = {
    "active": {
        "withdraw": "withdrawn",
        "use_once": "used",
        "change_exchange": "needs_renewal",
        "revoke_guardian": "suspended",
        "replace": "replaced",
    },
    "held": {
        "withdraw": "withdrawn",
        "respect_objection": "refused",
        "review_objection": "active",
        "change_exchange": "needs_renewal",
        "revoke_guardian": "suspended",
    },
    "needs_renewal": {"withdraw": "withdrawn", "replace": "replaced"},
    "suspended": {"withdraw": "withdrawn", "replace": "replaced"},
    "withdrawn": {},
    "used": {},
    "refused": {},
    "replaced": {},
}
"""`expired` is no stored state: it is the clock's, so that no job that did not run can prolong a consent."""

LINK_START = "waiting"

LINK_ARROWS: dict[str, dict[str, str]] = {
    "waiting": {"agree": "given", "refuse": "refused", "cancel": "cancelled"},
    "given": {},
    "refused": {},
    "cancelled": {},
}
"""A one-time link is answered once. `ended` is the clock's, as `expired` is a consent's."""


def next_case(state: str, event: str) -> Arrow:
    """The arrow that `event` takes from `state`; its `to` is always a state ("=" is resolved).

    Raises Denied(case_closed | case_event).
    """
    if state in CASE_CLOSED:
        raise Denied("case_closed")
    arrow = CASE_ARROWS[state].get(event) or CASE_SIDE_EXITS.get(event)
    if arrow is None:
        raise Denied("case_event")
    return Arrow(state, arrow.owner, arrow.days, arrow.counter) if arrow.to == "=" else arrow


def next_consent(state: str, event: str) -> str:
    """The state that `event` leads to. Raises Denied(consent_event)."""
    follower = CONSENT_ARROWS[state].get(event)
    if follower is None:
        raise Denied("consent_event")
    return follower


def before_consent(event: str) -> frozenset[str]:
    """The states in which `event` may happen."""
    return frozenset(state for state, arrows in CONSENT_ARROWS.items() if event in arrows)


def draw_cases() -> str:
    """`docs/generated/case-states.md`."""
    lines = ["# 个案状态 · States of a case", "", "Drawn from `gateway/consent/states.py`.", "", "```mermaid"]
    lines += ["stateDiagram-v2", f"    [*] --> {CASE_START}"]
    for state, arrows in CASE_ARROWS.items():
        lines += [f"    {state} --> {arrow.to}: {event}" for event, arrow in arrows.items()]
    lines += [f"    {state} --> [*]" for state in sorted(CASE_CLOSED)]
    lines += ["```", "", "| from | event | to | owner of the next step | working days | counter (X28) |"]
    lines += ["|---|---|---|---|---|---|"]
    for state, arrows in CASE_ARROWS.items():
        lines += [_row(state, event, arrow) for event, arrow in arrows.items()]
    lines += [_row("every open state", event, arrow) for event, arrow in CASE_SIDE_EXITS.items()]
    return "\n".join(lines) + "\n"


def _row(state: str, event: str, arrow: Arrow) -> str:
    to = "the same state" if arrow.to == "=" else arrow.to
    return f"| {state} | {event} | {to} | {arrow.owner} | {arrow.days or '-'} | {arrow.counter or '-'} |"


def draw_consents() -> str:
    """`docs/generated/consent-states.md`."""
    lines = ["# 同意状态 · States of a consent", "", "Drawn from `gateway/consent/states.py`.", "", "```mermaid"]
    lines += ["stateDiagram-v2", "    [*] --> active: give", "    [*] --> held: give with the child's objection (L5)"]
    for state, arrows in CONSENT_ARROWS.items():
        lines += [f"    {state} --> {to}: {event}" for event, to in arrows.items()]
    lines += [f"    {state} --> [*]" for state, arrows in CONSENT_ARROWS.items() if not arrows]
    lines += [
        "```",
        "",
        "`expired` is not stored: a consent stops covering at the first moment after its last month.",
        "",
        "## 一次性链接 · A guardian's one-time link",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {LINK_START}: hand over",
    ]
    for state, arrows in LINK_ARROWS.items():
        lines += [f"    {state} --> {to}: {event}" for event, to in arrows.items()]
    lines += [f"    {state} --> [*]" for state, arrows in LINK_ARROWS.items() if not arrows]
    lines += ["```", "", "A link that nobody answered ends with its time; that is not stored either.", ""]
    return "\n".join(lines)
