"""规则变更: a policy owner's drafts - the form, what changes, signatures, activation now or later - and giving one up.

Rules kept here: the application functions decide (`flows/policy_changes.py`), these pages show and hand over; a private key signs in
the browser and never comes here; nobody approves an own draft; each step is an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from starlette.responses import Response

from gateway.console import rule_forms, rule_sentences
from gateway.console.doors import door
from gateway.console.pages.catalogue import READERS
from gateway.console.refusals import Refused
from gateway.console.roles import Role
from gateway.console.rule_forms import LONGEST, Gathered
from gateway.console.visits import Visit
from gateway.domain.canonical import canonical
from gateway.domain.clock import SHANGHAI
from gateway.errors import BadRequest, Denied, GatewayError
from gateway.flows import policy_changes
from gateway.flows.policy_changes import By, Standing
from gateway.identity.approvals import subject_digest
from gateway.store.policy import list_activations
from policies.classes import REFUSED, RequestClass
from policies.diff import Change
from policies.rows import BEGINNING, COLUMNS, END, Rule
from policies.sources import Edit

OWNERS = frozenset({Role.POLICY_OWNER})
SHOWN_CLASSES = 60
PAGE = 20


@dataclass(frozen=True, slots=True)
class RowChange:
    """A rule before and after; None where there is none."""

    before: Rule | None
    after: Rule | None


@door("GET", "/drafts", roles=READERS, does="Drafts of rules", menu="policy")
async def drafts(visit: Visit) -> Response:
    """Every draft with its state."""
    limit = min(visit.number(visit.query("limit")) or PAGE, 100 * PAGE)
    rows = await policy_changes.list_drafts(visit.house, limit + 1)
    more = limit * 2 if len(rows) > limit else 0
    return visit.page("drafts.html", rows=rows[:limit], more=more, why=visit.why_not("draft_make"))


@door("GET", "/drafts/new", roles=OWNERS, does="Form of a draft")
async def draft_form(visit: Visit) -> Response:
    """The form: a rule to change (`rule`), or a new one of an exchange (`exchange`); with `change`, a draft is revised and its rows
    are gathered already.
    """
    change = visit.query("change")
    gathered = Gathered({}, frozenset())
    if change:
        for row in await _rows(visit, await policy_changes.standing(visit.house, change)):
            if row.after is not None:
                gathered = gathered.with_put(row.after)
            elif row.before is not None:
                gathered = gathered.with_removed(row.before.id)
    return await _form(visit, change, visit.query("rule"), visit.query("exchange"), gathered)


@door("POST", "/drafts/gather", roles=OWNERS, does="One more rule for the same draft")
async def draft_gather(visit: Visit) -> Response:
    """The filled row is carried along, and the form shows the next one; nothing is kept yet."""
    change = visit.form.get("change", "")[:40]
    _edit(visit)
    wanted, exchange = visit.form.get("next", "")[:64], visit.form.get("next_exchange", "")[:8]
    return await _form(visit, change, wanted, exchange, _gathered(visit))


async def _form(visit: Visit, change: str, wanted: str, exchange: str, gathered: Gathered) -> Response:
    source = await policy_changes.source_now(visit.house, change)
    known = {rule.id: rule for rule in source.rules} | dict(gathered.put)
    if (wanted and wanted not in known) or (exchange and exchange not in visit.house.catalogue.exchanges):
        raise Refused("page_unknown")
    row = rule_forms.as_form(known[wanted]) if wanted else rule_forms.blank(exchange or "X02", str(visit.department))
    gathered = gathered.without(wanted)
    tell = partial(rule_sentences.sentence, visit.tongue, catalogue=visit.house.catalogue)
    return visit.page(
        "draft_form.html",
        gathered=gathered,
        told=[(name, tell(rule)) for name, rule in gathered.put.items()],
        columns=rule_forms.columns(visit.tongue, visit.house.catalogue, source.rules, row),
        known=wanted,
        change=change,
        rules={name: name for name in known},
        exchanges={one.id: f"{one.id} {visit.tongue.name(one)}" for one in visit.house.catalogue.exchanges.values()},
        exchange=row["obj"],
    )


@door("POST", "/drafts/preview", roles=OWNERS, does="What a draft would change")
async def draft_preview(visit: Visit) -> Response:
    """The filled form as a sentence, and every class of request whose answer changes; nothing is kept."""
    edit = _edit(visit)
    try:
        reviewed = await policy_changes.preview(visit.house, edit)
    except BadRequest as error:
        return visit.page("_preview.html", refusal=_refusal(visit, error), review=None, told="", changes=[])
    told = " ".join(rule_sentences.sentence(visit.tongue, row, visit.house.catalogue) for row in edit.put)
    return visit.page(
        "_preview.html",
        refusal="",
        review=reviewed,
        told=told,
        changes=told_changes(visit, reviewed.difference.changes),
    )


@door("POST", "/drafts", roles=OWNERS, does="Keep a draft")
async def draft_make(visit: Visit) -> Response:
    """Begin a draft, or revise one."""
    reason = visit.prose("why")
    step = await policy_changes.draft(
        visit.house, _edit(visit), reason=reason, by=by(visit), change_id=visit.form.get("change", "")[:40]
    )
    await policy_changes.carry_out(visit.house, step)
    return visit.go("draft", change=step.answer["change"])


@door("GET", "/drafts/{change}", roles=READERS, does="One draft")
async def draft(visit: Visit) -> Response:
    """A draft: its rows, what changes, what is wrong with it, who signed, and what may be done now."""
    standing = await policy_changes.standing(visit.house, visit.path("change"))
    reviewed = standing.review
    return visit.page(
        "draft.html",
        standing=standing,
        rows=await _rows(visit, standing) if reviewed else [],
        changes=told_changes(visit, reviewed.difference.changes) if reviewed else [],
        tell=lambda rule: rule_sentences.sentence(visit.tongue, rule, visit.house.catalogue),
        subject=canonical(dict(standing.subject)).decode(),
        digest=subject_digest(standing.subject),
        why={name: visit.why_not(name, partial(check, visit, standing)) for name, check in CHECKS.items()},
    )


@door("POST", "/drafts/{change}/approve", roles=OWNERS, does="Sign a draft")
async def draft_approve(visit: Visit) -> Response:
    """Hand in a signature that an approver's own key made."""
    statement = visit.statement
    step = await policy_changes.approve(visit.house, visit.path("change"), statement, by=by(visit))
    await policy_changes.carry_out(visit.house, step)
    return visit.go("draft", change=visit.path("change"))


@door("POST", "/drafts/{change}/activate", roles=OWNERS, does="Let a draft decide")
async def draft_activate(visit: Visit) -> Response:
    """Now, or from a moment on (Asia/Shanghai)."""
    step = await policy_changes.activate(visit.house, visit.path("change"), by=by(visit), at=_moment(visit))
    await policy_changes.carry_out(visit.house, step)
    return visit.go("versions")


@door("POST", "/drafts/{change}/give-up", roles=OWNERS, does="Give a draft up")
async def draft_give_up(visit: Visit) -> Response:
    """Close it for good."""
    step = await policy_changes.give_up(visit.house, visit.path("change"), by=by(visit))
    await policy_changes.carry_out(visit.house, step)
    return visit.go("drafts")


# --- what may be done now, in the server's words -------------------------------------------------------------------------------


def _signable(_visit: Visit, standing: Standing) -> None:
    if standing.state == "closed":
        raise Denied("policy_closed")
    if standing.state in ("stale", "past", "active", "scheduled"):
        raise Denied("policy_stale")


def _activatable(visit: Visit, standing: Standing) -> None:
    _signable(visit, standing)
    if standing.state == "unsound":
        raise Denied("policy_unsound")
    if standing.missing:
        raise Denied("approval_missing")


def _own(visit: Visit, standing: Standing) -> None:
    _signable(visit, standing)
    if standing.change.author != visit.account.person:
        raise Denied("policy_author")


CHECKS: dict[str, Callable[[Visit, Standing], None]] = {
    "draft_approve": _signable,
    "draft_activate": _activatable,
    "draft_give_up": _own,
    "draft_make": _own,
}


# --- reading the form ------------------------------------------------------------------------------------------------------------


def _edit(visit: Visit) -> Edit:
    gathered = _gathered(visit)
    return Edit(
        put=tuple(gathered.put.values()),
        remove=gathered.removed,
        put_cases=_cases(visit),
        remove_cases=_names(visit),
    )


def _gathered(visit: Visit) -> Gathered:
    """The row in the form, and those that it carries along."""
    before = Gathered.read(visit.form.get("gathered", ""))
    match visit.chosen("what", ("put", "remove", "leave")):
        case "remove":
            return before.with_removed(visit.form.get("id", "")[:64])
        case "leave":
            return before
    if any(len(visit.form.get(name, "")) > LONGEST for name in COLUMNS):
        raise Refused("form_invalid")
    return before.with_put(rule_forms.meant(visit.form))


def _cases(visit: Visit) -> str:
    return visit.form.get("put_cases", "").replace("\r\n", "\n").strip()


def _names(visit: Visit) -> frozenset[str]:
    lines = visit.form.get("remove_cases", "").replace("\r\n", "\n").split("\n")
    return frozenset(line.strip() for line in lines if line.strip())


def _moment(visit: Visit) -> int | None:
    text = visit.form.get("at", "")
    if not text:
        return None
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=SHANGHAI).timestamp())
    except ValueError:
        raise Refused("form_invalid") from None


def by(visit: Visit) -> By:
    """Who takes a step, as the application functions ask."""
    account = visit.account
    return By(account.person, "console", account.department, account.actor)


# --- showing -------------------------------------------------------------------------------------------------------------------


async def _rows(visit: Visit, standing: Standing) -> list[RowChange]:
    """The rules that the draft changes, beside those of the version that it starts from."""
    versions, change = visit.house.versions, standing.change
    async with visit.house.database.read() as reading:
        line = (await list_activations(reading))[change.base - 1]
        base = await versions.edition(reading, line.change_id, line.revision)
        after = await versions.edition(reading, change.change_id, change.revision)
    was, will = ({rule.id: rule for rule in one.source.rules} for one in (base, after))
    return [
        RowChange(was.get(name), will.get(name))
        for name in sorted(was.keys() | will.keys())
        if was.get(name) != will.get(name)
    ]


def told_changes(visit: Visit, found: tuple[Change, ...]) -> list[dict[str, Any]]:
    """Classes of requests in words; no more than a page holds."""
    return [
        {
            "told": told_class(visit, one.requests),
            "before": _answer(visit, one.before),
            "after": _answer(visit, one.after),
            "gained": one.before == REFUSED,
            "lost": one.after == REFUSED,
        }
        for one in islice(found, SHOWN_CLASSES)
    ]


def told_class(visit: Visit, requests: RequestClass) -> str:
    """A class of requests as one line."""
    tongue, catalogue = visit.tongue, visit.house.catalogue
    joiner = "、" if tongue.language == "zh" else ", "
    fields = [rule_sentences.field_name(tongue, name, catalogue, requests.exchange) for name in requests.fields]
    parts = [
        rule_sentences.subject(tongue, requests.subject, catalogue),
        joiner.join(tongue.word("action", one) for one in requests.actions),
        rule_sentences.target(tongue, requests.exchange, catalogue),
        joiner.join(fields),
        joiner.join(requests.purposes),
        joiner.join(tongue.word("con", one) for one in requests.states),
        requests.region,
        ""
        if (requests.since, requests.until) == (BEGINNING, END)
        else f"{requests.since[:10]} – {requests.until[:10]}",
    ]
    return " · ".join(part for part in parts if part)


def _answer(visit: Visit, answer: str) -> str:
    return visit.tongue.text("withheld") if answer == REFUSED else answer


def _refusal(visit: Visit, error: GatewayError) -> str:
    return f"{visit.sentence(error)} {error.facts.get('sentence', '')}".strip()
