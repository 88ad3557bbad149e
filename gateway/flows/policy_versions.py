"""规则版本: which version decides, from the store, in every worker.

At its first start a gateway enters its policies folder as version 1; from then on the store is the truth and the folder is only a
place to draft from. Each worker looks at one number twice a second; where it moved, the new version is read, checked and compiled
beside the old one, and one reference is swapped.

Rules kept here: a version loads only with the signatures that its changes require, verified again by whoever loads it, and with
the gateway's own seal over the line that activates it (and the lines before); whatever fails here leaves what decides in place,
and at start stops the start.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.audit.log import AuditLog
from gateway.domain.canonical import canonical
from gateway.domain.clock import Clock
from gateway.domain.entries import EntryDraft
from gateway.domain.ids import new_id
from gateway.domain.vocabulary import EntryKind, Outcome
from gateway.errors import BadRequest, Denied, GatewayFault
from gateway.identity.approvals import VerifiedApproval, verify_approval
from gateway.store import policy as store
from gateway.store.database import Database, Reading, Writing
from gateway.store.policy import ActivationRow, ChangeRow
from gateway.store.registry import Registry, Snapshot
from policies import changes
from policies.book import PolicyBook
from policies.changes import Activation, Edition, Review, Signature
from policies.rows import COLUMNS, Rule
from policies.snapshot import Snapshot as PolicySnapshot
from policies.sources import Source

SEEDED, ACTIVATED, ROLLED_BACK = "seeded", "activated", "rolled_back"
INSTALLATION = "installation"
_REMEMBERED = 4
"""Editions that a worker keeps compiled: what decides, what it came from, what is to come, and one more."""


@dataclass(slots=True)
class Versions:
    """A worker's view of the versions. secret: of the seal, 32 bytes.

    number: the activation that decides here, 0 before the first. seen: the last number that was read. reviews: kept by what was
    reviewed.
    """

    database: Database
    registry: Registry
    secret: bytes = field(repr=False)
    number: int = 0
    seen: int = 0
    reviews: dict[tuple[object, ...], Review] = field(default_factory=dict, repr=False)
    _ready: int = 0
    _shelf: tuple[ActivationRow, ...] = ()
    _editions: dict[tuple[str, int], Edition] = field(default_factory=dict, repr=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def follow(self, now: int) -> PolicySnapshot | None:
        """The version that the store says shall decide, checked and compiled; None where that is the one already.

        now: unix seconds. Raises `GatewayFault` (`policy_unsigned`, `policy_unreadable`): then the one before goes on deciding.
        """
        async with self._turn, self.database.read() as reading:
            newest = await store.newest_activation(reading)
            if newest == 0:
                raise GatewayFault("policy_unreadable")
            if newest != self.seen:
                await self.registry.refresh(reading)  # whoever signed may have been enrolled a moment ago
                self._shelf = self._checked(await store.list_activations(reading))
                self.seen = newest
            rows = self._shelf
            deciding = changes.deciding(lines(rows), now)
            if rows[-1].number > max(deciding.number, self._ready):
                # Made ready before its time comes, so that the change of version is only the swap.
                await self._lawful(reading, rows[-1])
                self._ready = rows[-1].number
            if deciding.number == self.number:
                return None
            edition = await self._lawful(reading, rows[deciding.number - 1])
        self.number = deciding.number
        return edition.snapshot

    async def deciding(self, reading: Reading, now: int) -> tuple[ActivationRow, Edition]:
        """The activation that decides at a moment (unix seconds), and its edition."""
        rows = self._checked(await store.list_activations(reading))
        line = changes.deciding(lines(rows), now)
        row = rows[line.number - 1]
        return row, await self.edition(reading, row.change_id, row.revision)

    async def edition(self, reading: Reading, change_id: str, revision: int) -> Edition:
        """A revision of a draft, compiled. `GatewayFault("policy_unreadable")` where the store does not hold it whole."""
        known = self._editions.get((change_id, revision))
        if known is None:
            row = await store.get_change(reading, change_id, revision)
            if row is None:
                raise GatewayFault("policy_unreadable")
            known = await compiled(await source_of(reading, row))
            if (known.version, known.source.cases_digest) != (row.version, row.cases):
                raise GatewayFault("policy_unreadable")  # whoever changed a row of the store changed the hash
            self.remember(change_id, revision, known)
        return known

    def remember(self, change_id: str, revision: int, edition: Edition) -> None:
        """Keep a compiled edition for a while."""
        while len(self._editions) >= _REMEMBERED:
            self._editions.pop(next(iter(self._editions)))
        self._editions[change_id, revision] = edition

    async def _lawful(self, reading: Reading, row: ActivationRow) -> Edition:
        """The edition that an activation names, if it may decide. `GatewayFault("policy_unsigned")`."""
        edition = await self.edition(reading, row.change_id, row.revision)
        if edition.version != row.version:
            raise GatewayFault("policy_unsigned")
        try:
            await self._require_lawful(reading, row, edition)
        except (Denied, BadRequest) as error:
            raise GatewayFault("policy_unsigned") from error
        return edition

    async def _require_lawful(self, reading: Reading, row: ActivationRow, edition: Edition) -> None:
        if row.kind == SEEDED and row.number == 1:
            return
        change = await store.get_change(reading, row.change_id, row.revision)
        if change is None or row.number == 1:
            raise Denied("approval_missing")
        if row.kind == ROLLED_BACK:
            earlier = self._shelf[: row.number - 1]
            decided = any((each.change_id, each.revision) == (row.change_id, row.revision) for each in earlier)
            expected = rollback_subject(earlier, row)
            if not decided or not verified(row.statements, self.registry.current, expected, now=row.made_at):
                raise Denied("approval_missing")
            return
        before = self._shelf[change.base - 1]
        base = await self.edition(reading, before.change_id, before.revision)
        given = verified(row.statements, self.registry.current, approval_subject(change, base.version), now=row.made_at)
        owned = changes.owners(base, edition)
        changes.require_signed(change.author, edition.version, owned, signatures(given, edition.version))

    def _checked(self, rows: Sequence[ActivationRow]) -> tuple[ActivationRow, ...]:
        """The activations, every number there and every seal the gateway's. `GatewayFault("policy_unsigned")`."""
        before = b""
        for number, row in enumerate(rows, 1):
            if row.number != number or not hmac.compare_digest(row.seal, sealed(self.secret, row, before)):
                raise GatewayFault("policy_unsigned")
            before = row.seal
        if not rows:
            raise GatewayFault("policy_unreadable")
        return tuple(rows)


async def open_versions(
    database: Database,
    registry: Registry,
    log: AuditLog,
    *,
    clock: Clock,
    secret: bytes,
    seed: Callable[[], Source],
) -> tuple[Versions, PolicyBook]:
    """The versions of this deployment, and the book with the deciding one. seed: reads what becomes version 1 where there is none.

    Raises as `Versions.follow`, and `BadRequest("policy_invalid")` where the seed is not right.
    """
    now = int(clock.now().timestamp())
    async with database.read() as reading:
        first = await store.newest_activation(reading) == 0
    if first:
        await _enter_seed(log, await compiled(seed), secret=secret, now=now)
    versions = Versions(database, registry, secret)
    deciding = await versions.follow(now)
    assert deciding is not None  # nothing decided here before
    return versions, PolicyBook(deciding, clock=clock)


async def _enter_seed(log: AuditLog, edition: Edition, *, secret: bytes, now: int) -> None:
    change_id = new_id("pc")
    row = ActivationRow(1, SEEDED, change_id, 1, edition.version, at=0, made_at=now, statements=())
    draft = EntryDraft(
        kind=EntryKind.POLICY_CHANGED,
        outcome=Outcome.DONE,
        code=SEEDED,
        policy_version=edition.version,
        detail={"change": change_id, "by": INSTALLATION},
    )

    async def enter(writing: Writing) -> None:
        if await store.newest_activation(writing):
            raise Denied("policy_stale")  # another worker of the first start was faster, and entered the same folder
        await keep(writing, edition, ChangeDraft(change_id, 1, 0, INSTALLATION, "随附规则 shipped rules"), now=now)
        await store.add_activation(writing, replace(row, seal=sealed(secret, row, b"")))

    try:
        await log.append(draft, effect=enter)
    except Denied as error:
        if error.code != "policy_stale":
            raise


# --- between the store and the policy room -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChangeDraft:
    """What names a revision: see `ChangeRow`."""

    change_id: str
    revision: int
    base: int
    author: str
    reason: str


async def keep(writing: Writing, edition: Edition, named: ChangeDraft, *, now: int) -> None:
    """Enter a revision: its rules as typed rows, its documents, and what names them."""
    numbers = await store.put_rows(
        writing, [tuple(getattr(rule, column) for column in store.COLUMNS) for rule in edition.source.rules]
    )
    documents = {_digest(text): text for text in edition.source.files.values()}
    await store.put_documents(writing, documents)
    await store.add_change(
        writing,
        ChangeRow(
            change_id=named.change_id,
            revision=named.revision,
            base=named.base,
            version=edition.version,
            cases=edition.source.cases_digest,
            files={path: _digest(text) for path, text in edition.source.files.items()},
            rows=numbers,
            author=named.author,
            reason=named.reason,
            made_at=now,
        ),
    )


async def source_of(reading: Reading, row: ChangeRow) -> Source:
    """The source of a stored revision. `GatewayFault("policy_unreadable")` where the store does not hold it whole."""
    try:
        rows = await store.rows_of(reading, row.rows)
        documents = await store.documents_of(reading, row.files.values())
        files = {path: documents[digest] for path, digest in row.files.items()}
    except KeyError as error:
        raise GatewayFault("policy_unreadable") from error
    if any(_digest(text) != row.files[path] for path, text in files.items()):
        raise GatewayFault("policy_unreadable")
    return Source(files, tuple(Rule(**dict(zip(store.COLUMNS, values, strict=True))) for values in rows))


async def compiled(source: Source | Callable[[], Source]) -> Edition:
    """A source, compiled beside the running requests. `BadRequest("policy_invalid")` with the sentence that says what is wrong."""
    try:
        return await asyncio.to_thread(lambda: Edition.of(source() if callable(source) else source))
    except ValueError as error:
        # Sentences of the policy room name a row, a column or a file and never a value from outside.
        raise BadRequest("policy_invalid", sentence=str(error)) from error


def lines(rows: Sequence[ActivationRow]) -> tuple[Activation, ...]:
    """The shelf, as the policy room reads it."""
    return tuple(Activation(row.number, row.version, row.at) for row in rows)


def sealed(secret: bytes, row: ActivationRow, before: bytes) -> bytes:
    """The gateway's seal over an activation and the seal before it: HMAC-SHA256."""
    told = {
        "number": row.number,
        "kind": row.kind,
        "change": row.change_id,
        "revision": row.revision,
        "version": row.version,
        "at": row.at,
        "made": row.made_at,
        "statements": [_digest(text) for text in row.statements],
        "before": before.hex(),
    }
    return hmac.digest(secret, b"runxin/policy-activation\0" + canonical(told), "sha256")


def approval_subject(change: ChangeRow, base: str) -> dict[str, Any]:
    """What the approvers of a draft sign: this revision, the version that it starts from and the one that it makes."""
    return {
        "kind": "policy",
        "change": change.change_id,
        "revision": change.revision,
        "base": base,
        "version": change.version,
        "cases": change.cases,
    }


def rollback_subject(shelf: Sequence[ActivationRow], target: ActivationRow) -> dict[str, Any]:
    """What an approver signs to return to a version that has decided before. shelf: every activation so far."""
    return {
        "kind": "policy-rollback",
        "after": shelf[-1].number,
        "from": shelf[-1].version,
        "change": target.change_id,
        "revision": target.revision,
        "version": target.version,
    }


def verified(
    statements: Sequence[str], snapshot: Snapshot, expected: Mapping[str, Any], *, now: int
) -> list[VerifiedApproval]:
    """Approvals that rested on good keys at a moment. A key that was retired since then still proves what it signed.

    Raises `Denied` as `verify_approval`.
    """
    people = {kid: replace(one, person=replace(one.person, enabled=True)) for kid, one in snapshot.people.items()}
    security_keys = {kid: replace(one, enabled=True) for kid, one in snapshot.security_keys.items()}
    then = replace(snapshot, people=people, security_keys=security_keys)
    return [verify_approval(text, snapshot=then, now=now, expected=expected) for text in statements]


def signatures(given: Sequence[VerifiedApproval], version: str) -> list[Signature]:
    """Verified approvals as the policy room counts them."""
    return [Signature(signer_of(each), each.approver.party.department, version) for each in given]


def signer_of(approval: VerifiedApproval) -> str:
    """`<organisation>/<person>`."""
    return f"{approval.approver.party.organisation}/{approval.approver.person_id}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


assert set(store.COLUMNS) == set(COLUMNS)
