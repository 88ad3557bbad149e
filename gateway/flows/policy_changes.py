"""变更集: draft -> lint -> cases -> exact diff and replay -> signed approvals -> activation now or later -> rollback.

The command line, the API and the console call the same functions. Each gives a `Step`: the entry that tells of it and the effect
that runs in the entry's transaction; `carry_out` writes both.

Rules kept here: each step is an entry; a draft's edit is a new revision, and approvals are for one revision; what is activated must
start from the last activation, be sound, and carry the signatures that its changes require; a rollback returns only to what has
decided before, on an approver's signature who is not the one that asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.audit.log import Effect
from gateway.domain.clock import policy_time
from gateway.domain.entries import DetailValue, EntryDraft, Receipt
from gateway.domain.ids import new_id
from gateway.domain.vocabulary import Department, EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.flows.house import House
from gateway.flows.policy_versions import (
    ACTIVATED,
    ROLLED_BACK,
    ChangeDraft,
    Versions,
    approval_subject,
    compiled,
    keep,
    lines,
    rollback_subject,
    sealed,
    signatures,
    signer_of,
    verified,
)
from gateway.identity.approvals import verify_approval
from gateway.store import policy as store
from gateway.store.database import Reading, Writing
from gateway.store.policy import ActivationRow, ApprovalRow, ChangeRow
from policies import changes, sources
from policies.changes import Edition, Review
from policies.snapshot import Request
from policies.sources import Edit, Source

REVIEWS_KEPT = 8
LATEST = 366 * 86_400
"""Seconds from now within which an activation may lie."""


@dataclass(frozen=True, slots=True)
class By:
    """Who takes a step. person: `<organisation>/<person>`. means: `command line`, `console` or a client's id. actor: whose history
    the entry joins in the log.
    """

    person: str
    means: str
    department: Department | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is ready to be recorded. answer: what whoever took it hears."""

    draft: EntryDraft
    effect: Effect
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """A draft as it stands. state: draft, unsound, signed, scheduled, active, past, stale (another version came between) or closed.
    missing: owners yet to sign, then `another`. subject: what an approver signs.
    """

    change: ChangeRow
    state: str
    review: Review | None
    approvals: tuple[ApprovalRow, ...]
    missing: tuple[str, ...]
    subject: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A version of the history. deciding: now. coming: scheduled. change: the revision behind it."""

    activation: ActivationRow
    change: ChangeRow
    deciding: bool
    coming: bool


async def carry_out(house: House, step: Step) -> Receipt:
    """Write a step's entry with its effect; an activation decides in this worker at once, in every other within two seconds."""
    receipt = await house.log.append(step.draft, effect=step.effect)
    await catch_up(house)
    return receipt


async def catch_up(house: House) -> bool:
    """Let the version decide that the store says; True where another one came to decide. Raises as `Versions.follow`."""
    deciding = await house.versions.follow(_now(house))
    if deciding is None:
        return False
    house.book.publish(deciding)
    return True


# --- drafting -----------------------------------------------------------------------------------------------------------------


async def preview(house: House, edit: Edit | Source) -> Review:
    """What an edit would do, without keeping it. `BadRequest("policy_invalid")` with the sentence that names what is wrong."""
    async with house.database.read() as reading:
        base = await _last(house.versions, reading)
        edition = await _edition_after(base[1], edit)
        return await _review(house, reading, base[1], edition)


async def draft(house: House, edit: Edit | Source, *, reason: str, by: By, change_id: str = "") -> Step:
    """Begin a draft from what decides last, or (change_id) revise one: the edit is made to the version that it starts from.

    Raises `BadRequest`: `policy_invalid` (`sentence`: which column, file or case), `policy_reason`, `policy_change_unknown`;
    `Denied`: `policy_stale`, `policy_closed`, `policy_author`.
    """
    if not 0 < len(reason.strip()) <= 300 or not reason.isprintable():
        raise BadRequest("policy_reason")
    async with house.database.read() as reading:
        base_row, base = await _last(house.versions, reading)
        revision = 1
        if change_id:
            earlier = await _open_change(reading, change_id)
            if earlier.author != by.person:
                raise Denied("policy_author")
            if earlier.base != base_row.number:
                raise Denied("policy_stale")
            revision = earlier.revision + 1
        edition = await _edition_after(base, edit)
        if edition.version == base.version and edition.source.cases_digest == base.source.cases_digest:
            raise BadRequest("policy_invalid", sentence="the draft changes nothing")
        owned = sorted(map(str, changes.owners(base, edition)))
    named = ChangeDraft(change_id or new_id("pc"), revision, base_row.number, by.person, reason.strip())
    house.versions.remember(named.change_id, revision, edition)

    async def effect(writing: Writing) -> None:
        await keep(writing, edition, named, now=_now(house))

    told = _told(by, "drafted", named.change_id, revision, edition.version, reason=named.reason, owners=owned)
    return Step(told, effect, {"change": named.change_id, "revision": revision, "version": edition.version})


async def give_up(house: House, change_id: str, *, by: By) -> Step:
    """Close a draft for good. Raises `policy_change_unknown`, `policy_closed`, `policy_author`."""
    async with house.database.read() as reading:
        row = await _open_change(reading, change_id)
    if row.author != by.person:
        raise Denied("policy_author")
    closing = replace(row, revision=row.revision + 1, made_at=_now(house), closed=True)

    async def effect(writing: Writing) -> None:
        await store.add_change(writing, closing)

    return Step(_told(by, "given_up", change_id, row.revision, row.version), effect, {"change": change_id})


# --- approving ----------------------------------------------------------------------------------------------------------------


async def approve(house: House, change_id: str, statement: str, *, by: By) -> Step:
    """Hand in an approver's signature over `Standing.subject`. Who carries it decides nothing.

    Raises `policy_change_unknown`, `policy_closed`, `policy_stale`, `approval_self`, `approval_replayed`, and as
    `verify_approval` (`approval_subject`: signed for another revision).
    """
    now = _now(house)
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        row = await _open_change(reading, change_id)
        base = await _base(house.versions, reading, row)
    subject = approval_subject(row, base.version)
    approval = verify_approval(statement, snapshot=house.registry.current, now=now, expected=subject)
    signer = signer_of(approval)
    if signer == row.author:
        raise Denied("approval_self")
    department = approval.approver.party.department
    kept = ApprovalRow(change_id, row.revision, signer, str(department), now, statement)

    async def effect(writing: Writing) -> None:
        await store.add_approval(writing, kept)

    told = _told(by, "approved", change_id, row.revision, row.version, signer=signer, statement=statement)
    told = replace(told, requester=department, actors=(*told.actors, f"person:{signer}"))
    return Step(told, effect, {"change": change_id, "revision": row.revision, "signer": signer})


async def activate(house: House, change_id: str, *, by: By, at: int | None = None) -> Step:
    """Let a draft decide, now or from a moment on. at: unix seconds.

    Raises `policy_change_unknown`, `policy_closed`, `policy_time`, `policy_stale` (another version came between),
    `policy_unsound`, `approval_missing`, `approval_expired` and whatever else keeps a signature from counting.
    """
    now = _now(house)
    moment = now if at is None else at
    if not now <= moment <= now + LATEST:
        raise BadRequest("policy_time")
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        row = await _open_change(reading, change_id)
        rows = await store.list_activations(reading)
        if row.base != len(rows) or rows[-1].at > moment:
            raise Denied("policy_stale")
        base = await _base(house.versions, reading, row)
        edition = await house.versions.edition(reading, row.change_id, row.revision)
        reviewed = await _review(house, reading, base, edition)
        approvals = await store.approvals_of(reading, change_id, row.revision)
    changes.require_sound(reviewed)
    statements = [each.statement for each in approvals]
    subject = approval_subject(row, base.version)
    given = [verify_approval(text, snapshot=house.registry.current, now=now, expected=subject) for text in statements]
    changes.require_signed(row.author, edition.version, reviewed.owners, signatures(given, edition.version))
    activation = ActivationRow(
        number=row.base + 1,
        kind=ACTIVATED,
        change_id=row.change_id,
        revision=row.revision,
        version=row.version,
        at=moment,
        made_at=now,
        statements=tuple(statements),
    )
    told = _told(
        by,
        ACTIVATED,
        change_id,
        row.revision,
        row.version,
        number=activation.number,
        at=moment,
        author=row.author,
        signers=sorted(signer_of(each) for each in given),
        **_sizes(reviewed),
    )
    answer = {"change": change_id, "version": row.version, "number": activation.number, "at": moment}
    return Step(told, _activating(house.versions, activation), answer)


async def rollback_target(house: House, number: int | None = None) -> tuple[ActivationRow, dict[str, Any]]:
    """Where a rollback would lead, and what an approver has to sign for it. number: an earlier activation; without it the version
    before the one that decides. Naming the deciding one itself takes back what is still to come.

    Raises `Denied("policy_stale")` where there is none.
    """
    async with house.database.read() as reading:
        rows = await store.list_activations(reading)
    return _target(rows, number, _now(house))


async def roll_back(house: House, statement: str, *, by: By, number: int | None = None) -> Step:
    """Return to a version that has decided before, at once; what was still to come is void.

    Raises `policy_stale`, `approval_self` (whoever asks signed it), and as `verify_approval`.
    """
    now = _now(house)
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        rows = await store.list_activations(reading)
    target, subject = _target(rows, number, now)
    (approval,) = verified([statement], house.registry.current, subject, now=now)
    verify_approval(
        statement, snapshot=house.registry.current, now=now, expected=subject
    )  # the key stands today as well
    if signer_of(approval) == by.person:
        raise Denied("approval_self")
    activation = ActivationRow(
        number=len(rows) + 1,
        kind=ROLLED_BACK,
        change_id=target.change_id,
        revision=target.revision,
        version=target.version,
        at=now,
        made_at=now,
        statements=(statement,),
    )
    told = _told(
        by,
        ROLLED_BACK,
        target.change_id,
        target.revision,
        target.version,
        number=activation.number,
        to=target.number,
        signers=[signer_of(approval)],
    )
    answer = {"version": target.version, "number": activation.number, "to": target.number}
    return Step(told, _activating(house.versions, activation), answer)


# --- looking --------------------------------------------------------------------------------------------------------------------


async def standing(house: House, change_id: str) -> Standing:
    """A draft with its review and signatures. `BadRequest("policy_change_unknown")`."""
    now = _now(house)
    async with house.database.read() as reading:
        await house.registry.refresh(reading)
        row = await store.get_change(reading, change_id)
        if row is None or row.base == 0:
            raise BadRequest("policy_change_unknown")
        rows = await store.list_activations(reading)
        base = await _base(house.versions, reading, row)
        subject = approval_subject(row, base.version)
        approvals = tuple(await store.approvals_of(reading, change_id, row.revision))
        if row.closed:
            return Standing(row, "closed", None, approvals, (), subject)
        edition = await house.versions.edition(reading, row.change_id, row.revision)
        reviewed = await _review(house, reading, base, edition)
    good = []
    for each in approvals:
        try:
            good.append(verify_approval(each.statement, snapshot=house.registry.current, now=now, expected=subject))
        except (Denied, BadRequest):
            continue  # expired or retired since: it stands in the list and no longer counts
    missing = changes.still_missing(reviewed.owners, signatures(good, row.version))
    state = _state(row, rows, now, sound=reviewed.sound, signed=not missing)
    return Standing(row, state, reviewed, approvals, missing, subject)


async def list_drafts(house: House, limit: int = 100) -> list[tuple[ChangeRow, str]]:
    """Drafts, newest first, with a state that needs no review: draft, scheduled, active, past, stale or closed."""
    async with house.database.read() as reading:
        rows = await store.list_activations(reading)
        found = await store.list_changes(reading, limit)
    now = _now(house)
    return [(row, _state(row, rows, now, sound=True, signed=False)) for row in found if row.base]


async def history(house: House) -> list[Line]:
    """Every activation, newest first."""
    async with house.database.read() as reading:
        rows = await store.list_activations(reading)
        found = [await store.get_change(reading, row.change_id, row.revision) for row in rows]
    decides = changes.deciding(lines(rows), _now(house)).number
    last = len(rows)
    return [
        Line(row, change, row.number == decides, row.number == last and decides < last)
        for row, change in reversed(list(zip(rows, found, strict=True)))
        if change is not None
    ]


async def source_now(house: House, change_id: str = "") -> Source:
    """The source of what decides now, or of a draft's newest revision: for export and as the beginning of an edit."""
    async with house.database.read() as reading:
        if not change_id:
            return (await house.versions.deciding(reading, _now(house)))[1].source
        row = await store.get_change(reading, change_id)
        if row is None:
            raise BadRequest("policy_change_unknown")
        return (await house.versions.edition(reading, row.change_id, row.revision)).source


async def _review(house: House, reading: Reading, base: Edition, edition: Edition) -> Review:
    """The review of an edition. It costs a quarter of a second and is asked for at every step, so the last ones are kept."""
    asked = tuple(await store.list_asked(reading))
    question = (base.version, base.source.cases_digest, edition.version, edition.source.cases_digest, asked)
    kept = house.versions.reviews
    if question not in kept:
        log = [
            (Request(**dict(zip(store.ASKED, values, strict=True)), fld="", now=""), times) for values, times in asked
        ]
        now = policy_time(house.clock.now())
        found = await asyncio.to_thread(changes.review, base, edition, log=log, now=now)
        while len(kept) >= REVIEWS_KEPT:
            kept.pop(next(iter(kept)))
        kept[question] = found
    return kept[question]


# --- small parts ------------------------------------------------------------------------------------------------------------------


async def _edition_after(base: Edition, edit: Edit | Source) -> Edition:
    if isinstance(edit, Source):
        return await compiled(replace(edit, rules=sources.ordered(edit.rules)))
    return await compiled(lambda: sources.edited(base.source, edit))


async def _last(versions: Versions, reading: Reading) -> tuple[ActivationRow, Edition]:
    """What decides last, be it already or still to come: every draft starts from it."""
    row = (await store.list_activations(reading))[-1]
    return row, await versions.edition(reading, row.change_id, row.revision)


async def _base(versions: Versions, reading: Reading, row: ChangeRow) -> Edition:
    rows = await store.list_activations(reading)
    if not 0 < row.base <= len(rows):
        raise GatewayFault("policy_unreadable")
    before = rows[row.base - 1]
    return await versions.edition(reading, before.change_id, before.revision)


async def _open_change(reading: Reading, change_id: str) -> ChangeRow:
    row = await store.get_change(reading, change_id)
    if row is None or row.base == 0:
        raise BadRequest("policy_change_unknown")
    if row.closed:
        raise Denied("policy_closed")
    return row


def _activating(versions: Versions, activation: ActivationRow) -> Effect:
    async def effect(writing: Writing) -> None:
        rows = await store.list_activations(writing)
        if len(rows) != activation.number - 1:
            raise Denied("policy_stale")
        seal = sealed(versions.secret, activation, rows[-1].seal)
        await store.add_activation(writing, replace(activation, seal=seal))

    return effect


def _target(rows: Sequence[ActivationRow], number: int | None, now: int) -> tuple[ActivationRow, dict[str, Any]]:
    decides = rows[changes.deciding(lines(rows), now).number - 1]
    if number is None:
        earlier = [row for row in rows[: decides.number - 1] if row.version != decides.version]
        target = earlier[-1] if earlier else None
    else:
        target = rows[number - 1] if 0 < number <= decides.number else None
    if target is None or (target.number == decides.number == len(rows)):
        raise Denied("policy_stale")
    return target, rollback_subject(rows, target)


def _state(row: ChangeRow, rows: Sequence[ActivationRow], now: int, *, sound: bool, signed: bool) -> str:
    if row.closed:
        return "closed"
    own = [each.number for each in rows if (each.change_id, each.revision) == (row.change_id, row.revision)]
    decides = changes.deciding(lines(rows), now).number
    if own:
        return "active" if decides in own else "scheduled" if max(own) > decides else "past"
    if row.base != len(rows):
        return "stale"
    return "unsound" if not sound else "signed" if signed else "draft"


def _sizes(reviewed: Review) -> dict[str, DetailValue]:
    found = reviewed.difference
    return {"classes": found.size, "gained": found.gained, "lost": found.lost, "complete": found.complete}


def _told(by: By, code: str, change_id: str, revision: int, version: str, **detail: DetailValue) -> EntryDraft:
    return EntryDraft(
        kind=EntryKind.POLICY_CHANGED,
        outcome=Outcome.DONE,
        code=code,
        requester=by.department,
        policy_version=version,
        actors=(by.actor or f"person:{by.person}",),
        detail={"change": change_id, "revision": revision, "person": by.person, "means": by.means, **detail},
    )


def _now(house: House) -> int:
    return int(house.clock.now().timestamp())
