"""The log's append: whoever wants anything to leave waits here until its entry is durable.

Each process gathers what waits and commits it as one batch. There is no timer: while one batch is on its way to the disk, the
next one gathers. The head row is locked for the whole batch, so any number of processes can append and none can fork.

Rules kept here: no receipt and no signature leaves before the commit has returned; an effect and its entry commit together or
not at all; a commit whose end is unknown is looked up by entry id, and what nobody could be told about is annotated `not_sent`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from gateway.audit.batch import Asked, BatchBuilder, Built
from gateway.audit.highwater import HighWater
from gateway.audit.histories import Escrow, Keeper
from gateway.audit.receipts import make_receipt
from gateway.audit.tree import grown_tiles, root_at
from gateway.audit.verification import Verified, verify_log
from gateway.domain.clock import Clock, SystemClock
from gateway.domain.entries import EntryDraft, Receipt
from gateway.domain.vocabulary import Door, EntryKind, Outcome
from gateway.errors import GatewayFault, NotAuthenticated
from gateway.proofs.checkpoints import Checkpoint, sign_checkpoint, verify_checkpoint
from gateway.proofs.faults import ProofInvalid
from gateway.proofs.merkle import EMPTY_ROOT, CompactRange
from gateway.proofs.notes import Signer
from gateway.store import audit as store
from gateway.store.audit import HeadRow, Opening
from gateway.store.audit_drivers import Savepoint, durable, short_write
from gateway.store.database import Database, Writing
from keys.buckets import BucketFile

Effect = Callable[[Writing], Awaitable[EntryDraft | None]]
Within = Callable[[Writing, int], Awaitable[None]]
"""Runs in the batch's transaction once the entry has its index; for the log's own rows only."""

LARGEST_BATCH = 512
PROOF_MEMORY = 300
"""Seconds for which a request proof's id is remembered; longer than any proof is accepted."""


@dataclass(slots=True)
class _Submission:
    """One call of `append` on its way."""

    asked: Asked
    effect: Effect | None
    proof_id: str | None
    within: Within | None
    answer: asyncio.Future[Receipt] = field(repr=False)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self, receipt: Receipt) -> None:
        if not self.answer.done():
            self.answer.set_result(receipt)


class AuditLog:
    """The append side of the log. Call `start` before the first append and `close` after the last.

    database: where the log lives. signer: the log's Ed25519 note signer; its name is the log's origin. buckets: the bucket
    file that wraps histories' keys. high_water: path of the high-water file, outside the database. escrow: seals the halves of
    protective keys to two departments. room: says how many bytes are free where the database lives; below `reserve` bytes
    only protective and emergency entries are taken.
    """

    def __init__(
        self,
        database: Database,
        *,
        signer: Signer,
        buckets: BucketFile,
        high_water: HighWater | None = None,
        clock: Clock | None = None,
        escrow: tuple[Escrow, Escrow] | None = None,
        room: Callable[[], int] | None = None,
        reserve: int = 256 * 1024 * 1024,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        self.database = database
        self.signer = signer
        self.buckets = buckets
        self.keeper = Keeper(buckets, escrow)
        self._escrow = escrow
        self._high_water = high_water
        self._clock = clock or SystemClock()
        self._room = room
        self._reserve = reserve
        self._largest_batch = largest_batch
        self._waiting: deque[_Submission] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._seen = CompactRange()
        self._unknown: deque[tuple[str, ...]] = deque()
        self._broken: GatewayFault | None = None

    @property
    def origin(self) -> str:
        """The log's name, as receipts and checkpoints carry it."""
        return self.signer.name

    async def start(self) -> None:
        """Create an empty log's head, or hold the head against its own signature and the high-water file.

        Raises `GatewayFault`: `log_not_durable` (the database would not keep what it commits), `log_head_invalid` (head and
        its signature differ), `log_step_back` (older than the high-water file: an old backup), `log_fork` (another past).
        """
        async with self.database.write() as writing:
            if not await durable(writing):
                raise GatewayFault("log_not_durable")
            empty = sign_checkpoint(Checkpoint(self.origin, 0, EMPTY_ROOT), self.signer)
            await store.create_head(writing, HeadRow(0, b"", 0, empty))
        # The mark before the head: other workers append meanwhile, and what they add after either is no step back.
        mark = self._high_water.read(self.signer.verifier) if self._high_water else None
        async with self.database.read() as reading:
            head = await store.get_head(reading)
            if head is None:
                raise GatewayFault("log_head_invalid")
            self._seen = self._checked(head)
            if mark is not None:
                if mark.size > head.size:
                    raise GatewayFault("log_step_back", here=head.size, seen=mark.size)
                if await root_at(reading, mark.size, head.size) != mark.root:
                    raise GatewayFault("log_fork")

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._runner is not None:
            await asyncio.shield(self._runner)
        if self._high_water is not None:
            self._high_water.close()
            self._high_water = None

    async def append(self, draft: EntryDraft, *, effect: Effect | None = None, proof_id: str | None = None) -> Receipt:
        """Write an entry and wait until it is durable.

        effect: runs inside the batch's transaction, under a savepoint where others are in it; it may return another draft,
        or raise (then this submission alone fails and nothing of it persists). proof_id: the request proof's id, claimed in the same transaction.

        Raises `NotAuthenticated("proof_replayed")`, whatever the effect raises, or `GatewayFault("audit_unavailable")`: then
        nothing may leave.
        """
        return await self.submit(Asked(draft), effect=effect, proof_id=proof_id)

    async def submit(
        self, asked: Asked, *, effect: Effect | None = None, proof_id: str | None = None, within: Within | None = None
    ) -> Receipt:
        """`append` for the audit room's own entries, which may carry public numbers, retire keys and write rows of theirs."""
        self._require_room(asked.draft)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Receipt] = loop.create_future()
        self._waiting.append(_Submission(asked, effect, proof_id, within, answer))
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        return await answer

    async def receipt(self, index: int) -> Receipt:
        """The receipt of an entry with its tlog-proof. Raises `BadRequest("entry_unknown")`."""
        async with self.database.read() as reading:
            return await make_receipt(reading, index)

    async def checkpoint(self) -> bytes:
        """The newest checkpoint, signed by the log."""
        async with self.database.read() as reading:
            head = await store.get_head(reading)
        if head is None:
            raise GatewayFault("log_head_invalid")
        return head.checkpoint

    async def verify(self) -> Verified:
        """Check every entry of the log: see `gateway/audit/verification.py`."""
        return await verify_log(self.database, self.signer.verifier)

    def _require_room(self, draft: EntryDraft) -> None:
        if self._broken is not None:
            raise GatewayFault("audit_unavailable") from self._broken
        urgent = draft.door in (Door.PROTECTIVE, Door.EMERGENCY)
        if self._room is not None and not urgent and self._room() < self._reserve:
            raise GatewayFault("audit_unavailable") from OSError(errno.ENOSPC, "below the reserve")

    async def _run(self) -> None:
        """Commit batch after batch until nobody waits."""
        try:
            while self._waiting:
                size = min(len(self._waiting), self._largest_batch)
                batch = [self._waiting.popleft() for _ in range(size)]
                try:
                    await self._commit(batch)
                except BaseException as error:
                    _fail_all(batch, error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._runner = None
            _fail_all(self._waiting, None)
            self._waiting.clear()

    async def _commit(self, batch: Sequence[_Submission]) -> None:
        if self._unknown:
            await self._annotate_unknown()
        built: Built | None = None
        alive: list[_Submission] = []
        try:
            async with self._transaction(batch) as writing:
                opening = await self._open(writing, batch)
                alive = await self._effects(writing, batch, opening)
                if alive:
                    built = await self._build(writing, opening, alive)
                    await store.write_batch(writing, built.rows)
                    for one, receipt in zip(alive, built.receipts, strict=True):
                        if one.within is not None:
                            await one.within(writing, receipt.index)
                # A crash up to here: the transaction is gone, and with it effects, claims and entries. Nobody was told
                # anything, nothing has left.
            # A crash from here on: the entries are durable and nobody was told. What they account for did not leave; the
            # requester asks again, and its own later entry stands beside the first.
        except BaseException as error:
            if built is None:
                raise
            # The commit itself raised: it may or may not have happened. Only the database knows.
            if not await self._happened(built):
                raise
            if isinstance(error, asyncio.CancelledError):
                _resolve(alive, built)
                raise
        if built is not None:
            self._seen = built.tree
            if self._high_water is not None:
                self._high_water.rise(built.tree.size, built.rows.head.checkpoint)
            # A crash from here on: a database older than this batch is refused at the next start.
            _resolve(alive, built)
            # From here on receipts leave, and with them the data that they account for.

    async def _open(self, writing: Writing, batch: Sequence[_Submission]) -> Opening:
        proofs = [one.proof_id for one in batch if one.proof_id is not None]
        holders = {holder for one in batch for holder in one.asked.holders}
        until = int(self._clock.now().timestamp()) + PROOF_MEMORY
        opening = await store.open_batch(
            writing, proofs=list(dict.fromkeys(proofs)), proofs_until=until, holders=list(holders)
        )
        if opening.head is None:
            raise GatewayFault("log_head_invalid")
        seen = self._seen
        if opening.head.size < seen.size or (opening.head.size == seen.size and opening.head.hashes != seen.encode()):
            # Somebody took back or rewrote what this process has signed. Signing on would make the fork ours.
            self._broken = GatewayFault("log_fork", here=opening.head.size, seen=seen.size)
            raise self._broken
        return opening

    async def _effects(self, writing: Writing, batch: Sequence[_Submission], opening: Opening) -> list[_Submission]:
        """Run the effects; give those submissions that live. Raises what an effect raised that is alone in its batch."""
        alone = len(batch) == 1
        alive: list[_Submission] = []
        returned: list[str] = []
        unclaimed = set(opening.fresh)
        for one in batch:
            if one.proof_id is not None:
                if one.proof_id not in unclaimed:
                    one.fail(NotAuthenticated("proof_replayed"))
                    continue
                unclaimed.discard(one.proof_id)
            if one.effect is not None:
                try:
                    if alone:
                        changed = await one.effect(writing)
                    else:
                        async with Savepoint(writing):
                            changed = await one.effect(writing)
                    if changed is not None:
                        one.asked = replace(one.asked, draft=changed)
                except Exception as error:
                    # Whatever it is, it concerns this submission only. Its savepoint is rolled back, or where it is alone the
                    # transaction, and with that its claim.
                    one.fail(error)
                    if alone:
                        raise
                    if one.proof_id is not None:
                        returned.append(one.proof_id)
                    continue
            alive.append(one)
        if returned:
            await store.release_proofs(writing, returned)
        return alive

    def _transaction(self, batch: Sequence[_Submission]) -> AbstractAsyncContextManager[Writing]:
        """The ordinary unit of work, or the short one where nobody else has a part in the transaction."""
        for one in batch:
            if one.effect is not None or one.within is not None:
                return self.database.write()
        return short_write(self.database)

    async def _build(self, writing: Writing, opening: Opening, alive: Sequence[_Submission]) -> Built:
        keys = {row.holder: row for row in opening.keys}
        # An effect may have changed whom its entry is about.
        missing = {holder for one in alive if one.effect for holder in one.asked.holders} - keys.keys()
        if missing:
            keys |= {row.holder: row for row in await store.current_keys(writing, list(missing))}
        for one in alive:
            for holder in one.asked.erases:
                keys.pop(holder, None)  # gone with its effect; whoever is still about it begins anew
        if opening.head is None:
            raise GatewayFault("log_head_invalid")
        # A head of the size seen last has its hashes too: `_open` has held them against each other.
        seen = self._seen if self._seen.size == opening.head.size else None
        builder = BatchBuilder(
            self.keeper, self.signer, opening.head, list(keys.values()), self._now_us(), self._escrow, seen
        )
        built = builder.build([one.asked for one in alive])
        tiles = await grown_tiles(writing, opening.head.size, built.leaves)
        return built._replace(rows=built.rows.with_tiles(tiles)) if tiles else built

    async def _happened(self, built: Built) -> bool:
        """Whether a batch whose commit raised is in the log. If not even that can be read, it is annotated later."""
        ids = tuple(row.entry_id for row in built.rows.entries)
        try:
            async with self.database.read() as reading:
                return await store.find_entry(reading, ids[0]) is not None
        except Exception:
            # The database is gone. The callers are told that it failed; should the entries turn out to stand, a
            # `not_sent` entry will say that nothing left.
            self._unknown.append(tuple(receipt.entry_id for receipt in built.receipts))
            return False

    async def _annotate_unknown(self) -> None:
        while self._unknown:
            ids = self._unknown[0]
            async with self.database.read() as reading:
                row = await store.find_entry(reading, ids[0])
            self._unknown.popleft()
            if row is not None:
                draft = EntryDraft(
                    kind=EntryKind.NOT_SENT, outcome=Outcome.FAULT, code="unknown_commit", detail={"entries": list(ids)}
                )
                future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
                future.add_done_callback(_retrieve)
                self._waiting.appendleft(_Submission(Asked(draft), None, None, None, future))

    def _checked(self, head: HeadRow) -> CompactRange:
        try:
            checkpoint = verify_checkpoint(head.checkpoint, self.signer.verifier)
            tree = CompactRange.decode(head.size, head.hashes)
        except ProofInvalid:
            raise GatewayFault("log_head_invalid") from None
        if (checkpoint.size, checkpoint.root) != (tree.size, tree.root):
            raise GatewayFault("log_head_invalid")
        return tree

    def _now_us(self) -> int:
        return int(self._clock.now().timestamp() * 1_000_000)


def _resolve(alive: Sequence[_Submission], built: Built) -> None:
    for one, receipt in zip(alive, built.receipts, strict=True):
        one.succeed(receipt)


def _fail_all(submissions: Sequence[_Submission] | deque[_Submission], cause: BaseException | None) -> None:
    """Nothing may leave. The cause goes with each, so that the operator's log can name its type."""
    for one in submissions:
        fault = GatewayFault("audit_unavailable")
        fault.__cause__ = cause
        one.fail(fault)


def _retrieve(future: asyncio.Future[Receipt]) -> None:
    with contextlib.suppress(BaseException):
        future.exception()
